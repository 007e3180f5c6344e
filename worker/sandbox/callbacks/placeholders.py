"""JSON templates as "Webhook (New)" has them: keys of your own, and ``{{placeholders}}`` that MSG91 fills.

What MSG91 does with a placeholder that it does not know is not documented; here such a template is refused, so that
a slip in one is found at once.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

_PLACEHOLDER: Final = re.compile(r"\{\{\s*([^{}]*?)\s*\}\}")

#: Placeholders of SMS reports.
SMS_FIELDS: Final = (
    *("requestId", "requestedAt", "status", "deliveryTime", "telNum", "credit", "senderId", "campaignName", "route"),
    *("campaign_pid", "clientId", "scheduleDateTime", "msgData", "UUID", "CRQID", "failureReason"),
)
#: Placeholders of WhatsApp reports, of both generations.
WHATSAPP_FIELDS: Final = (
    *("crqid", "CRQID", "companyId", "requestedAt", "customerNumber", "mobile", "content", "requestId", "reason"),
    *("failureReason", "eventName", "status", "uuid", "integratedNumber", "messageType", "direction", "templateName"),
    *("templateLanguage", "campaignName", "campaignRequestId", "nodeId", "price", "origin", "statusUpdatedAt"),
)


def check_template(template: Any, fields: Iterable[str]) -> None:
    """Check that a template is an object, or a list of one, and names no placeholder but ``fields``.

    Raises:
        ValueError: it does not.
    """
    inner = template[0] if isinstance(template, list) and len(template) == 1 else template
    if not isinstance(inner, dict) or not inner:
        raise ValueError("expected a JSON object with keys")
    known = tuple(fields)
    for name in _names(template):
        if name not in known:
            raise ValueError(f"{{{{{name}}}}} is no placeholder; there are: {', '.join(known)}")


def fill(template: Any, values: Mapping[str, str]) -> Any:
    """Fill every placeholder of ``template``, at any depth, with its text."""
    if isinstance(template, dict):
        return {key: fill(value, values) for key, value in template.items()}
    if isinstance(template, list):
        return [fill(value, values) for value in template]
    return _PLACEHOLDER.sub(lambda found: values[found[1]], template) if isinstance(template, str) else template


def _names(value: Any) -> Iterable[str]:
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        return [name for inner in value for name in _names(inner)]
    return _PLACEHOLDER.findall(value) if isinstance(value, str) else []
