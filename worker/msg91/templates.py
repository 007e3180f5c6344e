"""Flow templates: which there are, their texts, and what the DLT registry says of them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from worker.msg91.client import Request
from worker.msg91.reading import Asks, ask, items_of, objects_in, text_of

__all__ = ["FlowTemplate", "Preview", "TemplateVersion", "fill_template", "templates", "versions"]

_PLACEHOLDER: Final = re.compile(r"##([^#\s][^#]*)##")
#: What ``dlt_verified`` says; other values are shown as they are.
_DLT: Final = {"10": "approved", "5": "rejected"}


@dataclass(frozen=True, slots=True)
class FlowTemplate:
    """A template of the account.

    Attributes:
        id: MSG91's own id, 24 hexadecimal characters.
        name: what people call it.
        raw: everything that MSG91 said of it.
    """

    id: str
    name: str
    raw: dict[str, Any] = field(repr=False, compare=False)


@dataclass(frozen=True, slots=True)
class TemplateVersion:
    """A version of a template.

    Attributes:
        text: the text with its ``##placeholders##``.
        sender: sender id.
        dlt_id: id in the DLT registry.
        dlt_status: ``approved``, ``rejected``, or MSG91's own number; empty when it says nothing.
        dlt_reason: why it was rejected.
        raw: everything that MSG91 said of it.
    """

    text: str
    sender: str
    dlt_id: str
    dlt_status: str
    dlt_reason: str
    raw: dict[str, Any] = field(repr=False, compare=False)

    @property
    def variables(self) -> tuple[str, ...]:
        """Names of the placeholders, in their order."""
        return tuple(dict.fromkeys(_PLACEHOLDER.findall(self.text)))


@dataclass(frozen=True, slots=True)
class Preview:
    """A template's text with variables filled in.

    Attributes:
        text: the text; placeholders without a value stay.
        missing: placeholders without a value.
        unused: variables that the text has no placeholder for; case matters.
    """

    text: str
    missing: tuple[str, ...]
    unused: tuple[str, ...]


def templates(client: Asks) -> list[FlowTemplate]:
    """List the account's Flow templates: ``GET /api/v5/flows``."""
    what = "the templates"
    data = ask(client, Request("GET", "/api/v5/flows", sample={"read": "templates"}), what)
    return [
        FlowTemplate(text_of(one, "id", "template_id", "flow_id", "_id"), text_of(one, "name", "template_name"), one)
        for one in items_of(data, "flows", "templates", what=what)
    ]


def versions(client: Asks, template_id: str) -> list[TemplateVersion]:
    """List the versions of a template: ``GET /api/v5/sms/getTemplateVersions``."""
    what = "the versions of the template"
    query = {"template_id": template_id}
    request = Request("GET", "/api/v5/sms/getTemplateVersions", query=query, sample={"read": "template versions"})
    data = ask(client, request, what)
    found = (
        objects_in(data) if isinstance(data, dict) and text_of(data, *_TEXT) else items_of(data, "versions", what=what)
    )
    return [
        TemplateVersion(
            text_of(one, *_TEXT),
            text_of(one, "sender", "sender_id"),
            text_of(one, "DLT_ID", "dlt_id", "dlt_template_id"),
            _DLT.get(text_of(one, "dlt_verified"), text_of(one, "dlt_verified")),
            text_of(one, "dlt_reason"),
            one,
        )
        for one in found
    ]


_TEXT: Final = ("text", "template", "template_data", "content")


def fill_template(text: str, variables: Mapping[str, str]) -> Preview:
    """Fill a template's ``##placeholders##``; nothing in a value is looked at again."""
    missing: list[str] = []
    used: set[str] = set()

    def value(match: re.Match[str]) -> str:
        name = match[1]
        if name in variables:
            used.add(name)
            return variables[name]
        missing.append(name)
        return match[0]

    filled = _PLACEHOLDER.sub(value, text)
    return Preview(filled, tuple(dict.fromkeys(missing)), tuple(name for name in variables if name not in used))
