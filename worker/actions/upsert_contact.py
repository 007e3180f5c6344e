"""Create or update a Segmento contact: ``POST`` to the phonebook's contacts, one in a call."""

from collections.abc import Sequence
from typing import Any, ClassVar

import orjson

from worker.actions.base import Action, ActionContext, Family, Prepared
from worker.actions.segmento import NO_JSON, NO_PHONEBOOK, is_json, lacks_phonebook, path_of
from worker.msg91.client import Request
from worker.msg91.numbers import mask


class UpsertContact(Action):
    """Who a person is."""

    name: ClassVar[str] = "upsert_contact"
    family: ClassVar[Family] = "segmento"
    repeatable: ClassVar[bool] = True
    people_receive: ClassVar[bool] = False
    unique_recipients: ClassVar[bool] = True
    correlates: ClassVar[bool] = False
    max_recipients: ClassVar[int] = 1
    fields: ClassVar[dict[str, dict[str, Any]]] = {
        "contactId": {
            "label": "Contact ID",
            "description": "Identifies the contact; user events name it as visitor.",
            "type": "string",
            "required": True,
        },
        "name": {"label": "Name", "description": "The person's name.", "type": "string"},
        "email": {
            "label": "Email",
            "description": "The person's address.",
            "type": "string",
            "format": "email",
        },
        "phone": {"label": "Phone", "description": "The person's number.", "type": "string"},
        "details": {"label": "Details", "description": "Everything else to be known.", "type": "object"},
    }

    def prepare(self, resolved: dict[str, Any], context: ActionContext) -> Prepared:
        """Bring the contact to Segmento's names."""
        fields, problems = self.cleaned(resolved)
        contact_id = fields["contactId"]
        if not contact_id.strip():
            problems.add("contactId", "expected a text, but it was blank")
        contact: dict[str, Any] = {"contact_id": contact_id}
        for field in ("name", "email"):
            if field in fields:
                contact[field] = fields[field]
        if "phone" in fields:
            contact["mobiles"] = problems.phone("phone", fields["phone"], context)
        if "details" in fields:
            contact["details"] = fields["details"]
        if not is_json(contact):
            for field, key in (("contactId", "contact_id"), ("name", "name"), ("details", "details")):
                if not is_json(contact.get(key)):
                    problems.add(field, NO_JSON)
        if lacks_phonebook(context.contacts_path, context):
            problems.add("contactId", NO_PHONEBOOK.format(setting="contacts_path"))
        problems.raise_any()
        return Prepared({"input": contact}, contact_id, contact_id, 1)

    def build(self, items: Sequence[dict[str, Any]], context: ActionContext, token: str) -> Request:
        """Build the call for one contact.

        Raises:
            ValueError: there is not exactly one item, all that the endpoint takes.
        """
        del token
        if len(items) != 1:
            raise ValueError(f"upsert_contact: expected one contact a request, but there were {len(items)}")
        path = path_of(context.contacts_path, context)
        contact = items[0]["input"]
        sample = {
            "method": "POST",
            "path": path,
            "contacts": 1,
            "body": {
                "fields": True,
                "input": {"contact_id": mask(contact["contact_id"]), "fields": sorted(contact)},
            },
        }
        body = orjson.dumps({"fields": True, "input": contact})
        return Request("POST", path, body, sample=sample, empty_is_success=True)

    def problems(self, context: ActionContext) -> list[str]:
        """A path with a placeholder needs a phonebook."""
        return [NO_PHONEBOOK.format(setting="contacts_path")] if lacks_phonebook(context.contacts_path, context) else []
