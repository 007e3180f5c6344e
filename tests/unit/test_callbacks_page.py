"""docs/callbacks.md says what the code does: addresses, outcomes, statuses, actions, and files that load."""

from __future__ import annotations

import re
from pathlib import Path

import orjson
import pytest

from worker.actions import ACTIONS
from worker.destinations import load_destinations
from worker.intake.callbacks import CHANNELS, STRAY
from worker.msg91.reports import SMS_STATUSES, Verdict, read_reports

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "callbacks.md").read_text(encoding="utf-8")
ENVIRON = {"MSG91_AUTHKEY": "k" * 24, "MSG91_CALLBACK_SECRET": "c" * 32}


def rows(heading: str) -> list[list[str]]:
    """The rows of the table whose first heading is this."""
    text = PAGE.partition(f"| {heading} |")[2].partition("\n\n")[0]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines()[2:]]


def test_every_address_is_told() -> None:
    """Every channel has its address on the page."""
    for channel in CHANNELS:
        assert f"/v1/callbacks/shop/{channel}" in PAGE


@pytest.mark.parametrize("text", re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL))
def test_its_files_load(text: str, tmp_path: Path) -> None:
    """Every destinations file on the page loads without a warning, and expects reports."""
    file = tmp_path / "destinations.yaml"
    file.write_text(text, encoding="utf-8")
    found = load_destinations(file, ENVIRON)
    assert found.warnings == ()
    assert found.all[0].policy("send_sms").report_window == 48 * 3600


def test_the_template_needs_no_names() -> None:
    """The body that the page proposes for a template-defined webhook is read without any setting."""
    (text,) = re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL)
    filled = {"requestId": "r-1", "telNum": "919000000001", "status": "failed", "CRQID": "t-1", "failureReason": "why"}
    for name, value in {**filled, "deliveryTime": "2026-01-01 10:00:00"}.items():
        text = text.replace("{{" + name + "}}", value)
    (report,) = read_reports("application/json", text.encode())
    found = (report.verdict, report.recipient, report.request_id, report.token, report.reason, report.at)
    expected = (Verdict.UNDELIVERED, "919000000001", "r-1", "t-1", "why", "2026-01-01 10:00:00")
    assert found == expected


def test_its_statuses_are_those_of_the_code() -> None:
    """Every number that means something stands beside what it means, and every word on the page is known."""
    verdicts = (Verdict.DELIVERED, Verdict.UNDELIVERED, Verdict.PENDING)
    for (_, words, _), verdict in zip(rows("the report says")[:3], verdicts, strict=True):
        numbers = set(re.findall(r"`(\d+)`", words))
        assert numbers == {number for number, (said, _) in SMS_STATUSES.items() if said is verdict}
        for word in re.findall(r"[a-z]+", words):
            (report,) = read_reports("application/json", orjson.dumps({"status": word}))
            assert report.verdict in (verdict, Verdict.READ if verdict is Verdict.DELIVERED else verdict), word


def test_its_actions_are_those_of_the_code() -> None:
    """Every action is told, and whether its request carries a correlation id."""
    told = {name: cells[1].startswith("yes") for cells in rows("action") for name in re.findall(r"`(\w+)`", cells[0])}
    assert told == {name: action.correlates for name, action in ACTIONS.items()}


def test_its_outcomes_are_those_of_the_code() -> None:
    """Every outcome of a report has its row, and none is made up."""
    script = (ROOT / "worker" / "delivery" / "lua" / "report.lua").read_text(encoding="utf-8")
    returned = set(re.findall(r"return (?:\w+ == '\w' and )?'(\w+)'", script)) | {"recorded"}
    told = {name for cells in rows("outcome") for name in re.findall(r"`(\w+)`", cells[0])}
    assert told == returned | STRAY | {"taken"}
