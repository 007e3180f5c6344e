"""Send a one-time password: ``POST /api/v5/otp``, one person a request."""

import ipaddress
from collections.abc import Sequence
from typing import Any, ClassVar, Final

import orjson

from worker.actions import rules
from worker.actions.base import Action, ActionContext, Family, Prepared, Problems
from worker.actions.variables import texts_of
from worker.msg91.client import Request
from worker.msg91.numbers import mask

PATH: Final = "/api/v5/otp"

#: Digits of a one-time password, and minutes it may be good for, as MSG91 documents them.
DIGITS: Final = (4, 9)
MAX_EXPIRY: Final = 10_080

#: Payload keys that are parameters of the call; they have the wire's names.
_PARAMETERS: Final = (
    "template_id",
    "mobile",
    "otp",
    "otp_length",
    "otp_expiry",
    "sender",
    "email",
    "userip",
    "unicode",
    "invisible",
    "realTimeResponse",
)


class SendOtp(Action):
    """A one-time password by SMS; its digits are the event's, or MSG91 makes them up."""

    name: ClassVar[str] = "send_otp"
    family: ClassVar[Family] = "otp"
    repeatable: ClassVar[bool] = False
    people_receive: ClassVar[bool] = True
    unique_recipients: ClassVar[bool] = True
    correlates: ClassVar[bool] = False
    urgent: ClassVar[bool] = True
    resends: ClassVar[bool] = True
    secret: ClassVar[str] = "otp"  # noqa: S105 - the name of a field
    max_recipients: ClassVar[int] = 1
    fields: ClassVar[dict[str, dict[str, Any]]] = {
        "phone": {
            "label": "Phone",
            "description": "The recipient's number, best with country code.",
            "type": "string",
            "required": True,
        },
        "templateId": {
            "label": "Template ID",
            "description": "An OTP template of MSG91's; the destination's otp.template_id when left out.",
            "type": "string",
        },
        "otp": {
            "label": "One-time password",
            "description": "4 to 9 digits of your own; MSG91 makes them up when left out.",
            "type": "string",
        },
        "otpLength": {
            "label": "Length",
            "description": "Digits that MSG91 makes up, 4 to 9; the destination's otp.length when left out.",
            "type": "integer",
            "minimum": 4,
            "maximum": 9,
        },
        "otpExpiry": {
            "label": "Expiry",
            "description": "Minutes it is good for, 1 to 10080; the destination's otp.expiry when left out.",
            "type": "integer",
            "minimum": 1,
            "maximum": MAX_EXPIRY,
        },
        "senderID": {"label": "Sender ID", "description": "Replaces the template's sender.", "type": "string"},
        "variables": {
            "label": "Variables",
            "description": "Values for the template's other ##names##; case matters.",
            "type": "object",
        },
        "email": {
            "label": "Email",
            "description": "Send it to this address, too.",
            "type": "string",
            "format": "email",
        },
        "userIp": {"label": "User's IP address", "description": "Who asked for it.", "type": "string"},
        "unicode": {"label": "Unicode", "description": "The template is not in the GSM alphabet.", "type": "boolean"},
        "invisible": {
            "label": "Invisible",
            "description": "For MSG91's own verification in mobile apps.",
            "type": "boolean",
        },
        "realTimeResponse": {
            "label": "Real-time response",
            "description": "Ask MSG91 to check more before it answers.",
            "type": "boolean",
        },
    }

    def prepare(self, resolved: dict[str, Any], context: ActionContext) -> Prepared:
        """Check number, template and digits; its life is that of the one-time password."""
        fields, problems = self.cleaned(resolved)
        phone = problems.phone("phone", fields["phone"], context)
        expiry = fields.get("otpExpiry") or context.otp_expiry
        payload: dict[str, Any] = {
            "mobile": phone,
            "template_id": _template(fields.get("templateId") or context.otp_template_id, problems),
            "otp_expiry": expiry,
            "variables": texts_of(fields.get("variables"), problems, reserved=("OTP", "otp"), what="the digits'"),
        }
        if "otp" in fields:
            payload["otp"] = _digits(fields["otp"], problems)
        elif length := fields.get("otpLength") or context.otp_length:
            payload["otp_length"] = length
        sender = fields.get("senderID")
        if sender:
            if phone and (problem := rules.sender_problem(sender, phone, "4", context.max_sender_length)):
                problems.add("senderID", problem)
            payload["sender"] = sender
        if fields.get("email"):
            payload["email"] = fields["email"]
        if fields.get("userIp"):
            payload["userip"] = _address(fields["userIp"], problems)
        for field in ("unicode", "invisible", "realTimeResponse"):
            if fields.get(field):
                payload[field] = 1
        problems.raise_any()
        return Prepared(payload, phone, "", 1, time_to_live=expiry * 60.0)

    def build(self, items: Sequence[dict[str, Any]], context: ActionContext, token: str) -> Request:
        """Build the call for one person; the endpoint takes no correlation id.

        Raises:
            ValueError: there is not exactly one item, all that the endpoint takes.
        """
        del token
        if len(items) != 1:
            raise ValueError(f"send_otp: expected one person a request, but there were {len(items)}")
        item = items[0]
        parameters = {name: item[name] for name in _PARAMETERS if item.get(name) is not None}
        variables: dict[str, str] = item.get("variables") or {}
        shown = {**parameters, "mobile": mask(item["mobile"]), **({"otp": "[redacted]"} if "otp" in item else {})}
        sample = {"method": "POST", "path": PATH, "recipients": 1, "parameters": shown, "variables": sorted(variables)}
        if context.otp_parameters == "body":
            return Request("POST", PATH, orjson.dumps({**variables, **parameters}), sample=sample)
        query = {name: str(value) for name, value in parameters.items()}
        # An empty body is refused by the live host; an empty object is not.
        return Request("POST", PATH, orjson.dumps(variables), query=query, sample=sample)

    def problems(self, context: ActionContext) -> list[str]:
        """The default template must be one of MSG91's own."""
        default = context.otp_template_id
        problem = rules.template_problem(default) if default else None
        return [f"otp.template_id cannot be used: {problem}"] if problem else []


def _template(template_id: str | None, problems: Problems) -> str | None:
    if template_id is None:
        problems.add("templateId", "missing: the event names no template and the destination has no otp.template_id")
    elif problem := rules.template_problem(template_id):
        problems.add("templateId", problem)
    return template_id


def _digits(text: str, problems: Problems) -> str:
    low, high = DIGITS
    if not (text.isascii() and text.isdigit()):
        problems.add("otp", f"expected {low} to {high} digits, but it has other characters (it may have been redacted)")
    elif not low <= len(text) <= high:
        problems.add("otp", f"expected {low} to {high} digits, but it was {len(text)}")
    return text


def _address(text: str, problems: Problems) -> str:
    try:
        return str(ipaddress.ip_address(text.strip()))
    except ValueError:
        problems.add("userIp", "expected an IP address")
        return ""
