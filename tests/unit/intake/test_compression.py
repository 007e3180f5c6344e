"""Compressed files read like all others, in bounded memory; damaged ones say so after what could be read."""

from __future__ import annotations

import gzip
import io
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.intake import compression
from worker.intake.compression import Compression, expanded
from worker.intake.files import EventFile, Found, UnreadableFile, check_file

zstd = pytest.importorskip("backports.zstd")
PACK: dict[Compression, Callable[[bytes], bytes]] = {Compression.GZIP: gzip.compress, Compression.ZSTD: zstd.compress}
EVENTS = b"".join(b'{"type":"page","n":%d}\n' % number for number in range(50))

both = pytest.mark.parametrize("kind", list(Compression))


def cut(content: bytes, size: int) -> Iterator[bytes]:
    """The content in pieces."""
    return (content[at : at + size] for at in range(0, len(content), size))


def numbers(file: EventFile) -> list[int]:
    """The events of a file."""
    return [one.event["n"] for one in file if isinstance(one, Found)]


@both
@given(st.lists(st.binary(max_size=50), min_size=1, max_size=4), st.integers(1, 60), st.integers(0, 600))
def test_members_one_after_the_other_in_any_pieces(
    kind: Compression, parts: list[bytes], size: int, padding: int
) -> None:
    """Files joined end to end are one, wherever pieces end; zeros after the end are passed over."""
    packed = b"".join(map(PACK[kind], parts)) + b"\0" * padding
    assert b"".join(parts) == b"".join(expanded(cut(packed, size), kind))


@both
def test_a_silent_pipe_gives_what_has_come(kind: Compression) -> None:
    """An empty piece stays one."""
    packed = PACK[kind](b"hello")
    assert list(expanded(iter([b"", packed, b""]), kind)) == [b"", b"hello", b""]


@both
def test_files_and_standard_input_are_told_by_content(tmp_path: Path, kind: Compression) -> None:
    """Whatever it is called, a compressed file is read; its size and what was read of it are those on the disk."""
    packed = PACK[kind](EVENTS)
    path = tmp_path / "events.txt"
    path.write_bytes(packed)
    check_file(str(path))
    with EventFile(str(path)) as file:
        assert numbers(file) == list(range(50))
        assert file.bytes_read == file.size == len(packed)
    assert numbers(EventFile("-", io.BytesIO(packed))) == list(range(50))


@both
def test_a_damaged_file_gives_what_can_be_read_and_says_so(tmp_path: Path, kind: Compression) -> None:
    """Cut off or followed by rubbish: the events before are found, then one sentence says that the end is missing."""
    whole = PACK[kind](EVENTS)
    second = PACK[kind](orjson.dumps({"type": "page", "n": 50}))
    path = tmp_path / "events"
    for content, says in ((whole + second[:-3], "ends too early"), (whole + b"rubbish", "is damaged")):
        path.write_bytes(content)
        with EventFile(str(path)) as file:
            found: list[Any] = []
            with pytest.raises(UnreadableFile, match=says):
                found.extend(one.event["n"] for one in file if isinstance(one, Found))


@both
def test_a_bomb_takes_little_memory(kind: Compression) -> None:
    """What expands to 300 MB of nothing is expanded a piece at a time."""
    bomb = PACK[kind](bytes(50_000_000)) * 6
    tracemalloc.start()
    try:
        assert sum(len(piece) for piece in expanded(iter([bomb]), kind)) == 300_000_000
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 8_000_000


@both
def test_what_is_inside_must_be_text(tmp_path: Path, kind: Compression) -> None:
    """A compressed archive is called what it is before anything is read from it."""
    path = tmp_path / "files.tar.gz"
    path.write_bytes(PACK[kind](b"name\0\0\0\0"))
    with pytest.raises(UnreadableFile, match="is a binary file"):
        check_file(str(path))


def test_without_the_library_zstandard_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No library: nothing is read, and the hint names the extra and the way around it."""

    def missing(name: str) -> Any:
        raise ImportError(name)

    monkeypatch.setattr(compression.importlib, "import_module", missing)
    path = tmp_path / "events.zst"
    path.write_bytes(zstd.compress(EVENTS))
    with pytest.raises(UnreadableFile, match="zstd-compressed") as raised:
        check_file(str(path))
    assert "msg91-destination[zstd]" in str(raised.value.hint)
    assert f"zstd -dc {path} |" in str(raised.value.hint)
