"""Send a text message: ``POST /api/v2/sendsms``, several texts and many numbers in one call."""

import functools
from collections.abc import Sequence
from typing import Any, ClassVar, Final

import orjson

from worker.actions import rules
from worker.actions.base import Action, ActionContext, Family, Prepared, Problems, checked_token
from worker.msg91.client import Request
from worker.msg91.errors import InvalidNumber
from worker.msg91.numbers import mask
from worker.msg91.text import measure

PATH: Final = "/api/v2/sendsms"

#: Payload keys that say how a request is sent, with the wire's name; all items of a group agree on them.
_SETTINGS: Final = (
    ("sender", "sender"),
    ("route", "route"),
    ("country", "country"),
    ("flash", "flash"),
    ("unicode", "unicode"),
    ("schtime", "schtime"),
    ("campaign", "campaign"),
    ("dlt_template_id", "DLT_TE_ID"),
)


#: The fields that the short way through `prepare` knows.
_PLAIN: Final = frozenset({"phone", "message", "firstName", "senderID", "route", "unicode"})


class SendSms(Action):
    """Free text, as Segment's MSG91 destination sends it."""

    name: ClassVar[str] = "send_sms"
    family: ClassVar[Family] = "sms"
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
        "message": {"label": "Message", "description": "The text.", "type": "string", "required": True},
        "firstName": {
            "label": "First name",
            "description": "For use in templates of the mapping; not sent by itself.",
            "type": "string",
        },
        "senderID": {
            "label": "Sender ID",
            "description": "Who the message comes from; the destination's default_sender when left out.",
            "type": "string",
        },
        "route": {
            "label": "Route",
            "description": "4 transactional, 1 promotional; the destination's default_route when left out.",
            "type": "string",
        },
        "country": {
            "label": "Country",
            "description": "0 international, 1 USA, 91 India; left out unless set.",
            "type": "string",
        },
        "flash": {"label": "Flash", "description": "Show it at once, unsaved.", "type": "boolean"},
        "unicode": {
            "label": "Unicode",
            "description": "Send as UCS-2; decided by the text when left out.",
            "type": "boolean",
        },
        "schtime": {
            "label": "Schedule time",
            "description": "YYYY-MM-DD HH:MM:SS, Unix seconds, or ISO 8601 with a zone.",
            "type": "string",
        },
        "campaign": {"label": "Campaign", "description": "At most 32 characters.", "type": "string"},
        "dltTemplateId": {
            "label": "DLT template ID",
            "description": "19 digits; needed in India. The destination's dlt_template_id when left out.",
            "type": "string",
        },
    }

    def prepare(self, resolved: dict[str, Any], context: ActionContext) -> Prepared:
        """Check number, text and sender, choose the encoding, count the parts."""
        fields, errors = self._clean(resolved)
        plain = None if errors or not _PLAIN.issuperset(fields) else _plain(fields, context)
        return self.checked(resolved, context) if plain is None else plain

    def checked(self, resolved: dict[str, Any], context: ActionContext) -> Prepared:
        """As `prepare`, with every option and every problem."""
        fields, problems = self.cleaned(resolved)
        get = fields.get
        phone = problems.phone("phone", fields["phone"], context)
        message = fields["message"]
        unicode = get("unicode")
        size = measure(message, unicode=unicode)
        if message.isspace():
            problems.add("message", "expected a text, but it was blank")
        elif not rules.well_formed(message):
            problems.add("message", rules.HALF_CHARACTER)
        elif size.parts > context.max_parts and "unicode" not in problems.at_fault:
            problems.add(
                "message",
                f"it takes {size.parts} SMS parts ({size.units} {size.encoding} units), "
                f"but the destination allows {context.max_parts}",
            )
        route = get("route") or context.default_route
        if not _is_route(route):
            problems.add("route", f"expected 4 (transactional) or 1 (promotional), but it was {len(route)} characters")
        sender = get("senderID") or context.default_sender
        if sender is None:
            problems.add("senderID", "missing: the event names no sender and the destination has no default_sender")
        elif (
            phone
            and (problem := rules.sender_problem(sender, phone, route, context.max_sender_length))
            and "route" not in problems.at_fault
        ):
            problems.add("senderID", problem)
        payload: dict[str, Any] = {
            "to": phone,
            "message": message,
            "sender": sender,
            "route": route,
            "unicode": int(size.encoding == "UCS-2" if unicode is None else unicode),
        }
        group = f"{sender}\x1f{route}\x1f{payload['unicode']}"
        if context.sms_country or context.dlt_template_id or not _PLAIN.issuperset(fields):
            group += _add_options(payload, fields, context, problems)
        if problems.errors:
            problems.raise_any()
        return Prepared(payload, phone, group, size.parts)

    def build(self, items: Sequence[dict[str, Any]], context: ActionContext, token: str) -> Request:
        """Build one call; numbers that get the same text share one entry."""
        del context
        first = items[0]
        texts: dict[str, list[str]] = {}
        for item in items:
            texts.setdefault(item["message"], []).append(item["to"])
        settings = {wire: first[key] for key, wire in _SETTINGS if key in first}
        settings["CRQID"] = checked_token(token)
        sms = [{"message": message, "to": to} for message, to in texts.items()]
        size = measure(first["message"])
        sample = {
            "method": "POST",
            "path": PATH,
            "recipients": len(items),
            "body": {
                **settings,
                "sms": [{"message": f"({size.characters} characters, {size.encoding})", "to": [mask(first["to"])]}],
            },
        }
        return Request("POST", PATH, orjson.dumps({**settings, "sms": sms}), sample=sample)

    def problems(self, context: ActionContext) -> list[str]:
        """The DLT template id must be one."""
        problem = rules.dlt_problem(context.dlt_template_id) if context.dlt_template_id else None
        return [f"dlt_template_id cannot be used: {problem}"] if problem else []


def _plain(fields: dict[str, Any], context: ActionContext) -> Prepared | None:
    """A message as nearly all are, by the rules of `SendSms.checked`; None when it needs a second look."""
    sender = fields.get("senderID") or context.default_sender
    if sender is None or context.sms_country or context.dlt_template_id:
        return None
    try:
        phone = context.numbers.read(fields["phone"])
    except InvalidNumber:
        return None
    message, unicode, route = fields["message"], fields.get("unicode"), fields.get("route") or context.default_route
    encoding, _, _, parts = measure(message, unicode=unicode)
    if (
        parts > context.max_parts
        or message.isspace()
        or not rules.well_formed(message)
        or not _may_send(sender, phone[:2], route, context.max_sender_length)
    ):
        return None
    code = int(encoding == "UCS-2" if unicode is None else unicode)
    payload = {"to": phone, "message": message, "sender": sender, "route": route, "unicode": code}
    return Prepared(payload, phone, f"{sender}\x1f{route}\x1f{code}", parts)


@functools.lru_cache(4096)
def _may_send(sender: str, country: str, route: str, max_length: int) -> bool:
    """Whether sender and route can be used for numbers that begin so; few of them are ever seen."""
    return _is_route(route) and rules.sender_problem(sender, country, route, max_length) is None


def _is_route(route: str) -> bool:
    return route.isascii() and route.isalnum() and len(route) <= 16


def _add_options(payload: dict[str, Any], fields: dict[str, Any], context: ActionContext, problems: Problems) -> str:
    """Put what only some events or destinations set, and return what it adds to the group."""
    before = len(payload)
    country = fields.get("country") or context.sms_country
    if country:
        if not (country.isascii() and country.isdigit() and len(country) <= 4):
            problems.add("country", "expected 0 (international) or a country code such as 91")
        payload["country"] = country
    if fields.get("flash"):
        payload["flash"] = 1
    if "schtime" in fields:
        payload["schtime"] = time = rules.schedule_time(fields["schtime"])
        if time is None:
            problems.add("schtime", "expected YYYY-MM-DD HH:MM:SS, Unix seconds, or an ISO 8601 time with a zone")
    dlt_template_id = fields.get("dltTemplateId") or context.dlt_template_id
    if dlt_template_id:
        if problem := rules.dlt_problem(dlt_template_id):
            problems.add("dltTemplateId", problem)
        payload["dlt_template_id"] = dlt_template_id
    campaign = fields.get("campaign")
    if campaign:
        if len(campaign) > 32:
            problems.add("campaign", f"it must be 32 characters or fewer, but it was {len(campaign)}")
        elif not rules.well_formed(campaign):
            problems.add("campaign", rules.HALF_CHARACTER)
        payload["campaign"] = campaign
    # The campaign, the only free text, comes last, so that no two settings make the same group.
    return "".join([f"\x1f{key}={payload[key]}" for key in list(payload)[before:]])
