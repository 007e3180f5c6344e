"""From a file's content to checked models: every problem at once, each where it stands."""

import difflib
import typing
from collections.abc import Iterator
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from worker.configuration.errors import Problem
from worker.configuration.model import DestinationModel, DestinationsFile
from worker.configuration.sentences import sentence, suggestion
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
    if any(key[:length] in source.broken for length in range(len(key) + 1)) or isinstance(details["input"], Unusable):
        return None
    if details["type"] == "extra_forbidden":
        return _unknown_key(source, key)
    if details["type"] == "missing" and key in source.values:
        return source.problem(key, "this key has no value", suggestion(details))
    return source.problem(key, sentence(details), suggestion(details))


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
