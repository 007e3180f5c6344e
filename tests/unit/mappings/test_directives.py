"""Directives beyond the recorded answers: errors, safety, and what a result may share."""

from __future__ import annotations

import json
import pickle
from typing import Any

import pytest

from mappings import MISSING, MappingError, Problem, compile_mapping


def problems(mapping: Any) -> list[Problem]:
    """What is wrong with a mapping."""
    with pytest.raises(MappingError) as caught:
        compile_mapping(mapping)
    return caught.value.problems


def test_every_problem_is_found_at_once() -> None:
    """A mapping with many mistakes lists them all, in lists too, each with its own path."""
    found = problems(
        {
            "a": {"@pth": "$.x"},
            "b": [{"@if": {"then": {"@nope": 1}}}, {"@replace": {"pattern": "x" * 11, "value": {"@nope": 1}}}],
            "c": {"@path": "$.x", "other": 1},
            "d": {"@merge": {"objects": [1, {"@nope": 1}], "direction": "up"}},
            "e": {"@transform": {"apply": {"x": {"@case": {"operator": "title", "value": {"@nope": 1}}}}}},
            "f": {"@json": {"value": [{"@nope": 1}], "mode": 5, "unknown": {"@nope": 1}}},
            "g": {"@replace": {"pattern": "", "pattern2": 5, "replacement": "x" * 11, "globl": True, "value": 3}},
            "h": {"@case": {"operator": "title", "value": 3}},
            "i": {"@flatten": {"separator": "", "omitArrays": "no"}},
        }
    )

    assert sorted(problem.path for problem in found) == [
        "/a",
        "/b/0/@if",
        "/b/0/@if/then",
        "/b/1/@replace/pattern",
        "/b/1/@replace/value",
        "/c",
        "/d/@merge/direction",
        "/d/@merge/objects/0",
        "/d/@merge/objects/1",
        "/e/@transform",
        "/e/@transform/apply/x/@case/operator",
        "/e/@transform/apply/x/@case/value",
        "/f/@json/mode",
        "/f/@json/unknown",
        "/f/@json/value/0",
        *(f"/g/@replace/{option}" for option in ("globl", "pattern", "pattern2", "replacement", "value")),
        "/h/@case/operator",
        "/h/@case/value",
        "/i/@flatten",
        "/i/@flatten/omitArrays",
        "/i/@flatten/separator",
    ]


@pytest.mark.parametrize(
    ("mapping", "suggestion"),
    [
        ({"a": {"@templete": "x"}}, "Did you mean @template?"),
        ({"a": {"@ArrayPath": []}}, "Did you mean @arrayPath?"),
        ({"a": {"@if": {"exist": 1, "then": 2}}}, "Did you mean 'exists'?"),
        ({"a": {"@replace": {"pattern": "a", "replacment": "", "value": "x"}}}, "Did you mean 'replacement'?"),
    ],
)
def test_a_name_that_is_nearly_right_gets_a_suggestion(mapping: Any, suggestion: str) -> None:
    """Misspelled directives and options say what was meant."""
    assert suggestion in [problem.suggestion for problem in problems(mapping)]


@pytest.mark.parametrize(
    ("mapping", "path"),
    [
        ({"a": {"@replace": {"pattern": "", "value": "x"}}}, "/a/@replace/pattern"),
        ({"a": {"@replace": {"pattern": "x", "value": "x", "replacement2": 5}}}, "/a/@replace/replacement2"),
        ({"a": {"@arrayPath": []}}, "/a/@arrayPath"),
        ({"a": {"@arrayPath": [5]}}, "/a/@arrayPath"),
        ({"a": {"@flatten": {"value": 1, "separator": ""}}}, "/a/@flatten/separator"),
        ({"a": {"@template": "x {{ }} y"}}, "/a/@template"),
        ({"a": {"@template": {"@if": {"exists": 1, "then": "{{{ }}}"}}}}, "/a/@template/@if/then"),
        ({"__segment_internal_directive": {"@transform": "x"}}, "/__segment_internal_directive/@transform"),
        ({"__segment_internal_directive": {}}, "/__segment_internal_directive"),
    ],
)
def test_options_out_of_bounds_name_their_place(mapping: Any, path: str) -> None:
    """Lengths, blank placeholders, empty lists and wrapped mappings."""
    assert [problem.path for problem in problems(mapping)] == [path]


def test_a_shape_that_does_nothing_is_a_warning() -> None:
    """A shape that is no object is ignored, as at Segment, and so is what follows it."""
    ignored = compile_mapping({"v": {"@arrayPath": ["$.x", "shape"]}})
    too_many = compile_mapping({"v": {"@arrayPath": ["$.x", {}, 1]}})

    for mapping in (ignored, too_many):
        assert mapping({"x": [1]}) == {"v": [1]}
        assert [warning.path for warning in mapping.warnings] == ["/v/@arrayPath"]


def test_a_template_that_a_directive_computes_may_be_metadata_too() -> None:
    """Metadata beside a directive changes nothing."""
    mapping = compile_mapping({"v": {"@template": {"@literal": "Hi {{a}}", "_metadata": {"x": 1}}, "_metadata": 1}})

    assert mapping({"a": 1}) == {"v": "Hi 1"}


def test_placeholders_in_plain_text_are_a_warning() -> None:
    """Text beside no directive is sent as it stands, as at Segment; who writes {{ }} into it hardly means that."""
    mapping = compile_mapping(
        {
            "a": "Hi {{properties.name}}",
            "b": {"c": "{{x}}", "d": "{ {x} } {{}}"},
            "e": {"@literal": "{{x}}"},
            "g": {"@if": {"exists": {"@path": "$.x"}, "then": "Hi {{x}}", "else": ["{{y}}"]}},
            "h": {"@template": {"@case": {"operator": "lower", "value": "HI {{X}}"}}},
            "f": {"@template": {"@if": {"exists": {"@path": "$.x"}, "then": "Hi {{x}}", "else": "Hi"}}},
        }
    )

    assert mapping({"x": 1})["a"] == "Hi {{properties.name}}"
    assert sorted(warning.path for warning in mapping.warnings) == ["/a", "/b/c", "/g/@if/else/0", "/g/@if/then"]


@pytest.mark.parametrize(
    ("mapping", "path", "suggestion"),
    [
        ({"a": "$.properties.phone"}, "/a", 'Write {"@path": "$.properties.phone"}.'),
        (
            {"a": {"@template": "$.properties.x[0]"}},
            "/a/@template",
            "Write {{$.properties.x[0]}}, or @path for @template.",
        ),
        ({"a": {"@path": "$.properties.phone "}}, "/a/@path", None),
        ({"a": {"@path": "{{properties.phone}}"}}, "/a/@path", None),
        ({"a": {"@path": "$['properties'].phone"}}, "/a/@path", "Write $.['properties'].phone"),
        ({"a": {"@arrayPath": ["$[0]"]}}, "/a/@arrayPath", "Write $.[0]"),
    ],
)
def test_a_path_that_is_hardly_meant_is_a_warning(mapping: Any, path: str, suggestion: str | None) -> None:
    """Paths that are text, and text that is no path, work as at Segment and are pointed out when they are loaded."""
    assert [(one.path, one.suggestion) for one in compile_mapping(mapping).warnings] == [(path, suggestion)]


def test_text_that_only_begins_like_a_path_is_text() -> None:
    """Prices and sentences are no paths."""
    assert compile_mapping({"a": "$5", "b": "$. is a path", "c": {"@literal": "$.x"}}).warnings == ()


def test_an_option_nobody_knows_is_a_warning() -> None:
    """Segment ignores options it does not know, so they are no error; they are not silent either."""
    mapping = compile_mapping({"a": {"@case": {"operator": "upper", "value": "x", "colour": "red"}}})

    assert mapping({}) == {"a": "X"}
    assert [warning.path for warning in mapping.warnings] == ["/a/@case/colour"]


@pytest.mark.parametrize("mapping", [None, 5, "text", [1], [{"@path": "$.a"}], True])
def test_a_mapping_is_an_object(mapping: Any) -> None:
    """Anything else is refused when it is compiled."""
    assert problems(mapping)[0].path == "/"


def test_python_values_that_are_not_json_are_refused() -> None:
    """A mapping made in code may only hold what JSON can."""
    assert problems({"a": {"b": {1, 2}}})[0].path == "/a/b"


@pytest.mark.parametrize("event", [None, [], "text", 5, MISSING])
def test_an_event_is_an_object(event: Any) -> None:
    """Anything else is a mapping error, not a crash."""
    with pytest.raises(MappingError, match="The event should be an object"):
        compile_mapping({"a": 1})(event)


def test_what_an_event_carries_is_never_a_template() -> None:
    """Placeholders in the data of an event stay text, in every kind of template."""
    event = {"evil": "{{secret}} {{{secret}}} {% raw %}", "secret": "S3CRET", "key": "secret"}
    mapping = compile_mapping(
        {
            "double": {"@template": "<{{evil}}>"},
            "triple": {"@template": "<{{{evil}}}>"},
            "computed": {"@template": {"@path": "$.evil"}},
            "liquid": {"@liquid": "<{{ evil }}>"},
            "nested": {"@template": {"@template": "{{evil}}"}},
        }
    )

    assert "S3CRET" not in str(mapping(event))
    assert mapping(event)["computed"] == event["evil"]


def test_a_template_chosen_by_the_mapping_is_a_template() -> None:
    """Text that stands in the mapping is filled in, also when a directive chooses it."""
    mapping = compile_mapping(
        {
            "a": {
                "@template": {
                    "@if": {"exists": {"@path": "$.name"}, "then": "Hi {{name}}", "else": {"@literal": "Hi {{id}}"}}
                }
            },
            "b": {"@template": {"@case": {"operator": "lower", "value": "HI {{NAME}}"}}},
        }
    )

    assert mapping({"name": "Zoë", "id": 7}) == {"a": "Hi Zoë", "b": "hi Zoë"}
    assert mapping({"id": 7}) == {"a": "Hi 7", "b": "hi "}


def test_a_computed_template_or_path_that_is_no_text_is_an_error_of_that_event() -> None:
    """The error names the place and the type, not the value."""
    for directive in ("@template", "@path"):
        mapping = compile_mapping({"v": {directive: {"@path": "$.x"}}})
        with pytest.raises(MappingError) as caught:
            mapping({"x": 4711})
        assert caught.value.problems[0].path == f"/v/{directive}"
        assert "a number" in str(caught.value)
        assert "4711" not in str(caught.value)


def test_one_event_that_fails_leaves_its_neighbours_alone() -> None:
    """Many events give many answers, each its own."""
    mapping = compile_mapping({"v": {"@path": {"@path": "$.which"}}})

    good, bad, also_good = mapping.each([{"which": "a", "a": 1}, {"which": 5}, {"which": "b", "b": 2}])

    assert good == {"v": 1}
    assert isinstance(bad, MappingError)
    assert also_good == {"v": 2}


def test_constants_of_the_mapping_are_made_anew_for_each_event() -> None:
    """Changing one result does not change the next."""
    mapping = compile_mapping({"list": [1, 2], "object": {"a": {}}})
    first = mapping({})
    first["list"].append(3)
    first["object"]["a"]["b"] = 1

    assert mapping({}) == {"list": [1, 2], "object": {"a": {}}}


def test_deep_events_are_errors_and_no_crash() -> None:
    """An event nested deeper than Python can recurse is a mapping error."""
    deep: Any = 1
    for _ in range(5000):
        deep = {"a": deep}
    for mapping in (
        {"v": {"@json": {"mode": "encode", "value": {"@path": "$.deep"}}}},
        {"v": {"@flatten": {"separator": ".", "value": {"@path": "$.deep"}}}},
        {"v": {"@template": "{{deep}}"}},
        {"v": {"@excludeWhenNull": {"@path": "$.deep"}}},
        {"v": {"@liquid": "{{ deep }}"}},
    ):
        with pytest.raises(MappingError):
            compile_mapping(mapping)({"deep": deep})


def test_deep_mappings_are_errors_and_no_crash() -> None:
    """A mapping nested beyond reason is refused when it is compiled."""
    deep: Any = 1
    for _ in range(5000):
        deep = {"a": deep}

    assert "nested" in problems(deep)[0].message


def test_missing_items_of_lists_are_null_and_do_not_hide_others() -> None:
    """A list keeps its length; what is missing in it is null in the result, as in JSON."""
    mapping = compile_mapping({"v": [{"@path": "$.a"}, {"@path": "$.nope"}, [{"@path": "$.nope"}]]})

    assert mapping({"a": 1}) == {"v": [1, None, [None]]}


def test_a_transform_without_an_object_is_an_error_of_that_event() -> None:
    """@transform inside the shape of a list of scalars has nothing to work on."""
    mapping = compile_mapping(
        {"v": {"@arrayPath": ["$.x", {"y": {"@transform": {"apply": {"a": 1}, "mapping": {"b": 2}}}}]}}
    )

    assert mapping({"x": [{}]}) == {"v": [{"y": {"b": 2}}]}
    with pytest.raises(MappingError, match="needs an object"):
        mapping({"x": ["scalar"]})


def test_ignoring_case_follows_javascript() -> None:
    """Letters that only look alike when both are upper-cased to ASCII are different letters."""
    mapping = compile_mapping(
        {"v": {"@replace": {"pattern": "ki", "replacement": "_", "ignorecase": True, "value": {"@path": "$.x"}}}}
    )

    assert mapping({"x": "KI ki Ki \u212ai k\u0131 ß"}) == {"v": "_ _ _ \u212ai k\u0131 ß"}


def test_replacing_once_and_ignoring_case() -> None:
    """Only the first of several spellings goes when global is false."""
    mapping = compile_mapping(
        {
            "v": {
                "@replace": {
                    "pattern": "É",
                    "replacement": "e",
                    "ignorecase": True,
                    "global": False,
                    "pattern2": "x",
                    "replacement2": None,
                    "value": {"@path": "$.x"},
                }
            }
        }
    )

    assert mapping({"x": "éÉxX"}) == {"v": "eÉX"}


def test_compiled_things_can_be_pickled() -> None:
    """A compiled mapping, and its error, can go to another process."""
    mapping = pickle.loads(pickle.dumps(compile_mapping({"v": {"@path": "$.a"}})))
    error = pickle.loads(pickle.dumps(MappingError([Problem("/a", "is wrong.")])))

    assert mapping({"a": 1}) == {"v": 1}
    assert repr(mapping) == "CompiledMapping({'v': {'@path': '$.a'}})"
    assert error.problems == [Problem("/a", "is wrong.")]


@pytest.mark.parametrize(
    "text", ["12345678901234567890123", '{"a": [-98765432109876543210987, 1.5]}', '"12345678901234567"']
)
def test_decoded_whole_numbers_keep_every_digit(text: str) -> None:
    """However long they are: a parser that reads them as floats would round them."""
    assert compile_mapping({"v": {"@json": {"mode": "decode", "value": text}}})({}) == {"v": json.loads(text)}


@pytest.mark.parametrize(
    "text", ["[" * 3000 + "12345678901234567" + "]" * 3000, '"\\ud83d 12345678901234567"', "1e400"]
)
def test_what_cannot_be_decoded_safely_stays_text(text: str) -> None:
    """JSON that is nested too deeply, holds half a character or no finite number is left as it is."""
    assert compile_mapping({"v": {"@json": {"mode": "decode", "value": text}}})({}) == {"v": text}
