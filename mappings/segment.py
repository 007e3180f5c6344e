"""The subscriptions of a Segment destination → a mapping file of ours, and a list of what has no counterpart.

Read are the answers of Segment's Public API (`GET /destinations/{id}/subscriptions` and `…/subscriptions/{id}`,
https://docs.segmentapis.com/tag/Destinations) and the presets in the source of Segment's destinations, whose keys are
`subscribe`, `partnerAction` and `mapping` instead of `trigger`, `actionSlug` and `settings`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import yaml

from mappings.compiled import compile_mapping
from mappings.compiler import is_directive
from mappings.directives import ROOT_DIRECTIVE
from mappings.errors import MappingError, TriggerError
from mappings.mapping import INTERNAL_PREFIX, FieldSpecs
from mappings.segment_triggers import other_meanings
from mappings.triggers import compile_trigger
from mappings.values import type_name

__all__ = ["Imported", "Note", "import_subscriptions"]

#: What Segment's messaging destinations call the fields that we have.
_OTHER_NAMES: Final = {
    "to": "phone", "tonumber": "phone", "recipient": "phone", "mobile": "phone", "mobilenumber": "phone",
    "phonenumber": "phone", "body": "message", "text": "message", "content": "message", "from": "senderID",
    "fromnumber": "senderID", "sender": "senderID", "template": "templateId", "templateid": "templateId",
    "flowid": "templateId", "contentvariables": "variables", "customvariables": "variables",
    "userid": "visitorId", "visitorid": "visitorId", "event": "eventName", "eventname": "eventName",
}  # fmt: skip
_BATCHING: Final = ("enable_batching", "batch_size", "batch_bytes", "batch_keys")


@dataclass(frozen=True, slots=True)
class Note:
    """One thing that did not come over as it was.

    Attributes:
        subscription: Its name at Segment.
        message: A sentence.
        lost: Whether something has no counterpart here; otherwise it is a change worth knowing.
    """

    subscription: str
    message: str
    lost: bool = True

    def __str__(self) -> str:
        return f"{self.subscription}: {self.message}"


@dataclass(slots=True)
class Imported:
    """Mappings made from subscriptions.

    Attributes:
        mappings: Entries of a mapping file, ready for `load`.
        notes: What has no counterpart, or means something else here.
    """

    mappings: list[dict[str, Any]] = field(default_factory=list)
    notes: list[Note] = field(default_factory=list)

    def to_yaml(self) -> str:
        """The mapping file, with the notes as comments at its top."""
        comments = "".join(f"# {_one_line(str(note))}\n" for note in self.notes)
        head = "# Made from the subscriptions of a Segment destination.\n"
        if comments:
            head += "# What did not come over as it was:\n" + comments
        return head + yaml.dump(
            {"mappings": self.mappings}, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=110
        )


class _Dumper(yaml.SafeDumper):
    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002 -- the base class's
        return True


def import_subscriptions(document: Any, actions: FieldSpecs, choices: Mapping[str, str] | None = None) -> Imported:
    """Turn subscriptions into mappings.

    Args:
        document: The answer of the Public API, or a list of subscriptions.
        actions: Our action name → its field definitions.
        choices: Name, slug or id of an action at Segment → the action here; what is not named is found by its fields.

    Raises:
        MappingError: There are no subscriptions in the document.
    """
    imported = Imported()
    names: set[str] = set()
    for index, subscription in enumerate(_subscriptions(document)):
        if not isinstance(subscription, dict):
            imported.notes.append(Note(f"subscription {index + 1}", f"is {type_name(subscription)}, not an object."))
            continue
        reader = _Subscription(subscription, index, actions, choices or {})
        entry = reader.entry(names)
        imported.notes += reader.notes
        if entry is not None:
            names.add(entry["name"])
            imported.mappings.append(entry)
    return imported


def _subscriptions(document: Any) -> list[Any]:
    """The list of subscriptions, however deep an API client has wrapped it."""
    for _ in range(4):
        if isinstance(document, list):
            return document
        if not isinstance(document, dict):
            break
        if isinstance(document.get("subscription"), dict):
            return [document["subscription"]]
        if "trigger" in document or "subscribe" in document:
            return [document]
        document = next((document[key] for key in ("subscriptions", "data", "presets") if key in document), None)
    raise MappingError(
        "There are no subscriptions here: a list of them, or an answer of Segment's Public API is needed."
    )


class _Subscription:
    """One subscription on its way; notes what it loses."""

    def __init__(
        self, subscription: dict[str, Any], index: int, actions: FieldSpecs, choices: Mapping[str, str]
    ) -> None:
        self.subscription = subscription
        self.actions = actions
        self.choices = choices
        self.name = str(subscription.get("name") or subscription.get("id") or f"subscription {index + 1}")
        self.notes: list[Note] = []

    def note(self, message: str, *, lost: bool = True) -> None:
        self.notes.append(Note(self.name, message, lost))

    def entry(self, taken: set[str]) -> dict[str, Any] | None:
        settings = self.subscription.get("settings", self.subscription.get("mapping"))
        trigger = self.subscription.get("trigger", self.subscription.get("subscribe"))
        if not isinstance(settings, dict) or not settings:
            self.note("left out: it has no settings, so there is nothing to map.")
            return None
        if self.subscription.get("modelId") or self.subscription.get("reverseETLModelId"):
            self.note("left out: it reads from a reverse ETL model, and there are no models here.")
            return None
        action = self.action(settings)
        if action is None or not self.trigger(trigger) or not self.mapping(settings):
            return None
        mapping = self.fields(settings, action)
        missing = self.missing(mapping, action)
        if missing:
            self.note(f"left out: nothing fills {', '.join(missing)}, which {action} requires.")
            return None
        entry = {"name": self.unique(taken), "action": action, "trigger": trigger, "mapping": mapping}
        if self.subscription.get("enabled") is False:
            entry["enabled"] = False
        return entry

    def unique(self, taken: set[str]) -> str:
        plain = re.sub(r"[^A-Za-z0-9_]+", "-", self.name).strip("-").lower()[:56] or "mapping"
        name, number = plain, 2
        while name in taken:
            name, number = f"{plain}-{number}", number + 1
        return name

    def action(self, settings: dict[str, Any]) -> str | None:
        given = [self.subscription.get(key) for key in ("actionSlug", "partnerAction", "actionId", "actionName")]
        known = [str(each) for each in given if each]
        for each in known:
            if each in self.choices:
                return self.choices[each]
        for each in known:
            for action in self.actions:
                if _folded(each) == _folded(action):
                    return action
        fits = [action for action in self.actions if not self.missing(self.renamed(settings, action), action)]
        called = f" ({known[0]})" if known else ""
        if not fits:
            self.note(f"left out: its action{called} has no counterpart here.")
            return None
        self.note(f"its action{called} became {fits[0]}, whose fields fit.", lost=False)
        return fits[0]

    def trigger(self, trigger: Any) -> bool:
        if not isinstance(trigger, str):
            self.note("left out: it has no trigger.")
            return False
        try:
            compiled = compile_trigger(trigger)
        except TriggerError as error:
            self.note(f"left out: its trigger cannot be read: {error.reason} {error.suggestion or ''}".rstrip())
            return False
        if compiled.mixes_words:
            self.note(
                "its trigger has and beside or: here and binds tighter, at Segment the last word counts for all.",
                lost=False,
            )
        for meaning in other_meanings(trigger):
            self.note(meaning, lost=False)
        return True

    def mapping(self, settings: dict[str, Any]) -> bool:
        try:
            compile_mapping(settings)
        except MappingError as error:
            for problem in error.problems:
                self.note(f"left out: its mapping cannot be used: {problem}")
            return False
        return True

    def fields(self, settings: dict[str, Any], action: str) -> dict[str, Any]:
        """The settings under our names; notes what is renamed and what is lost."""
        renamed = self.renamed(settings, action)
        if is_directive(settings) or ROOT_DIRECTIVE in settings:
            return renamed
        kept = {}
        for (old, _), (new, value) in zip(settings.items(), renamed.items(), strict=True):
            if new in self.actions[action]:
                kept[new] = value
                if new != old:
                    self.note(f"{old} became {new}.", lost=False)
            elif old in _BATCHING:
                self.note(f"{old} is dropped: batches are made by the worker itself.", lost=False)
            elif old.startswith(INTERNAL_PREFIX):
                self.note(f"{old} is dropped: it belongs to Segment's own tools.", lost=False)
            else:
                self.note(f"{old} is dropped: {action} has no such field.")
        return kept

    def renamed(self, settings: dict[str, Any], action: str) -> dict[str, Any]:
        """The settings with the names of the action's fields, as far as they are known; one new name is used once."""
        known = {_folded(name): name for name in self.actions[action]}
        renamed: dict[str, Any] = {}
        for key, value in settings.items():
            new = known.get(_folded(key)) or _OTHER_NAMES.get(_folded(key), key)
            if new not in self.actions[action] or new in renamed or (new != key and new in settings):
                new = key
            renamed[new] = value
        return renamed

    def missing(self, mapping: dict[str, Any], action: str) -> list[str]:
        if is_directive(mapping) or ROOT_DIRECTIVE in mapping:
            return []
        required = [name for name, spec in self.actions[action].items() if spec.get("required") is True]
        return [name for name in required if name not in mapping]


def _folded(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())


def _one_line(text: str) -> str:
    return " ".join(text.split())
