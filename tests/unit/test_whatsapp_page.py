"""docs/whatsapp.md is true: its files load, its events become what it says, its commands exist."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import orjson
import pytest
import yaml
from typer.testing import CliRunner

from worker.actions import ACTIONS
from worker.cli.main import app
from worker.configuration.model import WhatsAppModel
from worker.destinations import Destination, load_destinations
from worker.intake import clevertap
from worker.intake.tracking import Arrival
from worker.msg91.approvals import BELIEVED, RETRY
from worker.msg91.whatsapp import BUTTON_KINDS, HEADER_KINDS, SESSION_KINDS
from worker.msg91.whatsapp_panel import MOST_TEMPLATES
from worker.pipeline import resolve_events

PAGE = (Path(__file__).parents[2] / "docs" / "whatsapp.md").read_text(encoding="utf-8")
FILES = [block for block in re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL) if block.startswith("destinations:")]
EVENTS = [orjson.loads(block) for block in re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL)]
ENVIRON = {"MSG91_AUTHKEY": "k" * 24, "CLEVERTAP_PASSWORD": "a-password-of-tests"}


def destination(number: int, folder: Path) -> Destination:
    """The destination of one of the page's files."""
    (folder / "destinations.yaml").write_text(FILES[number], encoding="utf-8")
    loaded = load_destinations(folder / "destinations.yaml", ENVIRON)
    assert loaded.warnings == ()
    return loaded.all[0]


@pytest.mark.parametrize("number", range(len(FILES)))
def test_its_files_load(number: int, tmp_path: Path) -> None:
    """Every destinations file on the page works as it stands, without a warning."""
    assert destination(number, tmp_path).context.whatsapp.default_number == "918888888888"


def test_its_event_becomes_a_message(tmp_path: Path) -> None:
    """The event of the smallest use comes to a template message with its variables."""
    resolved = resolve_events([EVENTS[0]], [destination(0, tmp_path)], now_ms=0, arrival="a")
    [delivery] = resolved.deliveries
    assert (delivery.action, delivery.payload["body"]) == ("send_whatsapp_template", {"1": "Ada", "2": "4711"})


def test_the_event_of_clevertap_is_what_the_door_makes() -> None:
    """The event that the page shows has exactly the members that the door takes apart, and CleverTap's own."""
    shown = EVENTS[1]
    components: list[dict[str, Any]] = [
        {"type": "header", "header": {"type": "image", "image": {"mediaURL": "https://…"}}},
        {"type": "body", "body": {"parameters": [{"type": "text", "text": "Ada"}]}},
        {"type": "button", "index": 0, "subType": "dynamicUrl", "parameters": [{"type": "text", "text": "cart"}]},
        {
            "type": "limited_time_offer",
            "parameters": [{"limited_time_offer": {"expiration_time_ms": 1912081380237}}],
        },
    ]
    own = ("to", "wabaNumber", "isTemplate", "msgId", "template")
    payload = {**{name: shown["properties"][name] for name in own}, "components": components}
    made = clevertap.event_of(payload, Arrival.at("r", 0))
    assert {**made["properties"], "components": []} == shown["properties"]
    assert (made["event"], made["messageId"]) == (shown["event"], shown["messageId"])


def test_its_event_of_clevertap_is_sent(tmp_path: Path) -> None:
    """With the file above it, CleverTap's message goes out."""
    event = orjson.loads(orjson.dumps(EVENTS[1]).replace("https://…".encode(), b"https://e.com/a.png"))
    [delivery] = resolve_events([event], [destination(1, tmp_path)], now_ms=0, arrival="a").deliveries
    assert delivery.payload["single"]


def test_every_field_and_kind_is_named() -> None:
    """The page names every field of both actions, and every kind of header, button and session message."""
    names = {name for action in ("send_whatsapp_template", "send_whatsapp_session") for name in ACTIONS[action].fields}
    for name in {*names, *HEADER_KINDS, *BUTTON_KINDS, *SESSION_KINDS}:
        assert f"`{name}`" in PAGE or f'"{name}"' in PAGE, name


def test_its_numbers_are_those_of_the_code() -> None:
    """Times, limits and codes are those that hold."""
    assert (BELIEVED, RETRY, MOST_TEMPLATES) == (30.0, 30.0, 500)
    assert WhatsAppModel().templates_ttl == 600.0
    for code in (clevertap.BAD_CREDENTIALS, clevertap.BAD_TEMPLATE, clevertap.BAD_NUMBER, clevertap.OTHER):
        assert f"| `{code}` |" in PAGE
    assert clevertap.SUCCESS.decode() in PAGE
    assert clevertap.VERIFY in PAGE


def test_its_components_are_components() -> None:
    """The file of components has the form that the command reads."""
    [block] = [block for block in re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL) if block.startswith("- ")]
    assert [one["type"] for one in yaml.safe_load(block)] == ["BODY", "BUTTONS"]


@pytest.mark.parametrize("command", sorted(set(re.findall(r"msg91-destination (whatsapp [a-z]+(?: [a-z]+\b)?)", PAGE))))
def test_its_commands_exist(command: str) -> None:
    """Every command that the page tells to type is there."""
    words = [word for word in command.split() if word not in ("order", "hello")]
    assert CliRunner().invoke(app, [*words, "--help"]).exit_code == 0
