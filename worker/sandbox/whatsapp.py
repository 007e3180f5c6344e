"""What MSG91 makes of WhatsApp: integrated numbers, templates and their approval, template and session messages.

A message is taken or refused as a whole. Templates that are handed in wait for approval until the control endpoint says
what becomes of them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from itertools import count
from typing import Any, Final

from worker.sandbox.answers import Envelope, json_reply, service_accepted
from worker.sandbox.calls import Call, Kind, Verdict, canonical, refuse

#: The integrated number that a sandbox has from the start, and its templates: name → language → status.
DEFAULT_NUMBER: Final = "918888888888"
DEFAULT_TEMPLATES: Final[dict[str, dict[str, str]]] = {
    "order_shipped": {"en": "approved", "hi": "approved"},
    "spring_sale": {"en": "pending"},
    "free_money": {"en": "rejected"},
}

_BASE: Final = "/api/v5/whatsapp/"
_TEMPLATES: Final = re.compile(r"/api/v5/whatsapp/get-template-client/([^/]+)/?")
_PANEL: Final = re.compile(r"/api/v5/whatsapp/client-panel-template/(?:([^/]+)/?)?")
_OUTBOUND: Final = re.compile(r"/api/v5/whatsapp/whatsapp-outbound-message(/bulk)?/?")
_DIGITS: Final = re.compile(r"[0-9]{7,15}")
_NAME: Final = re.compile(r"[a-z0-9_]{1,512}")
_BREAKS: Final = re.compile(r"[\r\n\t]")
_VARIABLE: Final = re.compile(r"\{\{\s*\d+\s*\}\}")
_MEDIA: Final = frozenset({"image", "video", "audio", "document"})
_OBJECTS: Final = frozenset({*_MEDIA, "location", "contacts", "interactive"})

IN_PROCESS: Final = "Your request is in process, check delivery reports for status"
SUBMITTED: Final = "message submitted successfully"
BEING_CREATED: Final = "template creation in process. Please wait till the template is being approved from vendor"


@dataclass(slots=True)
class Template:
    """One language of a template."""

    id: str
    number: str
    name: str
    language: str
    status: str
    category: str = "UTILITY"
    components: list[dict[str, Any]] = field(default_factory=list)

    @property
    def variables(self) -> int:
        """How many variables its body has; 0 when it has none or no body is known."""
        bodies = [one.get("text") for one in self.components if str(one.get("type")).upper() == "BODY"]
        return len(set(_VARIABLE.findall(bodies[0]))) if bodies and isinstance(bodies[0], str) else 0


class WhatsApp:
    """The WhatsApp side of the account."""

    def __init__(self) -> None:
        self._ids = count(1)
        self.numbers: list[str] = [DEFAULT_NUMBER]
        self.templates: list[Template] = []
        for name, languages in DEFAULT_TEMPLATES.items():
            for language, status in languages.items():
                self.add(DEFAULT_NUMBER, name, language, status)

    def add(
        self,
        number: str,
        name: str,
        language: str,
        status: str = "pending",
        *,
        category: str = "UTILITY",
        components: Iterable[dict[str, Any]] = (),
    ) -> Template:
        """Put a template in, in the place of the one with its number, name and language."""
        template = self.find(number, name, language)
        if template is None:
            template = Template(f"{next(self._ids):016d}", number, name, language, status)
            self.templates.append(template)
        template.status, template.category = status, category
        template.components = list(components) or template.components
        return template

    def find(self, number: str, name: str, language: str | None = None) -> Template | None:
        """A template by number, name and language; in any language where that is ``None``."""
        for one in self.templates:
            if (one.number, one.name) == (number, name) and language in (None, one.language):
                return one
        return None

    def set(self, document: Mapping[str, Any]) -> None:
        """Do what the control endpoint is told: other integrated numbers, and templates with their states.

        Raises:
            ValueError: it is told something else.
        """
        numbers, templates = document.get("numbers", self.numbers), document.get("templates", [])
        if not isinstance(numbers, list) or not all(isinstance(one, str) and _DIGITS.fullmatch(one) for one in numbers):
            raise ValueError("numbers: expected a list of numbers, digits with country code")
        if not isinstance(templates, list) or not all(isinstance(one, dict) and "name" in one for one in templates):
            raise ValueError("templates: expected a list of objects with name, language, status, number, components")
        self.numbers = list(numbers)
        for one in templates:
            number = one.get("number") or (self.numbers[0] if self.numbers else DEFAULT_NUMBER)
            self.add(
                str(number),
                str(one["name"]),
                str(one.get("language", "en")),
                str(one.get("status", "approved")),
                category=str(one.get("category", "UTILITY")),
                components=one.get("components") or (),
            )

    def listed(self, number: str, query: Mapping[str, str]) -> list[dict[str, Any]]:
        """The templates of a number as MSG91 lists them."""
        found: dict[str, dict[str, Any]] = {}
        for one in self.templates:
            wanted = {
                "template_name": one.name,
                "template_status": one.status,
                "template_language": one.language,
            }
            if one.number != number or any(query.get(key, value) != value for key, value in wanted.items()):
                continue
            entry = found.setdefault(
                one.name, {"name": one.name, "category": one.category, "namespace": "sandbox_ns", "languages": []}
            )
            entry["languages"].append(
                {
                    "id": one.id,
                    "language": one.language,
                    "status": one.status,
                    "rejection_reason": "ABUSIVE_CONTENT" if one.status == "rejected" else "NONE",
                    "code": one.components,
                    "variables": [f"body_{number}" for number in range(1, one.variables + 1)],
                }
            )
        return list(found.values())


def route(call: Call) -> Kind | None:
    """What a request for one of WhatsApp's addresses is for; ``None`` for any other."""
    path = call.path
    if not path.startswith(_BASE):
        return None
    if call.method == "POST" and _OUTBOUND.fullmatch(path):
        return Kind.WHATSAPP
    if call.method == "GET" and (path.rstrip("/") == _BASE + "whatsapp-activation" or _TEMPLATES.fullmatch(path)):
        return Kind.WHATSAPP_LISTS
    panel = _PANEL.fullmatch(path)
    if panel and call.method == ("POST" if panel[1] is None else "PUT"):
        return Kind.WHATSAPP_PANEL
    return Kind.WHATSAPP_PANEL if panel and call.method == "DELETE" else None


def judge(call: Call, account: WhatsApp, request_id: str) -> Verdict:
    """Judge a request that `route` knows, its authkey being good."""
    kind = route(call)
    if kind is Kind.WHATSAPP_LISTS:
        return _lists(call, account)
    if kind is Kind.WHATSAPP_PANEL:
        return _panel(call, account, request_id)
    outbound = _OUTBOUND.fullmatch(call.path)
    fields = call.fields or dict(call.query)
    problem = _number_problem(fields, account)
    if problem is not None:
        return _no(problem)
    if outbound is not None and outbound[1]:
        return _bulk(fields, account, f"{request_id}{0:08}")
    if fields.get("content_type") == "template":
        return _single(fields, account, request_id)
    return _session(fields, request_id)


def _no(sentence: str, messages: Iterable[dict[str, str]] = (), kind: Kind = Kind.WHATSAPP) -> Verdict:
    return refuse(kind, Envelope.SERVICE, None, sentence, messages=list(messages))


def _number_problem(fields: Mapping[str, Any], account: WhatsApp) -> str | None:
    number = str(fields.get("integrated_number") or "")
    if not number:
        return "integrated_number is required"
    return None if number in account.numbers else f"The number {number} is not integrated with your account"


def _bulk(fields: dict[str, Any], account: WhatsApp, request_id: str) -> Verdict:
    template = _object(fields, "payload", "template")
    entries = template.get("to_and_components")
    messages: list[dict[str, str]] = []
    components: list[dict[str, Any]] = []
    for entry in entries if isinstance(entries, list) else ():
        if not isinstance(entry, dict):
            continue
        filled = _object(entry, "components")
        components.append(filled)
        to = entry.get("to")
        text = f"{template.get('name')} {_code(template)} {canonical(filled)}"
        messages += [{"to": str(number), "text": text} for number in (to if isinstance(to, list) else [to]) if number]
    if not messages:
        return _no("to_and_components is required")
    problem = _template_problem(fields, template, account)
    if problem is None:
        found = account.find(str(fields["integrated_number"]), str(template.get("name")), _code(template))
        problem = next((one for each in components if (one := _flat_problem(each, found))), None)
    return _taken(messages, problem, request_id, {"data": IN_PROCESS, "request_id": request_id})


def _single(fields: dict[str, Any], account: WhatsApp, request_id: str) -> Verdict:
    payload = _object(fields, "payload")
    template = _object(payload, "template")
    components = template.get("components")
    text = f"{template.get('name')} {_code(template)} {canonical(components)}"
    messages = [{"to": str(payload.get("to") or ""), "text": text}]
    problem = _template_problem(fields, template, account)
    if problem is None and _BREAKS.search(_texts(components)):
        problem = _NO_BREAKS
    return _taken(messages, problem, request_id, _uuid(request_id))


def _session(fields: dict[str, Any], request_id: str) -> Verdict:
    kind = str(fields.get("content_type") or "text")
    payload = _object(fields, "payload")
    problem = None
    if kind == "text":
        text = fields.get("text") or _object(payload, "text").get("body")
        content: Any = text
        problem = None if text else "text is required"
    elif kind in _OBJECTS:
        content = payload.get(kind) or fields.get("attachment_url")
        problem = None if content else f"payload.{kind} is required"
    else:
        content, problem = None, f"content_type {kind} is not valid"
    messages = [{"to": str(fields.get("recipient_number") or ""), "text": f"{kind} {canonical(content)}"}]
    return _taken(messages, problem, request_id, _uuid(request_id))


def _taken(messages: list[dict[str, str]], problem: str | None, request_id: str, answer: dict[str, Any]) -> Verdict:
    numbers = [message["to"] for message in messages]
    if problem is None and not all(_DIGITS.fullmatch(number) for number in numbers):
        problem = "recipient number is not valid"
    if problem is not None:
        return _no(problem, messages)
    body = {"status": "success", "hasError": False, "errors": None, **answer}
    return Verdict(
        Kind.WHATSAPP,
        Envelope.SERVICE,
        json_reply(200, body),
        accepted=True,
        request_id=request_id,
        messages=messages,
        numbers=numbers,
    )


def _uuid(request_id: str) -> dict[str, Any]:
    return {"data": {"message_uuid": request_id, "status": SUBMITTED}}


def _template_problem(fields: Mapping[str, Any], template: Mapping[str, Any], account: WhatsApp) -> str | None:
    number, name, code = str(fields["integrated_number"]), str(template.get("name") or ""), _code(template)
    found = account.find(number, name, code)
    if found is None:
        if account.find(number, name) is None:
            return f"Template {name} does not exist"
        return f"Template {name} does not exist in the language {code}"
    return None if found.status == "approved" else f"Template {name} is not approved (status: {found.status})"


_NO_BREAKS: Final = "Param text cannot have new-line/tab characters or more than 4 consecutive spaces"


def _flat_problem(components: Mapping[str, Any], template: Template | None) -> str | None:
    """What is wrong with the components of a bulk request."""
    body = [value for key, value in components.items() if key.startswith("body_")]
    for value in components.values():
        if not isinstance(value, dict) or not isinstance(value.get("value", ""), str):
            return "components are not valid"
    if any(not value.get("value") for value in body):
        return "Body parameters must not be empty"
    if any(_BREAKS.search(value["value"]) for value in body):
        return _NO_BREAKS
    if template is not None and template.variables and len(body) != template.variables:
        return f"The template takes {template.variables} body parameters, but there are {len(body)}"
    return None


def _lists(call: Call, account: WhatsApp) -> Verdict:
    asked = _TEMPLATES.fullmatch(call.path)
    if asked is None:
        data = [
            {"integrated_number": number, "display_name": "Sandbox", "status": "active"} for number in account.numbers
        ]
        return Verdict(Kind.WHATSAPP_LISTS, Envelope.SERVICE, service_accepted(data))
    if asked[1] not in account.numbers:
        return _no(f"The number {asked[1]} is not integrated with your account", kind=Kind.WHATSAPP_LISTS)
    return Verdict(Kind.WHATSAPP_LISTS, Envelope.SERVICE, service_accepted(account.listed(asked[1], call.query)))


def _panel(call: Call, account: WhatsApp, request_id: str) -> Verdict:
    """Create, edit or delete a template; what it changes is done once the request is taken."""
    given = _PANEL.fullmatch(call.path)
    template_id = given[1] if given else None
    fields = {**call.query, **call.fields}
    problem = _number_problem(fields, account)
    if problem is not None:
        return _no(problem, kind=Kind.WHATSAPP_PANEL)
    number = str(fields["integrated_number"])
    components = fields.get("components")
    if call.method != "DELETE" and not (isinstance(components, list) and components):
        return _no("components is required", kind=Kind.WHATSAPP_PANEL)
    if call.method == "POST":
        name, language = str(fields.get("template_name") or ""), str(fields.get("language") or "")
        if not _NAME.fullmatch(name) or not language:
            return _no("template_name and language are required", kind=Kind.WHATSAPP_PANEL)
        if account.find(number, name, language) is not None:
            return _no(f"Template {name} already exists in {language}", kind=Kind.WHATSAPP_PANEL)
        category = str(fields.get("category") or "UTILITY")

        def create() -> None:
            account.add(number, name, language, category=category, components=components or ())

        return _done({"message": BEING_CREATED, "template_id": request_id, "backup_templates": []}, create)
    name = str(fields.get("template_name") or fields.get("name") or "")
    chosen = [
        one
        for one in account.templates
        if one.number == number and (one.id == template_id if template_id else one.name == name)
    ]
    if not chosen:
        return _no("Template does not exist", kind=Kind.WHATSAPP_PANEL)
    if call.method == "DELETE":

        def delete() -> None:
            account.templates = [one for one in account.templates if one not in chosen]

        return _done({"message": "Template deleted successfully"}, delete)

    def edit() -> None:
        for one in chosen:
            one.components, one.status = list(components or ()), "pending"

    return _done({"message": "Template edited successfully"}, edit)


def _done(data: dict[str, Any], effect: Callable[[], None]) -> Verdict:
    return Verdict(Kind.WHATSAPP_PANEL, Envelope.SERVICE, service_accepted(data), accepted=True, effect=effect)


def _object(fields: Mapping[str, Any], *keys: str) -> dict[str, Any]:
    found: Any = fields
    for key in keys:
        found = found.get(key) if isinstance(found, dict) else None
    return found if isinstance(found, dict) else {}


def _code(template: Mapping[str, Any]) -> str:
    language = template.get("language")
    return str(language.get("code") if isinstance(language, dict) else language or "")


def _texts(value: Any) -> str:
    """All texts of a component list, joined by spaces."""
    if isinstance(value, dict):
        return " ".join(_texts(inner) for inner in value.values())
    if isinstance(value, list):
        return " ".join(_texts(inner) for inner in value)
    return value if isinstance(value, str) else ""
