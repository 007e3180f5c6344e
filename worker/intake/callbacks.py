"""What MSG91 calls back: who may call, what a call holds, what comes of it, and what is kept of it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import parse_qs

from worker.configuration.model import CallbacksModel
from worker.delivery import Joined, Ledger, Measures, Unmatched
from worker.destinations import Destination, Destinations
from worker.intake.authentication import bearer_of, equal
from worker.intake.refusals import Refused, unauthorized, unreadable
from worker.masking import mask_text, mask_value
from worker.msg91.numbers import mask
from worker.msg91.reports import REPORT_NAMES, Inbound, Report, Verdict, read_inbound, read_reports, read_whatsapp

#: What MSG91 calls back about, as the path says it.
SMS: Final = "sms"
WHATSAPP: Final = "whatsapp"
INBOUND: Final = "whatsapp/inbound"
CHANNELS: Final = (SMS, WHATSAPP, INBOUND)

#: What came of a report that should have joined a delivery, or settled one, and did not: somebody may want to look.
STRAY: Final = frozenset({"unmatched", "early", "unknown", "other", "unclear"})

#: Longest secret that is looked at, characters.
_LONGEST: Final = 1024
#: Ids as MSG91 and we make them; what is longer or stranger is nobody's.
_TOKEN: Final = re.compile(r"[A-Za-z0-9_.-]{1,80}")
_DELIVERED: Final = {
    Verdict.DELIVERED: True,
    Verdict.READ: True,
    Verdict.UNDELIVERED: False,
    Verdict.PENDING: None,
}
#: What is kept of the fields that nobody reads: so many, so long.
_FIELDS: Final = 16
_NAME: Final = 40
_VALUE: Final = 100
#: Fields that are read anyway, and those that hold a person's words, name, place or files: none of them is kept.
_NOT_KEPT: Final = frozenset(
    one.replace("_", "").replace("-", "").lower()
    for one in (
        *(name for names in REPORT_NAMES.values() for name in names),
        *("content", "text", "message", "messages", "msgData", "body", "caption", "payload", "variables"),
        *("customerName", "name", "contacts", "button", "interactive", "reaction", "url", "filename"),
        *("latitude", "longitude", "email"),
    )
)
_NONE: Final = CallbacksModel()


@dataclass(frozen=True, slots=True)
class Callback:
    """One report or inbound message, after it was authenticated, read and, if it is a report, written down.

    Attributes:
        destination: The destination that it was called back for.
        channel: One of `CHANNELS`.
        content: What MSG91 said.
        delivery: The key of the delivery that a report is about, ``""`` when none is known.
        outcome: What came of a report, as in `Joined`, or ``unclear`` when nobody knows what its status means;
            ``taken`` for an inbound message.
    """

    destination: Destination
    channel: str
    content: Report | Inbound
    delivery: str = ""
    outcome: str = "taken"

    @property
    def kind(self) -> str:
        """What a report says, or ``inbound``."""
        return self.content.verdict.value if isinstance(self.content, Report) else "inbound"


def verify(destination: Destination | None, headers: Mapping[bytes, bytes], query: bytes) -> Destination:
    """The destination, once the caller has proved that it may call back.

    Args:
        destination: The one that the path names, None when there is none.
        headers: The request's headers.
        query: The query of its URL.

    Raises:
        Refused: no secret, a false one, or no such destination; which of them is not said.
    """
    known = destination.configuration.callbacks if destination else _NONE
    named = headers.get(known.header.lower().encode())
    given = [bearer_of(dict(headers)), named.decode("latin-1") if named else None, _token_of(query)]
    proved = False
    for one in given:
        for secret in known.secrets if one and len(one) <= _LONGEST else ():
            proved |= equal(one or "", secret.get_secret_value())
    if proved and destination:
        return destination
    raise unauthorized(
        "no destination takes callbacks with this secret; callbacks in the destinations file says what it has to be"
    )


def _token_of(query: bytes) -> str | None:
    try:
        return parse_qs(query.decode("latin-1"), max_num_fields=32).get("token", [None])[0]
    except ValueError:
        return None


def read(
    destination: Destination, channel: str, content_type: str, body: bytes, *, most: int
) -> Sequence[Report | Inbound]:
    """What a call holds.

    Args:
        destination: For whom it is.
        channel: One of `CHANNELS`.
        content_type: As it came.
        body: The body.
        most: How much of it may be in one call.

    Raises:
        Refused: nothing that can be read, or too much.
    """
    names = destination.configuration.callbacks.fields.model_dump(exclude_none=True)
    found: Sequence[Report | Inbound]
    try:
        if channel == SMS:
            found = read_reports(content_type, body, names=names)
        elif channel == WHATSAPP:
            found = read_whatsapp(content_type, body, names=names)
        else:
            found = read_inbound(body)
    except (ValueError, RecursionError) as error:
        raise unreadable("bad_callback", mask_text(str(error))[:200]) from None
    if len(found) > most:
        raise Refused(413, "too_many_reports", f"a callback may have {most} reports")
    return found


def take(
    found: Iterable[Report | Inbound],
    channel: str,
    destination: Destination,
    destinations: Destinations,
    ledger: Ledger,
) -> list[Callback]:
    """Write down what was called back; doing it again changes nothing more.

    Args:
        found: What a call held.
        channel: One of `CHANNELS`.
        destination: For whom it is.
        destinations: All of them: those that share its account share its reports.
        ledger: Where the deliveries are.

    Raises:
        StoreUnavailable: how much of it is written is unknown.
    """
    names = destinations.sharing_account(destination)
    taken = []
    for one in found:
        if isinstance(one, Inbound):
            taken.append(Callback(destination, channel, one))
        else:
            joined = _join(one, channel, names, ledger)
            taken.append(Callback(destination, channel, one, joined.key, joined.outcome))
    return taken


def _join(report: Report, channel: str, names: frozenset[str], ledger: Ledger) -> Joined:
    ids = {
        "recipient": report.recipient if len(report.recipient) <= 20 else "",
        "token": _known(report.token),
        "request_id": _known(report.request_id),
        # The answer to a single WhatsApp message has no other id than that of the message.
        "message_id": _known(report.message_id) if channel == WHATSAPP else "",
    }
    if report.verdict is Verdict.UNKNOWN:
        return Joined("unclear", ledger.reported(**ids, destinations=names))
    return ledger.report(
        **ids,
        delivered=_DELIVERED[report.verdict],
        reason=mask_text(report.reason if report.verdict is Verdict.UNDELIVERED else ""),
        at=moment_of(report.at),
        about={"report": what_is_kept(report)},
        destinations=names,
    )


def _known(text: str) -> str:
    return text if _TOKEN.fullmatch(text) else ""


def moment_of(text: str) -> str:
    """When something happened, as `Ledger.report` compares it; ``""`` when that cannot be read.

    MSG91 writes seconds or milliseconds since 1970, or a date without a time zone: the two are never compared.
    """
    if text.isascii() and text.isdigit() and len(text) in (10, 13):
        return f"e{int(text[:10])}"
    try:
        found = datetime.fromisoformat(text)
        kind, found = ("e", found) if found.tzinfo else ("n", found.replace(tzinfo=UTC))
        return f"{kind}{round(found.timestamp())}"
    except (ValueError, OverflowError):
        return ""


def what_is_kept(report: Report) -> dict[str, Any]:
    """What the journal keeps of a report: no text, no name, numbers hidden, and so much and no more."""
    fields: dict[str, Any] = {}
    for name, value in report.raw.items():
        if len(fields) == _FIELDS:
            break
        folded = name.replace("_", "").replace("-", "").lower()
        if folded in _NOT_KEPT or value in ("", None) or not isinstance(value, str | int | float | bool):
            continue
        short = value[:_VALUE] if isinstance(value, str) else value
        fields[mask_text(name[:_NAME])] = mask_value(short, name)
    kept = {
        "status": mask_text(report.status[:_VALUE]),
        "at": report.at[:_NAME],
        "message_id": _known(report.message_id),
    }
    return {**{name: value for name, value in kept.items() if value}, **({"fields": fields} if fields else {})}


def note(callbacks: Sequence[Callback], measures: Measures, unmatched: Unmatched) -> None:
    """Count what was called back, and keep what changed nothing although it should have.

    Raises:
        StoreUnavailable: whether anything is kept is unknown.
    """
    unmatched.keep(
        [_stray(one, one.content) for one in callbacks if isinstance(one.content, Report) and one.outcome in STRAY]
    )
    for one in callbacks:
        measures.called_back(one.destination.name, one.kind, one.outcome)


def _stray(callback: Callback, report: Report) -> dict[str, Any]:
    return {
        "destination": callback.destination.name,
        "channel": callback.channel,
        "outcome": callback.outcome,
        "says": report.verdict.value,
        "reason": mask_text(report.reason[:_VALUE]),
        "recipient": mask(report.recipient[:20]),
        "request_id": mask_text(_known(report.request_id)),
        "token": mask_text(_known(report.token)),
        "delivery": callback.delivery,
        **what_is_kept(report),
    }
