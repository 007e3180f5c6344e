"""The JSON Schema of the destinations file, for editors."""

from typing import Any

from worker.configuration.model import DestinationsFile

__all__ = ["json_schema"]

_VARIABLE = {"type": "string", "pattern": r"\$\{[A-Za-z_][A-Za-z0-9_]*\}"}


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema (draft 2020-12) of the destinations file.

    Wherever the loader takes a list it also takes a single value, and wherever it takes a value it takes
    ``${NAME}``; the schema says so too.
    """
    schema = DestinationsFile.model_json_schema()
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "destinations.yaml",
        **{key: value for key, value in _open(schema).items() if key not in {"$schema", "title"}},
    }


def _open(node: Any) -> Any:
    if isinstance(node, list):
        return [_open(item) for item in node]
    if not isinstance(node, dict):
        return node
    opened = {key: value if key in {"default", "enum"} else _open(value) for key, value in node.items()}
    about = {key: opened.pop(key) for key in ("title", "description", "default") if key in opened}
    about.pop("title", None)
    if opened.get("type") == "array":
        return (
            {**about, "anyOf": [opened, opened["items"]]}
            if "minItems" not in opened or _texts(opened)
            else {**about, **opened}
        )
    if _needs_variable(opened):
        return {**about, "anyOf": [opened, _VARIABLE]}
    return {**about, **opened}


def _texts(array: dict[str, Any]) -> bool:
    return "$ref" not in array["items"]


def _needs_variable(leaf: dict[str, Any]) -> bool:
    typed = leaf.get("type")
    return (
        "enum" in leaf
        or typed in {"integer", "number", "boolean"}
        or (typed == "string" and "pattern" in leaf)
    )
