"""Action fields: cleaning, coercing, checking."""

from __future__ import annotations

from typing import Any

import pytest

from mappings import FieldSpecError, compile_fields
from mappings.formats import FORMATS


def one(field: dict[str, Any], value: Any) -> Any:
    """What becomes of one value: the payload's value, "dropped", or the message."""
    payload, errors = compile_fields({"f": {"label": "F", **field}})({"f": value})
    if errors:
        assert [error.field.split(".")[0].split("[")[0] for error in errors] == ["f"] * len(errors)
        return errors[0].message
    return payload.get("f", "dropped")


@pytest.mark.parametrize(
    ("kind", "value", "coerced"),
    [
        ("string", 5, "5"),
        ("string", 5.0, "5"),
        ("string", True, "true"),
        ("string", ["x"], "x"),
        ("string", [5, None], "5"),
        ("string", "", "dropped"),
        ("string", None, "dropped"),
        ("string", "  ", "  "),
        ("text", 1e21, "1e+21"),
        ("number", "5.5", 5.5),
        ("number", True, 1),
        ("number", "", "dropped"),
        ("boolean", "", "dropped"),
        ("number", ["7"], 7),
        ("integer", "5", 5),
        ("integer", 5.0, 5),
        ("integer", True, 1),
        ("boolean", "true", True),
        ("boolean", "false", False),
        ("boolean", 1, True),
        ("boolean", 0.0, False),
        ("boolean", [True], True),
        ("datetime", "2024-05-01T10:00:00Z", "2024-05-01T10:00:00Z"),
        ("datetime", 1714557600, 1714557600),
        ("object", {"a": None, "b": ""}, {"a": None, "b": ""}),
    ],
)
def test_values_are_coerced_to_the_type_of_their_field(kind: str, value: Any, coerced: Any) -> None:
    """Numbers become text, text becomes numbers, a list of one is unwrapped, empty values go."""
    result = one({"type": kind}, value)

    assert result == coerced
    assert type(result) is type(coerced)


@pytest.mark.parametrize(
    ("kind", "value", "message"),
    [
        ("string", ["a", "b"], "should be text, but it is a list."),
        ("string", {}, "should be text, but it is an object."),
        ("string", [["a"]], "should be text, but it is a list."),
        pytest.param("string", 10**5000, "should be text, but it is a number.", id="many digits"),
        ("number", "abc", "should be a number, but it is text."),
        ("number", "  ", "should be a number, but it is text."),
        ("number", "Infinity", "should be a number, but it is text."),
        ("number", float("nan"), "should be a number, but it is a number."),
        ("integer", 1.5, "should be a whole number, but it is a number."),
        ("integer", "1.5", "should be a whole number, but it is text."),
        ("boolean", "yes", "should be true or false, but it is text."),
        ("boolean", "1", "should be true or false, but it is text."),
        ("boolean", 2, "should be true or false, but it is a number."),
        ("datetime", "soon", "should be a date, a time or a unix timestamp, but it is other text."),
        ("datetime", True, "should be a date, a time or a unix timestamp, but it is a boolean."),
        ("object", "x", "should be an object, but it is text."),
        ("object", [{}], "should be an object, but it is a list."),
    ],
)
def test_what_cannot_be_coerced_is_named_by_its_type(kind: str, value: Any, message: str) -> None:
    """The message gives the type of the value and what was expected, never the value."""
    assert one({"type": kind}, value) == message


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ({"type": "string", "minimum": 3}, "ab", "should be at least 3 characters long, but it has 2."),
        ({"type": "string", "maximum": 2}, "abc", "should be at most 2 characters long, but it has 3."),
        ({"type": "string", "maximum": 2}, 100, "should be at most 2 characters long, but it has 3."),
        ({"type": "number", "minimum": 0}, -1, "should be 0 or more, but it is a smaller number."),
        ({"type": "integer", "maximum": 5}, "6", "should be 5 or less, but it is a larger number."),
        (
            {"type": "string", "choices": ["1", "4"]},
            "9",
            "should be one of '1', '4', but it is text that is none of them.",
        ),
        ({"type": "string", "format": "email"}, "nope", "should be an e-mail address, but it is other text."),
    ],
)
def test_rules_are_checked_after_coercion(field: dict[str, Any], value: Any, message: str) -> None:
    """Lengths, ranges, choices and formats."""
    assert one(field, value) == message


def test_choices_may_have_labels_and_take_coerced_values() -> None:
    """A number in the event is the text of a choice; true is not 1."""
    assert one({"type": "string", "choices": [{"label": "Transactional", "value": "4"}]}, 4) == "4"
    assert one({"type": "number", "choices": [1]}, 1.0) == 1
    assert "one of" in one({"type": "boolean", "choices": [1]}, True)


def test_null_is_kept_where_the_field_allows_it() -> None:
    """A field with allowNull keeps null and coerces the rest as usual."""
    assert one({"type": "string", "allowNull": True}, None) is None
    assert one({"type": "string", "allowNull": True}, 5) == "5"


def test_a_list_with_one_empty_text_is_empty_too() -> None:
    """A list of one stands for what is in it, so a required field is not filled by it and no rule complains of it."""
    fields = compile_fields({"phone": {"type": "string", "required": True}, "route": {"type": "text", "minimum": 3}})

    payload, errors = fields({"phone": [""], "route": [""]})

    assert payload == {}
    assert [(error.field, error.message) for error in errors] == [("phone", "is required, but it is missing or empty.")]


def test_no_date_is_not_a_number() -> None:
    """NaN and infinities are no points in time."""
    assert [
        bool(compile_fields({"f": {"type": "datetime"}})({"f": value})[1]) for value in (float("nan"), float("inf"), 5)
    ] == [
        True,
        True,
        False,
    ]


def test_lists_take_one_value_and_lose_empty_items() -> None:
    """A field with multiple wraps one value and checks each item under its own name."""
    spec = {"tags": {"type": "string", "multiple": True, "maximum": 3}}
    fields = compile_fields(spec)

    assert fields({"tags": "a"}) == ({"tags": ["a"]}, [])
    assert fields({"tags": [1, None, "", ["b"]]}) == ({"tags": ["1", "b"]}, [])
    assert fields({"tags": None}) == ({}, [])
    assert fields({"tags": []}) == ({"tags": []}, [])
    _, errors = fields({"tags": ["ok", {}, "long"]})
    assert [(error.field, error.message) for error in errors] == [
        ("tags[1]", "should be text, but it is an object."),
        ("tags[2]", "should be at most 3 characters long, but it has 4."),
    ]


def test_lists_of_objects_take_one_object() -> None:
    """One object is a list of one."""
    fields = compile_fields({"items": {"type": "object", "multiple": True, "properties": {"id": {"type": "string"}}}})

    assert fields({"items": {"id": 5, "other": 1}}) == ({"items": [{"id": "5"}]}, [])


def test_objects_keep_what_is_declared_and_name_what_is_wrong_inside() -> None:
    """Members are cleaned and coerced, others go unless additionalProperties says otherwise."""
    properties = {"city": {"type": "string", "required": True}, "pin": {"type": "number"}}
    fields = compile_fields({"address": {"type": "object", "properties": properties}})
    open_fields = compile_fields(
        {"address": {"type": "object", "properties": properties, "additionalProperties": True}}
    )

    assert fields({"address": {"city": "", "pin": "5", "zip": 1}}) == ({"address": {"city": "", "pin": 5}}, [])
    assert open_fields({"address": {"city": "x", "zip": 1}})[0] == {"address": {"city": "x", "zip": 1}}
    _, errors = fields({"address": {"pin": "x"}})
    assert [(error.field, error.message) for error in errors] == [
        ("address.pin", "should be a number, but it is text."),
        ("address.city", "is required, but it is missing or empty."),
    ]


def test_every_field_that_is_wrong_is_named_once() -> None:
    """A required field with a wrong value has one error, not two."""
    fields = compile_fields(
        {"a": {"type": "string", "required": True}, "b": {"type": "string", "required": True}, "c": {"type": "integer"}}
    )

    _, errors = fields({"a": {}, "b": "", "c": "x", "unknown": 1})

    assert sorted(error.field for error in errors) == ["a", "b", "c"]
    assert str(next(error for error in errors if error.field == "b")) == "b: is required, but it is missing or empty."


@pytest.mark.parametrize("resolved", [None, [], "text", 5])
def test_what_is_no_object_has_no_fields(resolved: Any) -> None:
    """A mapping that gives a scalar is an error of the whole, and no crash."""
    payload, errors = compile_fields({"a": {"type": "string"}})(resolved)

    assert payload == {}
    assert [error.field for error in errors] == [""]


@pytest.mark.parametrize(
    ("required", "resolved", "complains"),
    [
        ({"conditions": [{"fieldKey": "kind", "operator": "is", "value": "sms"}]}, {"kind": "sms"}, True),
        ({"conditions": [{"fieldKey": "kind", "operator": "is", "value": "sms"}]}, {}, False),
        ({"conditions": [{"fieldKey": "kind", "operator": "is_not", "value": "sms"}]}, {}, True),
        ({"conditions": [{"fieldKey": "kind", "operator": "is", "value": ["sms", "otp"]}]}, {"kind": "otp"}, True),
        (
            {
                "match": "any",
                "conditions": [
                    {"fieldKey": "kind", "operator": "is", "value": "sms"},
                    {"fieldKey": "kind", "operator": "is", "value": "otp"},
                ],
            },
            {"kind": "otp"},
            True,
        ),
        (
            {
                "match": "all",
                "conditions": [
                    {"fieldKey": "kind", "operator": "is", "value": "sms"},
                    {"fieldKey": "kind", "operator": "is", "value": "otp"},
                ],
            },
            {"kind": "otp"},
            False,
        ),
    ],
)
def test_a_field_may_be_required_on_conditions(required: Any, resolved: dict[str, Any], complains: bool) -> None:
    """Conditions look at the other fields of the payload."""
    fields = compile_fields({"kind": {"type": "string"}, "f": {"type": "string", "required": required}})

    assert [error.field for error in fields(resolved)[1]] == (["f"] if complains else [])


def test_the_resolved_mapping_is_not_changed() -> None:
    """Cleaning makes a new payload."""
    resolved = {"a": "", "o": {"x": None, "y": "5"}, "l": [None, 1]}
    fields = compile_fields(
        {
            "a": {"type": "string"},
            "o": {"type": "object", "properties": {"x": {"type": "string"}, "y": {"type": "number"}}},
            "l": {"type": "string", "multiple": True},
        }
    )

    assert fields(resolved) == ({"o": {"y": 5}, "l": ["1"]}, [])
    assert resolved == {"a": "", "o": {"x": None, "y": "5"}, "l": [None, 1]}


@pytest.mark.parametrize(
    "field",
    [
        {"type": "strng"},
        {},
        {"type": "string", "format": "emial"},
        {"type": "string", "requird": True},
        {"type": "string", "required": {"match": "all"}},
    ],
)
def test_a_definition_that_makes_no_sense_is_refused(field: dict[str, Any]) -> None:
    """Mistakes in the definitions are found when they are compiled."""
    with pytest.raises(FieldSpecError, match="f: "):
        compile_fields({"f": field})


@pytest.mark.parametrize(
    ("form", "good", "bad"),
    [
        ("email", ["a@b.example", "a.b+c@x-y.co.in"], ["a@b", "a b@c.de", "@b.de", "a@-b.de", "a@b..de", "é@b.de"]),
        (
            "uri",
            ["https://x.example/a?b#c", "mailto:a@b.example"],
            ["x.example", "http://", "http://a b", "http://[", "é:x"],
        ),
        (
            "date-time",
            ["2024-05-01T10:00:00Z", "2024-05-01T10:00:00.5+05:30"],
            ["2024-05-01", "2024-13-01T10:00:00Z", "x"],
        ),
        ("date", ["2024-02-29"], ["2023-02-29", "2024-2-1", "20240201"]),
        ("hostname", ["a.example", "localhost"], ["-a", "a_b", "a..b", "a" * 300]),
        ("ipv4", ["203.0.113.7"], ["203.0.113", "1.2.3.256"]),
        ("ipv6", ["2001:db8::1"], ["1.2.3.4", ":::"]),
        ("uuid", ["123e4567-e89b-12d3-a456-426614174000"], ["123e4567e89b12d3a456426614174000", "x" * 36]),
        (
            "date-like",
            [
                "2024-05-01",
                "2024-05-01T10:00",
                "20240501",
                "2024",
                "1714557600",
                "1714557600123",
                "1714557600.5",
                "Wed, 01 May 2024 10:00:00 GMT",
                "2024-05-01 10:00:00 +05:30",
                "2024/5/1",
            ],
            ["", "soon", "2024-13-45", "2024-02-30", "tomorrow at 5", "x" * 100, "Wed, 99 May 2024 10:00:00 GMT"],
        ),
    ],
)
def test_formats(form: str, good: list[str], bad: list[str]) -> None:
    """Each format takes what it should and nothing else."""
    _, check = FORMATS[form]

    assert [value for value in good if not check(value)] == []
    assert [value for value in bad if check(value)] == []


@pytest.mark.parametrize("form", sorted(FORMATS))
def test_hostile_text_does_not_slow_a_format_down(form: str) -> None:
    """Very long text is answered at once."""
    _, check = FORMATS[form]

    for text in ("a." * 100_000, "a@" + "a-" * 1000, "1" * 2000, "-" * 2000, "a" * 2000 + "@"):
        check(text)
