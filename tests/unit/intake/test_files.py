"""Event files: every event comes out once, with its line, whatever the layout; what is bad sinks nothing else."""

from __future__ import annotations

import io
import lzma
import os
import threading
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.intake.files import IDLE, EventFile, Format, Found, Refused, UnreadableFile, check_file
from worker.intake.formats import format_of
from worker.intake.splitting import MAX_EVENT_BYTES, Text, read_json, read_ndjson

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
OBJECTS = st.dictionaries(st.text(max_size=5), JSON, max_size=4)
SPACE = st.text(" \t\r\n", max_size=3).map(str.encode)


def read(content: bytes) -> list[Found | Refused]:
    """Everything in a file of this content."""
    return [one for one in EventFile("-", io.BytesIO(content)) if isinstance(one, Found | Refused)]


def track(name: str = "x", **more: Any) -> bytes:
    """A track call."""
    return orjson.dumps({"type": "track", "event": name, **more})


def places(found: list[Found | Refused]) -> list[tuple[str, int, int]]:
    """What was found: the event's name or the refusal's code, its number and its line."""
    return [(one.event["event"] if isinstance(one, Found) else one.code, one.number, one.line) for one in found]


def pieces_of(content: bytes, cuts: list[int]) -> Iterator[bytes]:
    """The content cut at some places."""
    start = 0
    for cut in sorted({cut % (len(content) + 1) for cut in cuts}):
        if cut > start:
            yield content[start:cut]
            start = cut
    if content[start:]:
        yield content[start:]


@given(st.lists(JSON, max_size=6), st.booleans(), SPACE, SPACE, st.lists(st.integers(0, 10_000), max_size=8))
def test_an_array_in_any_layout_and_any_pieces_gives_its_items(
    items: list[Any], indented: bool, before: bytes, after: bytes, cuts: list[int]
) -> None:
    """Compact or indented, cut into pieces anywhere: every item of an array comes out, in order."""
    dumped = [orjson.dumps(one, option=orjson.OPT_INDENT_2 if indented else None) for one in items]
    content = before + b"[" + (after + b"," + before).join(dumped) + after + b"]" + after
    texts = list(read_json(pieces_of(content, cuts)))
    assert all(isinstance(text, Text) for text in texts), texts
    assert items == [orjson.loads(text.raw) for text in texts]  # type: ignore[union-attr]
    assert list(range(1, len(items) + 1)) == [text.number for text in texts]  # type: ignore[union-attr]


@given(st.lists(OBJECTS, min_size=1, max_size=5), SPACE, st.lists(st.integers(0, 10_000), max_size=8))
def test_the_line_of_an_item_is_the_line_it_begins_in(items: list[Any], space: bytes, cuts: list[int]) -> None:
    """Line numbers count the line breaks before an item, wherever the pieces end."""
    content = b"["
    lines = []
    for item in items:
        content += space
        lines.append(content.count(b"\n") + 1)
        content += orjson.dumps(item, option=orjson.OPT_INDENT_2) + b","
    found = list(read_json(pieces_of(content + b"]", cuts)))
    assert lines == [text.line for text in found]  # type: ignore[union-attr]


@given(st.lists(OBJECTS | st.none(), max_size=8), st.sampled_from([b"\n", b"\r\n"]), st.lists(st.integers(0, 10_000)))
def test_ndjson_in_any_pieces_gives_its_lines(items: list[Any], newline: bytes, cuts: list[int]) -> None:
    """Every line comes out once with its number; blank lines (None here) are passed over but counted."""
    content = newline.join(b"" if item is None else orjson.dumps(item) for item in items)
    found = list(read_ndjson(pieces_of(content, cuts)))
    expected = [(line, item) for line, item in enumerate(items, 1) if item is not None]
    assert expected == [(text.line, orjson.loads(text.raw)) for text in found]  # type: ignore[union-attr]


@given(st.binary(max_size=200), st.lists(st.integers(0, 200), max_size=6))
def test_no_bytes_make_the_readers_fail(content: bytes, cuts: list[int]) -> None:
    """Whatever the bytes are, reading ends, and where they are cut changes nothing."""
    for reader in (read_json, read_ndjson):
        assert list(reader([content] if content else [])) == list(reader(pieces_of(content, cuts)))


@pytest.mark.parametrize(
    ("head", "expected"),
    [
        (b"", Format.NDJSON),
        (b'{"type":"track"}\n{"type":"page"}', Format.NDJSON),
        (b'{"type":"track"}', Format.NDJSON),
        (b'\xef\xbb\xbf \n [{"type":"track"}]', Format.JSON),
        (b"[", Format.JSON),
        (b'{\n  "type": "track"\n}', Format.JSON),
        (b'{"type": "track",\n "event": "x"}', Format.JSON),
        (b'{"properties": [\n{"a": 1}]}', Format.JSON),
        (b'{"type":"track",\n{"type":"page"}', Format.NDJSON),
        (b"phone,message\n1,2", Format.CSV),
        (b'"phone";"message"', Format.CSV),
        (b'oops, {"type":"track"}\n{"type":"page"}', Format.NDJSON),
        (b'oops, no event\n{"type":"page"}', Format.NDJSON),
        (b"oops\noops", Format.NDJSON),
    ],
)
def test_the_format_is_told_by_the_content(head: bytes, expected: Format) -> None:
    """Arrays and objects over several lines are JSON, rows of cells CSV; all else is lines, good or bad."""
    assert expected is format_of(head)


def test_bad_lines_are_refused_with_their_line_and_reason() -> None:
    """Not JSON, not UTF-8, no event: each says so with its line, and the lines around them are found."""
    content = b"\n".join(
        [
            track("a"),
            b"nope",
            b"",
            b'{"type":"track","event":"\xff"}',
            b"[1]",
            b'{"type":"fly"}',
            track("b") + b"\r",
            b"",
        ]
    )
    found = read(content)
    assert places(found) == [
        ("a", 1, 1),
        ("not_json", 2, 2),
        ("not_utf8", 4, 4),
        ("not_an_object", 5, 5),
        ("type_unknown", 6, 6),
        ("b", 7, 7),
    ]
    assert "character 1" in found[1].message  # type: ignore[union-attr]


@pytest.mark.parametrize("own", [b"", b'"messageId":"m",', b'"messageId":null,'])
def test_an_event_nested_too_deeply_is_refused(own: bytes) -> None:
    """What could be read and not be written again keeps nothing else from going."""
    deep = b'{%b"type":"page","properties":{"a":%b}}' % (own, b"[" * 300 + b"]" * 300)
    assert places(read(deep + b"\n" + track())) == [("too_deep", 1, 1), ("x", 2, 2)]


def test_bad_items_of_an_array_are_refused_with_line_and_place() -> None:
    """In an array a bad item sinks none of its neighbours, and one without a comma after it neither."""
    content = b"[\n" + track("a") + b",\n7, " + b'{"type": tru},\n' + track("b") + track("c") + b",]\n"
    found = read(content)
    assert places(found) == [("a", 1, 2), ("not_an_object", 2, 3), ("not_json", 3, 3), ("b", 4, 4), ("c", 5, 4)]


def test_the_place_of_an_error_inside_of_an_item_is_named() -> None:
    """In an item over several lines the message says in which line it cannot be read."""
    (refused,) = read(b'[\n{\n"type": "track",\n"event": oops\n}\n]')
    assert isinstance(refused, Refused)
    assert "line 4, column 10" in refused.message


def test_a_byte_order_mark_is_passed_over() -> None:
    """Files that begin with the UTF-8 byte order mark read like all others."""
    assert places(read(b"\xef\xbb\xbf" + track("a"))) == [("a", 1, 1)]
    assert places(read(b"\xef\xbb\xbf[" + track("a") + b"]")) == [("a", 1, 1)]


def test_an_event_over_several_lines_needs_no_array() -> None:
    """One event, or several, laid out by a person."""
    laid_out = orjson.dumps({"type": "track", "event": "a", "properties": {"n": 1}}, option=orjson.OPT_INDENT_2)
    assert places(read(laid_out + b"\n" + laid_out)) == [("a", 1, 1), ("a", 2, 8)]


@pytest.mark.parametrize(
    ("content", "code", "line"),
    [
        (b"[" + track("a") + b',\n{"type": "tra', "cut_off", 2),
        (b"[" + track("a") + b',\n{"type": "track"', "cut_off", 2),
        (b"[" + track("a") + b"\n", "not_closed", 2),
        (b"[" + track("a") + b',\n{"x": 1], ' + track("b") + b"]", "broken", 2),
        (b"[" + track("a") + b'\n}, {"type":"page"}]', "broken", 2),
        (b"[" + track("a") + b"]\n}", "broken", 2),
    ],
)
def test_a_broken_array_gives_what_can_be_read_and_says_where_it_breaks(content: bytes, code: str, line: int) -> None:
    """What stands before the break is found; the break is refused with its line, and not a word is lost in silence."""
    found = read(content)
    assert [("a", 1, 1), (code, line)] == [places(found)[0], (places(found)[-1][0], places(found)[-1][2])]


@pytest.mark.parametrize("wrap", [b"%b\n%b\n%b", b"[%b,%b,\n%b]"])
def test_ten_megabytes_of_one_event_are_refused_in_little_memory(wrap: bytes) -> None:
    """An event beyond the limit is refused with its size, is never held whole, and its neighbours are found."""
    wide = wrap % (track("a"), track("x" * 10_000_000), track("b"))
    cut = [wide[at : at + 65_536] for at in range(0, len(wide), 65_536)]
    reader = read_json if wrap.startswith(b"[") else read_ndjson
    tracemalloc.start()
    try:
        found = list(reader(cut))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert [Text, Refused, Text] == [type(one) for one in found]
    assert "10,000,0" in found[1].message  # type: ignore[union-attr]
    assert peak < 4 * MAX_EVENT_BYTES


def test_memory_does_not_grow_with_the_number_of_events() -> None:
    """A long file takes no more memory than a short one, in either format."""

    def peak(reader: Any, count: int, open_: bytes, between: bytes) -> int:
        def pieces() -> Iterator[bytes]:
            yield open_
            for _ in range(count):
                yield (track("x" * 100) + between) * 100

        tracemalloc.start()
        try:
            assert sum(1 for _ in reader(pieces())) >= count * 100
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    assert peak(read_ndjson, 300, b"", b"\n") < 2 * peak(read_ndjson, 10, b"", b"\n")
    assert peak(read_json, 300, b"[", b",") < 2 * peak(read_json, 10, b"[", b",")


def test_a_silent_pipe_gives_what_has_come(tmp_path: Path) -> None:
    """While the other end of a pipe is silent the reader says so, so that what has come can go on."""
    incoming, outgoing = os.pipe()
    os.write(outgoing, track("a") + b"\n")
    seen: list[Any] = []
    with os.fdopen(incoming, "rb") as stream:
        for one in EventFile("-", stream):
            seen.append(one)
            if one is IDLE:
                os.write(outgoing, track("b"))
                threading.Thread(target=os.close, args=(outgoing,)).start()
                break
        assert [Found, type(IDLE)] == [type(one) for one in seen]


def test_a_named_pipe_is_not_read_before_its_time(tmp_path: Path) -> None:
    """Looking whether a file is one leaves alone what can be read but once."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    check_file(str(pipe))
    writer = threading.Thread(target=lambda: pipe.write_bytes(track("a") + b"\n"))
    writer.start()
    with EventFile(str(pipe)) as file:
        assert places([one for one in file if isinstance(one, Found)]) == [("a", 1, 1)]
        assert file.size is None
    writer.join()


@pytest.mark.parametrize(
    ("content", "says", "cure"),
    [
        (lzma.compress(b"{}"), "xz-compressed", "xz -dc"),
        (b"PK\x03\x04rest", "a zip archive", "unzip -p"),
        ("{}".encode("utf-16"), "UTF-16", "iconv"),
        (b"\x7fELF\x00\x01", "a binary file", "NDJSON"),
        (b'{"a":1}\n\x00\x00', "a binary file", "NDJSON"),
    ],
)
def test_a_file_that_is_no_text_says_what_it_is_and_what_to_do(
    tmp_path: Path, content: bytes, says: str, cure: str
) -> None:
    """A file of the wrong kind is named for what it is before anything is read from it; standard input is too."""
    path = tmp_path / "events"
    path.write_bytes(content)
    with pytest.raises(UnreadableFile, match=says) as raised:
        check_file(str(path))
    assert cure in str(raised.value.hint)
    with pytest.raises(UnreadableFile, match=f"standard input: is .*{says}"):
        read(content)


def test_what_cannot_be_opened_says_why(tmp_path: Path) -> None:
    """A missing file, a directory, a name that can be none: one sentence each, with the name."""
    for name, says in ((tmp_path / "none", "no such file"), (tmp_path, "is a directory"), ("a\x00b", "cannot be")):
        with pytest.raises(UnreadableFile, match=says):
            EventFile(str(name))


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_without_permission_says_so(tmp_path: Path) -> None:
    """A file that this user may not read says so."""
    path = tmp_path / "secret"
    path.write_bytes(track("a"))
    path.chmod(0)
    with pytest.raises(UnreadableFile, match="may not read it"):
        check_file(str(path))
