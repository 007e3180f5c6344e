"""A JSON Schema of mapping files, so that editors complete them and check them while they are written.

An editor takes it from the first line of a YAML file: `# yaml-language-server: $schema=mappings.schema.json`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from mappings.directives import ROOT_DIRECTIVE
from mappings.mapping import INTERNAL_PREFIX, NAME, FieldSpecs

__all__ = ["mapping_schema"]

_VALUE: Final = {"$ref": "#/$defs/value"}
_DIRECTIVE: Final = {"$ref": "#/$defs/directive"}
_TEXT_OR_DIRECTIVE: Final = {"anyOf": [{"type": "string"}, _DIRECTIVE]}
_OBJECT_OR_DIRECTIVE: Final = {"type": "object", **_VALUE}


def mapping_schema(actions: FieldSpecs | None = None) -> dict[str, Any]:
    """The schema (draft 2020-12).

    Args:
        actions: Action name → field definitions; when given, actions and their fields are completed too.
    """
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Mapping file",
        "description": "From events to the fields of actions, in Segment's mapping language.",
        "type": "object",
        "required": ["mappings"],
        "additionalProperties": False,
        "properties": {"mappings": {"type": "array", "items": {"$ref": "#/$defs/mapping"}}},
        "$defs": {
            "mapping": _mapping(actions or {}),
            "value": _value(),
            "directive": {"type": "object", "oneOf": [_directive(name, option) for name, option in _OPTIONS.items()]},
        },
    }


def _mapping(actions: FieldSpecs) -> dict[str, Any]:
    action: dict[str, Any] = {"type": "string", "description": "What the mapping feeds."}
    if actions:
        action["enum"] = list(actions)
    return {
        "type": "object",
        "required": ["name", "action", "trigger", "mapping"],
        "additionalProperties": False,
        "properties": {
            "name": {
                "type": "string",
                "pattern": f"^{NAME.pattern}$",
                "description": "Unique in the file; part of the id of every delivery, so do not change it lightly.",
            },
            "action": action,
            "trigger": {
                "type": "string",
                "minLength": 1,
                "description": "Which events are meant.",
                "examples": ['type = "track" and event = "Order Shipped"'],
            },
            "mapping": _OBJECT_OR_DIRECTIVE,
            "enabled": {"type": "boolean", "default": True, "description": "Whether the mapping takes part."},
            "description": {"type": "string", "description": "For people."},
        },
        "allOf": [
            {
                "if": {"properties": {"action": {"const": name}}, "required": ["action"]},
                "then": {"properties": {"mapping": _fields(fields)}},
            }
            for name, fields in actions.items()
        ],
    }


def _fields(fields: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    properties: dict[str, Any] = {name: _field(field) for name, field in fields.items()}
    required = [name for name, field in fields.items() if field.get("required") is True]
    return {
        # A mapping that is one directive, or is wrapped into one, names its fields elsewhere.
        "if": {
            "anyOf": [
                {"required": [ROOT_DIRECTIVE]},
                {"propertyNames": {"pattern": "^(@|_metadata)"}, "minProperties": 1},
            ]
        },
        "else": {
            "properties": properties,
            "patternProperties": {f"^{INTERNAL_PREFIX}": True},
            "additionalProperties": False,
            "required": required,
        },
    }


def _field(field: Mapping[str, Any]) -> dict[str, Any]:
    words = [str(field.get("label", "")), str(field.get("description", ""))]
    schema: dict[str, Any] = {
        "description": ". ".join(word.rstrip(".") for word in words if word) or "A field of the action",
        **_VALUE,
    }
    choices = field.get("choices")
    if choices:
        schema["examples"] = [choice["value"] if isinstance(choice, dict) else choice for choice in choices]
    return schema


def _value() -> dict[str, Any]:
    """Raw values, nested at will, and directives where an object has a key that starts with @."""
    return {
        "if": {"type": "object", "not": {"propertyNames": {"not": {"pattern": "^@"}}}},
        "then": _DIRECTIVE,
        "else": {
            "type": ["object", "array", "string", "number", "boolean", "null"],
            "additionalProperties": _VALUE,
            "items": _VALUE,
        },
    }


def _directive(name: str, option: dict[str, Any]) -> dict[str, Any]:
    return {
        "required": [name],
        "additionalProperties": False,
        "properties": {name: {"description": _DESCRIPTIONS[name], **option}, "_metadata": True},
    }


def _options(required: list[str], properties: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "required": required, "properties": properties}


def _text(shortest: int = 0, longest: int | None = None) -> dict[str, Any]:
    return {"type": "string", "minLength": shortest} | ({} if longest is None else {"maxLength": longest})


_DESCRIPTIONS: Final = {
    "@path": "The value at a path of the event, such as $.properties.phone.",
    "@template": "Text with {{paths}} filled in.",
    "@if": "One of two values, by whether a value exists or is blank.",
    "@case": "Text in lower or upper case.",
    "@replace": "Text with plain text in it replaced.",
    "@arrayPath": "A list of the event, each item brought into a shape.",
    "@literal": "A value as it stands here.",
    "@flatten": "Nested objects made one flat object.",
    "@json": "A value as JSON text, or JSON text as a value.",
    "@merge": "Several objects made one.",
    "@transform": "A mapping applied to the result of another.",
    "@excludeWhenNull": "A value, left out when it is null.",
    "@liquid": "A Liquid template; the event's own keys are its variables.",
}

_OPTIONS: Final[dict[str, dict[str, Any]]] = {
    "@path": _TEXT_OR_DIRECTIVE,
    "@template": _TEXT_OR_DIRECTIVE,
    "@if": {
        **_options([], {"exists": _VALUE, "blank": _VALUE, "then": _VALUE, "else": _VALUE}),
        "anyOf": [{"required": ["exists"]}, {"required": ["blank"]}],
    },
    "@case": _options(["operator"], {"operator": {"enum": ["lower", "upper"]}, "value": _TEXT_OR_DIRECTIVE}),
    "@replace": _options(
        ["pattern", "value"],
        {
            "pattern": _text(1, 10),
            "replacement": _text(0, 10),
            "value": _TEXT_OR_DIRECTIVE,
            "ignorecase": {"type": "boolean", "default": False},
            "global": {"type": "boolean", "default": True},
            "pattern2": {**_text(0, 10), "type": ["string", "null"]},
            "replacement2": {**_text(0, 10), "type": ["string", "null"]},
        },
    ),
    "@arrayPath": {"type": "array", "minItems": 1, "prefixItems": [_TEXT_OR_DIRECTIVE, _VALUE]},
    "@literal": _VALUE,
    "@flatten": _options(
        ["value", "separator"],
        {"value": _VALUE, "separator": _text(1), "omitArrays": {"type": "boolean", "default": False}},
    ),
    "@json": _options(
        ["value", "mode"],
        {"value": _VALUE, "mode": {"enum": ["encode", "decode"]}},
    ),
    "@merge": _options(
        ["objects", "direction"],
        {
            "objects": {"type": "array", "items": _OBJECT_OR_DIRECTIVE},
            "direction": {"enum": ["left", "right"]},
        },
    ),
    "@transform": _options(["apply", "mapping"], {"apply": _OBJECT_OR_DIRECTIVE, "mapping": _OBJECT_OR_DIRECTIVE}),
    "@excludeWhenNull": _VALUE,
    "@liquid": _text(0, 1000),
}
