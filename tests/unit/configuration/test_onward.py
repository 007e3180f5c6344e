"""The keys under ``onward``: what is wrong with them is said by line, and what is right becomes receivers."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from worker.cli.main import app
from worker.configuration import ConfigurationError
from worker.destinations import Destination, load_destinations

SEGMENT = {"name": "segment", "write_key": "write-key-of-segment"}
CRM = {"name": "crm", "report_url": "https://crm.example/a/b?t=1", "secret": "secret-of-the-crm"}
DOCS = Path(__file__).parents[3] / "docs"


def loaded(folder: Path, onward: dict[str, Any], **more: Any) -> Destination:
    """The one destination of a file with this under ``onward``."""
    file = folder / "destinations.yaml"
    keys = {"name": "shop", "authkey": "${KEY}", "onward": onward, **more}
    file.write_text(yaml.safe_dump({"destinations": [keys]}), encoding="utf-8")
    return load_destinations(file, {"KEY": "k" * 24}).all[0]


def test_receivers_are_made_of_it(tmp_path: Path) -> None:
    """Addresses are taken apart, keys become headers, and Segment is where nothing else is said."""
    found = loaded(tmp_path, {"tracking": [SEGMENT], "callbacks": [CRM]}).context.receivers
    segment, crm = found.tracking["segment"], found.callbacks["crm"]
    assert segment.addresses["track"].origin == "https://api.segment.io"
    assert segment.addresses["track"].path == "/v1/track"
    assert segment.authorization == "Basic d3JpdGUta2V5LW9mLXNlZ21lbnQ6"
    assert (segment.secret, segment.timeout) == (None, 5.0)
    report = crm.addresses["report"]
    assert (report.origin, report.path, dict(report.query)) == ("https://crm.example", "/a/b", {"t": "1"})
    assert (crm.secret, "inbound" in crm.addresses) == ("secret-of-the-crm", False)


@pytest.mark.parametrize("url", ["https://t.example", "https://t.example/", "https://t.example/v1/track"])
def test_the_path_of_a_tracking_api(tmp_path: Path, url: str) -> None:
    """``/v1/track`` is added where it does not stand already."""
    receiver = loaded(tmp_path, {"tracking": [{**SEGMENT, "url": url}]}).context.receivers.tracking["segment"]
    assert receiver.addresses["track"].path == "/v1/track"
    below = loaded(tmp_path, {"tracking": [{**SEGMENT, "url": "https://t.example/in"}]}).context.receivers
    assert below.tracking["segment"].addresses["track"].path == "/in/v1/track"


@pytest.mark.parametrize("url", ["http://127.0.0.1:8000", "http://[::1]:8000", "http://localhost:8000"])
def test_this_machine_may_be_told_unencrypted(tmp_path: Path, url: str) -> None:
    """Nothing leaves it; others need to be allowed by name."""
    assert loaded(tmp_path, {"tracking": [{**SEGMENT, "url": url}]}).publishes
    assert loaded(tmp_path, {"tracking": [{**SEGMENT, "url": "http://t.example", "allow_http": True}]}).publishes


@pytest.mark.parametrize(
    ("onward", "place", "sentence"),
    [
        ({"tracking": [{**SEGMENT, "url": "http://t.example"}]}, "tracking[0].url", "told unencrypted"),
        ({"tracking": [{**SEGMENT, "url": "ftp://t.example"}]}, "tracking[0].url", "expected an address"),
        ({"tracking": [{**SEGMENT, "url": "https://u:p@t.example"}]}, "tracking[0].url", "without user name"),
        ({"tracking": [{**SEGMENT, "url": "https://t.example/a b"}]}, "tracking[0].url", "percent-encoded"),
        ({"tracking": [{**SEGMENT, "url": "https://t.example/?a=1&a=2"}]}, "tracking[0].url", "twice"),
        ({"tracking": [{"name": "segment"}]}, "tracking[0].write_key", "missing"),
        ({"tracking": [SEGMENT, SEGMENT]}, "tracking[1].name", "has this name already"),
        ({"tracking": [SEGMENT], "callbacks": [{**CRM, "name": "segment"}]}, "callbacks[0].name", "has this name"),
        ({"tracking": [{**SEGMENT, "mappings": ["Trak"]}]}, "tracking[0].mappings[0]", "no such mapping"),
        ({"tracking": [{**SEGMENT, "channels": ["fax"]}]}, "tracking[0].channels[0]", "expected"),
        ({"tracking": [{**SEGMENT, "timeout": "1m"}]}, "tracking[0].timeout", "15"),
        ({"callbacks": [{"name": "crm", "secret": "s" * 16}]}, "callbacks[0]", "no address"),
        ({"callbacks": [{"name": "crm", "report_url": "https://c.example"}]}, "callbacks[0].secret", "missing"),
        ({"auto_reply": {"text": "Hello", "template": "hello"}}, "auto_reply", "either text or template"),
        ({"auto_reply": {}}, "auto_reply", "either text or template"),
        ({"auto_reply": {"text": "Hello", "every": 5}}, "auto_reply.every", "60"),
    ],
)
def test_what_is_wrong_is_said_by_line(tmp_path: Path, onward: dict[str, Any], place: str, sentence: str) -> None:
    """The file, the line, the key, and what is wrong; never the value of a secret."""
    with pytest.raises(ConfigurationError) as caught:
        loaded(tmp_path, onward, whatsapp={"numbers": ["918818888758"]})
    (problem,) = caught.value.problems
    assert problem.path == f"destinations[0].onward.{place}"
    assert sentence in problem.message
    assert problem.line is not None
    assert SEGMENT["write_key"] not in str(problem)


def test_secrets_that_can_be_guessed_are_warned_of(tmp_path: Path) -> None:
    """Short ones that bodies are signed with, or pseudonyms are derived with."""
    loaded(tmp_path, {"pseudonym_key": "short", "callbacks": [{**CRM, "secret": "short"}]})
    found = load_destinations(tmp_path / "destinations.yaml", {"KEY": "k" * 24}).warnings
    assert {one.path.removeprefix("destinations[0].onward.") for one in found} == {
        "pseudonym_key",
        "callbacks[0].secret",
    }


def test_what_is_shown_of_it_holds_no_secret(tmp_path: Path) -> None:
    """Neither keys nor addresses, which may be as good as keys, are in what ``config show`` prints."""
    loaded(tmp_path, {"tracking": [SEGMENT], "callbacks": [CRM]})
    environ = {"KEY": "k" * 24, "DESTINATIONS_FILE": str(tmp_path / "destinations.yaml")}
    shown = CliRunner().invoke(app, ["config", "show"], env=environ).output
    assert "onward" in shown
    assert not any(one in shown for one in (SEGMENT["write_key"], CRM["secret"], "crm.example"))


def test_an_answer_needs_a_number_to_come_from(tmp_path: Path) -> None:
    """A destination without an integrated number cannot answer."""
    with pytest.raises(ConfigurationError, match="no integrated number"):
        loaded(tmp_path, {"auto_reply": {"text": "Hello"}})


def test_the_example_of_the_page_loads(tmp_path: Path) -> None:
    """What docs/onward.md shows is a file that works as it stands."""
    (example,) = re.findall(
        r"```yaml\n(destinations:.*?)```", (DOCS / "onward.md").read_text(encoding="utf-8"), re.DOTALL
    )
    (tmp_path / "destinations.yaml").write_text(example, encoding="utf-8")
    names = re.findall(r"\$\{(\w+)\}", example)
    environ = dict.fromkeys(names, "k" * 24) | {name: "https://c.example/x" for name in names if name.endswith("_URL")}
    found = load_destinations(tmp_path / "destinations.yaml", environ)
    assert found.warnings == ()
    assert found.all[0].publishes
