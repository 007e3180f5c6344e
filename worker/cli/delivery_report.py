"""How a delivery looks: to people, and as JSON. Phone numbers are hidden everywhere."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, Final

import orjson
from rich.text import Text

from worker.delivery import Line, State
from worker.lookup import Known, Row
from worker.masking import mask_text, mask_value
from worker.msg91.answers import AnswerClass

__all__ = ["STYLES", "known_as_json", "lines_of", "moment", "reason_of", "row_as_json"]

#: The colour of each state; the others have none.
STYLES: Final = {
    State.SENDING: "cyan",
    State.SCHEDULED: "cyan",
    State.ACCEPTED: "green",
    State.DELIVERED: "green",
    State.UNDELIVERED: "red",
    State.REJECTED: "red",
    State.DEAD: "red",
    State.IN_DOUBT: "yellow",
}
#: Kinds of answers after which nobody can say whether the message went out.
_DOUBTFUL: Final = frozenset({AnswerClass.UNKNOWN.value, "lost"})


def lines_of(one: Known) -> Iterator[Text]:
    """Everything that is known of a delivery, as lines for people."""
    state, record, delivery, request = one.state, one.record, one.delivery, one.request
    title = one.message_id or f"delivery {one.key}"
    yield Text.assemble(
        (f"{title}: {one.destination or '?'} / {one.mapping or '?'} → {one.action or '?'}: ", "bold"),
        (state.value if state else "unknown", STYLES.get(state, "") if state else ""),
    )
    facts: list[tuple[str, str]] = [("delivery", one.key)]
    if record is not None:
        facts.append(("since", moment(record.at_ms)))
        if record.reason:
            facts.append(("reason", mask_text(record.reason)))
        facts.append(("attempts", str(record.attempts)))
    else:
        facts.append(("record", "its time is over; this is what the journal still says"))
    if one.due_ms is not None:
        facts.append(("next attempt", moment(one.due_ms)))
    if request is not None:
        others = len(request.deliveries) - 1
        facts.append(("request", f"{request.token} ({others} more in it)" if others > 0 else request.token))
    if request_id := _request_id(one):
        facts.append(("MSG91's id", request_id))
    if delivery is not None and delivery.expires_ms is not None:
        facts.append(("expires", moment(delivery.expires_ms)))
    for name, value in facts:
        yield Text(f"  {name + ':':<13} {value}")
    history = delivery.history if delivery is not None else []
    if history:
        yield Text("  attempts that are kept:")
        yield from (Text(f"    {_attempt(attempt)}") for attempt in history)
    if one.lines:
        yield Text("  journal:")
        yield from (Text(f"    {_journal_line(line)}") for line in one.lines)
    if delivery is not None and delivery.payload:
        yield Text("  payload:")
        body = orjson.dumps(mask_value(delivery.payload), option=orjson.OPT_INDENT_2 | orjson.OPT_NON_STR_KEYS)
        yield from (Text(f"    {line}") for line in body.decode().split("\n"))
    yield Text("")


def _attempt(attempt: dict[str, Any]) -> str:
    if "errors" in attempt:
        errors = "; ".join(f"{error['field']}: {error['message']}" for error in attempt["errors"])
        return f"{moment(attempt['at'])}  not sent: {mask_text(errors)}"
    answer = " ".join(
        str(part)
        for part in (
            f"HTTP {attempt['status']}" if attempt.get("status") else "",
            f"code {attempt['code']}" if attempt.get("code") else "",
            mask_text(str(attempt.get("message") or "")),
        )
        if part
    )
    doubt = "may have been sent; " if attempt.get("class") in _DOUBTFUL else ""
    return f"{moment(attempt['at'])}  {attempt.get('class', '')}: {answer} ({doubt}request {attempt.get('token')})"


def _journal_line(line: Line) -> str:
    about = line.about
    parts = [
        f"HTTP {about['status']}" if about.get("status") else "",
        f"code {about['code']}" if about.get("code") else "",
        f"MSG91's id {about['request_id']}" if about.get("request_id") else "",
        f"{about['elapsed_ms']} ms" if about.get("elapsed_ms") is not None else "",
        _by_report(about.get("report")),
        mask_text(str(about.get("decided", ""))),
    ]
    reason = f": {mask_text(line.reason)}" if line.reason else ""
    details = ", ".join(part for part in parts if part)
    return f"{moment(line.at_ms)}  {line.state.value}{reason}" + (f" ({details})" if details else "")


def _by_report(report: Any) -> str:
    """What the journal keeps of a delivery report, ``""`` where there was none."""
    said = report if isinstance(report, dict) else {}
    fields = said.get("fields", {})
    details = [f"{name} {value}" for name, value in {**said, **fields}.items() if name not in ("fields", "message_id")]
    return " ".join(["by report", *(f"[{one}]" for one in details)]) if report is True or details else ""


def _request_id(one: Known) -> str:
    if one.request is not None and one.request.request_id:
        return one.request.request_id
    return next((str(line.about["request_id"]) for line in reversed(one.lines) if line.about.get("request_id")), "")


def reason_of(row: Row) -> str:
    """Why a delivery is in its state, and when it is tried again."""
    reason = mask_text(row.reason)
    return reason if row.due_ms is None else f"{reason}; again at {moment(row.due_ms)}".removeprefix("; ")


def row_as_json(row: Row) -> dict[str, Any]:
    """A delivery of a list, as JSON."""
    return {
        "state": row.state.value,
        "message_id": row.message_id or None,
        "mapping": row.mapping,
        "destination": row.destination,
        "action": row.action,
        "since": moment(row.since_ms),
        "reason": mask_text(row.reason) or None,
        "due": None if row.due_ms is None else moment(row.due_ms),
        "delivery": row.key,
    }


def known_as_json(one: Known) -> dict[str, Any]:
    """Everything that is known of a delivery, as JSON."""
    record, delivery, request = one.record, one.delivery, one.request
    return {
        "delivery": one.key,
        "message_id": one.message_id or None,
        "mapping": one.mapping or None,
        "destination": one.destination or None,
        "action": one.action or None,
        "state": one.state.value if one.state else None,
        "since": None if record is None else moment(record.at_ms),
        "reason": None if record is None else mask_text(record.reason) or None,
        "attempts": None if record is None else record.attempts,
        "due": None if one.due_ms is None else moment(one.due_ms),
        "expires": None if delivery is None or delivery.expires_ms is None else moment(delivery.expires_ms),
        "request": None if request is None else request.token,
        "request_id": _request_id(one) or None,
        "history": [] if delivery is None else [_attempt_json(attempt) for attempt in delivery.history],
        "journal": [
            {
                **{name: value for name, value in line.about.items() if name != "about"},
                "at": moment(line.at_ms),
                "state": line.state.value,
                "reason": mask_text(line.reason) or None,
            }
            for line in one.lines
        ],
        "payload": None if delivery is None else mask_value(delivery.payload),
        "event": None if delivery is None else mask_value(delivery.event),
    }


def _attempt_json(attempt: dict[str, Any]) -> dict[str, Any]:
    return {
        name: moment(value) if name == "at" else value if name == "token" else mask_value(value, name)
        for name, value in attempt.items()
    }


def moment(ms: int) -> str:
    """A moment (ms since 1970) in ISO 8601, UTC."""
    return datetime.fromtimestamp(ms / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%S") + f".{ms % 1000:03d}Z"
