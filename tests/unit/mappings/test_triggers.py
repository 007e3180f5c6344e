"""Triggers: the grammar, its errors and its explanations."""

from __future__ import annotations

import pickle
from typing import Any

import pytest

from mappings import MISSING, TriggerError, compile_trigger
from mappings.globs import compile_glob

EVENT: dict[str, Any] = {
    "type": "track",
    "event": "Order Completed",
    "userId": "u-1",
    "messageId": "m-1",
    "properties": {
        "total": 100,
        "vip": True,
        "colors": ["red", "blue", 5, True],
        "products": [{"id": "p1"}],
        "gone": None,
        "a.b": "dot",
        "with space": "ws",
        "[x]": 1,
        "name": 'say "hi"',
        "path": "C:\\",
    },
    "context": {"page": {"path": "/checkout"}},
}


@pytest.mark.parametrize(
    ("trigger", "meant"),
    [
        # precedence and nesting
        ('type = "page" and event = "X" or userId = "u-1"', True),
        ('userId = "u-1" or type = "page" and event = "X"', True),
        ('(userId = "u-1" or type = "page") and event = "X"', False),
        ('((type = "track") and ((event = "X") or (userId != null)))', True),
        ('!(type = "page" or event = "X")', True),
        ('!(!(type = "track"))', True),
        ('!contains(event, "Order") or !match(event, "X*")', True),
        # keywords and quotes
        ('TYPE = "track"'.replace("TYPE", "type") + " AND properties.vip = TRUE Or properties.gone = Null", True),
        ("event = 'Order Completed'", True),
        ('properties.name = "say \\"hi\\""', True),
        ("properties.name = 'say \"hi\"'", True),
        ("event = 'it\\'s'", False),
        ('properties.path = "C:\\\\"', True),
        ('properties.path = "C:\\x"', False),
        # numbers
        ("properties.total = 1e2 and properties.total > 99.5 and properties.total >= +100", True),
        ("properties.total < 100 or properties.total > 100", False),
        ("properties.total <= 100 and properties.total != 5", True),
        ('properties.total >= "1e2"', True),
        ("properties.vip = 1 or properties.vip >= 0", False),
        ('properties.total != "100"', True),
        # lists
        ('type in ["identify", "track"]', True),
        ("type in ['identify']", False),
        ('properties.total in [1, 100, "x", null]', True),
        ("properties.nope in [null]", True),
        ('"blue" in properties.colors and 5 in properties.colors and true in properties.colors', True),
        ('"green" in properties.colors or 1 in properties.colors or "red" in properties.total', False),
        ("null in properties.colors", False),
        # names
        ("properties.products.0.id = 'p1'", True),
        (r"properties.products\[0\].id = 'p1'", True),
        (r"properties.a\.b = 'dot' and properties.with\ space = 'ws' and properties.\[x\] = 1", True),
        ("properties.colors.length = 4 and event.length > 5", True),
        ("messageId = m-1 and anonymousId = null and context.page.path != null", True),
        ('properties != null and contains(type, "rac")', True),
        # null is the word where text is wanted, as at Segment
        ("contains(event, null) or match(event, null)", False),
        ("!contains(event, null)", True),
        # globs
        ('match(event, "Order*") and match(event, "*Completed") and match(event, "O*r C*d")', True),
        ('match(event, "Order") or match(event, "order*") or match(event, "O?C*")', False),
        ('match(event, "[NO]rder ?ompleted") and match(event, "[!a-z]*") and match(context.page.path, "/*")', True),
        ("match(properties.total, '*') or !match(properties.total, '*')", False),
        # layout
        ('type="track"and(event="Order Completed")', True),
        ("\n\t type\n=\n'track'\n", True),
    ],
)
def test_a_trigger_means_what_it_says(trigger: str, meant: bool) -> None:
    """Precedence, nesting, negation, quotes, numbers, lists, names, globs and layout."""
    assert compile_trigger(trigger)(EVENT) is meant


@pytest.mark.parametrize(
    ("trigger", "position", "words"),
    [
        ("", 0, "empty"),
        ("  \n ", 4, "empty"),
        ("type", 4, "operator is missing"),
        ("type !=", 7, "value is missing"),
        ("type = and event = 'x'", 7, "value is missing"),
        ('type == "track"', 5, "Write =."),
        ('type = "a" && event = "b"', 11, "Write and."),
        ("properties.total <> 5", 17, "Write !=."),
        ('tpye = "track"', 0, "Did you mean type?"),
        ("firstName = 'x'", 0, "Did you mean properties.firstName?"),
        ('"track" = type', 0, "not a field"),
        ("true", 0, "not a field"),
        ("true = 5", 0, "not a field"),
        ('type = "track" event = "x"', 15, "Write and, or or."),
        ('(type = "track"', 0, "never closed"),
        ('type = "track")', 14, "never opened"),
        ("type = 'track", 7, "quote is never closed"),
        ('and type = "track"', 0, "condition should start"),
        ('type = "track" or', 17, "condition is missing"),
        ("()", 1, "condition should start"),
        ('!type = "track"', 1, "write != or put parentheses"),
        ("contains(event)", 14, "needs a comma"),
        ("contains('x', event)", 9, "not a field"),
        ("contains(event, )", 16, "value is missing"),
        ("match(event, 'x'", 16, "never closed"),
        ("match(event, '[x')", 13, "never closed"),
        ("match(event, '[z-a]')", 13, "not a set of characters"),
        ("contain(event, 'x')", 0, "Did you mean contains()?"),
        ("lowercase(event) = 'x'", 0, "Functions are"),
        ("event contains 'x'", 6, "Write contains(event"),
        ("exists(userId)", 0, "Write field != null"),
        ("not_exists(userId)", 0, "Write field = null"),
        ("type = 'x' and userId exists", 22, "Write userId != null"),
        ("properties.list[0] = 'x'", 15, "write properties.list.0"),
        ('properties["odd key"] = "x"', 10, "write properties.odd\\ key"),
        ("properties.@x = 1", 11, "cannot stand here"),
        (".properties = 1", 0, "A dot cannot stand here"),
        ("properties.a..b = 1", 12, "A dot cannot stand here"),
        ("$.properties.x = 1", 0, "start without $."),
        ("type = \u201ctrack\u201d", 7, "is not a quote"),
        ("not type = 'x'", 0, "Write !("),
        ("NOT (type = 'x')", 0, "Write !("),
        ("type not in ['x']", 5, "Write !(type in"),
        ("event is null", 6, "Write =."),
        ("event like 'x'", 6, "Write match(event"),
        ("event = Order Completed", 14, "put quotes around text of several words"),
        ("properties.ключ = 1", 11, "cannot stand here"),
        ("type * 'x'", 5, "cannot stand here"),
        ("type = 'x'\r\n", 10, "carriage return"),
        ("properties.x > 'abc'", 15, "compares numbers"),
        ("properties.x <= null", 16, "compares numbers"),
        ("properties.x > true", 15, "compares numbers"),
        ("properties.x = 1.2.3", 15, "not a number"),
        ("properties.x = -", 15, "not a number"),
        ("properties.x = 5.", 16, "cannot stand here"),
        ("type in 'x'", 8, "in needs a list"),
        ("contains(", 9, "needs a field"),
        ("and (type = 'x')", 0, "condition should start"),
        ("(type = 'x' event = 'y')", 12, "need a word between"),
        ("type = 'x' = 'y'", 11, "does not follow"),
        ("type in ['x'", 12, "never closed"),
        ("type in []", 9, "value is missing"),
        ("'x' in 5", 7, "not a field"),
        ("(" * 60 + "type='x'" + ")" * 60, 50, "nested"),
    ],
)
def test_an_error_names_the_place_and_teaches(trigger: str, position: int, words: str) -> None:
    """What cannot be read is shown with its place, and with what to write instead."""
    with pytest.raises(TriggerError) as caught:
        compile_trigger(trigger)

    assert caught.value.position == position
    assert words in str(caught.value)


@pytest.mark.parametrize("trigger", [None, 5, ["type"], {"a": 1}])
def test_a_trigger_is_text(trigger: Any) -> None:
    """Anything else is a trigger error."""
    with pytest.raises(TriggerError, match="should be text"):
        compile_trigger(trigger)


def test_a_trigger_has_a_length() -> None:
    """Very long text is refused before it is read."""
    with pytest.raises(TriggerError, match="at most"):
        compile_trigger("type = 'x' or " * 5000 + "type = 'y'")


def test_an_error_shows_the_line_it_is_in() -> None:
    """In a trigger of many lines the mark stands under the right character."""
    with pytest.raises(TriggerError) as caught:
        compile_trigger('type = "track"\nand evnt = "x"\nand userId != null')

    assert str(caught.value).splitlines()[1:] == ['  and evnt = "x"', "      ^"]
    assert pickle.loads(pickle.dumps(caught.value)).suggestion == "Did you mean event?"


def test_an_explanation_gives_a_verdict_for_each_clause() -> None:
    """The clauses come in order, with their depth, and say why without showing values."""
    verdicts = compile_trigger(
        'type = "track" and (properties.total > 500 or !contains(properties.nope, "x"))'
    ).explain(EVENT)

    assert [(verdict.clause, verdict.holds, verdict.depth) for verdict in verdicts] == [
        ('type = "track" and (properties.total > 500 or !contains(properties.nope, "x"))', False, 0),
        ('type = "track"', True, 1),
        ('(properties.total > 500 or !contains(properties.nope, "x"))', False, 1),
        ("properties.total > 500", False, 2),
        ('!contains(properties.nope, "x")', False, 2),
    ]
    assert [verdict.reason for verdict in verdicts] == [
        "",
        "type is text",
        "",
        "properties.total is a number",
        "properties has no 'nope'",
    ]
    assert [verdicts[3].value, verdicts[4].value] == [100, MISSING]


@pytest.mark.parametrize(
    ("trigger", "mixes"),
    [
        ("type = a and event = b or name = c", True),
        ("(type = a and event = b) or name = c", False),
        ("type = a and (event = b or name = c and userId = d)", True),
        ("!(type = a or event = b)", False),
        ("type = a or event = b or name = c", False),
    ],
)
def test_words_side_by_side_are_noticed(trigger: str, mixes: bool) -> None:
    """Where and stands beside or without parentheses, other languages may read something else."""
    assert compile_trigger(trigger).mixes_words is mixes


def test_a_compiled_trigger_can_be_pickled() -> None:
    """It goes to another process as its text."""
    trigger = pickle.loads(pickle.dumps(compile_trigger('type = "track"')))

    assert trigger(EVENT)
    assert trigger.text == 'type = "track"'
    assert repr(trigger) == """CompiledTrigger('type = "track"')"""


@pytest.mark.parametrize(
    ("pattern", "text", "matches"),
    [
        ("a*d", "abcd", True),
        ("*", "", True),
        ("ab", "abc", False),
        ("a??d", "abcd", True),
        ("ab\\*d", "ab*d", True),
        ("ab\\*d", "abxd", False),
        ("ab[cC]d", "abCd", True),
        ("ab[A-Z]d", "abcd", False),
        ("[]]", "]", True),
        ("[^a]", "b", True),
        ("a*b*c", "a-b-b-c", True),
        ("a*b*c", "a-c-b", False),
        ("a*b*c*d", "a-c-b-d", False),
        ("a*?x*?y", "a-b-y", False),
        ("ab*ba", "aba", False),
        ("*?b", "ab", True),
        ("*?b", "b", False),
        ("a\\", "a\\", True),
        ("*a?*b*", "xaybz", True),
        ("?", "\n", True),
        ("[a-]*", "-x", True),
    ],
)
def test_globs_match_the_whole_text(pattern: str, text: str, matches: bool) -> None:
    """Stars, question marks, sets of characters and backslashes, as Segment's filters have them."""
    assert compile_glob(pattern)(text) is matches


def test_hostile_text_does_not_slow_a_glob_down() -> None:
    """A pattern with many stars takes time in proportion to the text."""
    for pattern in ("*a" * 30 + "*b", "*a?" * 30 + "*b"):
        assert not compile_glob(pattern)("a" * 100_000)


def test_a_trigger_that_ends_after_its_equals_sign_never_matches() -> None:
    """Segment takes ``type =`` for a whole trigger of a field that equals nothing; so do we."""
    trigger = compile_trigger("type =")
    assert not trigger({"type": "track"})
    assert not trigger({})
