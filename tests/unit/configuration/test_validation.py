"""What is wrong with a destinations file, said so that it can be mended."""

import re
from pathlib import Path
from typing import Any

import pytest

from worker.actions.base import ActionContext
from worker.configuration import Problem
from worker.configuration.checks import errors_of, warnings_of
from worker.configuration.model import ActionModel, DestinationModel, LaneModel
from worker.configuration.source import read_source
from worker.configuration.validation import validate
from worker.delivery import LaneLimits, RetryPolicy
from worker.msg91.numbers import PhoneNumbers

HEAD = "destinations:\n  - name: msg91\n    authkey: not-a-real-key\n"


def problems(tmp_path: Path, text: str, **environ: str) -> list[Problem]:
    """Say what is wrong with a file, apart from what mapping files and several keys together show."""
    file = tmp_path / "d.yaml"
    file.write_text(text)
    return validate(read_source(file, environ))[1]


def model(**keys: Any) -> DestinationModel:
    """Make a destination of given keys."""
    return DestinationModel.model_validate({"name": "msg91", "authkey": "not-a-real-key", **keys})


def test_name_and_authkey_are_enough(tmp_path: Path) -> None:
    """All other keys are optional."""
    assert problems(tmp_path, HEAD) == []


def test_every_documented_form_is_taken(tmp_path: Path) -> None:
    """A destination with every key, in the notations people use, is taken."""
    text = (
        HEAD
        + """
    base_url: http://127.0.0.1:9191/
    write_keys: 12345678901234567890
    default_country: +91
    bare_numbers: national
    mappings: segment-msg91-flow
    mode: allow-list
    allow_list: [918818888758, "+91 88188 88758"]
    default_sender: 123456
    default_template_id: 65f0c1d2e3a4b5c6d7e8f901
    dlt_template_id: 1107161234567890123
    default_route: 4
    sms_country: 0
    max_parts: ${PARTS}
    segmento: {phonebook_id: 7, events_path: "/x/{phonebook_id}/y", event_timezone: Asia/Kolkata}
    actions:
      send_sms: {time_to_live: 10m, in_doubt: drop, attempts: "3", backoff_cap: 1h}
    lanes:
      sms: {rate: 600/min, cost: parts, burst: 5, concurrency: 1000, recipients: 1, adaptive: no, floor: 2}
      otp:
      segmento: {rate: 1.5, breaker_failures: 3, treat_503_as_in_doubt: true}
"""
    )
    assert problems(tmp_path, text, PARTS="3") == []


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("    lanes: {sms: {rate: fast}}", "4:25: destinations[0].lanes.sms.rate: expected a rate above 0"),
        (
            "    lanes: {sms: {concurrency: 0}}",
            "4:32: destinations[0].lanes.sms.concurrency: expected at least 1; got less",
        ),
        ("    lanes: {sms: {concurrency: 1001}}", "lanes.sms.concurrency: expected at most 1000; got more"),
        ("    lanes: {sms: {recipients: many}}", "lanes.sms.recipients: expected a whole number; got text"),
        ("    lanes: {sms: {recipients: 1.5}}", "expected a whole number; got a fraction"),
        ("    lanes: {sms: {recipients: true}}", "expected a whole number; got a boolean"),
        ("    lanes: {sms: {burst: [1]}}", "expected a whole number; got a list"),
        ("    lanes: {sms: {adaptive: maybe}}", "expected true or false; got something else"),
        (
            "    lanes: {sms: {recipient: 1}}",
            "4:19: destinations[0].lanes.sms.recipient: there is no such key. Did you mean recipients?",
        ),
        ("    lanes: {mms: {}}", "destinations[0].lanes.mms: there is no such key. Did you mean sms?"),
        ("    lanes: [1]", "destinations[0].lanes: expected a mapping (key: value); got a list"),
        ("    lane: {}", "4:5: destinations[0].lane: there is no such key. Did you mean lanes?"),
        ("    zzz: {}", "zzz: there is no such key. Possible here: actions, allow_list, authkey"),
        ("    zzz:", "destinations[0].zzz: there is no such key"),
        ("    mode: allowlist", "mode: expected live, allow-list or dry; got other text. Did you mean allow-list?"),
        ("    mode: 7", "destinations[0].mode: expected live, allow-list or dry; got an integer"),
        ("    mode: ${MODE}", "destinations[0].mode: the environment variable MODE is not set"),
        ("    default_country: ZZ", "default_country: expected a country: its ISO code like IN, or its calling"),
        ("    default_country: 999", "expected a country"),
        ("    default_country: [IN]", "destinations[0].default_country: expected text; got a list"),
        ("    base_url: http://h/api", "base_url: expected an origin like https://control.msg91.com, without path"),
        ("    mappings: []", "destinations[0].mappings: expected at least one entry; the list is empty"),
        ("    mappings: [1]", "destinations[0].mappings[0]: expected text; got an integer"),
        ("    mappings: {a: b}", "destinations[0].mappings: expected a list; got a mapping"),
        ("    write_keys: [a b]", "write_keys[0]: expected visible ASCII characters without spaces"),
        ("    default_sender: a-b", "default_sender: expected text of the form [A-Za-z0-9]{3,14}"),
        ("    segmento: {events_path: events}", "segmento.events_path: expected a path like /api/v5/…"),
        ("    segmento: {events_path: //evil/x}", "expected a path like /api/v5/…"),
        ("    segmento: {events_path: '/{book}'}", "the only placeholder is {phonebook_id}"),
        ("    segmento: {event_timezone: Mars}", "expected the name of a time zone, like UTC or Asia/Kolkata"),
        ("    actions: {send_sms: {time_to_live: 10 days}}", "actions.send_sms.time_to_live: expected a length"),
        ("    actions: {send_sms: {time_to_live: 0}}", "actions.send_sms.time_to_live: expected more than 0"),
        (
            "    actions: {send_sms: {in_doubt: resent}}",
            "expected hold, resend or drop; got other text. Did you mean resend?",
        ),
        ("    actions: {send_sms: {retries: 3}}", "actions.send_sms.retries: there is no such key"),
        ("    actions: 7", "destinations[0].actions: expected a mapping (key: value); got an integer"),
    ],
)
def test_problem_names_place_and_cure(tmp_path: Path, line: str, expected: str) -> None:
    """A wrong value or key gives exactly one problem: where it stands, what was expected, what it is."""
    (problem,) = problems(tmp_path, f"{HEAD}{line}\n")
    assert expected in str(problem)
    assert (problem.file, problem.line) == (str(tmp_path / "d.yaml"), 4)
    assert problem.column is not None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("destinations:\n", "d.yaml:1:14: destinations: this key has no value. The file starts with: destinations:"),
        ("destinations: []\n", "destinations: expected at least one entry; the list is empty"),
        ("destinations: {name: a}\n", "destinations: expected a list; got a mapping"),
        ("destinations: [a]\n", "1:16: destinations[0]: expected a mapping (key: value); got text"),
        ("- name: a\n", "d.yaml:1:1: expected a mapping (key: value); got a list"),
        ("just text\n", "d.yaml:1:1: expected a mapping (key: value); got text"),
        (
            "destinations:\n  - name: a\n",
            "2:5: destinations[0].authkey: this key is missing. Add authkey: ${MSG91_AUTHKEY}",
        ),
        ("destinations:\n  - authkey: abc\n", "2:5: destinations[0].name: this key is missing. Add name: …"),
        ("destinations:\n  - {name: a b, authkey: k}\n", "name: expected text of the form [A-Za-z0-9_-]{1,32}"),
        ("destinations:\n  - {name: " + "a" * 33 + ", authkey: k}\n", "name: expected text of the form"),
    ],
)
def test_problem_with_the_frame(tmp_path: Path, text: str, expected: str) -> None:
    """A file whose frame is wrong says what the frame is."""
    (problem,) = problems(tmp_path, text)
    assert expected in str(problem)


def test_all_problems_come_at_once_in_order(tmp_path: Path) -> None:
    """One look shows everything: variables, duplicate keys, wrong values, unknown keys, in several destinations."""
    found = problems(
        tmp_path,
        "destinations:\n"
        "  - name: a\n"
        "    authkey: ${NOT_SET}\n"
        "    lanes: {sms: {rate: x}}\n"
        "    mode: live\n"
        "    mode: dry\n"
        "  - name: b\n"
        "    write_kys: [x]\n"
        "extra: 1\n",
    )
    assert [(problem.line, problem.path) for problem in found] == [
        (3, "destinations[0].authkey"),
        (4, "destinations[0].lanes.sms.rate"),
        (6, "destinations[0].mode"),
        (7, "destinations[1].authkey"),
        (8, "destinations[1].write_kys"),
        (9, "extra"),
    ]


SECRETS = ["TOPSECRET1", "TOPSECRET2", "TOPSECRET3", "TOPSECRET4", "TOPSECRET5"]


def test_no_problem_shows_a_value(tmp_path: Path) -> None:
    """A secret that stands in a wrong place, or came out of the environment, is not in any error."""
    found = problems(
        tmp_path,
        "destinations:\n"
        '  - name: "TOPSECRET1 x"\n'
        '    authkey: ["TOPSECRET2"]\n'
        '    write_keys: {a: "TOPSECRET3"}\n'
        "    base_url: https://u:TOPSECRET4@host/x\n"
        "    mode: ${FROM_ENVIRONMENT}\n"
        "    lanes: {sms: {rate: TOPSECRET1, concurrency: TOPSECRET1, adaptive: TOPSECRET1}}\n",
        FROM_ENVIRONMENT="TOPSECRET5",
    )
    assert len(found) == 8
    assert not any(secret in f"{problem} {problem!r} {problem.as_dict()}" for problem in found for secret in SECRETS)


def test_models_hide_secrets() -> None:
    """Neither the repr of a destination nor its JSON shows a key."""
    destination = model(write_keys=["TOPSECRET1"], authkey="TOPSECRET2")
    shown = f"{destination!r} {destination} {destination.model_dump_json()}"
    assert not any(secret in shown for secret in SECRETS)


def test_models_are_frozen() -> None:
    """A destination cannot be changed after it was checked."""
    with pytest.raises(ValueError, match="frozen"):
        setattr(model(), "mode", "dry")  # noqa: B010 - the type checker knows it already


@pytest.mark.parametrize(
    ("written", "country"),
    [
        ("IN", "IN"),
        ("in", "IN"),
        (91, "IN"),
        ("91", "IN"),
        ("+91", "IN"),
        ("0091", "IN"),
        (1, "US"),
        ("NO", "NO"),
        (7, "RU"),
    ],
)
def test_country_by_code_or_calling_code(written: object, country: str) -> None:
    """A country is named by its ISO code or by its calling code; of several countries the main one is meant."""
    assert model(default_country=written).default_country == country


@pytest.mark.parametrize(
    ("keys", "place", "message"),
    [
        ({"name": "All"}, ("name",), "means every destination"),
        ({"allow_list": ["+918818888758"]}, ("allow_list",), "no effect in mode live. Add mode: allow-list"),
        ({"mode": "allow-list"}, ("mode",), "there is no allow_list"),
        ({"lanes": {"sms": {"floor": 31}}}, ("lanes", "sms", "floor"), r"above concurrency \(30\)"),
        ({"lanes": {"sms": {"burst": 2}}}, ("lanes", "sms", "burst"), "no effect without rate"),
        ({"lanes": {"sms": {"cost": "parts"}}}, ("lanes", "sms", "cost"), "no effect without rate"),
        ({"lanes": {"segmento": {"cost": "parts", "rate": 1}}}, ("lanes", "segmento", "cost"), "only an SMS has parts"),
        ({"lanes": {"otp": {"recipients": 2}}}, ("lanes", "otp", "recipients"), "goes to one recipient"),
        ({"actions": {"send_sms": {"horizon": "72h"}}}, ("actions", "send_sms", "horizon"), "life of a record"),
        (
            {"actions": {"x": {"backoff_base": 10, "backoff_cap": 9}}},
            ("actions", "x", "backoff_base"),
            "longer than backoff_cap",
        ),
    ],
)
def test_keys_that_contradict_each_other(keys: dict[str, Any], place: tuple[str, ...], message: str) -> None:
    """What several keys say together is checked when the file is loaded, not when the first message is lost."""
    (finding,) = errors_of(model(**keys), record_ttl=72 * 3600)
    assert finding.key == place
    assert re.search(message, f"{finding.message}. {finding.suggestion}")


@pytest.mark.parametrize(
    ("keys", "place"),
    [
        ({"write_keys": ["short"]}, ("write_keys", 0)),
        ({"default_template_id": "1107161234567890123"}, ("default_template_id",)),
        ({"dlt_template_id": "1234567890"}, ("dlt_template_id",)),
    ],
)
def test_likely_mistakes_are_warnings(keys: dict[str, Any], place: tuple[str | int, ...]) -> None:
    """What works but is likely a mistake is said, and stops nothing."""
    (finding,) = warnings_of(model(**keys), base_url="https://control.msg91.com", literal_authkey=False)
    assert finding.key == place


def test_authkey_in_the_file_is_a_warning() -> None:
    """A literal authkey works, with a warning."""
    (finding,) = warnings_of(model(), base_url="https://control.msg91.com", literal_authkey=True)
    assert "write ${NAME} here" in finding.suggestion


@pytest.mark.parametrize(
    ("base_url", "warned"),
    [
        ("http://api.example.com", True),
        ("http://10.0.0.1", True),
        ("http://127.0.0.1:9191", False),
        ("http://[::1]:9191", False),
        ("http://localhost:1", False),
        ("http://sandbox:9191", False),
        ("https://api.example.com", False),
    ],
)
def test_plain_http_is_a_warning_beyond_this_machine(base_url: str, *, warned: bool) -> None:
    """The key must not travel unencrypted, except to the sandbox on this machine or in its container network."""
    findings = list(warnings_of(model(), base_url=base_url, literal_authkey=False))
    assert [finding.key for finding in findings] == [("base_url",)] * warned


def test_defaults_are_those_of_the_parts_that_use_them() -> None:
    """The file's defaults are the defaults of lanes, retries and actions: no value is written down twice."""
    lane, action, destination = LaneModel(), ActionModel(), model()
    limits, retry = LaneLimits(), RetryPolicy()
    assert (lane.rate, lane.concurrency, lane.adaptive, lane.floor, lane.breaker_failures) == (
        limits.rate,
        limits.concurrency,
        limits.adaptive,
        limits.floor,
        limits.breaker_failures,
    )
    assert (action.attempts, action.backoff_base, action.backoff_cap, action.horizon) == (
        retry.attempts,
        retry.base,
        retry.cap,
        retry.horizon,
    )
    context = ActionContext(destination="msg91", numbers=PhoneNumbers())
    assert destination.segmento.events_path == context.events_path
    assert destination.segmento.contacts_path == context.contacts_path
    assert destination.segmento.event_timezone == context.event_timezone
    for key in ("default_sender", "default_template_id", "default_route", "sms_country", "dlt_template_id"):
        assert getattr(destination, key) == getattr(context, key)
    assert (destination.max_parts, destination.max_sender_length) == (context.max_parts, context.max_sender_length)
