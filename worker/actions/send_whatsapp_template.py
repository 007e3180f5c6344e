"""Send a WhatsApp template: many recipients of one template and language with one call, or one by one."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, ClassVar, Final

from worker.actions import rules
from worker.actions.base import Action, ActionContext, Family, Prepared, Problems, checked_token
from worker.actions.whatsapp import NO_NUMBER, integrated_number, link, location, text_of, variable
from worker.msg91.answers import Answer, AnswerClass
from worker.msg91.client import Request
from worker.msg91.whatsapp import (
    BUTTON_KINDS,
    HEADER_KINDS,
    Components,
    WhatsAppTemplate,
    bulk_template,
    single_template,
)

_NAME: Final = re.compile(r"[a-z0-9_]{1,512}", re.IGNORECASE)
_LANGUAGE: Final = re.compile(r"[A-Za-z]{2,3}([_-][A-Za-z0-9]{2,8})*")
_PLACE: Final = re.compile(r"[1-9][0-9]?|[A-Za-z_][A-Za-z0-9_]{0,63}")
_POSITION: Final = re.compile(r"[1-9]|10")
#: Prefixes with which people who know MSG91's own form write the places.
_PREFIXES: Final = {"body": "body_", "buttons": "button_"}


class SendWhatsAppTemplate(Action):
    """A message that begins a conversation: a template that Meta has approved."""

    name: ClassVar[str] = "send_whatsapp_template"
    family: ClassVar[Family] = "whatsapp"
    repeatable: ClassVar[bool] = False
    people_receive: ClassVar[bool] = True
    unique_recipients: ClassVar[bool] = True
    correlates: ClassVar[bool] = True
    fields: ClassVar[dict[str, dict[str, Any]]] = {
        "phone": {
            "label": "Phone",
            "description": "The recipient's number, best with country code.",
            "type": "string",
            "required": True,
        },
        "template": {
            "label": "Template",
            "description": "The name of an approved template.",
            "type": "string",
            "required": True,
        },
        "language": {
            "label": "Language",
            "description": "Its language code, such as en or en_US; the destination's when left out.",
            "type": "string",
        },
        "integratedNumber": {
            "label": "Integrated number",
            "description": "The number it is sent from; the destination's default_number when left out.",
            "type": "string",
        },
        "namespace": {
            "label": "Namespace",
            "description": "Of the business account; the destination's when left out.",
            "type": "string",
        },
        "header": {
            "label": "Header",
            "description": "type text, image, video, document or location; value is the text or the file's address.",
            "type": "object",
        },
        "body": {
            "label": "Body",
            "description": "Values of the variables: a list in their order, or an object by number or name.",
            "type": "object",
        },
        "buttons": {
            "label": "Buttons",
            "description": "A list by position, null where a button takes nothing: type url, quick_reply or copy_code.",
            "type": "object",
        },
        "offerEnds": {
            "label": "Offer ends",
            "description": "When a limited-time offer ends: ISO 8601 with a zone, or Unix seconds or milliseconds.",
            "type": "datetime",
        },
    }

    def prepare(self, resolved: dict[str, Any], context: ActionContext) -> Prepared:
        """Check number and template, bring the values to one line each."""
        fields, problems = self.cleaned(_with_places(resolved))
        phone = problems.phone("phone", fields["phone"], context)
        number = integrated_number(fields, context, problems)
        name, language = fields["template"], fields.get("language") or context.whatsapp.language
        if not _NAME.fullmatch(name):
            problems.add("template", "expected the name of a template: letters, digits and _")
        if not _LANGUAGE.fullmatch(language):
            problems.add("language", "expected a language code, such as en or en_US")
        namespace = fields.get("namespace") or context.whatsapp.namespace
        components = Components(
            header=_header(fields["header"], problems) if fields.get("header") else None,
            body=_body(fields.get("body") or {}, problems),
            buttons=_buttons(fields.get("buttons") or {}, problems),
            offer_ends_ms=_moment(fields["offerEnds"], problems) if "offerEnds" in fields else None,
        )
        if namespace and not rules.well_formed(namespace):
            problems.add("namespace", rules.HALF_CHARACTER)
        problems.raise_any()
        single = context.whatsapp.single or components.needs_single
        payload: dict[str, Any] = {
            "to": phone,
            "number": number,
            "template": name,
            "language": language,
            "namespace": namespace,
            "header": components.header,
            "body": components.body,
            "buttons": components.buttons,
            "offer_ends_ms": components.offer_ends_ms,
            "single": single,
        }
        payload = {key: value for key, value in payload.items() if value not in (None, {}, False)}
        group = [number, name, language, namespace or "", phone if single else ""]
        return Prepared(payload, phone, "\x1f".join(group), 1)

    def build(self, items: Sequence[dict[str, Any]], context: ActionContext, token: str) -> Request:
        """Build one bulk call, or the call for the one item that goes alone."""
        correlation = checked_token(token) if context.whatsapp.correlates else None
        template = template_of(items[0])
        if items[0].get("single"):
            if len(items) != 1:
                raise ValueError(f"{self.name}: expected one recipient that goes alone, but there were {len(items)}")
            return single_template(template, items[0]["to"], _components(items[0]), correlation)
        return bulk_template(template, [(item["to"], _components(item)) for item in items], correlation)

    def read(self, answer: Answer, count: int) -> list[Answer]:
        """Read an answer; a refusal of what all recipients share is one for each, so that no culprit is looked for."""
        if answer.klass is AnswerClass.REQUEST and any(word in answer.message.casefold() for word in _SHARED):
            return [replace(answer) for _ in range(count)]
        return [answer] * count

    def problems(self, context: ActionContext) -> list[str]:
        """There must be a number to send from."""
        return [] if context.whatsapp.default_number else [NO_NUMBER]


#: Words of refusals that concern the integrated number or the template, which all recipients of a request share.
_SHARED: Final = ("not integrated", "integrated number", "integrated_number", "template", "namespace")


def template_of(payload: Mapping[str, Any]) -> WhatsAppTemplate:
    """The template of a payload as `SendWhatsAppTemplate.prepare` makes it."""
    return WhatsAppTemplate(payload["number"], payload["template"], payload["language"], payload.get("namespace"))


def _components(payload: Mapping[str, Any]) -> Components:
    return Components(
        header=payload.get("header"),
        body=payload.get("body"),
        buttons=payload.get("buttons"),
        offer_ends_ms=payload.get("offer_ends_ms"),
    )


def _with_places(resolved: Any) -> Any:
    """Number the items of lists; a null keeps its place, and one single value is the first."""
    if not isinstance(resolved, dict):
        return resolved
    found = dict(resolved)
    for name in ("body", "buttons"):
        value = found.get(name)
        if isinstance(value, list):
            found[name] = {str(place): item for place, item in enumerate(value, 1)}
        elif name == "body" and isinstance(value, str | int | float) and value != "":
            found[name] = {"1": value}
    header = found.get("header")
    if isinstance(header, str) and header:
        found["header"] = {"type": "text", "value": header}
    return found


def _header(header: dict[str, Any], problems: Problems) -> dict[str, str] | None:
    kind = text_of(header.get("type")) or "text"
    if kind not in HEADER_KINDS:
        problems.add("header.type", f"expected {', '.join(HEADER_KINDS[:-1])} or {HEADER_KINDS[-1]}")
        return None
    if kind == "location":
        return {"type": kind, **location("header", header, problems)}
    value = header.get("value")
    if kind == "text":
        return {"type": kind, "value": variable("header.value", value, problems)}
    found = {"type": kind, "value": link("header.value", value, problems)}
    if kind == "document" and header.get("filename"):
        found["filename"] = variable("header.filename", header["filename"], problems)
    return found


def _body(values: dict[str, Any], problems: Problems) -> dict[str, str]:
    found: dict[str, str] = {}
    for name, value in values.items():
        place = name.removeprefix(_PREFIXES["body"])
        if not _PLACE.fullmatch(place):
            problems.add("body", "a variable is called by its number (1 to 99), or by a name of letters, digits and _")
            continue
        found[place] = variable(f"body.{place}", value, problems)
    return found


def _buttons(values: dict[str, Any], problems: Problems) -> dict[str, dict[str, str]]:
    found: dict[str, dict[str, str]] = {}
    for name, button in values.items():
        position = name.removeprefix(_PREFIXES["buttons"])
        if not _POSITION.fullmatch(position):
            problems.add("buttons", "a button is called by its position, 1 to 10")
            continue
        if button is None or button == {}:
            continue
        fields = button if isinstance(button, dict) else {"value": button}
        kind = text_of(fields.get("type")) or "url"
        if kind not in BUTTON_KINDS:
            problems.add(f"buttons.{position}.type", f"expected {', '.join(BUTTON_KINDS[:-1])} or {BUTTON_KINDS[-1]}")
            continue
        found[position] = {"type": kind, "value": variable(f"buttons.{position}", fields.get("value"), problems)}
    return found


def _moment(value: Any, problems: Problems) -> int | None:
    """A moment as ms since 1970."""
    seconds: float | None = None
    text = text_of(value) or ""
    try:
        number = float(text)
        seconds = number / 1000 if abs(number) >= 1e11 else number
    except ValueError:
        try:
            moment = datetime.fromisoformat(text)
            seconds = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
        except (ValueError, OverflowError):
            seconds = None
    if seconds is None or not 0 < seconds < 1e11:
        problems.add("offerEnds", "expected a time: ISO 8601 with a zone, or Unix seconds or milliseconds")
        return None
    return round(seconds * 1000)
