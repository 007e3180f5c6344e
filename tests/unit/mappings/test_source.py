"""Reading YAML and JSON with positions and bounds."""

from __future__ import annotations

import json
from typing import Any

import pytest

from mappings import MappingError
from mappings.source import MAX_VALUES, Source, parse_json, parse_yaml


def broken(parse: Any, text: str) -> MappingError:
    """The error of a text that cannot be read."""
    with pytest.raises(MappingError) as caught:
        parse(text, "file")
    return caught.value


def test_yaml_follows_the_core_schema() -> None:
    """Only true and false are booleans, dates and sexagesimals are text, quotes make text."""
    source = parse_yaml(
        "a: no\nb: true\nc: 2024-05-01\nd: 1:30\ne: 010\nf: 1e3\ng: .5\nh: ~\n"
        "i: '5'\nj: \"\"\nk:\nl: !!str 5\nm: !!int 5\nn: 0x1F\n",
        "file",
    )

    assert source.value == {
        "a": "no",
        "b": True,
        "c": "2024-05-01",
        "d": "1:30",
        "e": 10,
        "f": 1000.0,
        "g": 0.5,
        "h": None,
        "i": "5",
        "j": "",
        "k": None,
        "l": "5",
        "m": 5,
        "n": "0x1F",
    }


def test_numbers_that_lose_characters_are_a_warning() -> None:
    """A zero or a plus in front of a number is gone once it is read: who means text needs quotes."""
    source = parse_yaml("a: 007\nb: +91\nc: -0\nd: [5, -5, 1.50, '010']\ne: true\n", "file")

    assert [(one.path, one.line, one.message) for one in source.warnings] == [
        ("/a", 1, "is read as the number 7."),
        ("/b", 2, "is read as the number 91."),
    ]


@pytest.mark.parametrize(
    ("text", "line", "cure"),
    [
        ("a: {@path: $.x}", 1, "Put quotes around what starts with @"),
        ("a:\n  b: {{x}}", 2, "Put quotes around text with {{ }}"),
        ('a: "type = "track""', 1, "Put the other kind of quotes"),
        ("a: Hi: there", 1, "Put quotes around text with a colon"),
        ("a:\n\t- b", 2, "Indent with spaces"),
    ],
)
def test_what_yaml_cannot_read_says_what_to_write(text: str, line: int, cure: str) -> None:
    """The usual slips of YAML, each with what is meant."""
    problem = broken(parse_yaml, text).problems[0]

    assert problem.line == line
    assert cure in (problem.suggestion or "")


def test_yaml_aliases_and_merges_are_followed() -> None:
    """An anchor may be used again, and << takes the members of others, its own first."""
    source = parse_yaml(
        "base: &base {a: 1, b: 2}\nother: &other {b: 3, c: 4}\none: *base\n"
        "two: {<<: *base, a: 9}\nthree: {<<: [*base, *other]}\n",
        "f",
    )

    assert source.value["one"] == {"a": 1, "b": 2}
    assert source.value["two"] == {"a": 9, "b": 2}
    assert source.value["three"] == {"a": 1, "b": 2, "c": 4}
    assert source.problems == []


def test_merging_what_is_no_object_is_a_problem() -> None:
    """A merge needs objects."""
    source = parse_yaml("a: {<<: [1], b: 2}\n", "f")

    assert [problem.message for problem in source.problems] == ["should be an object, or a list of objects."]


def test_positions_are_those_of_keys_and_items() -> None:
    """YAML and JSON give the same kind of positions, counted from one."""
    yaml_source = parse_yaml("a:\n  - x\n  - b: 1\n    c: {d: 2}\n", "f")
    json_source = parse_json('{"a": [\n\t"x",\n  {"b": 1, "c": {"d": [2, {}]}}\n]}', "f")

    assert yaml_source.locate(("a",)) == (1, 1)
    assert yaml_source.locate(("a", 1)) == (3, 5)
    assert yaml_source.locate(("a", 1, "c", "d")) == (4, 9)
    assert json_source.locate(("a",)) == (1, 2)
    assert json_source.locate(("a", 0)) == (2, 2)
    assert json_source.locate(("a", 1, "c", "d", 1)) == (3, 27)
    assert json_source.locate(("a", 1, "nope", "deeper")) == json_source.locate(("a", 1)) == (3, 3)


@pytest.mark.parametrize("indent", [None, 1, 4])
def test_every_part_of_json_has_its_position(indent: int | None) -> None:
    """However a document is laid out, the position of a key shows the key, and that of an item the item."""
    value = {"k": [1, {'q"': "x,{[", "e": []}, [[]], {}], "é": {"": None}}
    text = json.dumps(value, indent=indent, ensure_ascii=False)
    source, lines = parse_json(text, "f"), text.split("\n")

    assert len(source.positions) == 11
    for location, (line, column) in source.positions.items():
        part: Any = value
        for key in location:
            part = part[key]
        shown = location[-1] if location and isinstance(location[-1], str) else part
        written = json.dumps(shown, indent=indent, ensure_ascii=False).split("\n")[0]
        assert lines[line - 1][column - 1 :].startswith(written)


@pytest.mark.parametrize(
    ("parse", "text", "line", "column"),
    [
        (parse_yaml, "a: [1, 2\nb: 3\n", 2, 2),
        (parse_yaml, "a: 1\n b: 2\n", 2, 3),
        (parse_yaml, "a: 1\n---\nb: 2\n", 2, 1),
        (parse_yaml, "a: *nope\n", 1, 4),
        (parse_yaml, "? [a]\n: 1\n", 1, 3),
        (parse_yaml, "a: &a [*a]\n", 1, 8),
        (parse_json, '{"a": 1,, "b": 2}', 1, 9),
        (parse_json, "{'a': 1}", 1, 2),
        (parse_json, "", 1, 1),
        (parse_json, '{"a": NaN}', None, None),
    ],
)
def test_what_cannot_be_read_names_its_place(parse: Any, text: str, line: int | None, column: int | None) -> None:
    """Syntax errors have a line and a column."""
    [problem] = broken(parse, text).problems

    assert (problem.line, problem.column) == (line, column)
    assert problem.file == "file"


@pytest.mark.parametrize(
    ("parse", "text", "line"),
    [(parse_yaml, "a:\n  b: 1\n  b: 2\nc: {d: 1, d: 1}\n", 3), (parse_json, '{"a": {"b": 1,\n\n"b": 2}}', 3)],
)
def test_a_key_that_stands_twice_is_a_problem(parse: Any, text: str, line: int) -> None:
    """The second one is named, with the line of the first."""
    source: Source = parse(text, "file")

    assert source.problems[0].line == line
    assert source.problems[0].path == "/a/b"
    assert "stands twice" in source.problems[0].message


def test_tags_make_no_objects() -> None:
    """A tag of Python or of one's own is a problem, and nothing is made of it."""
    source = parse_yaml("a: !!python/object/apply:os.system ['true']\nb: !mine 5\n", "file")

    assert [problem.path for problem in source.problems] == ["/a", "/b"]
    assert source.value == {"a": ["true"], "b": "5"}


def test_aliases_cannot_grow_without_bound() -> None:
    """Aliases of aliases count each time, so that a small file cannot stand for a huge one."""
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 10)]

    assert f"more than {MAX_VALUES} values" in str(broken(parse_yaml, "\n".join(lines)))


@pytest.mark.parametrize(
    ("parse", "text"), [(parse_yaml, "[" * 5000), (parse_yaml, "{a: " * 5000), (parse_json, "[" * 100_000)]
)
def test_deep_nesting_is_an_error_and_no_crash(parse: Any, text: str) -> None:
    """However deep a file is nested, the answer is a mapping error."""
    broken(parse, text)
