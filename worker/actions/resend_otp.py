"""Send a one-time password again: ``GET /api/v5/otp/retry``, as text or by a call; MSG91 knows the digits."""

from collections.abc import Sequence
from typing import Any, ClassVar, Final

from worker.actions.base import Action, ActionContext, Family, Prepared
from worker.msg91.client import Request
from worker.msg91.numbers import mask

PATH: Final = "/api/v5/otp/retry"
CHANNELS: Final = ("text", "voice")


class ResendOtp(Action):
    """The one-time password that MSG91 sent before, once more; MSG91 allows two of them."""

    name: ClassVar[str] = "resend_otp"
    family: ClassVar[Family] = "otp"
    repeatable: ClassVar[bool] = False
    people_receive: ClassVar[bool] = True
    unique_recipients: ClassVar[bool] = True
    correlates: ClassVar[bool] = False
    urgent: ClassVar[bool] = True
    max_recipients: ClassVar[int] = 1
    fields: ClassVar[dict[str, dict[str, Any]]] = {
        "phone": {
            "label": "Phone",
            "description": "The number that the one-time password was sent to.",
            "type": "string",
            "required": True,
        },
        "channel": {
            "label": "Channel",
            "description": "text or voice; the destination's otp.resend when left out.",
            "type": "string",
        },
    }

    def prepare(self, resolved: dict[str, Any], context: ActionContext) -> Prepared:
        """Check number and channel."""
        fields, problems = self.cleaned(resolved)
        phone = problems.phone("phone", fields["phone"], context)
        channel = (fields.get("channel") or context.otp_resend).strip().casefold()
        if channel not in CHANNELS:
            problems.add("channel", "expected text or voice")
        problems.raise_any()
        return Prepared({"mobile": phone, "retrytype": channel}, phone, "", 1, time_to_live=context.otp_expiry * 60.0)

    def build(self, items: Sequence[dict[str, Any]], context: ActionContext, token: str) -> Request:
        """Build the call for one person; the endpoint takes no correlation id.

        Raises:
            ValueError: there is not exactly one item, all that the endpoint takes.
        """
        del context, token
        if len(items) != 1:
            raise ValueError(f"resend_otp: expected one person a request, but there were {len(items)}")
        item = items[0]
        query = {"mobile": item["mobile"], "retrytype": item["retrytype"]}
        sample = {
            "method": "GET",
            "path": PATH,
            "recipients": 1,
            "parameters": {**query, "mobile": mask(item["mobile"])},
        }
        return Request("GET", PATH, query=query, sample=sample)
