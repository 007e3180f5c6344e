"""What a person may ask a running sandbox to post: reports that are held or of their choice, inbound messages."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from worker.sandbox.callbacks.bodies import Report, check_report
from worker.sandbox.callbacks.inbound import inbound_body, read_inbound
from worker.sandbox.callbacks.outbox import Item, Outbox, Post
from worker.sandbox.callbacks.sent import Channel, Sent, sent_messages
from worker.sandbox.callbacks.statuses import STATUSES
from worker.sandbox.errors import CallbackError
from worker.sandbox.record import last_lines

#: Lines of the record, counted from its end, that a message is looked for in.
LOOKED_AT: Final = 10_000
_FIELDS: Final = ("held", "request_id", "crqid", "to", "status", "channel")


def ask_reports(fields: Mapping[str, Any], outbox: Outbox, record: Path, now: float) -> int:
    """Post reports on demand; gives how many messages they are of.

    Args:
        fields: ``held`` for what is held back, or ``status`` for a status of one's choice; which messages, by
            ``request_id``, ``crqid`` and ``to``; ``channel`` of a message that was never taken.
        outbox: What posts them.
        record: Where messages are looked up.
        now: The time (Unix seconds).

    Raises:
        CallbackError: it says too little or what cannot be, or no message is found.
    """
    unknown = [name for name in fields if name not in _FIELDS]
    if unknown:
        raise CallbackError(f"a report is asked for with {', '.join(_FIELDS)}; got {unknown[0]!r}")
    given = {name: str(fields[name]) for name in _FIELDS[1:] if fields.get(name)}
    number = given.get("to", "").removeprefix("+").replace(" ", "")

    def is_wanted(sent: Sent) -> bool:
        return (
            given.get("request_id", sent.request_id) == sent.request_id
            and ("crqid" not in given or sent.correlation.get("CRQID") == given["crqid"])
            and (not number or sent.number == number)
        )

    if fields.get("held"):
        if "status" in given:
            raise CallbackError("held: a report that is held has its status; leave one of the two out")
        return outbox.release(is_wanted, now)
    if not given.keys() & {"request_id", "crqid", "to"}:
        raise CallbackError("a report: say of which message, by request_id, crqid or to, or ask for those held")
    status = STATUSES.get(given.get("status", "delivered"))
    if status is None:
        raise CallbackError(f"status: expected one of {', '.join(STATUSES)}, got {given['status']!r}")
    found = _found(record, is_wanted, whole="request_id" in given or "crqid" in given) or [_stray(given, number, now)]
    for sent in found:
        _check_url(outbox, sent.channel)
        check_report(outbox.callbacks, sent.channel, status)
    for sent in found:
        outbox.post(Post(sent.channel, [Item(Report(sent, status, now), ("asked",))]), now)
    return len(found)


def ask_inbound(fields: Mapping[str, Any], outbox: Outbox, default_number: str, now: float) -> str:
    """Post an inbound WhatsApp message; gives its id.

    Raises:
        CallbackError: something in it is missing or wrong, or nobody is there to hear of it.
    """
    message = read_inbound(fields, default_number)
    _check_url(outbox, Channel.WHATSAPP, inbound=True)
    body = inbound_body(outbox.callbacks, message, now)
    outbox.post(Post(Channel.WHATSAPP, inbound=(body, message.sender)), now)
    return message.id


def _found(record: Path, is_wanted: Any, *, whole: bool) -> list[Sent]:
    """The messages on record that are wanted: all of a request, else the last one."""
    for line in reversed(last_lines(record, LOOKED_AT)):
        body = line["body"] if isinstance(line["body"], dict) else {}
        moment = datetime.fromisoformat(line["time"]).timestamp()
        wanted = [sent for sent in sent_messages(line, {**line["query"], **body}, moment) if is_wanted(sent)]
        if wanted:
            return wanted if whole else wanted[-1:]
    return []


def _stray(given: Mapping[str, str], number: str, now: float) -> Sent:
    """A message that was never taken: its report is one that nobody can place."""
    if not number or not (given.keys() & {"request_id", "crqid"}):
        raise CallbackError(
            "no such message on record; to report one that was never taken, give to, and request_id or crqid"
        )
    channel = given.get("channel", "sms")
    if channel not in set(Channel):
        raise CallbackError(f"channel: expected sms or whatsapp, got {channel!r}")
    correlation = {"CRQID": given["crqid"]} if "crqid" in given else {}
    return Sent(Channel(channel), number, given.get("request_id", ""), now, correlation)


def _check_url(outbox: Outbox, channel: Channel, *, inbound: bool = False) -> None:
    if not outbox.callbacks.url_of(channel, inbound=inbound):
        name = "inbound" if inbound else channel.value
        raise CallbackError(f"nothing says where it goes: set {name}=URL (msg91-destination sandbox callbacks)")
