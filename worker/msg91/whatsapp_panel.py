"""WhatsApp's integrated numbers and templates: the questions, and what the answers say. No I/O."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote

import orjson

from worker.msg91.client import Request

NUMBERS_PATH: Final = "/api/v5/whatsapp/whatsapp-activation/"
TEMPLATES_PATH: Final = "/api/v5/whatsapp/get-template-client/"
PANEL_PATH: Final = "/api/v5/whatsapp/client-panel-template/"

#: Templates that one list holds at most; a list that long may lack some.
MOST_TEMPLATES: Final = 500


@dataclass(frozen=True, slots=True)
class IntegratedNumber:
    """A number that the account can send WhatsApp messages from.

    Attributes:
        number: digits with country code.
        name: what it is called at MSG91; empty when nothing says.
        status: in small letters; empty when nothing says.
    """

    number: str
    name: str
    status: str


@dataclass(frozen=True, slots=True)
class ListedTemplate:
    """One template in one language.

    Attributes:
        id: MSG91's id of this language of it.
        name: its name.
        language: its language code.
        status: ``approved``, ``pending``, ``rejected``, ``paused``, …, in small letters.
        category: such as ``MARKETING``.
        namespace: of the business account.
        components: as Meta describes them: ``type``, ``format``, ``text``, ``buttons``.
        reason: why it was rejected, where MSG91 says.
    """

    id: str
    name: str
    language: str
    status: str
    category: str
    namespace: str
    components: tuple[Mapping[str, Any], ...]
    reason: str


def list_numbers() -> Request:
    """Ask for the account's integrated numbers."""
    return Request("GET", NUMBERS_PATH, sample={"method": "GET", "path": NUMBERS_PATH})


def read_numbers(document: Any) -> list[IntegratedNumber] | None:
    """Read the integrated numbers; None when the document has no such list."""
    items = _list_in(document)
    if items is None:
        return None
    found = []
    for item in items:
        fields = item if isinstance(item, dict) else {"number": item}
        number = _first(fields, "integrated_number", "number", "whatsapp_number", "phone_number")
        digits = "".join(character for character in number if character.isdigit())
        if digits:
            name = _first(fields, "display_name", "verified_name", "business_name", "name")
            status = _first(fields, "status", "number_status", "whatsapp_status").casefold()
            found.append(IntegratedNumber(digits, name, status))
    return found


def list_templates(
    number: str, *, name: str | None = None, status: str | None = None, language: str | None = None
) -> Request:
    """Ask for the templates of an integrated number, at most `MOST_TEMPLATES` of them."""
    path = TEMPLATES_PATH + quote(number, safe="")
    given = {"template_name": name, "template_status": status, "template_language": language}
    query = {key: value for key, value in given.items() if value}
    return Request("GET", path, query=query or None, sample={"method": "GET", "path": path, "query": query})


def read_templates(document: Any) -> list[ListedTemplate] | None:
    """Read a list of templates, one entry for each language; None when the document has no such list."""
    items = _list_in(document)
    return None if items is None else [one for item in items if isinstance(item, dict) for one in _languages(item)]


def _languages(item: Mapping[str, Any]) -> Iterator[ListedTemplate]:
    languages = item.get("languages")
    for each in languages if isinstance(languages, list) and languages else [item]:
        if not isinstance(each, dict):
            continue
        components = each.get("code") or each.get("components") or item.get("components") or ()
        yield ListedTemplate(
            id=_first(each, "id", "template_id") or _first(item, "id", "template_id"),
            name=_first(item, "name", "template_name") or _first(each, "name", "template_name"),
            language=_first(each, "language") or _first(item, "language"),
            status=(_first(each, "status", "approval_status") or _first(item, "status", "template_status")).casefold(),
            category=(_first(item, "category") or _first(each, "category")).upper(),
            namespace=_first(item, "namespace") or _first(each, "namespace"),
            components=tuple(one for one in components if isinstance(one, dict))
            if isinstance(components, list | tuple)
            else (),
            reason=_said(_first(each, "rejection_reason") or _first(item, "rejection_reason")),
        )


def create_template(
    number: str,
    name: str,
    language: str,
    category: str,
    components: Sequence[Mapping[str, Any]],
    *,
    url_button: bool | None = None,
) -> Request:
    """Hand a template in for approval.

    Args:
        number: the integrated number.
        name: small letters, digits and ``_``.
        language: its language code.
        category: ``UTILITY``, ``MARKETING`` or ``AUTHENTICATION``.
        components: as Meta describes them.
        url_button: whether a button leads to an address that ends in a variable; None looks.
    """
    body = {
        "integrated_number": number,
        "template_name": name,
        "language": language,
        "category": category.upper(),
        "button_url": has_dynamic_url(components) if url_button is None else url_button,
        "components": list(components),
    }
    return _panel("POST", PANEL_PATH, body, name=name)


def edit_template(number: str, template_id: str, components: Sequence[Mapping[str, Any]]) -> Request:
    """Hand in other components for a template; it has to be approved again."""
    path = f"{PANEL_PATH}{quote(template_id, safe='')}/"
    return _panel("PUT", path, {"integrated_number": number, "components": list(components)}, id=template_id)


def delete_template(number: str, name: str, template_id: str | None = None) -> Request:
    """Delete a template: by its id one language of it, without one all that have its name."""
    if template_id is None:
        query = {"integrated_number": number, "template_name": name}
        sample = {"method": "DELETE", "path": PANEL_PATH, "query": query}
        return Request("DELETE", PANEL_PATH, query=query, sample=sample)
    path = f"{PANEL_PATH}{quote(template_id, safe='')}/"
    return _panel("DELETE", path, {"integrated_number": number, "name": name}, id=template_id)


def has_dynamic_url(components: Iterable[Mapping[str, Any]]) -> bool:
    """Tell whether a template has a button whose address ends in a variable."""
    return any(
        isinstance(button, dict) and "{{" in str(button.get("url", ""))
        for component in components
        for button in component.get("buttons") or ()
    )


def _panel(method: str, path: str, body: dict[str, Any], **sample: str) -> Request:
    return Request(method, path, orjson.dumps(body), sample={"method": method, "path": path, **sample})


def _list_in(document: Any) -> list[Any] | None:
    """The list that a document is, or has below ``data``, ``templates`` or ``result``."""
    for _ in range(2):
        if isinstance(document, list):
            return document
        if not isinstance(document, dict):
            return None
        document = next((document[key] for key in ("data", "templates", "result") if key in document), None)
    return document if isinstance(document, list) else None


def _first(fields: Mapping[str, Any], *keys: str) -> str:
    for key in keys:
        value = fields.get(key)
        if isinstance(value, str) and value.strip():
            return value.strip()
        if isinstance(value, int) and not isinstance(value, bool):
            return str(value)
    return ""


def _said(reason: str) -> str:
    return "" if reason.upper() == "NONE" else reason
