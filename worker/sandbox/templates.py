"""The Flow templates of a sandbox's account, with their texts and what the DLT registry says of them."""

from __future__ import annotations

from typing import Any, Final

from worker.sandbox.answers import Envelope, service_accepted
from worker.sandbox.calls import Call, Kind, Verdict, refuse
from worker.sandbox.codes import TEMPLATE_INVALID

_PATHS: Final = frozenset({"/api/v5/flows", "/api/v5/flows/", "/api/v5/sms/getTemplateVersions"})

#: Template id → name, text, what the registry says (10 approved, 5 rejected), and its reason.
TEMPLATES: Final[dict[str, tuple[str, str, int, str | None]]] = {
    "65f0a1b2c3d4e5f607182930": ("Order shipped", "Hi ##name##, your order ##order## has shipped.", 10, None),
    "65f0a1b2c3d4e5f607182931": ("Welcome", "Welcome, ##name##!", 10, None),
    "65f0a1b2c3d4e5f607182932": (
        "Sale",
        "Everything at ##price## today",
        5,
        "Content does not match the template type",
    ),
}


def route(call: Call) -> Kind | None:
    """Say whether it is one of these calls."""
    return Kind.TEMPLATES if call.method == "GET" and call.path in _PATHS else None


def judge(call: Call, known: frozenset[str] | None) -> Verdict:
    """Judge one of these calls, its authkey being good; ``known`` are the only templates where it is not ``None``."""
    there = {one: TEMPLATES.get(one, (f"Template {one[-4:]}", "##message##", 10, None)) for one in known or ()}
    templates = TEMPLATES if known is None else there
    if call.path != "/api/v5/sms/getTemplateVersions":
        listed = [{"id": one, "name": name} for one, (name, *_) in templates.items()]
        return Verdict(Kind.TEMPLATES, Envelope.SERVICE, service_accepted(listed))
    found = templates.get(call.query.get("template_id", ""))
    if found is None:
        return refuse(Kind.TEMPLATES, Envelope.SMS, None, TEMPLATE_INVALID)
    _, text, verified, reason = found
    version: dict[str, Any] = {
        "version": 1,
        "text": text,
        "sender": "MSGIND",
        "DLT_ID": "1107161234567890123",
        "dlt_verified": verified,
        **({} if reason is None else {"dlt_reason": reason}),
    }
    return Verdict(Kind.TEMPLATES, Envelope.SERVICE, service_accepted([version]))
