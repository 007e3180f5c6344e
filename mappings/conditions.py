"""The leaves of a trigger: one field, one operator, one literal → a predicate.

The truth table is Segment's (destination-subscriptions 3.37): `=` compares text with text, a number never equals the
text of it, `!=` is true where the field is missing, `contains` and `match` and their negations are false for
everything that is not text.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from mappings.globs import compile_glob
from mappings.paths import Getter
from mappings.values import MISSING, text

__all__ = ["Literal", "Predicate", "all_of", "any_of", "comparison", "containment", "pattern", "text_field"]

Predicate = Callable[[dict[str, Any]], bool]
Literal = str | int | float | bool | None

#: Fields that hold text by the Segment spec: a number or boolean literal is compared as the text of it.
_TEXT_FIELDS = {"type", "event", "name", "userId"}
_NUMBERS = (int, float)


def text_field(keys: tuple[str, ...], literal: Literal) -> bool:
    """Whether a literal is to be compared as text with this field."""
    if len(keys) != 1 or keys[0] not in _TEXT_FIELDS:
        return False
    return not isinstance(literal, bool) or keys[0] != "userId"


def comparison(get: Getter, operator: str, literal: Literal) -> Predicate:
    """`field operator literal`; for the order operators the literal is a number."""
    if operator in {"=", "!="}:
        return _EQUALITY[type(literal), operator](get, literal)
    return _ORDER[operator](get, literal)


def containment(get: Getter, literal: Literal) -> Predicate:
    """`literal in field`: the field is a list that holds the literal, of the same type."""

    def predicate(event: dict[str, Any]) -> bool:
        value = get(event)
        return isinstance(value, list) and any(_same(item, literal) for item in value)

    return predicate


def _same(value: Any, literal: Literal) -> bool:
    if isinstance(value, bool) or isinstance(literal, bool) or value is None or literal is None:
        return value is literal
    return bool(value == literal)


def _equals_text(get: Getter, literal: Any) -> Predicate:
    return lambda event: get(event) == literal


def _differs_from_text(get: Getter, literal: Any) -> Predicate:
    return lambda event: get(event) != literal


def _equals_number(get: Getter, literal: Any) -> Predicate:
    def predicate(event: dict[str, Any]) -> bool:
        value = get(event)
        return value == literal and type(value) in _NUMBERS

    return predicate


def _differs_from_number(get: Getter, literal: Any) -> Predicate:
    def predicate(event: dict[str, Any]) -> bool:
        value = get(event)
        return value != literal and type(value) in _NUMBERS

    return predicate


def _is_boolean(get: Getter, literal: Any) -> Predicate:
    return lambda event: get(event) is literal


def _is_not_boolean(get: Getter, literal: Any) -> Predicate:
    return lambda event: get(event) is not literal


def _not_exists(get: Getter, _: Any) -> Predicate:
    def predicate(event: dict[str, Any]) -> bool:
        value = get(event)
        return value is None or value is MISSING

    return predicate


def _exists(get: Getter, _: Any) -> Predicate:
    def predicate(event: dict[str, Any]) -> bool:
        value = get(event)
        return value is not None and value is not MISSING

    return predicate


_EQUALITY: dict[tuple[type, str], Callable[[Getter, Any], Predicate]] = {
    (str, "="): _equals_text,
    (str, "!="): _differs_from_text,
    (int, "="): _equals_number,
    (int, "!="): _differs_from_number,
    (float, "="): _equals_number,
    (float, "!="): _differs_from_number,
    (bool, "="): _is_boolean,
    (bool, "!="): _is_not_boolean,
    (type(None), "="): _not_exists,
    (type(None), "!="): _exists,
}


def _less(get: Getter, limit: Any) -> Predicate:
    def predicate(event: dict[str, Any]) -> bool:
        value = get(event)
        return type(value) in _NUMBERS and value < limit

    return predicate


def _at_most(get: Getter, limit: Any) -> Predicate:
    def predicate(event: dict[str, Any]) -> bool:
        value = get(event)
        return type(value) in _NUMBERS and value <= limit

    return predicate


def _more(get: Getter, limit: Any) -> Predicate:
    def predicate(event: dict[str, Any]) -> bool:
        value = get(event)
        return type(value) in _NUMBERS and value > limit

    return predicate


def _at_least(get: Getter, limit: Any) -> Predicate:
    def predicate(event: dict[str, Any]) -> bool:
        value = get(event)
        return type(value) in _NUMBERS and value >= limit

    return predicate


_ORDER: dict[str, Callable[[Getter, Any], Predicate]] = {
    "<": _less,
    "<=": _at_most,
    ">": _more,
    ">=": _at_least,
}


def pattern(get: Getter, function: str, literal: Literal, *, negated: bool) -> Predicate:
    """`contains(field, literal)` or `match(field, literal)`, or their negation.

    Raises:
        ValueError: The pattern of `match` is not a glob.
    """
    words = "null" if literal is None else text(literal)
    if function == "contains":
        return _text_test(get, lambda value: words in value, negated=negated)
    if not isinstance(literal, str):
        # Segment reads a bare number as the end of the text.
        return _text_test(get, lambda value: value.endswith(words), negated=negated)
    return _text_test(get, compile_glob(words), negated=negated)


def _text_test(get: Getter, test: Callable[[str], bool], *, negated: bool) -> Predicate:
    if negated:

        def fails(event: dict[str, Any]) -> bool:
            value = get(event)
            return isinstance(value, str) and not test(value)

        return fails

    def holds(event: dict[str, Any]) -> bool:
        value = get(event)
        return isinstance(value, str) and test(value)

    return holds


def all_of(tests: list[Predicate]) -> Predicate:
    """True when every test is; the first that is not ends it."""
    if len(tests) == 2:
        first, second = tests
        return lambda event: first(event) and second(event)

    def every(event: dict[str, Any]) -> bool:
        for test in tests:  # noqa: SIM110 -- a loop is twice as fast as all() with a generator
            if not test(event):
                return False
        return True

    return every


def any_of(tests: list[Predicate]) -> Predicate:
    """True when one of the tests is; the first that is ends it."""
    if len(tests) == 2:
        first, second = tests
        return lambda event: first(event) or second(event)

    def some(event: dict[str, Any]) -> bool:
        for test in tests:  # noqa: SIM110 -- a loop is twice as fast as any() with a generator
            if test(event):
                return True
        return False

    return some
