"""What MSG91 makes of SMS requests: v2 ``sendsms`` with free text, and v5 ``flow`` with a template.

A request is taken or refused as a whole: one bad number refuses every other recipient with it.
"""

from __future__ import annotations

import hashlib
import re
from typing import Any, Final

import orjson

from worker.sandbox.answers import Envelope, sms_accepted
from worker.sandbox.calls import CORRELATION, Call, Kind, Verdict, canonical, refuse
from worker.sandbox.codes import NO_RECIPIENT, TEMPLATE_INVALID

#: Longest text in one message: seven parts of 153 GSM-7 characters, or of 67 UTF-16 units.
GSM_LIMIT: Final = 7 * 153
UNICODE_LIMIT: Final = 7 * 67
CAMPAIGN_LIMIT: Final = 32

#: Digits of a mobile number: code 202 of the published list means fewer than ten; none has more than 15.
V2_DIGITS: Final = (10, 15)
FLOW_DIGITS: Final = (7, 15)

_INDIAN_SENDER: Final = re.compile(r"[A-Za-z]{6}")
_PROMOTIONAL_SENDER: Final = re.compile(r"[0-9]{6}")
_SENDER: Final = re.compile(r"[A-Za-z0-9]{3,14}")
_TEMPLATE: Final = re.compile(r"[0-9a-f]{24}")
_DLT_TEMPLATE: Final = re.compile(r"[0-9]{15,25}")
_SCHEDULE: Final = re.compile(r"\d{4}([-/])\d{2}\1\d{2} \d{2}:\d{2}:\d{2}|\d{10}")


def judge_sendsms(call: Call, request_id: str) -> Verdict:
    """Judge ``POST /api/v2/sendsms``, its authkey being good."""
    fields = call.fields
    messages: list[dict[str, str]] = []
    entries = fields.get("sms")
    for entry in entries if isinstance(entries, list) else ():
        if not isinstance(entry, dict):
            continue
        to, text = entry.get("to"), entry.get("message")
        if not isinstance(text, str):
            text = ""
        messages += [
            {"to": number if isinstance(number, str) else str(number), "text": text}
            for number in (to if isinstance(to, list) else [to])
            if number is not None
        ]
    numbers = [message["to"] for message in messages]
    code = _sendsms_refusal(fields, numbers, [message["text"] for message in messages])
    if code is not None:
        return refuse(Kind.SMS, Envelope.SMS, code, messages=messages)
    return _accept(Kind.SMS, fields, request_id, messages, numbers)


def judge_flow(call: Call, request_id: str) -> Verdict:
    """Judge ``POST /api/v5/flow``, its template and then its authkey being good."""
    fields = call.fields
    template = _template(fields)
    recipients = fields.get("recipients")
    if recipients is None and "mobiles" in fields:
        recipients = [{key: value for key, value in fields.items() if key not in _FLOW_FIELDS}]
    numbers: list[str] = []
    messages: list[dict[str, str]] = []
    for recipient in recipients if isinstance(recipients, list) else ():
        if not isinstance(recipient, dict) or not recipient.get("mobiles"):
            continue
        number = str(recipient["mobiles"])
        variables = {key: value for key, value in recipient.items() if key != "mobiles"}
        numbers.append(number)
        messages.append({"to": number, "text": f"{template} {canonical(variables)}"})
    if not numbers:
        return refuse(Kind.FLOW, Envelope.SMS, None, NO_RECIPIENT)
    if not _are_numbers(numbers, FLOW_DIGITS):
        return refuse(Kind.FLOW, Envelope.SMS, "202", messages=messages)
    sender = fields.get("sender")
    if sender and not _sender_is_valid(sender, indian=numbers[0].startswith("91"), digits=True):
        return refuse(Kind.FLOW, Envelope.SMS, "203", messages=messages)
    return _accept(Kind.FLOW, fields, request_id, messages, numbers)


def refuse_template(call: Call, known: frozenset[str] | None, unknown: frozenset[str]) -> Verdict | None:
    """Refuse a flow whose template MSG91 does not know; it looks at this before it looks at the authkey."""
    template = _template(call.fields)
    if _TEMPLATE.fullmatch(template) and template not in unknown and (known is None or template in known):
        return None
    return refuse(Kind.FLOW, Envelope.SMS, None, TEMPLATE_INVALID)


_FLOW_FIELDS: Final = frozenset(
    {"template_id", "flow_id", "sender", "short_url", "short_url_expiry", "realTimeResponse", *CORRELATION}
)


def _sendsms_refusal(fields: dict[str, Any], numbers: list[str], texts: list[str]) -> str | None:
    """Give the code of the first thing wrong with a ``sendsms`` request."""
    indian = str(fields.get("country")) == "91" or bool(numbers and numbers[0].startswith("91"))
    campaign = fields.get("campaign")
    schedule = fields.get("schtime")
    dlt_template = fields.get("DLT_TE_ID")
    limit = UNICODE_LIMIT if str(fields.get("unicode") or "0") == "1" else GSM_LIMIT
    if not numbers:
        return "101"
    if not all(texts):
        return "102"
    if not fields.get("sender"):
        return "103"
    if not fields.get("route"):
        return "107"
    if not _sender_is_valid(fields["sender"], indian=indian, digits=str(fields["route"]) == "1"):
        return "203"
    if not _are_numbers(numbers, V2_DIGITS):
        return "202"
    if any(_units(text) > limit for text in texts if len(text) * 2 > limit):
        return "310"
    if schedule and not _SCHEDULE.fullmatch(str(schedule)):
        return "307"
    if campaign and len(str(campaign)) > CAMPAIGN_LIMIT:
        return "308"
    if dlt_template and not _DLT_TEMPLATE.fullmatch(str(dlt_template)):
        return "211"
    return None


def _accept(
    kind: Kind, fields: dict[str, Any], request_id: str, messages: list[dict[str, str]], numbers: list[str]
) -> Verdict:
    same = {key: value for key, value in fields.items() if key not in CORRELATION}
    fingerprint = hashlib.blake2b(
        orjson.dumps([kind, same], option=orjson.OPT_SORT_KEYS), digest_size=16, usedforsecurity=False
    ).digest()
    return Verdict(
        kind,
        Envelope.SMS,
        sms_accepted(request_id),
        accepted=True,
        request_id=request_id,
        messages=messages,
        numbers=numbers,
        fingerprint=fingerprint,
    )


def _template(fields: dict[str, Any]) -> str:
    return str(fields.get("template_id") or fields.get("flow_id") or "")


def _are_numbers(numbers: list[str], digits: tuple[int, int]) -> bool:
    together = "".join(numbers)
    lengths = [len(number) for number in numbers]
    fits = digits[0] <= min(lengths) and max(lengths) <= digits[1]
    return fits and together.isascii() and together.isdigit()


def _sender_is_valid(sender: Any, *, indian: bool, digits: bool) -> bool:
    if not isinstance(sender, str):
        return False
    if digits and _PROMOTIONAL_SENDER.fullmatch(sender):
        return True
    return (_INDIAN_SENDER if indian else _SENDER).fullmatch(sender) is not None


def _units(text: str) -> int:
    """Count UTF-16 units: what a Unicode message is measured in; for GSM-7 text they equal the characters."""
    return len(text) if text.isascii() else len(text.encode("utf-16-le")) // 2
