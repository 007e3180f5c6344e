"""Delivery reports as MSG91 writes them: SMS in four shapes, WhatsApp in two generations of keys. Pure.

Times are UTC here; MSG91 does not say which zone it writes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from math import ceil
from typing import Any, Final
from urllib.parse import urlencode

import orjson

from worker.sandbox.callbacks.placeholders import SMS_FIELDS, fill
from worker.sandbox.callbacks.sent import Channel, Sent
from worker.sandbox.callbacks.settings import Callbacks
from worker.sandbox.callbacks.statuses import READ, SENT, Status
from worker.sandbox.errors import CallbackError

FORM: Final = "application/x-www-form-urlencoded"
JSON: Final = "application/json"

#: What MSG91 writes where there is no id.
_NO_ID: Final = "0"
_COMPANY: Final = "100001"
#: Reports that one call of v2 or v4 carries at most.
MOST: Final = 100


@dataclass(frozen=True, slots=True)
class Report:
    """What is reported of one message.

    Attributes:
        sent: The message.
        status: What became of it.
        moment: When it did (Unix seconds).
    """

    sent: Sent
    status: Status
    moment: float


@dataclass(frozen=True, slots=True)
class Body:
    """What one call carries.

    Attributes:
        content_type: Its type.
        document: What it says; in a form, the JSON of its field ``data``.
    """

    content_type: str
    document: Any

    def encoded(self) -> bytes:
        """The bytes of it."""
        text = orjson.dumps(self.document)
        return urlencode({"data": text}).encode() if self.content_type == FORM else text


def is_shared(callbacks: Callbacks, channel: Channel) -> bool:
    """Whether one call may carry several reports."""
    return channel is Channel.SMS and callbacks.format in {"v2", "v4"}


def check_report(callbacks: Callbacks, channel: Channel, status: Status) -> None:
    """Check that there is a report of this status.

    Raises:
        CallbackError: MSG91 has no such report.
    """
    if channel is Channel.SMS and (status is READ or (status is SENT and callbacks.format != "new")):
        raise CallbackError(f"an SMS report of {callbacks.format} cannot say {status.name}; WhatsApp's can")


def body_of(callbacks: Callbacks, reports: Sequence[Report]) -> Body:
    """Write reports of one channel: several where `is_shared`, else one."""
    first = reports[0]
    if first.sent.channel is Channel.WHATSAPP:
        template = callbacks.whatsapp_template or _WHATSAPP[callbacks.whatsapp_format]
        document = fill(template, _whatsapp_values(first))
        return Body(JSON, [document] if callbacks.as_list and isinstance(document, dict) else document)
    if callbacks.format == "v2":
        return Body(FORM, _v2(reports))
    if callbacks.format == "v4":
        return Body(JSON, _v4(reports))
    if callbacks.format == "v3":
        return Body(JSON, _v3(first))
    return Body(JSON, fill(callbacks.template or _NEW, _new_values(first)))


def _v2(reports: Sequence[Report]) -> list[dict[str, Any]]:
    requests: dict[str, dict[str, Any]] = {}
    for report in reports:
        sent = report.sent
        about = {
            "senderId": sent.sender,
            "requestId": sent.request_id,
            "userId": _COMPANY,
            "campaignName": sent.campaign,
        }
        entry = requests.setdefault(sent.request_id, {**about, "report": []})
        entry["report"].append(
            {
                "date": _date(report.moment),
                "number": sent.number,
                "status": report.status.number,
                "desc": report.status.desc,
                "failedReason": report.status.reason,
                "amount": "0.20",
                "credit": _credits(sent.text),
                "ctCode": "900",
                "clientid": sent.correlation.get("clientId", ""),
                "CRQID": sent.correlation.get("CRQID", _NO_ID),
                "INMSID": _NO_ID,
            }
        )
    return list(requests.values())


def _v3(report: Report) -> dict[str, Any]:
    sent = report.sent
    return {
        "date": _date(report.moment),
        "number": sent.number,
        "senderId": sent.sender,
        "amount": "0.20",
        "requestId": sent.request_id,
        "INMSID": _NO_ID,
        "CRQID": sent.correlation.get("CRQID", _NO_ID),
        "credit": _credits(sent.text),
        "userId": _COMPANY,
        "campaignName": sent.campaign,
        "status": report.status.number,
        "desc": report.status.desc,
    }


def _v4(reports: Sequence[Report]) -> list[dict[str, Any]]:
    events: dict[str, dict[str, Any]] = {}
    for report in reports:
        entry = events.setdefault(report.status.event, {"event": report.status.event, "data": []})
        entry["data"].append(
            {
                "meta": report.sent.correlation.get("CRQID", _NO_ID),
                "INMSID": _NO_ID,
                "description": report.status.desc,
                "ts": int(report.moment),
            }
        )
    return list(events.values())


#: Our template for "Webhook (New)": every placeholder under its own name.
_NEW: Final = {name: f"{{{{{name}}}}}" for name in SMS_FIELDS}


def _new_values(report: Report) -> dict[str, str]:
    sent = report.sent
    is_final = report.status is not SENT  # else MSG91 has only received the request
    return {
        "requestId": sent.request_id,
        "requestedAt": _date(sent.requested),
        "status": report.status.word if is_final else "",
        "deliveryTime": _date(report.moment) if is_final else "",
        "telNum": sent.number,
        "credit": _credits(sent.text),
        "senderId": sent.sender,
        "campaignName": sent.campaign,
        "route": sent.route,
        "campaign_pid": "",
        "clientId": sent.correlation.get("clientId", ""),
        "scheduleDateTime": "",
        "msgData": sent.text,
        "UUID": sent.correlation.get("UUID", ""),
        "CRQID": sent.correlation.get("CRQID", ""),
        "failureReason": report.status.reason,
    }


_WHATSAPP_COMMON: Final = (
    *("companyId", "requestedAt", "content", "requestId", "uuid", "integratedNumber", "messageType", "direction"),
    *("templateName", "templateLanguage", "campaignName", "campaignRequestId", "nodeId", "price", "origin"),
    "statusUpdatedAt",
)


def _keys(*own: str) -> dict[str, str]:
    return {name: f"{{{{{name}}}}}" for name in (*own, *_WHATSAPP_COMMON)}


_WHATSAPP: Final = {
    "eventName": _keys("crqid", "customerNumber", "reason", "eventName"),
    "status": _keys("CRQID", "mobile", "failureReason", "status"),
}


def _whatsapp_values(report: Report) -> dict[str, str]:
    sent, status = report.sent, report.status
    token = sent.correlation.get("CRQID", "")
    content = {"type": sent.kind, "text": sent.text}
    return {
        "crqid": token,
        "CRQID": token,
        "customerNumber": sent.number,
        "mobile": sent.number,
        "reason": status.reason,
        "failureReason": status.reason,
        "eventName": status.event,
        "status": status.event,
        "companyId": _COMPANY,
        "requestedAt": _date(sent.requested),
        "content": orjson.dumps(content).decode(),
        "requestId": sent.request_id,
        "uuid": sent.message_id,
        "integratedNumber": sent.sender,
        "messageType": sent.kind,
        "direction": "1",
        "templateName": sent.template,
        "templateLanguage": sent.language,
        "campaignName": sent.campaign,
        "campaignRequestId": "",
        "nodeId": "",
        "price": "0.00",
        "origin": "utility",
        "statusUpdatedAt": _date(report.moment),
    }


def _credits(text: str) -> str:
    """Parts of a text; one where it is not known, as a template's is."""
    units, alone, joined = (len(text), 160, 153) if text.isascii() else (len(text.encode("utf-16-le")) // 2, 70, 67)
    return str(1 if units <= alone else ceil(units / joined))


def _date(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%d %H:%M:%S")
