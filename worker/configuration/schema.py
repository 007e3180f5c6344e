"""The JSON Schema of the destinations file, for editors."""

from typing import Any

from worker.configuration.model import DestinationsFile

__all__ = ["json_schema"]

_VARIABLE = {"type": "string", "pattern": r"\$\{[A-Za-z_][A-Za-z0-9_]*\}", "description": "From the environment."}
_ABOUT = ("description", "default")
_CHECKED = {"integer", "number", "boolean"}


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema (draft 2020-12) of the destinations file.

    Like the loader, it takes a single text wherever a list of texts is taken, and ``${NAME}`` for any value.
    """
    schema = _open(DestinationsFile.model_json_schema())
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "destinations.yaml",
        **schema,
    }


def _open(node: dict[str, Any]) -> dict[str, Any]:
    """Let a schema take what the loader takes beyond its types."""
    about = {key: node[key] for key in _ABOUT if isinstance(node.get(key), str | int | float | list | dict)}
    rest = {key: value for key, value in node.items() if key not in {*_ABOUT, "title"}}
    if "properties" in rest:
        rest["properties"] = {key: _open(value) for key, value in rest["properties"].items()}
    if "$defs" in rest:
        rest["$defs"] = {key: _open(value) for key, value in rest["$defs"].items()}
    alternatives = _flat(rest)
    if any(_is_checked(one) for one in alternatives):
        return {**about, "anyOf": [*alternatives, _VARIABLE]}
    if rest.get("type") == "array":
        items = _open(rest["items"])
        texts = [] if "$ref" in items else items.get("anyOf", [items])
        many = {**rest, "items": items}
        return {**about, "anyOf": [many, *texts]} if texts else {**about, **many}
    return {**about, **rest}


def _flat(node: dict[str, Any]) -> list[dict[str, Any]]:
    return [leaf for one in node["anyOf"] for leaf in _flat(one)] if "anyOf" in node else [node]


def _is_checked(leaf: dict[str, Any]) -> bool:
    """Tell whether ``${NAME}`` would not pass already."""
    return "enum" in leaf or leaf.get("type") in _CHECKED or (leaf.get("type") == "string" and "pattern" in leaf)
