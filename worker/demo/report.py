"""The end of the demonstration: what became of every kind of event and why, what MSG91 got, and whether all adds up."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

import orjson
from rich.console import Console
from rich.table import Table
from rich.text import Text

from worker.delivery import Reconciliation, State
from worker.demo.outcomes import Outcome
from worker.demo.samples import PAGE_NUMBER, Fate, expected_messages
from worker.demo.story import FAULTS, Result
from worker.sandbox.calls import Kind as RequestKind
from worker.sandbox.record import masked, sends

#: Entries of a list that are shown of a request.
SHOWN_ENTRIES: Final = 2
_STYLES: Final = {
    Fate.ACCEPTED: "green",
    Fate.REJECTED: "yellow",
    Fate.IN_DOUBT: "magenta",
    Fate.REFUSED: "yellow",
    Fate.MALFORMED: "yellow",
    Fate.DUPLICATE: "cyan",
    Fate.FILTERED: "cyan",
}
#: What a fate means, where the reasons alone do not say it.
_MEANINGS: Final = {
    Fate.REFUSED: "at the door",
    Fate.MALFORMED: "on the queue",
    Fate.IN_DOUBT: "MSG91 may have it: not sent again",
    Fate.DUPLICATE: "the messageId is known: not sent again",
    Fate.FILTERED: "no delivery",
}


def print_report(console: Console, result: Result) -> list[str]:
    """Print the report.

    Returns:
        What is not as it has to be, in words; empty when all is well.
    """
    events = sum(len(outcome.kind.lines) for outcome in result.outcomes)
    _heading(console, f"What became of {events} events, in {result.seconds:.1f} s")
    _print_table(console, _table(result.outcomes))
    _heading(console, "Three requests as MSG91 received them (phone numbers masked)")
    for request in _three(result.requests):
        console.print(Text("\n".join(request_lines(request))), soft_wrap=True)
    _heading(console, "Reconciliation")
    for name, sentence in identity(result.reconciliation):
        console.print(Text.assemble((f"  {name:<11}", "bold"), sentence), soft_wrap=True)
    console.print(Text.assemble((f"  {'MSG91':<11}", "bold"), _provider_sentence(result.requests)), soft_wrap=True)
    return problems(result)


def problems(result: Result) -> list[str]:
    """What is not as it has to be, in words."""
    found = list(result.reconciliation.problems)
    for outcome in result.outcomes:
        if not outcome.as_expected:
            wanted = f"{len(outcome.kind.lines)} {outcome.kind.fate.value}"
            found.append(f"{outcome.kind.title}: expected {wanted}, got {_fates(outcome.fates) or 'nothing'}")
    expected, sent = expected_messages(), _sent(result.requests)
    if missing := expected - sent:
        found.append(f"{missing.total()} messages never reached MSG91")
    if surplus := sent - expected:
        found.append(f"{surplus.total()} messages reached MSG91 that should not have, or twice")
    found += [f"the fault {fault} never came true" for fault in FAULTS if not result.fault_hits.get(fault)]
    return found


def identity(reconciliation: Reconciliation) -> Iterator[tuple[str, str]]:
    """The identity, line by line: a name and a sentence."""
    counts = reconciliation.counts
    e = counts.events
    yield (
        "events",
        f"received {e['received']} = queued {e['queued']} + parsed {e['parsed']} + malformed {e['malformed']}",
    )
    parsed = f"filtered {e['filtered']} + duplicate {e['duplicate']} + with a delivery {e['parent']}"
    yield "", f"parsed {e['parsed']} = {parsed}"
    states = " + ".join(f"{state} {counts.states[state]}" for state in State if counts.states[state])
    yield "deliveries", f"created {counts.created} = {states or 0}"
    total = sum(reconciliation.recounted.values())
    agrees = "as the counters say" if reconciliation.holds else "; ".join(reconciliation.problems)
    yield "recounted", f"{total} records, {agrees}"


def request_lines(request: Mapping[str, Any]) -> Iterator[str]:
    """One request of the record: its first line, and its body with the list of messages cut."""
    shown = masked(dict(request))
    yield f"  {shown['method']} {shown['path']}"
    plain = {key: value for key, value in shown["body"].items() if not isinstance(value, list)}
    [(name, entries)] = [(key, value) for key, value in shown["body"].items() if isinstance(value, list)]
    before = f"{_json(plain)[1:-1]}, " if plain else ""
    yield f'  {{{before}"{name}": ['
    yield from (f"    {_json(entry)}," for entry in entries[:SHOWN_ENTRIES])
    if len(entries) > SHOWN_ENTRIES:
        yield f"    … {len(entries) - SHOWN_ENTRIES} more"
    yield "  ]}"


def _heading(console: Console, text: str) -> None:
    console.print()
    console.print(Text(text, "bold"))


def _print_table(console: Console, grid: Table) -> None:
    """Print it, without the blanks that fill its last column."""
    with console.capture() as captured:
        console.print(grid)
    console.file.write("".join(f"{line.rstrip()}\n" for line in captured.get().splitlines()))


def _table(found: Sequence[Outcome]) -> Table:
    grid = Table(box=None, padding=(0, 2, 0, 0), header_style="dim", pad_edge=False)
    grid.add_column("  what came in", no_wrap=True)
    grid.add_column("what became of it", no_wrap=True)
    grid.add_column("why", overflow="fold")
    for outcome in found:
        style = _STYLES.get(outcome.kind.fate, "") if outcome.as_expected else "bold red"
        grid.add_row(Text(f"  {outcome.kind.title}"), Text(_fates(outcome.fates), style), Text(_why(outcome), "dim"))
    return grid


def _fates(fates: Counter[Fate]) -> str:
    return ", ".join(f"{count} {fate.value.replace('_', ' ')}" for fate, count in fates.items())


def _why(outcome: Outcome) -> str:
    reasons = [reason.rstrip(".") for reason in outcome.reasons]
    meaning = _MEANINGS.get(outcome.kind.fate)
    return "; ".join([*([meaning] if meaning else []), *reasons])


def _three(requests: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Segment's own example among its neighbours, a text in UCS-2, and user events."""
    taken = [request for request in requests if request["taken"]]
    sms = [request for request in taken if request["kind"] == RequestKind.SMS]
    in_hindi = [one for one in sms if one["body"]["unicode"] == 1]
    events = [one for one in taken if one["kind"] == RequestKind.EVENTS]
    return [max(found, key=_worth) for found in (sms, in_hindi, events) if found]


def _worth(request: Mapping[str, Any]) -> tuple[bool, int, str]:
    """How much a request is worth showing: one that shows Segment's example, then the longest."""
    messages = request["messages"]
    return str(PAGE_NUMBER) in {one["to"] for one in messages[:SHOWN_ENTRIES]}, len(messages), messages[0]["text"]


def _sent(requests: Iterable[dict[str, Any]]) -> Counter[tuple[str, str]]:
    """What MSG91 took as SMS, by its own record: number and text."""
    return sends(request for request in requests if request["kind"] == RequestKind.SMS)


def _provider_sentence(requests: Sequence[dict[str, Any]]) -> str:
    sent = _sent(requests)
    verdict = "each once" if sent == expected_messages() else "NOT those it should have"
    refused = sum(not request["taken"] for request in requests)
    return f"took {sent.total()} SMS, {verdict}; got {len(requests)} requests, {refused} of them refused or failed"


def _json(value: Any) -> str:
    """JSON on one line, spaced for people."""
    if isinstance(value, dict):
        return "{" + ", ".join(f'"{key}": {_json(inner)}' for key, inner in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_json, value)) + "]"
    return orjson.dumps(value).decode()
