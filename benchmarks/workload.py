"""The events that are sent, and the mappings they go through."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import yaml

from worker.events import join


def event(number: int) -> dict[str, Any]:
    """A track event of about 700 bytes, as real clients send them."""
    return {
        "type": "track",
        "event": "Order Shipped",
        "messageId": f"ajs-next-{number:012d}-6f0b3ac2-58f1-4a71-8f5f-0c3a7e1d9b55",
        "anonymousId": "507f191e-810c-4972-9de8-60ea00000000",
        "userId": f"user-{number}",
        "timestamp": "2026-01-15T10:00:00.000Z",
        "sentAt": "2026-01-15T10:00:00.100Z",
        "context": {
            "library": {"name": "analytics.js", "version": "2.11.1"},
            "page": {"path": "/orders", "referrer": "", "title": "Orders", "url": "https://shop.example/orders"},
            "userAgent": "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0",
            "locale": "en-IN",
            "ip": "203.0.113.7",
        },
        "integrations": {"All": True},
        "properties": {
            "phone": 919_000_000_000 + number % 900_000_000,
            "firstName": "Asha",
            "message": f"Hi Asha, your order {number} has been shipped.",
            "senderID": "MSGIND",
            "orderId": f"o-{number}",
            "total": 1499.5,
        },
    }


def batches(events: int, size: int, *, first: int = 0) -> Iterator[tuple[bytes, int]]:
    """Events in batches: the bytes of each, and how many it holds."""
    for start in range(first, first + events, size):
        numbers = range(start, min(start + size, first + events))
        yield join([orjson.dumps(event(number)) for number in numbers]), len(numbers)


def mapping_file(folder: Path, count: int) -> dict[str, Any]:
    """A mapping file with ``count`` mappings, of which one matches; the preset with its four when ``count`` is 0."""
    if count == 0:
        return {}
    fields = {name: {"@path": f"$.properties.{name}"} for name in ("phone", "message", "senderID")}
    mappings = [
        {
            "name": f"mapping-{number}",
            "action": "send_sms",
            "trigger": f'type = "track" and event = "{"Order Shipped" if number == count - 1 else f"Event {number}"}"',
            "mapping": fields,
        }
        for number in range(count)
    ]
    file = folder / "mappings.yaml"
    file.write_text(yaml.safe_dump({"mappings": mappings}), encoding="utf-8")
    return {"mappings": str(file)}
