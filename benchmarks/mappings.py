"""Microseconds per event of triggers, mappings and action fields, on one core.

    python -m benchmarks.mappings [--seconds 1] [--json]

Each case runs in rounds of equal length; the best round counts, since everything else on the machine only adds time.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable
from time import perf_counter
from typing import Any

import mappings

EVENT: dict[str, Any] = {
    "messageId": "ajs-next-1714557600000-5b6f1c6e",
    "type": "track",
    "event": "Order Completed",
    "userId": "u-204",
    "anonymousId": "2f0a7e5c-1f4d-4d7e-9a06-5e6c2a51b7a0",
    "timestamp": "2024-05-01T10:00:00.000Z",
    "properties": {
        "phone": "+91 88188 88758",
        "firstName": "Zoë",
        "message": "Thanks for your order",
        "senderID": "MSGIND",
        "total": 1299.5,
        "currency": "INR",
        "vip": True,
        "products": [{"id": "p1", "price": 1.5}, {"id": "p2", "price": 2}],
        "nested": {"a": {"b": "deep"}},
    },
    "context": {"ip": "203.0.113.7", "page": {"url": "https://shop.example/checkout"}, "traits": {"plan": "pro"}},
    "integrations": {"All": True},
}

TRIGGERS = {
    "trigger, 1 condition": 'type = "track"',
    "trigger, 2 conditions": 'type = "track" and event = "Order Completed"',
    "trigger, 5 conditions": 'type = "track" and event = "Order Completed" and properties.total >= 100'
    ' and properties.vip = true and contains(context.page.url, "checkout")',
}

SIX_PATHS = {
    "phone": {"@path": "$.properties.phone"},
    "firstName": {"@path": "$.properties.firstName"},
    "message": {"@path": "$.properties.message"},
    "senderID": {"@path": "$.properties.senderID"},
    "userId": {"@path": "$.userId"},
    "url": {"@path": "$.context.page.url"},
}

SIX_MIXED = {
    "phone": {"@replace": {"pattern": " ", "replacement": "", "value": {"@path": "$.properties.phone"}}},
    "firstName": {
        "@if": {
            "exists": {"@path": "$.properties.firstName"},
            "then": {"@path": "$.properties.firstName"},
            "else": {"@path": "$.traits.firstName"},
        }
    },
    "message": {"@template": "Hi {{properties.firstName}}, {{properties.message}} ({{properties.total}})"},
    "senderID": {"@case": {"operator": "upper", "value": {"@path": "$.properties.senderID"}}},
    "userId": {"@path": "$.userId"},
    "plan": {"@path": "$.context.traits.plan"},
}

MAPPINGS = {
    "mapping, 6 @path": SIX_PATHS,
    "mapping, 6 mixed": SIX_MIXED,
    "mapping, @arrayPath of 2 items": {"items": {"@arrayPath": ["$.properties.products", {"id": {"@path": "$.id"}}]}},
    "mapping, one @liquid": {"message": {"@liquid": "Hi {{ properties.firstName | upcase }}"}},
}

FIELDS: dict[str, dict[str, Any]] = {
    "phone": {"type": "string", "required": True},
    "message": {"type": "string", "required": True},
    "firstName": {"type": "string"},
    "senderID": {"type": "string", "minimum": 3, "maximum": 11},
    "flash": {"type": "boolean"},
    "userId": {"type": "string"},
    "url": {"type": "string"},
}

#: µs per event that must not be exceeded.
GOALS = {"trigger, 2 conditions": 0.5, "mapping, 6 @path": 1.0, "mapping, 6 mixed": 6.0}


def best(function: Callable[[Any], Any], argument: Any, seconds: float) -> float:
    """Microseconds of one call, in the best of ten rounds."""
    calls = 1
    while (elapsed := _round(function, argument, calls)) < seconds / 20:
        calls = max(calls * 2, int(calls * seconds / 10 / max(elapsed, 1e-9)))
    return min(_round(function, argument, calls) for _ in range(10)) / calls * 1e6


def _round(function: Callable[[Any], Any], argument: Any, calls: int) -> float:
    start = perf_counter()
    for _ in range(calls):
        function(argument)
    return perf_counter() - start


def cases() -> dict[str, tuple[Callable[[Any], Any], Any]]:
    """Name → what to call with what."""
    made: dict[str, tuple[Callable[[Any], Any], Any]] = {}
    for name, text in TRIGGERS.items():
        made[name] = (mappings.compile_trigger(text), EVENT)
    for name, mapping in MAPPINGS.items():
        made[name] = (mappings.compile_mapping(mapping), EVENT)
    resolved = mappings.compile_mapping(SIX_PATHS)(EVENT)
    made["fields, 6 texts"] = (mappings.compile_fields(FIELDS), resolved)
    return made


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=1.0, help="time for each case")
    parser.add_argument("--json", action="store_true", help="print JSON")
    arguments = parser.parse_args()
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    results = {name: best(function, argument, arguments.seconds) for name, (function, argument) in cases().items()}
    if arguments.json:
        print(json.dumps({name: round(value, 4) for name, value in results.items()}))
    else:
        for name, value in results.items():
            goal = f"   goal {GOALS[name]} µs" if name in GOALS else ""
            print(f"{name:34} {value:8.3f} µs {1 / value:8.3f} M/s{goal}")
    return int(any(results[name] > goal for name, goal in GOALS.items()))


if __name__ == "__main__":
    sys.exit(main())
