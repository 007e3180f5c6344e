"""Every example of docs/mappings.md is run, and every difference it lists is held."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import typer

from mappings import MappingError, compile_fields, compile_mapping, compile_trigger
from mappings.directives import DIRECTIVES
from mappings.liquid import DISABLED_TAGS
from mappings.liquid_filters import DISABLED_FILTERS, MAX_TEXT
from mappings.mapping import parse
from mappings.source import parse_yaml
from tests.unit.mappings.recorded import MAPPING_DIFFERENCES, TRIGGER_DIFFERENCES, same
from worker.actions import ACTIONS
from worker.cli.mappings_ import app

PAGE = (Path(__file__).parents[3] / "docs" / "mappings.md").read_text("utf-8")
BLOCKS = re.findall(r"^```(\w+)(?: (\w+))?\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
EVENT: dict[str, Any] = json.loads(next(text for _, kind, text in BLOCKS if kind == "event"))
EXAMPLES = [
    (mapping, result)
    for (_, first, mapping), (_, second, result) in pairwise(BLOCKS)
    if (first, second) == ("mapping", "result")
]
ROWS = [
    [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in PAGE.splitlines() if line.startswith("|")
]
FIELDS = {name: action.fields for name, action in ACTIONS.items()}


def rendered(template: str, event: dict[str, Any] | None = None) -> str:
    """What a Liquid template gives, or "error"."""
    try:
        return str(compile_mapping({"v": {"@liquid": template}})(event or {})["v"])
    except MappingError:
        return "error"


def fails(kind: str, value: Any) -> bool:
    """Whether a value cannot be used for a field of this type."""
    return bool(compile_fields({"f": {"type": kind}})({"f": value})[1])


def paths_of(mapping: Any) -> list[str]:
    """The places of what is wrong with a mapping."""
    with pytest.raises(MappingError) as caught:
        compile_mapping(mapping)
    return [problem.path for problem in caught.value.problems]


#: Differences that no recorded answer shows, each with what holds it.
OTHERS: dict[str, Callable[[], bool]] = {
    "whole-numbers": lambda: compile_mapping({"v": {"@template": "{{n}}"}})({"n": 2**70}) == {"v": str(2**70)},
    "errors-in-lists": lambda: paths_of({"v": {"@merge": {"objects": [1], "direction": "left"}}})
    == ["/v/@merge/objects/0"],
    "order-of-keys": lambda: compile_mapping({"v": {"@json": {"value": {"b": 1, "0": 2}, "mode": "encode"}}})({})
    == {"v": '{"b":1,"0":2}'},
    "whole-mappings": lambda: all(
        paths_of(mapping) == [place]
        for mapping, place in (
            *(([], "/"), ("x", "/"), (5, "/")),
            ({"__segment_internal_directive": {"a": {}}}, "/__segment_internal_directive"),
            ({"__segment_internal_directive": {"_metadata": {}}}, "/__segment_internal_directive"),
        )
    ),
    "batches-like-events": lambda: compile_fields({"f": {"type": "string"}})({"f": ""}) == ({}, []),
    "numbers-are-numbers": lambda: fails("number", "  ") and fails("number", "Infinity"),
    "real-dates": lambda: fails("datetime", "2024-13-45") and not fails("datetime", "Wed, 01 May 2024 10:00:00 GMT"),
    "decimal-arithmetic": lambda: rendered("{{ 0.1 | plus: 0.2 }}") == "0.3",
    "division-by-zero": lambda: rendered("{{ 1 | divided_by: 0 }}") == "error",
    "remove-last": lambda: rendered("{{ 'hello!' | remove_last: 'l' }}") == "helo!",
    "truncatewords": lambda: rendered("{{ 'a b' | truncatewords: 2 }}") == "a b",
    "whole-characters": lambda: rendered("{{ a | slice: 0 }}{{ a | truncate: 2, '' }}", {"a": "👍👍👍"}) == "👍👍👍",
    "url-decode": lambda: rendered("{{ '%2B' | url_decode }}") == "+",
    "missing-arguments": lambda: rendered("{{ 'a' | append }}{{ 'undefined' | split | first }}") == "au",
    "plain-dates": lambda: rendered("{{ 'May 1, 2024' | date: '%Y' }}") == "May 1, 2024",
    "compact-json": lambda: rendered("{{ a | json: 2 }}", {"a": [1, 2]}) == "[1,2]",
    "no-sample": lambda: rendered("{{ a | sample }}", {"a": [1]}) == "error",
    "no-escapes": lambda: rendered(r"{{ 'a\nb' }}") == r"a\nb",
    "json-of-nothing": lambda: rendered("{{ nope | json }}") == "null",
    "lists-in-join": lambda: rendered("{{ a | join: '-' }}", {"a": [1, [2, 3]]}) == "1-23",
    "counters-apart": lambda: rendered("{% increment n %}{% increment n %}", {"n": 7}) == "01",
    "empty-output": lambda: rendered("a{{ }}b") == "error",
    "years-to-9999": lambda: rendered("{{ n | date: '%Y' }}", {"n": 1714557600000}) == "1714557600000",
    "limit-of-text": lambda: rendered("{{ a | append: a }}", {"a": "x" * (MAX_TEXT // 2 + 1)}) == "error",
}  # fmt: skip


@pytest.mark.parametrize(("mapping", "result"), EXAMPLES, ids=[mapping.split(":")[0] for mapping, _ in EXAMPLES])
def test_every_example_gives_the_result_beside_it(mapping: str, result: str) -> None:
    """A mapping on the page makes of the event on the page what the page says."""
    compiled = compile_mapping(parse_yaml(mapping, "docs/mappings.md").value)

    assert same(compiled(EVENT), json.loads(result))
    assert compiled.warnings == ()


def test_every_directive_has_an_example() -> None:
    """No directive is left out."""
    shown = "".join(mapping for mapping, _ in EXAMPLES)

    assert [name for name in DIRECTIVES if f'"{name}"' not in shown] == []
    assert len(EXAMPLES) == sum(kind == "mapping" for _, kind, _ in BLOCKS)


def test_every_file_on_the_page_loads() -> None:
    """A mapping file that is shown can be used."""
    files = [text for _, kind, text in BLOCKS if kind == "file"]

    assert files
    for text in files:
        parse(text, "docs/mappings.md", FIELDS)


TRIGGERS = [(row[0].strip("`"), row[1]) for row in ROWS if len(row) == 2 and row[1] in {"yes", "no"}]


@pytest.mark.parametrize(("trigger", "meant"), TRIGGERS)
def test_every_trigger_says_what_the_page_says(trigger: str, meant: str) -> None:
    """Yes and no are those of the event on the page."""
    assert compile_trigger(trigger)(EVENT) is (meant == "yes")


def test_the_page_lists_the_differences_that_there_are() -> None:
    """Each difference on the page is held by recorded answers or by a check here, and none is missing."""
    listed = [row[0].strip("`") for row in ROWS if len(row) == 3 and row[0].startswith("`")]

    assert sorted(listed) == sorted({*MAPPING_DIFFERENCES, *TRIGGER_DIFFERENCES, *OTHERS})


@pytest.mark.parametrize("name", OTHERS)
def test_a_difference_that_no_recording_shows_is_as_listed(name: str) -> None:
    """The page tells the truth about these, too."""
    assert OTHERS[name]()


def test_the_page_lists_what_is_turned_off_in_liquid() -> None:
    """The tags and filters named are those that are turned off."""
    section = PAGE.partition("Turned off, as at Segment,")[2].partition("A template has")[0]
    tags, filters, besides = (set(words.split()) for words in re.findall(r"`([^`]+)`", section))

    assert tags == set(DISABLED_TAGS)
    assert filters | besides == DISABLED_FILTERS


def test_every_command_on_the_page_exists() -> None:
    """The page shows no command that was renamed, and no option that was dropped."""
    group = typer.main.get_command(app)
    commands: dict[str, Any] = getattr(group, "commands")  # noqa: B009 -- typer's group has no type for it
    shown = re.findall(r"^msg91-destination mappings (\w+)(.*)$", PAGE, re.MULTILINE)

    assert {name for name, _ in shown} == set(commands)
    for name, rest in shown:
        known = {option for parameter in commands[name].params for option in parameter.opts}
        assert set(re.findall(r"(?<= )--?[a-z]+", rest)) <= known
