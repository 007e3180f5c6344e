"""What reports and messages say, as those who hear of them want it: times, texts, the identity of each. Pure."""

from __future__ import annotations

import re
from base64 import urlsafe_b64encode
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from hashlib import blake2b
from typing import Any, Final, Literal

import orjson

from worker.msg91.reports import Inbound, Report

__all__ = ["Channel", "bounded", "clean", "identity_of", "iso", "moment_of", "replied_to", "value_of"]

Channel = Literal["sms", "whatsapp"]

#: Characters that no text needs and JSON spells out at length; half surrogate pairs cannot be written at all.
_CONTROL: Final = re.compile(r"[\x00-\x08\x0b-\x1f\x7f\ud800-\udfff]")
#: Digits that a number may have here: as in the ledger, and more than there are.
_LONGEST_NUMBER: Final = 20
_SECONDS: Final = re.compile(r"1[0-9]{9}")
_MILLISECONDS: Final = re.compile(r"1[0-9]{12}")


def clean(text: str, longest: int = 200) -> str:
    """A text without control characters, at most so long."""
    return _CONTROL.sub(" ", text)[:longest]


def bounded(read: Report | Inbound) -> Report | Inbound:
    """It without its number, where that is longer than any: nobody can be meant by it."""
    if isinstance(read, Report):
        return read if len(read.recipient) <= _LONGEST_NUMBER else replace(read, recipient="")
    return read if len(read.sender) <= _LONGEST_NUMBER else replace(read, sender="")


def moment_of(read: Report | Inbound, at_ms: int) -> int:
    """When it happened, ms since 1970: as MSG91 says where it says it without doubt, else when it was read.

    MSG91's dates name no time zone; its Unix times need none.
    """
    written = read.at if isinstance(read, Report) else str(value_of(read.raw, "ts", "timestamp") or "")
    if _SECONDS.fullmatch(written):
        return int(written) * 1000
    return int(written) if _MILLISECONDS.fullmatch(written) else at_ms


def iso(moment_ms: int) -> str:
    """A time as the Segment spec writes it."""
    return datetime.fromtimestamp(moment_ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def identity_of(read: Report | Inbound, channel: Channel) -> str:
    """24 characters by which a callback that comes again is known again, whatever it was joined to.

    A report is known by its request, its message, its number and what it says; an inbound message by MSG91's id of it.
    What has no id at all is known by all it says.
    """
    if isinstance(read, Report):
        ids = [read.request_id or read.token, read.message_id]
        parts = ["report", channel, *ids, read.recipient, read.verdict.value]
    else:
        ids = [read.message_id]
        parts = ["inbound", channel, *ids, read.sender]
    if not any(ids):
        parts.append(_written(read.raw))
    text = "\x1f".join(parts).encode("utf-8", "surrogatepass")
    return urlsafe_b64encode(blake2b(text, digest_size=18).digest()).decode()


def replied_to(inbound: Inbound) -> str:
    """MSG91's id of the message that a customer replied to; may be empty."""
    context = value_of(inbound.raw, "context")
    found = context.get("id") if isinstance(context, dict) else value_of(inbound.raw, "replyMsgId")
    return found if isinstance(found, str) else ""


def value_of(raw: Mapping[str, Any], *names: str) -> Any:
    """The first of these keys that holds anything, compared without case and underscores."""
    folded = {_fold(name): value for name, value in raw.items()}
    return next((folded[_fold(name)] for name in names if folded.get(_fold(name)) not in (None, "")), None)


def _fold(name: str) -> str:
    return name.replace("_", "").replace("-", "").lower()


def _written(raw: Mapping[str, Any]) -> str:
    try:
        return orjson.dumps(dict(raw), option=orjson.OPT_SORT_KEYS).decode()
    except (TypeError, orjson.JSONEncodeError):
        return repr(sorted(raw.items(), key=str))
