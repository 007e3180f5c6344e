"""The clients that senders have: their host is swapped for the door's, and they work."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from segment.analytics.client import Client

from tests.intake import WRITE_KEY, Intake
from tests.system import System, sms, wait_until

pytestmark = pytest.mark.integration

NUMBER = 919000000000
#: Jitsu's client takes no key without a colon.
JITSU_KEY = "jitsu:key-of-the-tests"
NODE = Path(__file__).parent / "node"


@pytest.fixture(scope="module")
def system() -> Iterator[System]:
    """A system with one worker."""
    with System(workers=1, destination={"write_keys": [WRITE_KEY, JITSU_KEY]}) as found:
        yield found


@pytest.fixture(scope="module")
def door(system: System) -> Iterator[Intake]:
    """The door of that system."""
    with Intake(system) as found:
        yield found


def texts(system: System) -> list[str]:
    """The texts that MSG91 has taken."""
    return [str(message["text"]) for one in system.sandbox.requests() for message in one.get("messages", ())]


def fields(text: str) -> dict[str, Any]:
    """What makes a message."""
    return {"phone": f"+{NUMBER + sum(text.encode())}", "message": text, "senderID": "MSGIND"}


def calls(prefix: str) -> list[dict[str, Any]]:
    """One event of each kind that becomes a message."""
    return [
        {"type": "track", "event": "Order Shipped", "properties": fields(f"{prefix} track")},
        {"type": "identify", "traits": fields(f"{prefix} identify")},
        {"type": "page", "name": "Home", "properties": fields(f"{prefix} page")},
    ]


@pytest.mark.parametrize("compressed", [False, True])
def test_segments_python_client(compressed: bool, system: System, door: Intake) -> None:
    """segment-analytics-python delivers every call, plain and compressed, without one error."""
    errors: list[Any] = []
    client = Client(
        WRITE_KEY, host=door.url, gzip=compressed, upload_size=2, on_error=lambda error, _: errors.append(error)
    )
    prefix = f"python {compressed}"
    for event in calls(prefix):
        if event["type"] == "identify":
            client.identify("u", event["traits"])
        elif event["type"] == "track":
            client.track("u", event["event"], event["properties"])
        else:
            client.page("u", name=event["name"], properties=event["properties"])
    client.group("u", "g")
    client.alias("old", "u")
    client.screen("u", name="Home", properties=fields(f"{prefix} screen"))
    client.shutdown()
    assert errors == []
    expected = {f"{prefix} {kind}" for kind in ("track", "identify", "page", "screen")}
    wait_until(lambda: expected <= set(texts(system)), what=f"{expected} are sent")


def test_segments_python_client_waits_when_it_is_told_to() -> None:
    """A client that finds the queue full waits as long as the door says, and then delivers everything once."""
    settings = {"MSG91_DESTINATION_INTAKE_QUEUE_LIMIT": "5"}
    with System(workers=0, destination={"write_keys": [WRITE_KEY]}) as system, Intake(system, settings) as intake:
        assert (
            intake.post("/v1/batch", {"batch": [sms(NUMBER + n, f"fills {n}") for n in range(10)]}).status_code == 200
        )
        wait_until(lambda: intake.post("/v1/page", {}).status_code == 429, what="the queue is full")
        errors: list[Any] = []
        client = Client(WRITE_KEY, host=intake.url, upload_size=1, on_error=lambda error, _: errors.append(error))
        client.track("u", "Order Shipped", fields("told to wait"))
        wait_until(lambda: intake.log.count("queue_full") >= 2, what="the client was told to wait")
        system.start_worker()
        client.shutdown()
        wait_until(lambda: "told to wait" in texts(system), what="it is sent")
        assert errors == []
        system.wait_settled()
        assert texts(system).count("told to wait") == 1


def test_segments_python_client_sees_a_wrong_key(door: Intake) -> None:
    """A client with a wrong key is told so, in the form it knows."""
    errors: list[Any] = []
    client = Client("wrong-key", host=door.url, on_error=lambda error, _: errors.append(error))
    client.track("u", "x")
    client.shutdown()
    assert [(error.status, error.code) for error in errors] == [(401, "unauthorized")]


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the Node clients, installed from the registry that npm is set up for."""
    if shutil.which("node") is None or shutil.which("npm") is None:
        pytest.skip("node and npm are not installed")
    folder = tmp_path_factory.mktemp("node")
    for name in ("package.json", "send.cjs"):
        shutil.copy(NODE / name, folder)
    installed = subprocess.run(
        ["npm", "install", "--no-audit", "--no-fund", "--ignore-scripts", "--no-package-lock", "--loglevel=error"],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )
    if installed.returncode != 0:
        pytest.skip(f"npm cannot install the clients: {installed.stderr.strip()[-300:]}")
    return folder


@pytest.mark.parametrize("client", ["segment", "rudderstack", "rudderstack-gzip", "jitsu"])
def test_node_clients(client: str, node: Path, system: System, door: Intake) -> None:
    """Segment's, RudderStack's and Jitsu's clients for Node deliver every call without one error."""
    events = calls(client)
    sent = subprocess.run(
        ["node", "send.cjs", client, door.url, JITSU_KEY if client == "jitsu" else WRITE_KEY, json.dumps(events)],
        cwd=node,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={name: value for name, value in os.environ.items() if "proxy" not in name.lower()},
    )
    answers = [json.loads(line) for line in sent.stdout.splitlines() if line.startswith("{")]
    assert (sent.returncode, answers) == (0, [{"error": None}] * len(events)), sent.stdout + sent.stderr
    expected = {f"{client} {event['type']}" for event in events}
    wait_until(lambda: expected <= set(texts(system)), what=f"{expected} are sent")


def test_node_example_of_the_docs(node: Path, system: System, door: Intake) -> None:
    """What docs/intake.md shows for Node sends its message as it stands there."""
    page = (Path(__file__).parents[2] / "docs" / "intake.md").read_text(encoding="utf-8")
    example = page.partition("```js\n")[2].partition("```")[0]
    environ = {name: value for name, value in os.environ.items() if "proxy" not in name.lower()}
    subprocess.run(
        ["node", "-e", example],
        cwd=node,
        env={**environ, "DOOR": door.url, "WRITE_KEY": WRITE_KEY},
        timeout=60,
        check=True,
    )
    wait_until(lambda: "from Node" in texts(system), what="it is sent")
