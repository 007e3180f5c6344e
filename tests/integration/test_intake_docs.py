"""docs/intake.md: what it shows works as it stands there."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import orjson
import pytest

from tests.intake import WRITE_KEY, Intake
from tests.system import System, sms, wait_until
from worker.destinations import load_destinations
from worker.intake.metrics import metrics_of
from worker.intake.tracking import CALLS
from worker.intake.webhooks import SOURCES

pytestmark = pytest.mark.integration

PAGE = (Path(__file__).parents[2] / "docs" / "intake.md").read_text(encoding="utf-8")
HOOK = "token-of-the-webhook-in-docs"


def blocks(kind: str) -> list[str]:
    """The blocks of one kind."""
    return re.findall(rf"^```{kind}\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)


@pytest.fixture(scope="module")
def system() -> Iterator[System]:
    """A system with one worker and a destination as the page has it."""
    destination = {"name": "shop", "write_keys": [WRITE_KEY], "webhooks": {"token": HOOK}}
    with System(workers=1, destination=destination) as found:
        yield found


@pytest.fixture(scope="module")
def door(system: System) -> Iterator[Intake]:
    """The door of that system."""
    with Intake(system) as found:
        yield found


def run(command: list[str], door: Intake, folder: Path) -> str:
    """Run something as the page says; what it prints."""
    environ = {name: value for name, value in os.environ.items() if "proxy" not in name.lower()}
    done = subprocess.run(
        command,
        cwd=folder,
        env={**environ, "DOOR": door.url, "WRITE_KEY": WRITE_KEY, "WEBHOOK_TOKEN": HOOK},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def wait_for_text(system: System, text: str) -> None:
    """Wait until MSG91 has taken a text."""
    wait_until(
        lambda: any(
            text == one["text"] for request in system.sandbox.requests() for one in request.get("messages", ())
        ),
        what=f"{text!r} is sent",
    )


def test_shell_works(system: System, door: Intake, tmp_path: Path) -> None:
    """Every shell block sends or finds what it says."""
    track, look, batch, hook = blocks("bash")
    script = ["bash", "-euo", "pipefail", "-c"]
    assert orjson.loads(run([*script, track], door, tmp_path)) == {"success": True}
    wait_for_text(system, "Your order is on its way")
    system.wait_settled()
    found = orjson.loads(run([*script, look], door, tmp_path))
    assert [one["state"] for one in found["deliveries"]] == ["accepted"]
    assert orjson.loads(run([*script, batch], door, tmp_path)) == {"success": True}
    wait_for_text(system, "from the shell")
    assert orjson.loads(run([*script, hook], door, tmp_path)) == {"success": True}
    wait_for_text(system, "from a webhook")


def test_python_works(system: System, door: Intake, tmp_path: Path) -> None:
    """The Python block sends its message."""
    (block,) = blocks("python")
    run([sys.executable, "-c", block], door, tmp_path)
    wait_for_text(system, "from Python")


def test_segment_function_works(system: System, door: Intake, tmp_path: Path) -> None:
    """The destination function hands over an event, and tells what can be tried again from what cannot."""
    if shutil.which("node") is None:
        pytest.skip("node is not installed")
    (block,) = blocks("js function")
    event = orjson.dumps(sms(919000000001, "function", "from a function")).decode()
    script = f"""
      class RetryError extends Error {{}} class ValidationError extends Error {{}}
      {block}
      const settings = {{ door: process.env.DOOR, writeKey: process.env.WRITE_KEY }};
      const say = (promise) => promise.then(() => console.log("taken"), (error) => console.log(error.constructor.name));
      (async () => {{
        await say(onTrack({event}, settings));
        await say(onTrack({{}}, settings));
        await say(onTrack({event}, {{ ...settings, writeKey: "wrong" }}));
      }})();
    """
    assert run(["node", "-e", script], door, tmp_path).split() == ["taken", "ValidationError", "ValidationError"]
    wait_for_text(system, "from a function")


def test_yaml_is_a_destinations_file(tmp_path: Path) -> None:
    """Every file on the page loads without a warning."""
    environ = {"MSG91_AUTHKEY": "k" * 24, "SEGMENT_SECRET": "s" * 20, "WEBHOOK_TOKEN": "t" * 20}
    for text in blocks("yaml"):
        file = tmp_path / "destinations.yaml"
        file.write_text(text, encoding="utf-8")
        assert load_destinations(file, environ).warnings == ()


def test_addresses_and_metrics_are_those_of_the_code(system: System, door: Intake) -> None:
    """The page names every address and every metric that there is."""
    for call in CALLS:
        assert re.search(rf"/v1/(\{{[a-z,]*\b{call}\b[a-z,]*\}}|{call}\b)", PAGE), call
    for source in SOURCES:
        assert re.search(rf"/v1/webhooks/\{{[a-z,]*\b{source}\b", PAGE), source
    assert door.post("/v1/track", sms(919000000002, "for the lane")).status_code == 200
    system.wait_settled()
    destinations = load_destinations(system.folder / "destinations.yaml", system.environ)
    for metric in metrics_of(system.core, destinations, 0):
        assert f"`{metric.name}" in PAGE, metric.name
