"""Segment's field definitions of an action → one function that cleans, coerces and checks a resolved mapping.

The rules are those of Segment's actions (@segment/actions-core 3.170, AJV with `coerceTypes: "array"`): empty values
go, numbers become text and text becomes numbers where the field says so, a list of one is unwrapped, keys nobody
declared go, and every problem is named by its field. One event and a batch of events are treated the same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from mappings.errors import FieldSpecError, MappingError
from mappings.formats import FORMATS
from mappings.values import MISSING, javascript_number, number_text, type_name

__all__ = ["CompiledFields", "FieldError", "compile_fields"]


@dataclass(frozen=True, slots=True)
class FieldError:
    """What is wrong with one field of one event.

    Attributes:
        field: Name of the field, or `address.city` or `tags[1]` inside one; empty for the whole.
        message: A sentence with the type of the value and what was expected, never the value.
    """

    field: str
    message: str

    def __str__(self) -> str:
        return f"{self.field}: {self.message}" if self.field else self.message


#: From a value and the name of what it is in (with its dot) to the value of the payload; MISSING drops it, and what
#: is wrong goes to the list.
Check = Callable[[Any, str, list[FieldError]], Any]

_FIELD_TYPES: Final = {
    "string": "string", "text": "string", "password": "string", "number": "number", "integer": "integer",
    "boolean": "boolean", "datetime": "datetime", "object": "object",
}  # fmt: skip
_NOUNS: Final = {
    "string": "text",
    "number": "a number",
    "integer": "a whole number",
    "boolean": "true or false",
    "datetime": "a date, a time or a unix timestamp",
    "object": "an object",
}
#: Whole numbers below it are printed without a look at how long they are.
_PRINTABLE: Final = 10**18
_OPTIONS: Final = {
    "label", "description", "type", "required", "allowNull", "multiple", "choices", "default", "format", "minimum",
    "maximum", "properties", "additionalProperties", "dynamic", "depends_on", "unsafe_hidden", "readOnly", "category",
    "disabledInputMethods", "displayMode", "defaultObjectUI", "placeholder",
}  # fmt: skip


class CompiledFields:
    """The fields of an action, compiled: call it with a resolved mapping.

    Attributes:
        names: The fields that are declared.
        required: Those of them that must always be there.
        spec: The definitions as they were given.
    """

    __slots__ = ("_check", "names", "required", "spec")

    def __init__(self, spec: Mapping[str, Mapping[str, Any]]) -> None:
        self.spec = spec
        self.names = tuple(spec)
        self.required = tuple(name for name, field in spec.items() if field.get("required") is True)
        self._check = _members(spec, additional=False, root=True)

    def __call__(self, resolved: Any) -> tuple[dict[str, Any], list[FieldError]]:
        """The payload, and what is wrong with it; a payload with errors is not to be used.

        The payload may share objects with `resolved`, which is not changed.
        """
        errors: list[FieldError] = []
        if not isinstance(resolved, dict):
            message = f"The mapping should give an object of fields, but it gives {type_name(resolved)}."
            return {}, [FieldError("", message)]
        return self._check(resolved, "", errors), errors


def compile_fields(spec: Mapping[str, Mapping[str, Any]]) -> CompiledFields:
    """Compile Segment's field definitions.

    Args:
        spec: Field name → its definition: `type`, `required`, `multiple`, `choices`, `minimum`, … as in Segment's
            destination kit.

    Raises:
        FieldSpecError: A definition has an unknown type, format or option.
    """
    return CompiledFields(spec)


def _members(spec: Mapping[str, Mapping[str, Any]], *, additional: bool, root: bool) -> Check:
    """The check of an object with declared members."""
    checks = {name: _field(name, field) for name, field in spec.items()}
    # Text without rules, by far the most common, passes as it is, and a whole number becomes text.
    free = frozenset([name for name, field in spec.items() if _is_free_text(name, field)])
    texts = {
        name for name, field in spec.items() if _FIELD_TYPES[field["type"]] == "string" and not field.get("multiple")
    }
    required = [name for name, field in spec.items() if field.get("required") is True]
    conditional = [
        (name, _condition(name, field["required"]))
        for name, field in spec.items()
        if isinstance(field.get("required"), dict)
    ]

    def check(values: dict[str, Any], prefix: str, errors: list[FieldError]) -> dict[str, Any]:
        before = len(errors)
        payload: dict[str, Any] = {}
        for name, value in values.items():
            if name in free:
                if type(value) is str:
                    if value or not root:
                        payload[name] = value
                    continue
                if type(value) is int and -_PRINTABLE < value < _PRINTABLE:
                    payload[name] = str(value)
                    continue
            test = checks.get(name)
            if test is None:
                if additional:
                    payload[name] = value
                continue
            if root and (value == "" or (value == [""] and name in texts)):
                continue
            kept = test(value, prefix, errors)
            if kept is not MISSING:
                payload[name] = kept
        absent = [name for name in required if name not in payload]
        absent += [name for name, needed in conditional if name not in payload and needed(payload)]
        for name in absent:
            _note_required(prefix + name, before, errors)
        return payload

    return check


def _is_free_text(name: str, field: Mapping[str, Any]) -> bool:
    kind = _FIELD_TYPES.get(field.get("type", ""))
    return kind == "string" and not field.get("multiple") and not list(_rules(name, field, kind))


def _note_required(name: str, before: int, errors: list[FieldError]) -> None:
    """Note a field that is not there, unless what is wrong with it is noted already."""
    inside = (f"{name}.", f"{name}[")
    if not any(error.field == name or error.field.startswith(inside) for error in errors[before:]):
        errors.append(FieldError(name, "is required, but it is missing or empty."))


def _condition(name: str, required: Mapping[str, Any]) -> Callable[[dict[str, Any]], bool]:
    """`{match, conditions: [{fieldKey, operator, value}]}` → whether the payload makes the field required."""
    conditions = required.get("conditions")
    if not isinstance(conditions, list) or not conditions:
        raise FieldSpecError(f"{name}: required should be true, false or an object with conditions.")
    combine = any if required.get("match") == "any" else all

    def holds(payload: dict[str, Any]) -> bool:
        return combine(_holds(each, payload) for each in conditions)

    return holds


def _holds(condition: Mapping[str, Any], payload: dict[str, Any]) -> bool:
    wanted = condition["value"]
    found = payload.get(condition["fieldKey"], MISSING)
    same = found in wanted if isinstance(wanted, list) else found == wanted
    return same if condition.get("operator", "is") == "is" else not same


def _field(name: str, field: Mapping[str, Any]) -> Check:
    """The check of one field."""
    kind = _FIELD_TYPES.get(field.get("type", ""))
    if kind is None:
        raise FieldSpecError(f"{name}: the type should be one of {', '.join(_FIELD_TYPES)}.")
    unknown = set(field) - _OPTIONS
    if unknown:
        raise FieldSpecError(f"{name}: unknown option {', '.join(sorted(unknown))}.")
    if field.get("multiple"):
        return _many(name, _single("", field, kind))
    return _cleaned(_single(name, field, kind), kind, nullable=bool(field.get("allowNull")))


def _cleaned(check: Check, kind: str, *, nullable: bool) -> Check:
    """Drop null where the field has no null, and empty text where the field is not text."""
    empty_is_text = kind in {"string", "datetime"}

    def clean(value: Any, prefix: str, errors: list[FieldError]) -> Any:
        if value is None:
            return None if nullable else MISSING
        if value == "" and not empty_is_text:
            return MISSING
        return check(value, prefix, errors)

    return clean


def _many(name: str, check: Check) -> Check:
    """A list of values; one value is taken for a list of one, and null or empty items go."""

    def check_items(value: Any, prefix: str, errors: list[FieldError]) -> Any:
        if value is None:
            return MISSING
        items = value if isinstance(value, list) else [value]
        kept = [item for item in items if item is not None and item != ""]
        return [check(item, f"{prefix}{name}[{index}]", errors) for index, item in enumerate(kept)]

    return check_items


def _single(name: str, field: Mapping[str, Any], kind: str) -> Check:
    """Coercion to the type, then the rules of the field."""
    if kind == "object":
        return _object(name, field)
    rules = list(_rules(name, field, kind))
    coerce, noun = _COERCIONS[kind], _NOUNS[kind]

    def check(value: Any, prefix: str, errors: list[FieldError]) -> Any:
        coerced = coerce(value)
        if coerced is MISSING and isinstance(value, list):
            items = [item for item in value if item is not None]
            coerced = coerce(items[0]) if len(items) == 1 else MISSING
        if coerced is MISSING:
            errors.append(FieldError(prefix + name, f"should be {noun}, but it is {type_name(value)}."))
            return MISSING
        for rule in rules:
            message = rule(coerced)
            if message is not None:
                errors.append(FieldError(prefix + name, message))
        return coerced

    return check


def _object(name: str, field: Mapping[str, Any]) -> Check:
    properties = field.get("properties")
    inner = _members(properties, additional=bool(field.get("additionalProperties")), root=False) if properties else None

    def check(value: Any, prefix: str, errors: list[FieldError]) -> Any:
        if not isinstance(value, dict):
            errors.append(FieldError(prefix + name, f"should be an object, but it is {type_name(value)}."))
            return MISSING
        return value if inner is None else inner(value, f"{prefix}{name}.", errors)

    return check


Rule = Callable[[Any], str | None]


def _rules(name: str, field: Mapping[str, Any], kind: str) -> Iterable[Rule]:
    minimum, maximum = field.get("minimum"), field.get("maximum")
    if kind == "string":
        yield from _length_rules(minimum, maximum)
    elif kind in {"number", "integer"}:
        yield from _range_rules(minimum, maximum)
    if field.get("choices"):
        yield _choice_rule(field["choices"])
    form = field.get("format") or ("date-like" if kind == "datetime" else None)
    if form is not None:
        if form not in FORMATS:
            raise FieldSpecError(f"{name}: the format should be one of {', '.join(FORMATS)}.")
        yield _format_rule(*FORMATS[form])


def _length_rules(minimum: int | None, maximum: int | None) -> Iterable[Rule]:
    if minimum is not None:
        yield (
            lambda value: (
                f"should be at least {minimum} characters long, but it has {len(value)}."
                if len(value) < minimum
                else None
            )
        )
    if maximum is not None:
        yield (
            lambda value: (
                f"should be at most {maximum} characters long, but it has {len(value)}."
                if len(value) > maximum
                else None
            )
        )


def _range_rules(minimum: float | None, maximum: float | None) -> Iterable[Rule]:
    if minimum is not None:
        yield lambda value: f"should be {minimum} or more, but it is a smaller number." if value < minimum else None
    if maximum is not None:
        yield lambda value: f"should be {maximum} or less, but it is a larger number." if value > maximum else None


def _choice_rule(choices: Iterable[Any]) -> Rule:
    allowed = [choice["value"] if isinstance(choice, dict) else choice for choice in choices]
    words = ", ".join(repr(choice) for choice in allowed)

    def rule(value: Any) -> str | None:
        if any(value == choice and isinstance(value, bool) == isinstance(choice, bool) for choice in allowed):
            return None
        return f"should be one of {words}, but it is {type_name(value)} that is none of them."

    return rule


def _format_rule(noun: str, check: Callable[[str], bool]) -> Rule:
    return lambda value: (
        f"should be {noun}, but it is other text." if isinstance(value, str) and not check(value) else None
    )


def _to_text(value: Any) -> Any:
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if not isinstance(value, int | float):
        return MISSING
    try:
        return number_text(value)
    except MappingError:  # more digits than can be printed
        return MISSING


def _to_number(value: Any) -> Any:
    if isinstance(value, bool):
        return int(value)
    if isinstance(value, int | float):
        return value if value - value == 0 else MISSING  # NaN and infinities are not numbers in JSON
    if isinstance(value, str):
        try:
            return javascript_number(value)
        except ValueError:
            return MISSING
    return MISSING


def _to_integer(value: Any) -> Any:
    number = _to_number(value)
    if isinstance(number, float):
        return int(number) if number.is_integer() else MISSING
    return number


def _to_boolean(value: Any) -> Any:
    if isinstance(value, bool):
        return value
    if isinstance(value, int | float):
        return bool(value) if value in {0, 1} else MISSING
    return {"true": True, "false": False}.get(value, MISSING) if isinstance(value, str) else MISSING


def _to_datetime(value: Any) -> Any:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return MISSING
    return value if isinstance(value, str) or value - value == 0 else MISSING


_COERCIONS: Final[dict[str, Callable[[Any], Any]]] = {
    "string": _to_text,
    "number": _to_number,
    "integer": _to_integer,
    "boolean": _to_boolean,
    "datetime": _to_datetime,
}
