"""The endpoints under ``/sandbox`` that a sandbox is steered and watched by.

They answer this machine only, and check the Host header, so that no web page reaches them through a name of
its own. A sandbox that has a control token asks everyone for it; one on other addresses must have one.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict
from hmac import compare_digest
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any, Final

from worker.sandbox.answers import JSON, Reply, json_reply
from worker.sandbox.callbacks.asking import ask_inbound, ask_reports
from worker.sandbox.callbacks.settings import read_callbacks
from worker.sandbox.calls import Call
from worker.sandbox.errors import CallbackError, FaultError
from worker.sandbox.record import last_lines, masked

if TYPE_CHECKING:
    from worker.sandbox.stand_in import StandIn

PREFIX: Final = "/sandbox"
TOKEN_HEADER: Final = "x-sandbox-token"  # noqa: S105 - the name of a header, not a secret
_MOST_LINES: Final = 10_000
_LOCAL_NAMES: Final = frozenset({"localhost", "127.0.0.1", "::1"})


def answer_control(call: Call, client: str, stand_in: StandIn) -> Reply:
    """Answer one control request.

    Args:
        call: The request; its path begins with ``/sandbox``.
        client: Address of who asks.
        stand_in: The sandbox that is asked.
    """
    if not _is_allowed(call, client, stand_in.settings.control_token):
        return _refuse(403, "the sandbox is steered from its own machine, or with its token in X-Sandbox-Token")
    name, _, rest = call.path.removeprefix(PREFIX).strip("/").partition("/")
    handler = _HANDLERS.get((call.method, name))
    if handler is None:
        known = ", ".join(f"{method} {PREFIX}/{path}".rstrip("/") for method, path in _HANDLERS)
        return _refuse(404, f"no such control endpoint; there are: {known}")
    try:
        return handler(call, rest, stand_in)
    except (FaultError, CallbackError) as wrong:
        return _refuse(400, str(wrong))


def _is_allowed(call: Call, client: str, token: str | None) -> bool:
    if call.path == f"{PREFIX}/health":
        return True
    if token is not None:
        return compare_digest(call.headers.get(TOKEN_HEADER, "").encode(), token.encode())
    host = call.headers.get("host", "")
    name = host[1:].partition("]")[0] if host.startswith("[") else host.partition(":")[0]
    return ip_address(client).is_loopback and name in _LOCAL_NAMES


def _about(_call: Call, _rest: str, stand_in: StandIn) -> Reply:
    return _show({"sandbox": True, "record": str(stand_in.recorder.path), **stand_in.stats.summary()})


def _health(_call: Call, _rest: str, _stand_in: StandIn) -> Reply:
    return _show({"sandbox": True})


def _stats(_call: Call, _rest: str, stand_in: StandIn) -> Reply:
    return _show(stand_in.stats.summary())


def _list_faults(_call: Call, _rest: str, stand_in: StandIn) -> Reply:
    return _show({"faults": stand_in.faults.summary()})


def _add_faults(call: Call, _rest: str, stand_in: StandIn) -> Reply:
    texts = call.fields.get("faults")
    if not isinstance(texts, list) or not texts or not all(isinstance(text, str) for text in texts):
        return _refuse(400, 'the body must be {"faults": ["429,p=0.1", …]}')
    return _show({"faults": [one.summary() for one in stand_in.faults.add(texts)]})


def _remove_faults(_call: Call, rest: str, stand_in: StandIn) -> Reply:
    if not rest:
        return _show({"cleared": stand_in.faults.clear()})
    if not (rest.isdecimal() and stand_in.faults.remove(int(rest))):
        return _refuse(404, f"no fault has the number {rest}")
    return _show({"cleared": 1})


def _requests(call: Call, _rest: str, stand_in: StandIn) -> Reply:
    last = call.query.get("last", "20")
    if not (last.isdecimal() and 1 <= int(last) <= _MOST_LINES):
        return _refuse(400, f"last must be a number from 1 to {_MOST_LINES}")
    return _show({"requests": [masked(line) for line in last_lines(stand_in.recorder.path, int(last))]})


def _list_templates(_call: Call, _rest: str, stand_in: StandIn) -> Reply:
    templates = stand_in.provider.templates
    return _show({"templates": None if templates is None else sorted(templates)})


def _set_templates(call: Call, _rest: str, stand_in: StandIn) -> Reply:
    templates = call.fields.get("templates")
    if templates is not None and not (isinstance(templates, list) and all(isinstance(one, str) for one in templates)):
        return _refuse(400, 'the body must be {"templates": ["24 hexadecimal digits", …]}, or null to take every id')
    stand_in.provider.templates = None if templates is None else frozenset(templates)
    return _show({"templates": templates})


def _show_whatsapp(_call: Call, _rest: str, stand_in: StandIn) -> Reply:
    account = stand_in.provider.whatsapp
    return _show({"numbers": account.numbers, "templates": [asdict(one) for one in account.templates]})


def _set_whatsapp(call: Call, rest: str, stand_in: StandIn) -> Reply:
    try:
        stand_in.provider.whatsapp.set(call.fields)
    except ValueError as wrong:
        return _refuse(400, str(wrong))
    return _show_whatsapp(call, rest, stand_in)


def _show_callbacks(_call: Call, _rest: str, stand_in: StandIn) -> Reply:
    return _show(stand_in.outbox.summary())


def _set_callbacks(call: Call, rest: str, stand_in: StandIn) -> Reply:
    texts, secret = call.fields.get("settings"), call.fields.get("secret")
    if not isinstance(texts, list) or not texts or not all(isinstance(text, str) for text in texts):
        return _refuse(400, 'the body must be {"settings": ["to=http://…", "delay=1-3", …], "secret": "…" or null}')
    if secret is not None and not isinstance(secret, str):
        return _refuse(400, "secret: expected text or null")
    stand_in.outbox.callbacks = read_callbacks(texts, secret)
    return _show_callbacks(call, rest, stand_in)


def _stop_callbacks(_call: Call, _rest: str, stand_in: StandIn) -> Reply:
    stand_in.outbox.callbacks = read_callbacks(())
    return _show({"cleared": stand_in.outbox.clear()})


def _report(call: Call, _rest: str, stand_in: StandIn) -> Reply:
    posted = ask_reports(call.fields, stand_in.outbox, stand_in.recorder.path, time.time())
    return _show({"messages": posted})


def _inbound(call: Call, _rest: str, stand_in: StandIn) -> Reply:
    numbers = stand_in.provider.whatsapp.numbers
    return _show({"id": ask_inbound(call.fields, stand_in.outbox, numbers[0] if numbers else "", time.time())})


_HANDLERS: Final[dict[tuple[str, str], Callable[[Call, str, StandIn], Reply]]] = {
    ("GET", ""): _about,
    ("GET", "health"): _health,
    ("GET", "stats"): _stats,
    ("GET", "requests"): _requests,
    ("GET", "faults"): _list_faults,
    ("POST", "faults"): _add_faults,
    ("DELETE", "faults"): _remove_faults,
    ("GET", "templates"): _list_templates,
    ("PUT", "templates"): _set_templates,
    ("GET", "whatsapp"): _show_whatsapp,
    ("PUT", "whatsapp"): _set_whatsapp,
    ("GET", "callbacks"): _show_callbacks,
    ("PUT", "callbacks"): _set_callbacks,
    ("DELETE", "callbacks"): _stop_callbacks,
    ("POST", "reports"): _report,
    ("POST", "inbound"): _inbound,
}


def _show(value: Any) -> Reply:
    return json_reply(200, value, JSON)


def _refuse(status: int, message: str) -> Reply:
    return json_reply(status, {"error": message}, JSON)
