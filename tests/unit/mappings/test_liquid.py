"""@liquid: LiquidJS's answers, Segment's limits, and no way for an event to do harm."""

from __future__ import annotations

import time
from typing import Any

import pytest

from mappings import MappingError, compile_mapping
from mappings.liquid_filters import DISABLED_FILTERS, FILTERS

EMPTY: list[dict[str, Any]] = [{"a": ""}, {"a": " \n"}, {"a": None}, {"a": False}, {"a": []}, {"a": {}}, {}]
FULL: list[dict[str, Any]] = [{"a": "x"}, {"a": 0}, {"a": True}, {"a": [None]}, {"a": {"b": None}}]


def rendered(template: str, event: dict[str, Any] | None = None) -> str:
    """What a template makes of an event."""
    return str(compile_mapping({"v": {"@liquid": template}})(event or {})["v"])


@pytest.mark.parametrize(
    ("template", "event", "text"),
    [
        ("{{ a | append: '!' | prepend: 1.0 }}", {"a": True}, "1true!"),
        ("{{ a | capitalize }} {{ b | capitalize }}", {"a": "hELLO wORLD", "b": "ß"}, "Hello world SS"),
        (
            "{{ a | remove: 'l' }} {{ a | remove_first: 'l' }} {{ a | remove_last: 'l' }}",
            {"a": "hello"},
            "heo helo helo",
        ),
        ("{{ a | replace: 'l', 'L' }}{{ a | replace_first: 'l', '1' }}", {"a": "hello"}, "heLLohe1lo"),
        ("{{ a | replace_last: 'l', '1' }}{{ a | replace_last: 'x', '1' }}", {"a": "hello"}, "hel1ohello"),
        ("{{ a | replace: '', '-' }}", {"a": "abc"}, "a-b-c"),
        (
            "{{ a | strip }}|{{ a | lstrip }}|{{ a | rstrip }}|{{ b | strip: '+' }}",
            {"a": " x ", "b": "+1+"},
            "x|x | x|1",
        ),
        (
            "{{ a | truncate: 5 }} {{ a | truncate: 5, '' }} {{ b | truncate: 5 }}",
            {"a": "123456", "b": "12345"},
            "12... 12345 12345",
        ),
        (
            "{{ a | truncatewords: 2 }} {{ a | truncatewords: 3, '-' }}",
            {"a": "one  two three"},
            "one two... one two three",
        ),
        ("{{ a | split: ',' | size }} {{ a | split: '' | first }}", {"a": "x,y,,"}, "2 x"),
        (
            "{{ a | slice: -2, 2 }} {{ a | slice: 1 }} {{ l | slice: 1, 2 | join: '-' }}",
            {"a": "abcd", "l": [1, 2, 3]},
            "cd b 2-3",
        ),
        (
            "{{ l | join }} {{ l | first }} {{ l | last }} {{ s | first }}",
            {"l": [1, None, 2.0], "s": "xy"},
            "1  2 1 2 x",
        ),
        ("{{ l | compact | size }} {{ l | push: 4 | join }} {{ l | pop | size }}", {"l": [1, None]}, "1 1  4 1"),
        ("{{ l | shift | join }} {{ l | unshift: 0 | join }}", {"l": [1, 2]}, "2 0 1 2"),
        (
            "{{ l | where: 'ok' | size }} {{ l | where: 'n', 2 | size }}",
            {"l": [{"ok": True}, {"ok": False, "n": 2}]},
            "1 1",
        ),
        ("{{ l | sum }} {{ m | sum: 'p' }}", {"l": [1, "2", "x"], "m": [{"p": 0.1}, {"p": 0.2}]}, "3 0.3"),
        (
            "{{ a | default: 'x' }} {{ b | default: 'x' }} {{ c | default: 'x', allow_false: true }}",
            {"a": [], "b": 0, "c": False},
            "x 0 false",
        ),
        ("{{ 7 | divided_by: 2 }} {{ 8 | divided_by: 2 }} {{ 7 | divided_by: 2, true }}", {}, "3.5 4 3"),
        ("{{ a | plus: 1 }} {{ a | times: 10 }}", {"a": 10**30}, f"{10**30 + 1} {10**31}"),
        ("{{ 0.1 | plus: 0.2 }} {{ '5' | times: 3 }} {{ nope | minus: 1 }} {{ -7 | modulo: 3 }}", {}, "0.3 15 -1 -1"),
        (
            "{{ 2.5 | round }} {{ -2.5 | round }} {{ 1234.567 | round: 2 }} {{ 1250 | round: -2 }}",
            {},
            "3 -2 1234.57 1300",
        ),
        ("{{ 1.2 | ceil }} {{ -1.2 | floor }} {{ '-3' | abs }} {{ 5 | at_most: 3 }}", {}, "2 -2 3 3"),
        ("{{ a | escape }} {{ b | escape_once }}", {"a": "'\"", "b": "&lt;<"}, "&#39;&#34; &lt;&lt;"),
        ("{{ a | strip_html }}", {"a": "<b>x</b><script>y</script><!-- > -->z<"}, "xz<"),
        (
            "{{ a | url_encode }} {{ a | cgi_escape }} {{ a | uri_escape }}",
            {"a": "a b&(é)[1]"},
            "a+b%26(%C3%A9)%5B1%5D a+b%26%28%C3%A9%29%5B1%5D a%20b&(%C3%A9)[1]",
        ),
        (
            "{{ 'a%20b+c' | url_decode }} {{ 'a/b' | url_encode: '/' }}{{ 'a/b' | url_encode: 5 }}",
            {},
            "a b c a%2Fba%2Fb",
        ),
        ("{{ '_-8' | base64_decode | size }}{{ 'YQ==Yg' | base64_decode }}{{ 'é2' | base64_decode }}", {}, "2a"),
        (
            "{{ a | at_most: 5 }} {{ 'A b' | slugify: o }} {{ 'a b' | number_of_words: o }}",
            {"a": 10**400, "o": {}},
            "5 a-b 2",
        ),
        ("{{ a | slugify }} {{ a | slugify: 'ascii' }} {{ a | slugify: 'latin' }}", {"a": "Ünï 1!"}, "ünï-1 n-1 uni-1"),
        (
            "{{ a | slugify: 'pretty' }} {{ a | slugify: 'raw', true }} {{ a | slugify: 'none' }}",
            {"a": "A b!"},
            "a-b! A-b! a b!",
        ),
        ("{{ 'one two' | number_of_words }} {{ '你好 hello' | number_of_words: 'cjk' }}", {}, "2 3"),
        ("{{ ' a   b ' | normalize_whitespace }}|{{ a | strip_newlines }}", {"a": "x\r\ny\n"}, " a b |xy"),
        ("{{ 'é' | base64_encode }} {{ 'w6k=' | base64_decode }} {{ 'w6k' | base64_decode }}", {}, "w6k= é é"),
        ("{{ a | json }} {{ a | inspect }} {{ nope | json }}", {"a": [1.0, "é"]}, '[1,"é"] [1,"é"] null'),
        ("{{ '7.5' | to_integer }} {{ 'x' | to_integer }} {{ true | to_integer }}", {}, "7.5 NaN 1"),
        ("{{ a | raw | upcase | downcase | xml_escape }}", {"a": "É"}, "é"),
    ],
)
def test_filters_give_liquidjs_answers(template: str, event: dict[str, Any], text: str) -> None:
    """Each filter answers as LiquidJS does."""
    assert rendered(template, event) == text


@pytest.mark.parametrize(
    ("template", "event", "text"),
    [
        ("{{ a | date: '%d/%m/%y %H:%M:%S' }}", {"a": "2024-05-01T10:00:09Z"}, "01/05/24 10:00:09"),
        ("{{ a | date: '%H:%M' }}", {"a": "2024-05-01T10:00:00+05:30"}, "04:30"),
        ("{{ a | date: '%H:%M', 'Asia/Kolkata' }}", {"a": "2024-05-01T10:00:00Z"}, "15:30"),
        ("{{ a | date: '%H:%M %z', -330 }}", {"a": 1714557600}, "15:30 +0530"),
        ("{{ a | date }}", {"a": 1714557600}, "Wednesday, May 1, 2024 at 10:00 am +0000"),
        (
            "{{ a | date: '%a %b %e %-d %j %I %l %p %P %L %u %w %q %s %y %C %U %W' }}",
            {"a": "1714557600"},
            "Wed May  1 1 122 10 10 AM am 000 3 3 st 1714557600 24 20 17 18",
        ),
        ("{{ a | date: '%^a %#p %_m %05d %:z %% %Q %t|' }}", {"a": 0}, "THU am  1 00001 +00:00 % %Q \t|"),
        (
            "{{ a | date_to_xmlschema }} {{ a | date_to_rfc822 }}",
            {"a": 0},
            "1970-01-01T00:00:00+00:00 Thu, 01 Jan 1970 00:00:00 +0000",
        ),
        (
            "{{ a | date_to_string }} {{ a | date_to_long_string: 'ordinal', 'US' }}",
            {"a": "2024-05-22"},
            "22 May 2024 May 22nd, 2024",
        ),
        ("{{ a | date: '%Y' }}", {"a": "Wed, 01 May 2024 10:00:00 GMT"}, "2024"),
        ("{{ a | date: '%Y' }}{{ b | date: '%-d.%-m.%y' }}", {"a": "soon", "b": "2024/05/01"}, "soon1.5.24"),
        ("{{ a | date: '%H:%M' }}", {"a": "2024/05/01 10:20:30"}, "10:20"),
        ("{{ a | date: '%Y' }}", {"a": 1e300}, "1e+300"),
        ("{{ a | date: '%Y' }}{{ nope | date: '%Y' }}", {"a": {"x": 1}}, '{"x":1}'),
        ("{{ a | date: '%Y', 'Nowhere/Else' }}", {"a": 0}, "0"),
        ("{{ 'now' | date: '%Y' | size }}", {}, "4"),
        ("{{ a | date: '%Y' | size }}", {"a": "1" * 100}, "100"),
        ("{{ nope | slice: 0 | size }}", {}, "0"),
    ],
)
def test_dates_are_shown_in_utc_unless_a_zone_is_named(template: str, event: dict[str, Any], text: str) -> None:
    """Dates read and write as on Segment's servers; what is no date stays as it is."""
    assert rendered(template, event) == text


@pytest.mark.parametrize(
    ("condition", "event", "holds"),
    [
        ("a > 5", {"a": "7"}, True),
        ("a > 5", {"a": "abc"}, False),
        ("a > 5", {}, False),
        ("a <= 5", {"a": None}, False),
        ("a >= 5", {"a": [5]}, False),
        ("a < 'b'", {"a": "a"}, True),
        ("a < 2", {"a": True}, True),
        ("a contains 'x'", {"a": ["x"]}, True),
        ("a contains 'x'", {"a": "axb"}, True),
        ("a contains 'x'", {"a": 5}, False),
        ("a contains 'x'", {}, False),
        ("a == 1 or b == 1 and c == 1", {"a": 1}, True),
        *(("a == blank", event, True) for event in EMPTY),
        *(("blank == a", event, False) for event in FULL),
        ("a != blank", {}, False),
        ("a.b != blank and a.b != empty", {"a": {}}, False),
        ("a == empty", {"a": {}}, True),
        ("a == empty", {"a": " "}, False),
        ("a == empty", {"a": None}, False),
        ("a contains b", {"a": "abc"}, False),
        ("a contains 1", {"a": [True]}, False),
        ("a contains 3", {"a": [3.0]}, True),
        ("(1..5) contains 3", {}, True),
        ("a == b", {"a": [1], "b": [True]}, False),
        ("a == b", {"a": [1, "x"], "b": [1.0, "x"]}, True),
        ("not a", {}, True),
        ("not a == 1", {"a": 1}, False),
        ("not a and b", {"b": 1}, True),
        ("not a and b", {}, False),
        ("not a or b", {"a": 1, "b": 1}, True),
        ("not not a and b", {"a": 1, "b": 1}, True),
        ("b and not a or c", {"a": 1, "c": 1}, False),
        ("a", {"a": 0}, True),
    ],
)
def test_conditions_take_any_event(condition: str, event: dict[str, Any], holds: bool) -> None:
    """Comparing unlike values is false, not an error: an event may hold anything."""
    assert rendered(f"{{% if {condition} %}}yes{{% else %}}no{{% endif %}}", event) == ("yes" if holds else "no")
    assert rendered(f"{{% unless {condition} %}}no{{% else %}}yes{{% endunless %}}", event) == (
        "yes" if holds else "no"
    )


@pytest.mark.parametrize(
    ("template", "event", "text"),
    [
        ("{{ a == 1 }} {{ a > 1 }} {{ a or b }} {{ not a }}", {"a": 1}, "true false true false"),
        ("{{ a contains 'x' | upcase }}", {"a": "x"}, "TRUE"),
        ("{% assign big = a > 1 and b != blank %}{% if big %}big{% endif %}", {"a": 2, "b": "x"}, "big"),
        ("{% echo a == 1 %}{% liquid\necho a != 1\n%}", {"a": 1}, "truefalse"),
        ("{{ blank }}{{ empty }}{% assign x = blank %}{{ x }}|", {}, "|"),
    ],
)
def test_an_output_may_be_a_condition(template: str, event: dict[str, Any], text: str) -> None:
    """What stands in a condition may stand in an output and behind assign, and is true or false."""
    assert rendered(template, event) == text


@pytest.mark.parametrize(
    ("template", "event", "text"),
    [
        (
            "{{ a.0.b }} {{ a[c].b }} {{ a['0'].b }} {{ a.first.b }} {{ a[-1].b }}",
            {"a": [{"b": 1}], "c": 0},
            "1 1 1 1 1",
        ),
        (
            "{{ a[1] }}|{{ b[t] }}|{{ b[nope] }}|{{ b.x }}|{{ b[9] }}",
            {"a": {"1": "x"}, "b": [1, 2], "t": True},
            "x||||",
        ),
        ("{{ a.size }} {{ b.size }} {{ c.size }} {{ d.size }}", {"a": "👍", "b": [1], "c": {"x": 1}, "d": 5}, "2 1 1 "),
        ("{{ a.size }} {{ a.first }} {{ a.last }}", {"a": {"size": "L", "first": None}}, "L  "),
        ("{{ a.first }}{{ a.last }}{{ b.first }}{{ c.first }}", {"a": {"x": 1}, "b": "xy", "c": []}, ""),
        (
            "{% assign r = (1..3) %}{{ r }} {{ r | join: ',' }} {{ r.size }} {{ r.last }} {{ r[0] }}",
            {},
            "123 1,2,3 3 3 1",
        ),
    ],
)
def test_members_and_items_are_found_as_liquidjs_finds_them(template: str, event: dict[str, Any], text: str) -> None:
    """Items by number in either spelling, size, first and last; a range is a list; what is not there is nothing."""
    assert rendered(template, event) == text


def test_an_event_cannot_make_a_long_range() -> None:
    """The end of a range may come from the event; the list is bounded like everything else."""
    with pytest.raises(MappingError, match="list of more than 1000000 values"):
        rendered("{{ (1..n) | size }}", {"n": 10**9})


def test_tags_that_work() -> None:
    """assign, capture, comment, raw, increment, liquid, echo and whitespace control."""
    template = """{%- comment %}x{% endcomment -%}
{% assign n = a | upcase %}{% capture c %}[{{ n }}]{% endcapture %}{{ c }}{% raw %}{{ a }}{% endraw %}
{%- increment k %}{% increment k %}{% liquid
echo a
%}{% if b %} {% endif %}"""

    assert rendered(template, {"a": "x", "b": True}) == "[X]{{ a }}01x "


@pytest.mark.parametrize("tag", ["case a", "for x in a", "include 'x'", "layout 'x'", "render 'x'", "tablerow x in a"])
def test_disabled_tags_are_refused_when_the_mapping_is_loaded(tag: str) -> None:
    """The tags that Segment turns off are turned off."""
    with pytest.raises(MappingError, match=f"the tag '{tag.partition(' ')[0]}' is turned off"):
        compile_mapping({"v": {"@liquid": f"{{% {tag} %}}"}})


@pytest.mark.parametrize("name", sorted(DISABLED_FILTERS))
def test_disabled_filters_are_refused_when_the_mapping_is_loaded(name: str) -> None:
    """The filters that Segment turns off are turned off."""
    assert name not in FILTERS
    with pytest.raises(MappingError, match=f"the filter '{name}', which is turned off"):
        compile_mapping({"v": {"@liquid": f"{{{{ a | {name} }}}}"}})


def test_an_unknown_filter_is_ignored_with_a_warning() -> None:
    """The value passes unchanged, as at Segment, and the mapping's warnings say what was meant."""
    mapping = compile_mapping({"v": {"@liquid": "{{ a | upcaes }}"}})

    assert mapping({"a": "x"}) == {"v": "x"}
    assert mapping.warnings[0].suggestion == "Did you mean 'upcase'?"


@pytest.mark.parametrize(
    "template", ["{% nope %}", "{% if %}", "{{ a", "{% if a %}", "{{ a | }}", "{% if a | size > 1 %}{% endif %}"]
)
def test_what_is_no_liquid_is_refused_when_the_mapping_is_loaded(template: str) -> None:
    """A syntax error names the place and is found before any event comes."""
    with pytest.raises(MappingError, match="/v/@liquid is not a Liquid template"):
        compile_mapping({"v": {"@liquid": template}})


def test_the_length_of_a_template_is_limited() -> None:
    """1000 UTF-16 units are Segment's limit."""
    assert rendered("👍" * 500) == "👍" * 500
    with pytest.raises(MappingError, match="at most 1000 characters"):
        compile_mapping({"v": {"@liquid": "👍" * 501}})


@pytest.mark.parametrize(
    "template",
    [
        "{% assign a = 'xxxxxxxxxx' %}" + "{% assign a = a | append: a %}" * 30 + "{{ a }}",
        "{% assign a = big | replace: 'x', big %}{{ a }}",
        "{% assign a = list | join: big %}{{ a }}",
        "{{ big }}" * 60,
        "{% assign a = list %}" + "{% assign a = a | push: a %}" * 30 + "{{ a | json }}",
    ],
)
def test_the_text_a_template_makes_is_limited(template: str) -> None:
    """Text that would grow beyond a million characters is an error of that event, before it fills the memory."""
    event = {"big": "x" * 50_000, "list": ["x"] * 5_000}
    start = time.monotonic()

    # on a busy machine the limit of the time may come first
    with pytest.raises(MappingError, match=r"makes|takes longer"):
        rendered(template, event)
    assert time.monotonic() - start < 30


def test_the_time_of_a_rendering_is_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    """A rendering that takes longer than half a second stops at the next filter or output."""
    ticks = iter(range(100))
    monkeypatch.setattr("mappings.liquid.monotonic", lambda: float(next(ticks)))

    with pytest.raises(MappingError, match=r"longer than 0\.5 seconds"):
        rendered("{{ a | upcase }}")


@pytest.mark.parametrize("text", ["<" * 200_000, "<script" * 30_000, "<!--" * 50_000, "&" * 200_000, " " * 200_000])
def test_hostile_text_takes_no_long_time(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Filters on what an event carries take time in proportion to its length."""
    monkeypatch.setattr("mappings.liquid.monotonic", lambda: 0.0)  # however slow the machine
    template = "{{ a | strip_html | size }}{{ a | escape_once | size }}{{ a | truncatewords: 3 | size }}"

    rendered(template + "{{ a | slugify | size }}{{ a | number_of_words }}", {"a": text})


@pytest.mark.parametrize(
    "template",
    [
        "{{ c | json }}",
        "{{ 1 | divided_by: 0 }}",
        "{{ 1 | modulo: 0 }}",
        "{{ a | times: a }}",
        "{{ b | url_encode }}",
        "{{ c | plus: 1 }}",
    ],
)
def test_what_a_filter_cannot_do_is_an_error_of_that_event(template: str) -> None:
    """Division by zero, numbers out of range and broken text are mapping errors, and show no values."""
    with pytest.raises(MappingError, match="cannot be rendered for this event") as caught:
        rendered(template, {"a": 1e200, "b": "\ud800", "c": 10**5000})
    assert caught.value.problems[0].path == "/v/@liquid"


def test_a_template_sees_the_event_and_nothing_else() -> None:
    """No names of the library or of Python are in reach."""
    template = "[{{ now }}{{ today }}{{ a.__class__ }}{{ a.keys }}{{ __builtins__ }}{{ partial }}]"

    assert rendered(template, {"a": {"b": 1}}) in {"[]", "[false]"}
