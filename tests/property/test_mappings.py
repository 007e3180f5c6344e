"""What must hold for any mapping, any trigger and any event."""

from __future__ import annotations

import contextlib
import copy
import json
import math
import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mappings import (
    MISSING,
    CompiledMapping,
    MappingError,
    TriggerError,
    compile_fields,
    compile_mapping,
    compile_trigger,
)
from mappings.directives import DIRECTIVES
from mappings.mapping import parse
from mappings.paths import compile_path
from mappings.replacing import compile_replace
from mappings.source import parse_json, parse_yaml
from mappings.values import javascript_number, json_text, number_text

pytestmark = pytest.mark.filterwarnings("ignore")

# Few words, so that paths often hit; any character, lone surrogates too, so that nothing is taken for granted.
WORDS = st.sampled_from(["a", "b", "phone", "properties", "traits", "0", "-1", "length", "x y", "a.b", "it's", ""])
TEXTS = (
    WORDS
    | st.text(st.characters(), max_size=8)
    | st.sampled_from(["{{a}}", "{{{b}}}", "{% for %}", "$.a", "5", "true"])
)
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-5, 5)
    | st.integers()
    | st.floats(allow_nan=True, allow_infinity=True)
    | st.just(10**4000)
    | TEXTS
)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS | TEXTS, inner, max_size=3), max_leaves=8
)
EVENTS = st.dictionaries(WORDS, VALUES, max_size=5)
PATHS = st.lists(WORDS, max_size=3).map(lambda keys: "$." + ".".join(keys)) | TEXTS
TEMPLATES = st.lists(TEXTS | PATHS.map(lambda path: f"{{{{ {path} }}}}"), max_size=3).map("".join)


def directives(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Directives that are mostly right, around other mappings."""
    path = st.fixed_dictionaries({"@path": PATHS | inner})
    return (
        path
        | st.fixed_dictionaries({"@template": TEMPLATES | inner})
        | st.fixed_dictionaries({"@literal": inner})
        | st.fixed_dictionaries({"@excludeWhenNull": inner})
        | st.fixed_dictionaries({"@liquid": LIQUID})
        | options("@if", {}, {"exists": inner, "blank": inner, "then": inner, "else": inner})
        | options("@case", {"operator": st.sampled_from(["lower", "upper"])}, {"value": path | TEXTS})
        | options(
            "@replace",
            {"pattern": st.sampled_from(["a", "É", "."]), "value": path | TEXTS},
            {"replacement": WORDS, "ignorecase": st.booleans(), "global": st.booleans(), "pattern2": WORDS},
        )
        | st.fixed_dictionaries({"@arrayPath": st.tuples(PATHS | path, inner).map(list)})
        | options(
            "@flatten", {"value": inner, "separator": st.sampled_from([".", "--"])}, {"omitArrays": st.booleans()}
        )
        | options("@json", {"value": inner, "mode": st.sampled_from(["encode", "decode"])}, {})
        | options(
            "@merge",
            {"objects": st.lists(path | inner, max_size=3), "direction": st.sampled_from(["left", "right"])},
            {},
        )
        | options("@transform", {"apply": inner, "mapping": inner}, {})
        | st.dictionaries(WORDS, inner, max_size=3)
        | st.lists(inner, max_size=3)
    )


def options(
    name: str, required: dict[str, st.SearchStrategy[Any]], optional: dict[str, st.SearchStrategy[Any]]
) -> st.SearchStrategy[Any]:
    """A directive with options."""
    return st.fixed_dictionaries({name: st.fixed_dictionaries(required, optional=optional)})


FILTERS = [
    "upcase",
    "size",
    "split: ','",
    "plus: 1",
    "date: '%Y'",
    "join",
    "json",
    "slice: 0, 2",
    "default: 'x'",
    "divided_by: 0",
]
LIQUID = st.lists(
    TEXTS | st.tuples(WORDS, st.sampled_from(FILTERS)).map(lambda pair: f"{{{{ {pair[0]} | {pair[1]} }}}}"), max_size=3
).map("".join)

LIKELY = st.dictionaries(
    WORDS, st.recursive(SCALARS | PATHS.map(lambda path: {"@path": path}), directives, max_leaves=6), max_size=4
)
# Junk: directives with anything for options, keys with @ anywhere.
JUNK = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from([*DIRECTIVES, "@nope", "@", "exists", "value", "_metadata"]) | WORDS, inner, max_size=3
        )
    ),
    max_leaves=8,
)


def compiled(mapping: Any) -> CompiledMapping | None:
    """The compiled mapping, or None when it is refused; nothing else may happen."""
    try:
        return compile_mapping(mapping)
    except MappingError as error:
        refused = error
    assert refused.problems
    assert str(refused)
    return None


def resolved(mapping: CompiledMapping, event: Any) -> Any:
    """The value or the error of one event; nothing else may happen."""
    try:
        return mapping(event)
    except MappingError as error:
        return f"error: {error}"


@settings(max_examples=150, deadline=None)
@given(mapping=LIKELY | JUNK, event=EVENTS)
def test_any_mapping_and_any_event_make_a_value_or_a_mapping_error(mapping: Any, event: Any) -> None:
    """Whatever stands in a mapping and whatever an event carries, nothing else comes out."""
    made = compiled(mapping)
    if made is not None:
        resolved(made, event)


@settings(max_examples=150, deadline=None)
@given(mapping=LIKELY, event=EVENTS)
def test_resolving_never_changes_the_event(mapping: Any, event: Any) -> None:
    """Mapping and event are the same before and after, to the last part."""
    before = copy.deepcopy((mapping, event))
    made = compiled(mapping)
    if made is not None:
        resolved(made, event)
        made.explain(event)

    assert equal((mapping, event), before)


@settings(max_examples=120, deadline=None)
@given(mapping=LIKELY, events=st.lists(EVENTS, max_size=4))
def test_many_events_and_single_events_agree(mapping: Any, events: list[Any]) -> None:
    """Resolving a batch gives what resolving each event gives, in the same order."""
    made = compiled(mapping)
    if made is None:
        return

    together = [f"error: {one}" if isinstance(one, MappingError) else one for one in made.each(events)]

    assert equal(together, [resolved(made, event) for event in events])


@settings(max_examples=120, deadline=None)
@given(mapping=LIKELY, event=EVENTS)
def test_no_missing_is_left_in_a_result(mapping: Any, event: Any) -> None:
    """MISSING may be the whole result; inside one it is gone from objects and null in lists."""

    def holds_missing(value: Any) -> bool:
        if isinstance(value, dict):
            return any(map(holds_missing, value.values()))
        return any(map(holds_missing, value)) if isinstance(value, list) else value is MISSING

    made = compiled(mapping)
    if made is not None:
        result = resolved(made, event)
        assert result is MISSING or not holds_missing(result)


@settings(max_examples=120, deadline=None)
@given(mapping=LIKELY, event=EVENTS)
def test_an_explanation_gives_the_resolved_values(mapping: Any, event: Any) -> None:
    """What explain shows for a field is what the action gets for it."""
    made = compiled(mapping)
    if made is None:
        return
    result = resolved(made, event)
    fields = made.explain(event)

    if isinstance(result, dict) and "" not in mapping and not any(field.error for field in fields):
        shown = {field.field: field.value for field in fields if field.value is not MISSING}
        assert equal(shown, result)


SECRET = "s3cr3t-value"


@settings(max_examples=120, deadline=None)
@given(
    text=st.lists(
        st.sampled_from(["{{", "}}", "{{{", "}}}", " ", "secret", "{%", "%}", "$.", "|", "x"]), max_size=8
    ).map("".join)
)
def test_what_an_event_carries_is_never_expanded(text: str) -> None:
    """However braces are put together in the data of an event, they bring nothing else of it to light."""
    mapping = compile_mapping(
        {
            "a": {"@template": "{{evil}} {{{evil}}} {{ {{evil}} }}"},
            "b": {"@template": {"@path": "$.evil"}},
            "c": {"@liquid": "{{ evil }}{{ evil | append: evil }}"},
        }
    )

    assert SECRET not in str(mapping({"evil": text, "secret": SECRET}))


# Triggers: a tree, its text in any layout, and what it means.

FIELD_VALUES: dict[str, Any] = {
    "type": "track",
    "event": 'Say "hi" \\ it\'s',
    "userId": None,
    "properties.n": 5,
    "properties.t": True,
    "properties.s": "abc",
    "properties.list.0": "x",
    "properties.nope": MISSING,
}
TRIGGER_EVENT = {
    "type": "track",
    "event": FIELD_VALUES["event"],
    "userId": None,
    "properties": {"n": 5, "t": True, "s": "abc", "list": ["x"]},
}
LITERALS = (
    st.sampled_from(["track", "abc", "", 'a"b', "it's", "\\", FIELD_VALUES["event"]])
    | st.integers(0, 9)
    | st.floats(0, 9)
)


def quoted(value: Any, quote: str) -> str:
    """A literal as it is written in a trigger."""
    if not isinstance(value, str):
        return number_text(value)
    body = re.sub(rf"(\\*){quote}", lambda found: found[1] * 2 + "\\" + quote, value)
    trailing = len(body) - len(body.rstrip("\\"))
    return f"{quote}{body}{body[len(body) - trailing :]}{quote}"


@st.composite
def leaves(draw: st.DrawFn) -> tuple[str, bool]:
    """A comparison, and whether it holds for TRIGGER_EVENT."""
    field = draw(st.sampled_from(list(FIELD_VALUES)))
    literal, quote = draw(LITERALS), draw(st.sampled_from("\"'"))
    actual, written = FIELD_VALUES[field], quoted(literal, quote)
    operator = draw(st.sampled_from(["=", "!=", "<", "<=", ">", ">=", "null", "true", "contains", "!contains"]))
    number = isinstance(actual, int | float) and not isinstance(actual, bool)
    if operator == "null":
        return f"{field} = null", actual is None or actual is MISSING
    if operator == "true":
        return f"{field} != TRUE", True if field in {"type", "event"} else actual is not True
    if "contains" in operator:
        text = literal if isinstance(literal, str) else number_text(literal)
        holds = isinstance(actual, str) and (text in actual) is (operator == "contains")
        return f"{operator}( {field},{written})", holds
    if operator in {"=", "!="}:
        if isinstance(literal, str) or field in {"type", "event", "userId"}:
            text = literal if isinstance(literal, str) else number_text(literal)
            return f"{field}{operator}{written}", (actual == text) is (operator == "=")
        return f"{field} {operator} {written}", number and (actual == literal) is (operator == "=")
    if isinstance(literal, str):
        literal, written = 3, '"3"'
    compare = {"<": float.__lt__, "<=": float.__le__, ">": float.__gt__, ">=": float.__ge__}[operator]
    return f"{field} {operator}{written}", number and compare(float(actual), float(literal))


def joined(inner: st.SearchStrategy[tuple[str, bool]]) -> st.SearchStrategy[tuple[str, bool]]:
    """Clauses joined by words, in parentheses so that the tree is the meaning."""
    several = st.lists(inner, min_size=2, max_size=4)
    spaces = st.sampled_from([" ", "\n", "\t  "])
    both = st.tuples(several, st.sampled_from(["and", "AND"]), spaces).map(
        lambda three: (
            f"({f'{three[2]}{three[1]}{three[2]}'.join(text for text, _ in three[0])})",
            all(holds for _, holds in three[0]),
        )
    )
    either = st.tuples(several, st.sampled_from(["or", "Or"]), spaces).map(
        lambda three: (
            f"({f'{three[2]}{three[1]}{three[2]}'.join(text for text, _ in three[0])})",
            any(holds for _, holds in three[0]),
        )
    )
    return both | either | inner.map(lambda one: (f"!( {one[0]} )", not one[1]))


@settings(max_examples=120, deadline=None)
@given(trigger=st.recursive(leaves(), joined, max_leaves=8))
def test_a_trigger_means_its_tree(trigger: tuple[str, bool]) -> None:
    """However a trigger is nested, quoted and laid out, it holds when its tree does, and explains itself the same."""
    text, holds = trigger
    made = compile_trigger(text)

    assert made(TRIGGER_EVENT) is holds
    assert made.explain(TRIGGER_EVENT)[0].holds is holds


@settings(max_examples=120, deadline=None)
@given(
    text=st.text(st.characters(), max_size=20)
    | st.lists(
        st.sampled_from(
            [
                "type",
                "=",
                "!=",
                "and",
                "or",
                "(",
                ")",
                "!",
                '"x"',
                "'",
                "contains",
                ",",
                "5",
                "[",
                "]",
                "in",
                "null",
                ".",
                "\\",
                " ",
            ]
        ),
        max_size=12,
    ).map(" ".join),
    event=EVENTS,
)
def test_any_text_is_a_trigger_or_a_trigger_error(text: str, event: Any) -> None:
    """Nothing else comes of reading a trigger, and a trigger says yes or no of any event."""
    trigger, refused = None, None
    try:
        trigger = compile_trigger(text)
    except TriggerError as error:
        refused = error
    if trigger is None:
        assert refused is not None
        assert 0 <= refused.position <= len(text)
        return
    assert trigger(event) in {True, False}
    trigger.explain(event)


KINDS = ["string", "text", "number", "integer", "boolean", "datetime", "object"]
SPECS = st.dictionaries(
    WORDS,
    st.fixed_dictionaries(
        {"type": st.sampled_from(KINDS)},
        optional={
            "required": st.booleans(),
            "allowNull": st.booleans(),
            "multiple": st.booleans(),
            "minimum": st.integers(0, 3),
            "maximum": st.integers(3, 9),
            "choices": st.just(["a", "5", 5]),
            "properties": st.just({"a": {"type": "string", "required": True}, "b": {"type": "number"}}),
        },
    ),
    max_size=4,
)


@settings(max_examples=150, deadline=None)
@given(spec=SPECS, resolved=EVENTS | VALUES)
def test_fields_give_a_payload_or_name_what_is_wrong(spec: Any, resolved: Any) -> None:
    """Anything may be resolved and is not changed; a payload without errors goes through the fields unchanged."""
    fields = compile_fields(spec)
    before = copy.deepcopy(resolved)

    payload, errors = fields(resolved)

    assert equal(resolved, before)
    assert set(payload) <= set(spec)
    assert all(error.message for error in errors)
    if not errors:
        again, more = fields(payload)
        assert more == []
        assert equal(again, payload)


@settings(max_examples=120, deadline=None)
@given(event=EVENTS, keys=st.lists(st.sampled_from(["a", "b", "phone", "0"]), max_size=4))
def test_a_path_walks_key_by_key(event: Any, keys: list[str]) -> None:
    """The compiled getters agree with the plain rule, whatever their length."""
    value: Any = event
    for key in keys:
        if isinstance(value, dict):
            value = value.get(key, MISSING)
        elif isinstance(value, list) and key == "0" and value:
            value = value[0]
        else:
            value = MISSING

    assert compile_path(".".join(keys))(event) is value


@given(number=st.floats(allow_nan=False, allow_infinity=False) | st.integers(-(10**30), 10**30))
def test_numbers_survive_being_written(number: float) -> None:
    """What is written reads back as the same number."""
    assert type(number)(javascript_number(number_text(number))) == number


@given(value=VALUES)
def test_json_text_is_json(value: Any) -> None:
    """What is encoded can be decoded, and is the same but for what JSON cannot carry."""

    def carried(written: Any, value: Any) -> bool:
        if isinstance(value, float):
            return written is None if not math.isfinite(value) else float(written) == value
        if isinstance(value, dict):
            return written.keys() == value.keys() and all(carried(written[key], value[key]) for key in value)
        if isinstance(value, list):
            return len(written) == len(value) and all(map(carried, written, value))
        return equal(written, value)

    assert carried(json.loads(json_text(value)), value)


@given(
    text=st.text("aAbBkK.*+ ", max_size=20),
    pattern=st.text("aAbBkK.*+ ", min_size=1, max_size=3),
    everywhere=st.booleans(),
)
def test_ignoring_case_is_what_regular_expressions_do(text: str, pattern: str, everywhere: bool) -> None:
    """For ASCII the answer is that of a literal regular expression."""
    replace = compile_replace([(pattern, "<>")], ignorecase=True, everywhere=everywhere)

    assert replace(text) == re.sub(re.escape(pattern), "<>", text, count=0 if everywhere else 1, flags=re.IGNORECASE)


@settings(max_examples=120, deadline=None)
@given(text=st.text(st.characters(), max_size=40) | st.text("{}[]:,&*!<>|-? \n\t'\"#ab01%@~", max_size=40))
def test_any_text_is_a_file_or_a_mapping_error(text: str) -> None:
    """Nothing else comes of reading a mapping file."""
    for name in ("file.yaml", "file.json"):
        with contextlib.suppress(MappingError):
            parse(text, name)


# What YAML 1.1 takes in quotes: no control characters and noncharacters, and no line ends but the line feed.
PRINTABLE = st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="\u2028\u2029\ufffe\uffff")


@settings(max_examples=120, deadline=None)
@given(
    value=st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(PRINTABLE, max_size=6),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(PRINTABLE, max_size=4), inner, max_size=3),
        max_leaves=8,
    ),
    indent=st.sampled_from([None, 2]),
)
def test_json_reads_the_same_as_yaml(value: Any, indent: int | None) -> None:
    """A JSON document has the same values and positions for both readers."""
    text = json.dumps(value, indent=indent, ensure_ascii=False)
    as_json, as_yaml = parse_json(text, "f"), parse_yaml(text, "f")

    assert as_json.value == as_yaml.value == value
    assert as_json.positions == as_yaml.positions


def equal(one: Any, other: Any) -> bool:
    """Equal, with NaN equal to itself, 1 not equal to true, and numbers of any length."""
    if isinstance(one, float) and isinstance(other, float) and math.isnan(one):
        return math.isnan(other)
    if isinstance(one, list | tuple) and isinstance(other, list | tuple):
        return len(one) == len(other) and all(map(equal, one, other))
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(equal(one[key], other[key]) for key in one)
    return type(one) is type(other) and bool(one == other)


KEYS = st.sampled_from(["a", "b", "0", "length"])
NESTED = st.recursive(
    st.none() | st.integers() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=12,
)


@given(
    paths=st.dictionaries(st.sampled_from("uvwxyz"), st.lists(KEYS, min_size=1, max_size=4), min_size=1),
    event=st.dictionaries(KEYS, NESTED, max_size=4),
)
def test_mappings_of_paths_alone_agree_with_all_others(paths: dict[str, list[str]], event: dict[str, Any]) -> None:
    """The short way that they have gives what the long way gives, in the same order."""
    mapping = {name: {"@path": "$." + ".".join(keys)} for name, keys in paths.items()}
    longer = compile_mapping({**mapping, "last": 1})(event)
    assert longer.pop("last") == 1
    found = compile_mapping(mapping)(event)
    assert list(found.items()) == list(longer.items())
