"""What the sandbox's page says is what the sandbox does."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from worker.sandbox.control import _HANDLERS, PREFIX
from worker.sandbox.faults import KINDS, read_fault
from worker.sandbox.magic import MAGIC, REPORTS

PAGE = (Path(__file__).parents[3] / "docs" / "sandbox.md").read_text()
#: Rows whose number or fault is followed by whether the message is sent.
ROW = re.compile(r"^\| (`[^|]+) \| [^|]+ \| (yes|no|as ever) \|$", re.MULTILINE)


def test_every_magic_number_on_the_page_does_what_it_says() -> None:
    """A listed number has the listed code, status or effect on what is sent."""
    rows = re.findall(r"^\| `\+1 (20[^7]) 555 (01\d\d)` \| ([^|]+) \|(?: (yes|no) \|)?$", PAGE, re.MULTILINE)
    assert len(rows) > 15
    for area, last, outcome, sent in rows:
        fault = MAGIC[f"1{area}555{last}"]
        if outcome.startswith("code"):
            assert outcome.startswith(f"code {fault.code}")
        elif outcome.startswith("status ") and not sent:
            assert outcome.startswith(f"status {fault.status}")
        else:
            assert sent == ("yes" if fault.takes or not fault.ends else "no"), outcome


def test_every_number_on_the_page_that_decides_a_report_does_so() -> None:
    """The table of area code 207 has all of them, each with its name."""
    rows = re.findall(r"^\| `\+1 207 555 (01\d\d)` \| `([^`]+)`", PAGE, re.MULTILINE)
    assert {f"1207555{last}": name for last, name in rows} == REPORTS


def test_the_page_lists_every_code_with_a_number() -> None:
    """The sentence that lists the codes names all of them and no other."""
    sentence = PAGE.split("Every code has its number: ")[1].split(".\n")[0].replace("(area code 208)", "")
    listed: set[str] = set()
    for part in sentence.replace("\n", " ").split(","):
        first, _, last = (word.strip() for word in part.partition(" to "))
        listed |= {f"{code:03d}" for code in range(int(first), int(last or first) + 1)}
    assert listed == {fault.code for fault in MAGIC.values() if fault.kind == "code"}


def test_every_fault_on_the_page_can_be_written_so() -> None:
    """Each fault of the table reads, takes what its row says, and no kind is missing."""
    seen = set()
    for cell, sent in ROW.findall(PAGE):
        for text in re.findall(r"`([^`+]+)`", cell):
            kind = read_fault(text).kind
            seen.add(kind)
            assert {True: "yes", False: "no", None: "as ever"}[KINDS[kind].takes] == sent
    assert seen == set(KINDS)


@pytest.mark.parametrize("command", re.findall(r"sandbox fault ([^\n]+)", PAGE))
def test_every_fault_command_on_the_page_is_one(command: str) -> None:
    """The commands shown can be typed."""
    if command not in {"list", "clear"}:
        assert [read_fault(text).text for text in command.split()] == command.split()


def test_the_page_names_every_option_and_every_control_call() -> None:
    """Nothing that can be said to a sandbox is missing from its page."""
    options = {option for kind in KINDS.values() for option in kind.options}
    assert [option for option in sorted(options) if f"`{option}" not in PAGE] == []
    names = {name for _, name in _HANDLERS if name}
    assert [name for name in sorted(names) if f"{PREFIX}/{name}" not in PAGE] == []
