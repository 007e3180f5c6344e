"""A request's body: bounds, gzip, and JSON that is not quite JSON."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import json
import zlib
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.requests import ClientDisconnect

from worker.intake.bodies import Bodies, inflate, parse
from worker.intake.limits import Limits
from worker.intake.refusals import Refused

LIMITS = Limits(event=100, body=1_000, events=5, bodies=2_500)


def read(bodies: Bodies, chunks: list[bytes], **headers: bytes) -> bytes:
    """Read a body that comes in chunks."""
    waiting = [{"type": "http.request", "body": chunk, "more_body": True} for chunk in chunks]
    waiting[-1]["more_body"] = False

    async def receive() -> Any:
        return waiting.pop(0)

    named = {name.replace("_", "-").encode(): value for name, value in headers.items()}
    return asyncio.run(bodies.read(named, receive))


def test_chunks_are_joined() -> None:
    """A body may come in any number of pieces."""
    assert read(Bodies(LIMITS), [b"ab", b"", b"c"]) == b"abc"


@pytest.mark.parametrize("announced", [b"1001", b"9" * 30, b"999999999999999999"])
def test_announced_length_over_the_limit_is_refused_unread(announced: bytes) -> None:
    """A body that is said to be too large is not waited for."""
    with pytest.raises(Refused) as caught:
        read(Bodies(LIMITS), [b"x"], content_length=announced)
    assert caught.value.status == 413


def test_body_over_the_limit_is_refused() -> None:
    """A body that grows too large is refused, also when nothing or something else was announced."""
    bodies = Bodies(LIMITS)
    with pytest.raises(Refused) as caught:
        read(bodies, [b"x" * 600, b"x" * 600], content_length=b"5")
    assert caught.value.status == 413
    assert bodies.held == 0


def test_all_bodies_together_are_bounded() -> None:
    """While too much is on its way in, more is refused until later."""
    bodies = Bodies(LIMITS)
    bodies.held = 2_000
    with pytest.raises(Refused) as caught:
        read(bodies, [b"x" * 600])
    assert (caught.value.status, caught.value.retry_after) == (429, 1)
    assert bodies.held == 2_000


def test_client_that_goes_away_is_no_refusal() -> None:
    """A client that hangs up is told nothing, and what it sent is forgotten."""
    bodies = Bodies(LIMITS)
    waiting: list[Any] = [{"type": "http.request", "body": b"x", "more_body": True}, {"type": "http.disconnect"}]

    async def receive() -> Any:
        return waiting.pop(0)

    with pytest.raises(ClientDisconnect):
        asyncio.run(bodies.read({}, receive))
    assert bodies.held == 0


@pytest.mark.parametrize("encoding", [b"gzip", b"GZIP", b" x-gzip "])
def test_gzip_is_inflated(encoding: bytes) -> None:
    """Bodies may be compressed, in one member or several."""
    assert inflate(gzip.compress(b"abc"), encoding, 1_000) == b"abc"
    assert inflate(gzip.compress(b"abc") + gzip.compress(b"def"), encoding, 1_000) == b"abcdef"


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (gzip.compress(b"x" * 50_000_000, mtime=0), 413, "too_large"),
        (gzip.compress(b"x" * 600, mtime=0) * 2, 413, "too_large"),
        (gzip.compress(b"abc", mtime=0)[:-1], 400, "gzip_truncated"),
        (gzip.compress(b"abc", mtime=0)[:5], 400, "gzip_truncated"),
        (b"abc", 400, "gzip_invalid"),
        (zlib.compress(b"abc"), 400, "gzip_invalid"),
        (gzip.compress(b"abc", mtime=0) + b"abc", 400, "gzip_invalid"),
    ],
)
def test_bad_gzip_is_refused(body: bytes, status: int, code: str) -> None:
    """Bombs, truncated data and what is no gzip are refused, with the reason."""
    with pytest.raises(Refused) as caught:
        inflate(body, b"gzip", 1_000)
    assert (caught.value.status, caught.value.code) == (status, code)


def test_other_encodings_are_refused() -> None:
    """An encoding that is not read here is named as such."""
    with pytest.raises(Refused) as caught:
        inflate(b"abc", b"br", 1_000)
    assert (caught.value.status, caught.value.code) == (415, "encoding_unknown")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (r'{"a": "cut \ud83d"}', {"a": "cut \ufffd"}),
        (r'{"a": "\ude00 first"}', {"a": "\ufffd first"}),
        (r'{"a": "\ud83d\ude00\ud83d"}', {"a": "\U0001f600\ufffd"}),
        (r'{"a": "\ud83d\ud83d\ude00"}', {"a": "\ufffd\U0001f600"}),
        (r'{"a": "\\ud83d \ud83d"}', {"a": "\\ud83d \ufffd"}),
        ('{"a": NaN, "b": Infinity, "c": -Infinity, "d": 1}', {"a": None, "b": None, "c": None, "d": 1}),
        ('{"a": 1e400, "b": -1e999}', {"a": None, "b": None}),
        ('{"a": NaN, "b": 123456789012345678901234567890}', {"a": None, "b": 1.2345678901234568e29}),
        ('{"a": NaN, "b": ' + "9" * 5_000 + "}", {"a": None, "b": None}),
        ('{"a": 1, "a": 2}', {"a": 2}),
    ],
)
def test_odd_json_is_mended(text: str, expected: Any) -> None:
    """What clients write although JSON forbids it does not cost the whole batch."""
    assert parse(text.encode()) == expected


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"  ",
        b"{",
        b"{'a': 1}",
        b'{"a": "\xff"}',
        b'{"a": 1}}',
        b"[" * 100_000,
        b'{"a":' * 50_000 + b"1" + b"}" * 50_000,
        b"\x00",
        b"nan",
        b'{"a": "\n"}',
    ],
)
def test_what_is_no_json_is_refused(body: bytes) -> None:
    """Anything else is refused with 400; the answer shows nothing of it."""
    with pytest.raises(Refused) as caught:
        parse(body)
    assert (caught.value.status, caught.value.code) == (400, "bad_request")


@given(st.binary(max_size=60))
def test_bytes_never_break_it(body: bytes) -> None:
    """Whatever comes is read or refused."""
    with contextlib.suppress(Refused):
        parse(body)


@given(
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.integers() | st.text(st.characters()),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(st.characters()), inner),
        max_leaves=10,
    )
)
def test_what_python_writes_can_be_read_and_written(value: Any) -> None:
    """Python's own JSON, with NaN, lone surrogates and numbers of any size, comes to what can be stored."""
    orjson.dumps(parse(json.dumps(value).encode()))
