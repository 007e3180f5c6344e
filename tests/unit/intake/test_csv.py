"""CSV files: every row comes out once as one event, with its line, and a bad row sinks no other."""

from __future__ import annotations

import csv
import io
import tracemalloc
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from worker.intake.columns import BadColumns, Columns, compile_columns
from worker.intake.files import EventFile, Format, Found, Reading, Refused, UnreadableFile, check_file
from worker.intake.records import read_rows
from worker.intake.splitting import MAX_EVENT_BYTES, Text

CELLS = st.text(st.sampled_from('ab",; \n\r\té'), max_size=6).map(lambda text: text.replace("\r", ""))
TRACK = Columns(call="track", event="Order Shipped")


def read(content: bytes | str, **wanted: Any) -> list[Found | Refused]:
    """Everything in a CSV file of this content."""
    data = content.encode() if isinstance(content, str) else content
    reading = Reading(Format.CSV, Columns(**wanted))
    file = EventFile("-", io.BytesIO(data), reading=reading)
    return [one for one in file if isinstance(one, Found | Refused)]


def event(content: bytes | str, **wanted: Any) -> dict[str, Any]:
    """The event of the only row of a file."""
    (found,) = read(content, **wanted)
    assert isinstance(found, Found), found
    return found.event


def cut(content: bytes, cuts: list[int]) -> Iterator[bytes]:
    """The content cut at some places."""
    places = [0, *sorted({one % (len(content) + 1) for one in cuts}), len(content)]
    return (content[start:end] for start, end in pairwise(places) if end > start)


@given(
    st.lists(st.lists(CELLS, min_size=2, max_size=4), max_size=6),
    st.sampled_from([",", ";", "\t"]),
    st.sampled_from(["\n", "\r\n"]),
    st.lists(st.integers(0, 10_000), max_size=6),
)
def test_rows_are_those_of_the_standard_library(
    rows: list[list[str]], delimiter: str, newline: str, cuts: list[int]
) -> None:
    """Whatever the cells hold, quotes and line breaks included, rows that were written are read."""
    assume(all("".join(row).strip() for row in rows))
    written = io.StringIO()
    csv.writer(written, delimiter=delimiter, lineterminator=newline).writerows(rows)
    content = written.getvalue().encode()
    found = list(read_rows(cut(content, cuts), delimiter))
    assert all(isinstance(one, Text) for one in found), found
    texts = [one.raw.decode() for one in found if isinstance(one, Text)]
    assert rows == [next(csv.reader([text], delimiter=delimiter)) for text in texts]
    lines = [content[: content.index(text.encode(), 0)].count(b"\n") + 1 for text in texts[:1]]
    assert lines == [one.line for one in found[:1]]  # type: ignore[union-attr]


@given(st.text(st.sampled_from('a",\n'), max_size=40), st.lists(st.integers(0, 40), max_size=4))
def test_no_quotes_make_the_reader_fail_or_lose_a_line(content: str, cuts: list[int]) -> None:
    """However quotes stand, reading ends, cutting changes nothing, and every line is accounted for."""
    found = list(read_rows([content.encode()] if content else [], ","))
    assert found == list(read_rows(cut(content.encode(), cuts), ","))
    told = b"\n".join(one.raw for one in found)  # type: ignore[union-attr]
    assert [line for line in content.encode().split(b"\n") if line] == [line for line in told.split(b"\n") if line]
    places = [one.line for one in found]  # type: ignore[union-attr]
    assert places == sorted(set(places))


def test_names_become_paths() -> None:
    """Dotted names are paths, the spec's own fields are themselves however they are written, all else is a property."""
    header = "type,event,user_id,Message ID,properties.phone,context.ip,address.city,firstName,Order No"
    assert event(f"{header}\ntrack,Order Shipped,u-1,m-1,8818888758,203.0.113.7,Pune,Zoë,7\n") == {
        "type": "track",
        "event": "Order Shipped",
        "userId": "u-1",
        "messageId": "m-1",
        "context": {"ip": "203.0.113.7"},
        "properties": {"phone": "8818888758", "address": {"city": "Pune"}, "firstName": "Zoë", "Order No": "7"},
    }


def test_bare_names_are_traits_of_identify_and_group() -> None:
    """Which bag a bare name goes into is told by the type of each row."""
    first, second = read("type,event,phone\nidentify,,8818888758\ntrack,x,8818888758\n")
    assert isinstance(first, Found)
    assert isinstance(second, Found)
    assert first.event == {"type": "identify", "traits": {"phone": "8818888758"}}
    assert second.event == {"type": "track", "event": "x", "properties": {"phone": "8818888758"}}


def test_cells_are_text_unless_a_type_is_named() -> None:
    """A number keeps its zeros; types come by suffix or by option; what has no such suffix is a name with a colon."""
    header = "phone,total:number,vip : boolean,items:json,paid,at:home"
    wanted = {"call": "track", "event": "x", "types": {"paid": "boolean"}}
    assert event(f'{header}\n0098,12.50,YES,"[1,{{""a"":2}}]",0,7\n', **wanted)["properties"] == {
        "phone": "0098",
        "total": 12.5,
        "vip": True,
        "items": [1, {"a": 2}],
        "paid": False,
        "at:home": "7",
    }


@pytest.mark.parametrize(
    ("cell", "value"), [("12", 12), ("-7", -7), (" 1.5 ", 1.5), (".5", 0.5), ("1e3", 1000.0), ("9" * 25, 1e25)]
)
def test_numbers(cell: str, value: float) -> None:
    """Integers stay integers, everything else that is a number becomes one."""
    assert event(f"a,n:number\nx,{cell}\n", call="page")["properties"]["n"] == value


@pytest.mark.parametrize(
    ("kind", "cell"),
    [("number", "1 299"), ("number", "nan"), ("number", "1e999"), ("boolean", "perhaps"), ("json", "{")],
)
def test_a_cell_of_another_type_is_refused_without_being_shown(kind: str, cell: str) -> None:
    """The reason names the column and what was expected, not the value."""
    (refused,) = read(f"a,secret:{kind}\nx,{cell}\n", call="page")
    assert isinstance(refused, Refused)
    assert (refused.code, refused.line) == ("bad_cell", 2)
    assert refused.message.startswith("column secret: expected")
    assert cell not in refused.message.partition("expected")[0]


def test_empty_cells_are_fields_that_are_not_there() -> None:
    """An empty cell gives no field, whatever its type."""
    assert event("type,name,n:number,phone\npage,,,1\n")["properties"] == {"phone": "1"}


def test_columns_can_be_sent_elsewhere_or_left_out() -> None:
    """``paths`` says where a column goes; an empty path leaves it out; a column without a name is left out too."""
    wanted = {"call": "page", "paths": {"Mobile No": "properties.phone", "note": "", "title": "$.name"}}
    found = event("Mobile No,note,title,,x\n8818888758,secret,Home,gone,1\n", **wanted)
    assert found == {"type": "page", "name": "Home", "properties": {"phone": "8818888758", "x": "1"}}


def test_a_file_without_a_header_gets_its_names() -> None:
    """Where the user names the columns, the first row is an event like all others."""
    found = read("8818888758,hi\n8818888759,ho\n", call="page", names=("phone", "message"))
    assert [(one.line, one.event["properties"]["message"]) for one in found if isinstance(one, Found)] == [
        (1, "hi"),
        (2, "ho"),
    ]


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_the_delimiter_is_told_by_the_header(delimiter: str) -> None:
    """Comma, semicolon, tab or bar, whichever separates the first row; what stands in quotes does not count."""
    row = delimiter.join(["a", '"b,;|,;|"', "c"])
    assert event(f"{row}\n{delimiter.join('123')}\n", call="page")["properties"] == {"a": "1", "b,;|,;|": "2", "c": "3"}


def test_a_byte_order_mark_and_windows_line_ends_are_passed_over() -> None:
    """A file as Excel writes it."""
    content = b"\xef\xbb\xbf" + b'type;phone;message\r\npage;8818888758;"one\r\ntwo"\r\n'
    assert event(content)["properties"] == {"phone": "8818888758", "message": "one\r\ntwo"}


def test_bad_rows_are_refused_with_their_line_and_text() -> None:
    """Too few or too many cells, no UTF-8, no event: each with its line and its text, and the others are found."""
    content = b"type,phone,message\npage,1\n\npage,1,a,b\npage,1,\xff\nfly,1,a\npage,1,a,,\npage,1,b\n"
    found = read(content)
    assert [(one.line, "" if isinstance(one, Found) else one.code) for one in found] == [
        (2, "wrong_number_of_cells"),
        (4, "wrong_number_of_cells"),
        (5, "not_utf8"),
        (6, "type_unknown"),
        (7, ""),
        (8, ""),
    ]
    assert [one.raw for one in found if isinstance(one, Refused)] == [
        b"page,1",
        b"page,1,a,b",
        b"page,1,\xff",
        b"fly,1,a",
    ]


def test_a_cell_nested_too_deeply_is_refused() -> None:
    """JSON in a cell that cannot be written again costs its own row alone."""
    deep, fine = read("a:json\n" + "[" * 300 + "]" * 300 + "\n[1]\n", call="page")
    assert isinstance(deep, Refused)
    assert (deep.code, deep.line) == ("too_deep", 2)
    assert isinstance(fine, Found)


def test_quotes_that_are_never_closed_take_no_more_time_than_others() -> None:
    """Each of many rows begins a cell that has no end: every one is refused, and none looks through all after it."""
    found = list(read_rows([b'x","y\n' * 5_000], ","))
    assert {(type(one), one.line) for one in found} == {(Refused, line) for line in range(1, 5_001)}


def test_a_quote_that_is_never_closed_costs_its_own_row_alone() -> None:
    """The row is refused, and reading goes on with the next line, also when a megabyte has gone by."""
    for count in (3, 3_000):
        found = read(b'type,message\npage,"open\n' + b"page,%b\n" % (b"fine and well here " * 30) * count)
        assert [(one.line, type(one)) for one in found[:2]] == [(2, Refused), (3, Found)]
        assert len(found) == count + 1


@pytest.mark.parametrize(
    ("header", "wanted", "says", "cure"),
    [
        ("phone,message", {}, "nothing says what its rows are", "--type track --event"),
        ("phone,message", {"call": "track"}, "nothing says which event", "--event"),
        ("phone,message", {"call": "fly"}, "'fly' is not a call", "track"),
        ("type,phone,phone", {}, "both fill properties.phone", "--map"),
        ("type,properties:json,phone", {}, "both fill properties", "--map"),
        ("type,a,a.b", {}, "both fill properties.a", "--map"),
        ("type,phone", {"paths": {"fone": "x"}}, "no column 'fone'", "Did you mean phone?"),
        ("type,phone", {"types": {"zzz": "number"}}, "no column 'zzz'", "The columns are: type, phone"),
        ("type,phone", {"paths": {"phone": "properties..phone"}}, "is no path", None),
    ],
)
def test_a_header_that_cannot_be_understood_says_why(
    tmp_path: Path, header: str, wanted: dict[str, Any], says: str, cure: str | None
) -> None:
    """Nothing is read from such a file: one sentence, and what to do."""
    with pytest.raises(BadColumns, match=says):
        compile_columns(header.split(","), Columns(**wanted))
    path = tmp_path / "events.csv"
    path.write_text(f"{header}\n1,2,3\n")
    with pytest.raises(UnreadableFile, match=says) as raised:
        check_file(str(path), Reading(columns=Columns(**wanted)))
    assert (raised.value.hint is None) is (cure is None)
    assert (cure or "") in (raised.value.hint or "")


def test_an_empty_file_holds_nothing(tmp_path: Path) -> None:
    """No bytes, or a header alone: no events, and nothing is wrong."""
    for content in (b"", b"\n\n", b"type,phone\n"):
        assert read(content) == []
        path = tmp_path / "events.csv"
        path.write_bytes(content)
        check_file(str(path))


def test_ten_megabytes_in_one_row_are_refused_in_little_memory() -> None:
    """A row beyond the limit is never held whole, and its neighbours are found."""
    content = b"page,a\npage," + b"x" * 10_000_000 + b"\npage,b\n"
    tracemalloc.start()
    try:
        found = list(read_rows((content[at : at + 65_536] for at in range(0, len(content), 65_536)), ","))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert [Text, Refused, Text] == [type(one) for one in found]
    assert peak < 4 * MAX_EVENT_BYTES


def test_memory_does_not_grow_with_the_number_of_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    """A long file takes no more memory than a short one."""
    monkeypatch.setattr("worker.intake.files.PIECE", 1 << 13)

    def peak(count: int) -> int:
        stream = io.BufferedReader(_Endless(b'phone,message\n8818888758,"a text, with\n a break"\n', count))  # type: ignore[type-var]
        tracemalloc.start()
        try:
            reading = Reading(columns=TRACK)
            assert sum(isinstance(one, Found) for one in EventFile("-", stream, reading=reading)) == count
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    assert peak(8_000) < 1.3 * peak(2_000)


class _Endless(io.RawIOBase):
    """A header, and one row again and again."""

    def __init__(self, content: bytes, count: int) -> None:
        self._header, _, self._row = content.partition(b"\n")
        self._left = count
        self._rest = self._header + b"\n"

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while self._left and len(self._rest) < len(buffer):
            self._rest += self._row
            self._left -= 1
        data, self._rest = self._rest[: len(buffer)], self._rest[len(buffer) :]
        buffer[: len(data)] = data
        return len(data)
