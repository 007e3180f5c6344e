"""The commands that send one thing or ask the account something, against the sandbox and a real worker."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import orjson
import pytest
from typer.testing import CliRunner, Result

from tests.system import System, wait_until
from worker.cli import main
from worker.msg91 import CallRefused
from worker.sandbox.whatsapp import DEFAULT_NUMBER

pytestmark = pytest.mark.integration

NUMBER = "+919812345678"
TEMPLATE = "65f0a1b2c3d4e5f607182930"


@pytest.fixture(scope="module")
def system() -> Iterator[System]:
    """Store, sandbox and one worker, with an OTP template and a phonebook configured."""
    destination = {
        "otp": {"template_id": TEMPLATE},
        "segmento": {"phonebook_id": "7"},
        "whatsapp": {"numbers": [DEFAULT_NUMBER]},
    }
    with System(destination=destination) as running:
        yield running


class Commands:
    """The command line, in the environment of the system."""

    def __init__(self, system: System) -> None:
        self._environ = system.environ

    def run(self, *words: str, given: str | None = None) -> Result:
        """Run a command."""
        return CliRunner(env=self._environ).invoke(main.app, list(words), input=given)

    def json(self, *words: str, given: str | None = None, code: int = 0) -> Any:
        """Run a command with ``--json``, and give its document."""
        result = self.run(*words, "--json", given=given)
        assert result.exit_code == code, result.output
        return orjson.loads(result.stdout)

    def states(self, *words: str, given: str | None = None, code: int = 0) -> list[str]:
        """The states of what a command handed over."""
        return [one["state"] for one in self.json(*words, given=given, code=code)["deliveries"]]


@pytest.fixture(scope="module")
def commands(system: System) -> Commands:
    """The command line."""
    return Commands(system)


def test_sms_send(commands: Commands, system: System) -> None:
    """Free text and a template are accepted, and no number is shown whole."""
    assert commands.states("sms", "send", NUMBER, "-m", "Your order has shipped") == ["accepted"]
    result = commands.run("sms", "send", NUMBER, "-t", TEMPLATE, "-v", "name=Ada", "-v", "order=42")
    assert (result.exit_code, "accepted" in result.stdout) == (0, True)
    assert "9812345" not in result.output
    [line] = [one for one in system.sandbox.requests() if one["kind"] == "flow"]
    assert line["body"]["recipients"] == [{"mobiles": "919812345678", "name": "Ada", "order": "42"}]


def test_sms_of_a_file(commands: Commands, system: System) -> None:
    """Several texts go with one call, and a template with variables of each; options fill in what objects leave out."""
    lines = [{"phone": f"+9198123456{n:02}", "message": f"text {n % 2}"} for n in range(4)]
    given = "\n".join(orjson.dumps(line).decode() for line in lines)
    assert commands.states("sms", "send", "--file", "-", "--sender", "MSGIND", given=given) == ["accepted"] * 4
    line = [one for one in system.sandbox.requests() if one["kind"] == "sms"][-1]
    assert [(entry["message"], len(entry["to"])) for entry in line["body"]["sms"]] == [("text 0", 2), ("text 1", 2)]
    people = [{"phone": "+919812345610", "variables": {"name": "Ada"}}, {"phone": "+919812345611"}]
    words = ("sms", "send", "-t", TEMPLATE, "-v", "name=you", "-v", "order=42", "--file", "-")
    assert commands.states(*words, given=orjson.dumps(people).decode()) == ["accepted"] * 2
    line = [one for one in system.sandbox.requests() if one["kind"] == "flow"][-1]
    assert line["body"]["recipients"] == [
        {"mobiles": "919812345610", "name": "Ada", "order": "42"},
        {"mobiles": "919812345611", "name": "you", "order": "42"},
    ]


@pytest.mark.parametrize(
    "words",
    [
        ("sms", "send", "12", "-m", "hello"),
        ("sms", "send", NUMBER),
        ("sms", "send", "-m", "hello"),
        ("sms", "send", NUMBER, "-m", "hello", "--file", "-"),
        ("sms", "send", NUMBER, "-t", "1107161234567890123"),
        ("sms", "send", NUMBER, "-t", TEMPLATE, "-v", "name"),
        ("otp", "send", NUMBER, "--digits", "12"),
        ("campaigns", "run", "welcome"),
        ("sms", "preview"),
        ("sms", "send", NUMBER, "-m", "hi", "--destination", "nobody"),
    ],
)
def test_what_cannot_be_sent_is_refused_before_it_is_recorded(commands: Commands, words: tuple[str, ...]) -> None:
    """Wrong usage leaves with 2, one clean error, and without the number."""
    result = commands.run(*words)
    assert result.exit_code == 2
    assert "error: " in result.output
    assert "Traceback" not in result.output
    assert "9812345" not in result.output


def test_one_time_password(commands: Commands) -> None:
    """Sent, sent again, verified: wrong first, then right, then never again."""
    assert commands.states("otp", "send", NUMBER, "--digits", "-", given="4321\n") == ["accepted"]
    assert commands.states("otp", "resend", NUMBER, "--voice") == ["accepted"]
    assert commands.json("otp", "verify", NUMBER, "1111", code=1)["result"] == "wrong"
    found = commands.json("otp", "verify", NUMBER, given="4321\n")
    assert (found["result"], found["phone"]) == ("verified", "91*******678")
    assert commands.json("otp", "verify", NUMBER, "4321", code=1)["result"] == "already_verified"
    assert commands.json("otp", "verify", "+919800000000", "4321", code=1)["result"] == "not_found"
    assert commands.states("otp", "resend", NUMBER, code=1) == ["rejected"]


def test_every_parameter_of_a_one_time_password(commands: Commands, system: System) -> None:
    """What MSG91 can be told beside the number is told to it."""
    words = (
        "--length",
        "6",
        "--expiry",
        "5",
        "--sender",
        "MSGIND",
        "--email",
        "ada@example.com",
        "--user-ip",
        "10.0.0.1",
    )
    flags = ("--unicode", "--invisible", "--real-time", "-v", "name=Ada")
    assert commands.states("otp", "send", "+919812345699", *words, *flags) == ["accepted"]
    line = [one for one in system.sandbox.requests() if one["kind"] == "otp"][-1]
    assert line["body"] == {"name": "Ada"}
    assert line["query"] == {
        "template_id": TEMPLATE,
        "mobile": "919812345699",
        "otp_length": "6",
        "otp_expiry": "5",
        "sender": "MSGIND",
        "email": "ada@example.com",
        "userip": "10.0.0.1",
        "unicode": "1",
        "invisible": "1",
        "realTimeResponse": "1",
    }


def test_segmento(commands: Commands) -> None:
    """Contacts and events are recorded, in either shape; types and failures are listed afterwards."""
    assert commands.states("segmento", "contacts", "-", given='{"contactId": "u-1", "name": "Ada"}') == ["accepted"]
    tool = {"identifier": "u-1", "events": [{"name": "order-placed", "properties": {"total": 3}}, {"name": "left"}]}
    lines = orjson.dumps(tool).decode() + '\n{"visitorId": "u-9", "eventName": "came"}'
    assert commands.states("segmento", "events", "-", given=lines) == ["accepted"] * 3
    types = commands.json("segmento", "event-types")["eventTypes"]
    assert [one["name"] for one in types] == ["order-placed", "left"]
    failed = commands.json("segmento", "failed-events", "5", code=1)["failedEvents"]
    assert [one["recipient"] for one in failed] == ["u-9"]
    assert commands.json("segmento", "failed-events", "5", "--end", "2020-01-01")["failedEvents"] == []


def test_campaigns(commands: Commands, system: System) -> None:
    """Campaigns are listed, described, and run; one that is paused is refused by name."""
    assert [one["slug"] for one in commands.json("campaigns", "list")["campaigns"]][:2] == ["welcome", "order-shipped"]
    assert commands.json("campaigns", "fields", "order-shipped")["fields"]["variables"] == ["order", "total"]
    people = "\n".join(orjson.dumps({"phone": f"98123{n:05}"}).decode() for n in range(120))
    states = commands.states("campaigns", "run", "order-shipped", "--file", "-", "-v", "order=42", given=people)
    assert states == ["accepted"] * 120
    lines = [one for one in system.sandbox.requests() if one["kind"] == "campaign"]
    lists = [len(group["to"]) for line in lines for group in line["body"]["data"]["sendTo"]]
    assert sorted(lists) == [20, 50, 50]
    result = commands.run("campaigns", "run", "spring-sale", "--phone", NUMBER)
    assert result.exit_code == 1
    assert "Campaign is Paused" in result.stdout


def test_templates_and_preview(commands: Commands) -> None:
    """Templates are listed with their DLT status, and filled in without sending anything."""
    assert len(commands.json("sms", "templates")["templates"]) == 3
    assert "rejected: Content does not match" in commands.run("sms", "templates", "65f0a1b2c3d4e5f607182932").stdout
    shown = commands.json("sms", "preview", TEMPLATE, "-v", "name=Ada", "-v", "order=42")
    assert (shown["text"], shown["parts"]) == ("Hi Ada, your order 42 has shipped.", 1)
    lacking = commands.json("sms", "preview", "--text", "Hi ##name##", "-v", "Name=Ada", code=1)
    assert (lacking["missing"], lacking["unused"]) == (["name"], ["Name"])


def test_a_refused_question(commands: Commands, system: System) -> None:
    """A fault of MSG91's is one clean error."""
    system.sandbox.fault("code=418,count=1")
    result = commands.run("sms", "templates")
    assert isinstance(result.exception, CallRefused)
    assert "418" in str(result.exception)
    system.sandbox.clear_faults()


def test_live_checks(commands: Commands, system: System) -> None:
    """`doctor --live` asks everything, sends nothing, and says what is left to be tried by hand."""
    before = len([one for one in system.sandbox.requests() if one["messages"]])
    report = commands.json("doctor", "--live")
    assert {one["result"] for one in report["live"]} == {"as documented"}
    assert len(report["live"]) == 10
    assert "4 templates, each language by itself, 2 approved" in {one["found"] for one in report["live"]}
    assert len([one for one in system.sandbox.requests() if one["messages"]]) == before
    assert "otp send YOUR_NUMBER" in commands.run("doctor", "--live").stdout
    assert commands.run("doctor", "--live", "--offline").exit_code == 2


def test_digits_of_an_event_verify(
    commands: Commands, system: System, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """An event with digits goes through a door, a batch and a worker, and the person's digits verify."""
    folder = tmp_path_factory.mktemp("otp")
    (folder / "otp.yaml").write_text(
        "mappings:\n"
        "  - name: otp\n"
        "    action: send_otp\n"
        '    trigger: event = "OTP Requested"\n'
        '    mapping: {phone: {"@path": $.properties.phone}, otp: {"@path": $.properties.otp}}\n'
    )
    destination = {"otp": {"template_id": TEMPLATE}, "mappings": str(folder / "otp.yaml")}
    with System(destination=destination) as other:
        properties = {"phone": NUMBER, "otp": "748193"}
        other.send([{"type": "track", "event": "OTP Requested", "messageId": "m1", "properties": properties}])
        wait_until(lambda: other.counts().get("accepted") == 1, what="the one-time password was accepted")
        assert Commands(other).json("otp", "verify", NUMBER, "748193")["result"] == "verified"
        assert "748193" not in other.log
        assert "748193" not in Commands(other).run("deliveries", "list").output
        shown = Commands(other).run("sandbox", "requests", "--url", other.sandbox.url)
        assert (shown.exit_code, "748193" in shown.output) == (0, False)
