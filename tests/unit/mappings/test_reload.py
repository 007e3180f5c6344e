"""Mapping files that change while they are in use."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from mappings.reload import MappingFiles

GOOD = 'mappings: [{name: a, action: x, trigger: type = "track", mapping: {v: 1}}]'
BETTER = GOOD.replace("v: 1", "v: 2")
BROKEN = GOOD.replace("v: 1", 'v: {"@pth": x}')

OLD = 1_000_000_000


def write(file: Path, text: str, seconds: int = OLD) -> None:
    """Write a file as if it had been written at some second."""
    file.write_text(text)
    os.utime(file, (seconds, seconds))


def value(files: MappingFiles, file: Path) -> object:
    """What the one mapping of a file gives."""
    return files.current[str(file)].mappings[0].mapping({})["v"]


def test_a_changed_file_is_taken_over(tmp_path: Path) -> None:
    """The next look at a file sees its new content, and counts the change."""
    file = tmp_path / "m.yaml"
    write(file, GOOD)
    files = MappingFiles([file])

    assert files.refresh() == []
    before = files.version
    write(file, BETTER, OLD + 10)

    assert files.refresh() == []
    assert value(files, file) == 2
    assert files.version == before + 1


def test_a_broken_file_never_replaces_a_good_one(tmp_path: Path) -> None:
    """The last good content stays until there is another, and each broken content is complained of once."""
    file = tmp_path / "m.yaml"
    write(file, GOOD)
    files = MappingFiles([file])
    files.refresh()

    write(file, BROKEN, OLD + 10)
    [error] = files.refresh()
    assert "@pth" in str(error)
    assert files.refresh() == []
    assert value(files, file) == 1

    write(file, BROKEN + "\n# touched", OLD + 20)
    assert len(files.refresh()) == 1

    write(file, BETTER, OLD + 30)
    assert files.refresh() == []
    assert value(files, file) == 2


def test_a_file_that_goes_away_keeps_its_last_content(tmp_path: Path) -> None:
    """A deleted file is complained of once, and taken over again when it is back."""
    file = tmp_path / "m.yaml"
    write(file, GOOD)
    files = MappingFiles([file])
    files.refresh()

    file.unlink()
    assert len(files.refresh()) == 1
    assert files.refresh() == []
    assert value(files, file) == 1

    write(file, BETTER)
    assert files.refresh() == []
    assert value(files, file) == 2


def test_a_file_put_back_as_it_was_is_no_change(tmp_path: Path) -> None:
    """Only content counts: the same text under a new stamp compiles nothing, and a mended file is good again."""
    file = tmp_path / "m.yaml"
    write(file, GOOD)
    files = MappingFiles([file])
    files.refresh()
    first = files.current[str(file)]

    write(file, GOOD, OLD + 10)
    assert files.refresh() == []
    assert files.current[str(file)] is first

    write(file, BROKEN, OLD + 20)
    assert len(files.refresh()) == 1
    write(file, GOOD, OLD + 30)
    assert files.refresh() == []
    assert value(files, file) == 1


def test_a_change_within_one_time_stamp_is_seen(tmp_path: Path) -> None:
    """A file written twice in the same moment, with the same length, is read again."""
    file = tmp_path / "m.yaml"
    file.write_text(GOOD)
    files = MappingFiles([file])
    files.refresh()
    status = file.stat()

    file.write_text(BETTER)
    os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns))

    assert files.refresh() == []
    assert value(files, file) == 2


def test_a_file_that_was_never_good_has_no_content(tmp_path: Path) -> None:
    """It is reported and left out; its neighbours work."""
    good, bad = tmp_path / "good.yaml", tmp_path / "bad.yaml"
    write(good, GOOD)
    write(bad, BROKEN)
    files = MappingFiles([good, bad, "segment-msg91"])

    assert len(files.refresh()) == 1
    assert set(files.current) == {str(good), "segment-msg91"}


def test_an_unchanged_file_is_not_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Looking at a file whose stamp is old and the same costs no reading."""
    file = tmp_path / "m.yaml"
    write(file, GOOD)
    files = MappingFiles([file])
    files.refresh()
    monkeypatch.setattr("mappings.reload.read_text", lambda _: pytest.fail("the file was read"))

    assert files.refresh() == []


def test_actions_are_checked_on_reload_too(tmp_path: Path) -> None:
    """A file that names a field nobody has does not come in."""
    file = tmp_path / "m.yaml"
    write(file, GOOD)
    files = MappingFiles([file], {"x": {"w": {"type": "string"}}})

    [error] = files.refresh()
    assert "is not a field of x" in str(error)
