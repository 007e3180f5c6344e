"""What MSG91 makes of one-time passwords: they are sent, sent again, verified, and they expire.

How many wrong attempts it allows is not documented; a sandbox allows `ATTEMPTS`.
"""

from __future__ import annotations

import re
import secrets
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import parse_qsl

from worker.sandbox.answers import HTML, Envelope, json_reply
from worker.sandbox.calls import NOT_JSON, Call, Kind, Verdict, refuse
from worker.sandbox.codes import NO_RECIPIENT, TEMPLATE_INVALID

#: Wrong attempts after which a one-time password cannot be verified any more.
ATTEMPTS: Final = 5
#: Times that one may be sent again.
RESENDS: Final = 2
#: Minutes that one is good for where the request does not say.
EXPIRY: Final = 15
_LONGEST_EXPIRY: Final = 10_080
_LENGTH: Final = 4
_LENGTHS: Final = range(4, 10)

_PATHS: Final[dict[tuple[str, str], Kind]] = {
    ("POST", "/api/v5/otp"): Kind.OTP,
    ("POST", "/api/v5/otp/"): Kind.OTP,
    ("GET", "/api/v5/otp"): Kind.OTP,
    ("GET", "/api/v5/otp/verify"): Kind.OTP_VERIFY,
    ("POST", "/api/v5/otp/verify"): Kind.OTP_VERIFY,
    ("GET", "/api/v5/otp/retry"): Kind.OTP_RESEND,
    ("POST", "/api/v5/otp/retry"): Kind.OTP_RESEND,
}
_NUMBER: Final = re.compile(r"[0-9]{7,15}")
_TEMPLATE: Final = re.compile(r"[0-9a-f]{24}")


@dataclass(slots=True)
class Otp:
    """One one-time password.

    Attributes:
        digits: What was sent.
        expires: When it stops being good (seconds).
        attempts: Wrong attempts so far.
        resends: How often it was sent again.
        is_verified: It was verified.
    """

    digits: str
    expires: float
    attempts: int = 0
    resends: int = 0
    is_verified: bool = False


class Otps:
    """The last one-time password of every number."""

    def __init__(self) -> None:
        self._otps: dict[str, Otp] = {}

    def get(self, number: str) -> Otp | None:
        """Give the last one of a number."""
        return self._otps.get(number)

    def put(self, number: str, otp: Otp) -> None:
        """Replace the one of a number."""
        self._otps[number] = otp


def route(call: Call) -> Kind | None:
    """Say which of these calls it is, or ``None``."""
    return _PATHS.get((call.method, call.path))


def refuse_otp_template(call: Call, known: frozenset[str] | None, unknown: frozenset[str]) -> Verdict | None:
    """Refuse a one-time password whose template MSG91 does not know, before its authkey is looked at."""
    template = str(_parameters(call).get("template_id") or "")
    if _TEMPLATE.fullmatch(template) and template not in unknown and (known is None or template in known):
        return None
    return refuse(Kind.OTP, Envelope.SMS, None, TEMPLATE_INVALID)


def judge(kind: Kind, call: Call, otps: Otps, request_id: str, now: float) -> Verdict:
    """Judge one of these calls, its authkey being good."""
    if kind is Kind.OTP:
        return _judge_send(call, otps, request_id, now)
    parameters = {**call.query, **(_form(call) if call.method == "POST" else {})}
    number = str(parameters.get("mobile") or "")
    if kind is Kind.OTP_VERIFY:
        return _judge_verify(otps.get(number), str(parameters.get("otp") or ""), now)
    return _judge_resend(otps.get(number), number, str(parameters.get("retrytype") or "voice"), now)


def _judge_send(call: Call, otps: Otps, request_id: str, now: float) -> Verdict:
    parameters = _parameters(call)
    number = str(parameters.get("mobile") or "")
    if not number:
        return refuse(Kind.OTP, Envelope.SMS, None, NO_RECIPIENT)
    if not _NUMBER.fullmatch(number):
        return refuse(Kind.OTP, Envelope.SMS, None, "Mobile no. empty or not numeric")
    length = str(parameters.get("otp_length") or _LENGTH)
    if not (length.isdecimal() and int(length) in _LENGTHS):
        return refuse(Kind.OTP, Envelope.SMS, None, "invalid_otp_length")
    expiry = str(parameters.get("otp_expiry") or EXPIRY)
    if not expiry.isdecimal():
        return refuse(Kind.OTP, Envelope.SMS, None, "invalid_otp_expiry")
    if not 1 <= int(expiry) <= _LONGEST_EXPIRY:
        return refuse(Kind.OTP, Envelope.SMS, None, "otp_expiry_out_of_limit")
    digits = str(parameters.get("otp") or "") or f"{secrets.randbelow(10 ** int(length)):0{length}}"
    if not digits.isdecimal():
        return refuse(Kind.OTP, Envelope.SMS, None, "Message don't contains otp")
    return Verdict(
        Kind.OTP,
        Envelope.SMS,
        json_reply(200, {"request_id": request_id, "type": "success"}, HTML),
        accepted=True,
        request_id=request_id,
        messages=[{"to": number, "text": f"otp {digits}"}],
        numbers=[number],
        effect=lambda: otps.put(number, Otp(digits, now + int(expiry) * 60)),
    )


def _judge_verify(otp: Otp | None, digits: str, now: float) -> Verdict:
    if otp is None:
        return _said("Mobile no. not found")
    if otp.is_verified:
        return _said("OTP already verified")
    if otp.attempts >= ATTEMPTS:
        return _said("Max limit reached for this otp verification")
    if otp.expires <= now:
        return _said("OTP expired")
    if digits != otp.digits:

        def count() -> None:
            otp.attempts += 1

        return _said("OTP not match", effect=count)

    def verify() -> None:
        otp.is_verified = True

    return _said("OTP verified success", kind="success", effect=verify)


def _judge_resend(otp: Otp | None, number: str, channel: str, now: float) -> Verdict:
    if not _NUMBER.fullmatch(number):
        return refuse(Kind.OTP_RESEND, Envelope.SMS, None, "Mobile number empty or not numeric")
    if otp is None or otp.is_verified:
        return refuse(Kind.OTP_RESEND, Envelope.SMS, None, "No OTP request found to retryotp")
    if otp.expires <= now:
        return refuse(Kind.OTP_RESEND, Envelope.SMS, None, "otp_expired")
    if otp.resends >= RESENDS:
        return refuse(Kind.OTP_RESEND, Envelope.SMS, None, "OTP retry count maxed out")

    def count() -> None:
        otp.resends += 1

    return Verdict(
        Kind.OTP_RESEND,
        Envelope.SMS,
        json_reply(200, {"type": "success", "message": "retry send successfully"}, HTML),
        accepted=True,
        messages=[{"to": number, "text": f"otp {otp.digits} {channel} {otp.resends + 1}"}],
        numbers=[number],
        effect=count,
    )


def _said(message: str, *, kind: str = "error", effect: Any = None) -> Verdict:
    """Answer a verification. One that changes something counts as taken, whatever it says."""
    reply = json_reply(200, {"message": message, "type": kind}, HTML)
    return Verdict(Kind.OTP_VERIFY, Envelope.SMS, reply, accepted=effect is not None, effect=effect)


def _parameters(call: Call) -> dict[str, Any]:
    """Give the parameters of a send, which may be in the query, in JSON, or in a form."""
    return {**call.fields, **(_form(call) if call.document is NOT_JSON else {}), **call.query}


def _form(call: Call) -> dict[str, str]:
    """Read a form; JSON is none, so that what it holds is not seen."""
    if "x-www-form-urlencoded" not in call.headers.get("content-type", ""):
        return {}
    return dict(parse_qsl(call.body.decode("utf-8", "replace")))
