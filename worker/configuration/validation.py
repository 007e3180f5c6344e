"""From a file's content to checked models: every problem at once, each where it stands."""

import difflib
import typing
from collections.abc import Iterator
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from worker.configuration.errors import Problem, kind_of
from worker.configuration.model import DestinationModel, DestinationsFile
from worker.configuration.source import Key, Source, Unusable

__all__ = ["validate"]


def validate(source: Source) -> tuple[dict[int, DestinationModel], list[Problem]]:
    """Check a file's content.

    Returns:
        The destinations that are right by themselves, by their position, so that further checks can say all
        they have to say; and everything that is wrong, in the order of the file.
    """
    problems = list(source.problems)
    try:
        models = dict(enumerate(DestinationsFile.model_validate(source.data).destinations))
    except ValidationError as error:
        for details in error.errors(include_url=False):
            problem = _problem(source, details)
            if problem is not None:
                problems.append(problem)
        models = dict(_sound_ones(source.data))
    problems.sort(key=lambda problem: (problem.line or 0, problem.column or 0))
    return models, problems


def _sound_ones(data: Any) -> Iterator[tuple[int, DestinationModel]]:
    items = data.get("destinations") if isinstance(data, dict) else None
    for position, item in enumerate(items if isinstance(items, list) else []):
        try:
            yield position, DestinationModel.model_validate(item)
        except ValidationError:
            continue


def _problem(source: Source, details: ErrorDetails) -> Problem | None:
    key = _existing(source, details["loc"], missing=details["type"] == "missing")
    if any(key[:length] in source.broken for length in range(len(key) + 1)) or isinstance(
        details["input"], Unusable
    ):
        return None
    if details["type"] == "extra_forbidden":
        return _unknown_key(source, key)
    return source.problem(key, _sentence(details), _suggestion(details))


def _existing(source: Source, location: tuple[int | str, ...], *, missing: bool) -> Key:
    """Cut what pydantic adds behind the last key that stands in the file."""
    key: Key = location
    while key and key not in source.values and not (missing and key[:-1] in source.values):
        key = key[:-1]
    return key


def _unknown_key(source: Source, key: Key) -> Problem:
    known = sorted(_keys_at(DestinationsFile, key[:-1]))
    close = difflib.get_close_matches(str(key[-1]), known, 1, 0.6)
    cure = f"Did you mean {close[0]}?" if close else f"Possible here: {', '.join(known)}"
    return source.problem(key, "there is no such key", cure, at_key=True)


def _keys_at(annotation: Any, key: Key) -> set[str]:
    """Return the keys that a place in the file can have."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        if not key:
            return set(annotation.model_fields)
        field = annotation.model_fields.get(str(key[0]))
        return set() if field is None else _keys_at(field.annotation, key[1:])
    arguments = typing.get_args(annotation)
    return _keys_at(arguments[-1], key[1:]) if arguments and key else set()


_EXPECTED = {
    "bool_parsing": "expected true or false",
    "bool_type": "expected true or false",
    "dict_type": "expected a mapping (key: value)",
    "int_from_float": "expected a whole number",
    "int_parsing": "expected a whole number",
    "int_parsing_size": "expected a smaller number",
    "int_type": "expected a whole number",
    "list_type": "expected a list",
    "model_type": "expected a mapping (key: value)",
    "string_type": "expected text",
    "greater_than": "expected more than {gt:g}",
    "greater_than_equal": "expected at least {ge:g}",
    "less_than_equal": "expected at most {le:g}",
}


def _sentence(details: ErrorDetails) -> str:
    kind, context = details["type"], details.get("ctx", {})
    got = kind_of(details["input"])
    match kind:
        case "missing":
            return "this key is missing"
        case "too_short":
            return "expected at least one entry; the list is empty"
        case "literal_error":
            return f"expected {context['expected'].replace(chr(39), '')}; got {_other(got)}"
        case "string_pattern_mismatch":
            return f"expected text of the form {context['pattern'].strip('^$')}"
    if kind in _EXPECTED:
        same_type = kind.endswith("_parsing") or "than" in kind
        return f"{_EXPECTED[kind].format(**context)}; got {_other(got) if same_type else got}"
    return details["msg"]


def _other(got: str) -> str:
    return got.replace("a ", "another ", 1).replace("an ", "another ", 1).replace("text", "other text")


def _suggestion(details: ErrorDetails) -> str | None:
    match details["type"]:
        case "missing" if details["loc"][-1] == "authkey":
            return "Add authkey: ${MSG91_AUTHKEY}, and set that environment variable"
        case "missing" if details["loc"][-1] == "destinations":
            return "The file starts with: destinations:"
        case "missing":
            return f"Add {details['loc'][-1]}: …"
        case "literal_error" if isinstance(details["input"], str):
            possible = [
                word.strip("' ") for word in details["ctx"]["expected"].replace(" or ", ",").split(",")
            ]
            close = difflib.get_close_matches(details["input"].lower(), possible, 1, 0.5)
            return f"Did you mean {close[0]}?" if close else None
    return None
