"""Folders: every event file in them and below, in a fixed order, and nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest

from worker.intake.folders import expand


def test_event_files_are_found_below_and_sorted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Names that end like event files count, compressed or not; hidden ones do not; files named singly all count."""
    monkeypatch.chdir(tmp_path)
    for name in (
        *("in/b/2.csv", "in/b/1.NDJSON.gz", "in/a.json", "in/z.jsonl.zst", "in/b-c/0.tsv"),
        *("in/readme.md", "in/.hidden.json", "in/.git/x.json", "any.log"),
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "in/empty").mkdir()
    (tmp_path / "in/b/up").symlink_to("..")
    found = expand(["any.log", "in", "-", "none", "in/empty"])
    assert found.files == (
        *("any.log", "in/a.json", "in/b/1.NDJSON.gz", "in/b/2.csv", "in/b-c/0.tsv", "in/z.jsonl.zst"),
        *("-", "none"),
    )
    assert found.passed_over == ("in/readme.md",)
    assert found.empty == ("in/empty",)
