"""Run a campaign: ``POST /api/v5/campaign/api/campaigns/{slug}/run``, up to a thousand people in one call."""

import re
from collections.abc import Sequence
from typing import Any, ClassVar, Final
from urllib.parse import quote

import orjson

from worker.actions import rules
from worker.actions.base import Action, ActionContext, Family, Prepared, Problems
from worker.actions.segmento import NO_JSON, is_json
from worker.msg91.client import Request
from worker.msg91.numbers import mask

PATH: Final = "/api/v5/campaign/api/campaigns/{slug}/run"

#: People (to, cc and bcc together) in one call, and in one ``to``, ``cc`` or ``bcc``; from MSG91's campaign service.
MAX_PEOPLE: Final = 1000
MAX_LIST: Final = 50

_SLUG: Final = re.compile(r"[A-Za-z0-9_-]{1,128}")
_ADDRESS: Final = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+")


class RunCampaign(Action):
    """A campaign of the panel, run for one person; people of one campaign share requests."""

    name: ClassVar[str] = "run_campaign"
    family: ClassVar[Family] = "campaign"
    repeatable: ClassVar[bool] = False
    people_receive: ClassVar[bool] = True
    unique_recipients: ClassVar[bool] = True
    correlates: ClassVar[bool] = False
    max_recipients: ClassVar[int] = MAX_PEOPLE
    fields: ClassVar[dict[str, dict[str, Any]]] = {
        "campaign": {
            "label": "Campaign",
            "description": "Its slug, as the panel shows it.",
            "type": "string",
            "required": True,
        },
        "phone": {"label": "Phone", "description": "The person's number, best with country code.", "type": "string"},
        "email": {"label": "Email", "description": "The person's address.", "type": "string", "format": "email"},
        "name": {"label": "Name", "description": "The person's name.", "type": "string"},
        "variables": {
            "label": "Variables",
            "description": "Values for the campaign's templates: text, or objects of type and value.",
            "type": "object",
        },
        "fromName": {"label": "From name", "description": "The sender's name in emails.", "type": "string"},
        "fromEmail": {
            "label": "From email",
            "description": "The sender's address in emails.",
            "type": "string",
            "format": "email",
        },
        "cc": {"label": "Cc", "description": "Addresses, joined by commas; at most 50.", "type": "string"},
        "bcc": {"label": "Bcc", "description": "Addresses, joined by commas; at most 50.", "type": "string"},
        "replyTo": {"label": "Reply to", "description": "Addresses, joined by commas; at most 5.", "type": "string"},
    }

    def prepare(self, resolved: dict[str, Any], context: ActionContext) -> Prepared:
        """Check campaign and person; bring the variables to the wire's form."""
        fields, problems = self.cleaned(resolved)
        slug = fields["campaign"].strip()
        if not _SLUG.fullmatch(slug):
            problems.add("campaign", "expected the campaign's slug: letters, digits, - and _")
        person: dict[str, Any] = {}
        if "phone" in fields:
            person["mobiles"] = problems.phone("phone", fields["phone"], context)
        if "email" in fields:
            person["email"] = fields["email"]
        if not person and not problems.at_fault & {"phone", "email"}:
            problems.add("phone", "missing: a campaign needs a phone or an email")
        if fields.get("name"):
            person["name"] = fields["name"]
        variables = _variables(fields.get("variables") or {}, problems)
        if variables:
            person["variables"] = variables
        payload: dict[str, Any] = {"slug": slug, "to": person}
        for field, wire in (("fromName", "from_name"), ("fromEmail", "from_email")):
            if fields.get(field):
                payload[wire] = fields[field]
        for field, wire, most in (("cc", "cc", MAX_LIST), ("bcc", "bcc", MAX_LIST), ("replyTo", "reply_to", 5)):
            if fields.get(field):
                payload[wire] = _addresses(field, fields[field], most, problems)
        for field in ("name", "fromName"):
            if not rules.well_formed(fields.get(field) or ""):
                problems.add(field, rules.HALF_CHARACTER)
        problems.raise_any()
        recipient = person.get("mobiles") or person["email"]
        # Copies belong to one person's message: such a message has a request of its own.
        alone = recipient if "cc" in payload or "bcc" in payload else ""
        group = [slug, *(str(payload.get(key, "")) for key in ("from_name", "from_email", "reply_to")), alone]
        others = [one["email"] for key in ("cc", "bcc") for one in payload.get(key, ())]
        if recipient != person.get("email") and "email" in person:
            others.append(person["email"])
        return Prepared(payload, recipient, "\x1f".join(group), 1, others=tuple(others))

    def build(self, items: Sequence[dict[str, Any]], context: ActionContext, token: str) -> Request:
        """Build one call, with up to fifty people in each of its lists; the endpoint takes no correlation id.

        Raises:
            ValueError: there are more people than the endpoint takes.
        """
        del context, token
        first = items[0]
        copies = {key: first[key] for key in ("cc", "bcc") if key in first}
        if len(items) + sum(map(len, copies.values())) > MAX_PEOPLE:
            raise ValueError(
                f"run_campaign: expected {MAX_PEOPLE} people a request at most, but there were {len(items)}"
            )
        sender = {key: first[key] for key in ("from_name", "from_email") if key in first}
        send_to = [
            {"to": [item["to"] for item in items[start : start + MAX_LIST]], **copies, **sender}
            for start in range(0, len(items), MAX_LIST)
        ]
        data: dict[str, Any] = {"sendTo": send_to}
        if "reply_to" in first:
            data["reply_to"] = first["reply_to"]
        path = PATH.replace("{slug}", quote(first["slug"], safe=""))
        person = first["to"]
        shown = {key: mask(person[key]) if key == "mobiles" else "…" for key in person}
        sample = {
            "method": "POST",
            "path": path,
            "recipients": len(items),
            "body": {"data": {"sendTo": [{"to": [shown]}]}},
        }
        return Request("POST", path, orjson.dumps({"data": data}), sample=sample)


def _variables(values: dict[str, Any], problems: Problems) -> dict[str, Any]:
    """Variables as the campaign service reads them: text, or an object with ``type`` and ``value``."""
    variables: dict[str, Any] = {}
    for name, value in values.items():
        if not name or not rules.well_formed(name):
            problems.add("variables", "a variable needs a name")
        elif isinstance(value, dict):
            if "value" not in value or not is_json(value):
                problems.add(f"variables.{name}", "an object needs a value (and may have a type) and must be JSON")
            variables[name] = value
        elif isinstance(value, list) or not is_json(value):
            problems.add(
                f"variables.{name}", "expected text or an object of type and value" if is_json(value) else NO_JSON
            )
        elif value is not None:
            variables[name] = value if isinstance(value, str) else orjson.dumps(value).decode()
    return variables


def _addresses(field: str, text: str, most: int, problems: Problems) -> list[dict[str, str]]:
    addresses = [one.strip() for one in text.split(",") if one.strip()]
    if not all(map(_ADDRESS.fullmatch, addresses)):
        problems.add(field, "expected email addresses, joined by commas")
    elif len(addresses) > most:
        problems.add(field, f"it must be {most} addresses or fewer, but there were {len(addresses)}")
    return [{"email": one} for one in addresses]
