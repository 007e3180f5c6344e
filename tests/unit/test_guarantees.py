"""docs/guarantees.md is true: states and arrows, classes of answers, every time and limit, what a request costs."""

from __future__ import annotations

import importlib
import inspect
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import fields, is_dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any, get_args

import fakeredis
import pytest
import yaml
from pydantic import BaseModel
from typer.testing import CliRunner

from worker.actions import ACTIONS
from worker.cli.main import app
from worker.configuration.model import ActionModel, LaneModel, OtpModel
from worker.deliveries import Delivery
from worker.delivery import Batches, Call, Ending, LaneLimits, Lanes, Ledger, Retention, RetryPolicy, State, Store
from worker.delivery.states import BY_LETTER, TRANSITIONS, UNFINISHED
from worker.destinations import InDoubt, load_destinations
from worker.destinations.compile import DEFAULT_GRACE
from worker.events import join
from worker.forwarding import Forwarder
from worker.msg91.answers import Answer, AnswerClass
from worker.msg91.codes import CODES, STATUSES, of_status
from worker.msg91.http import _FAILURES
from worker.outcomes import SHARED_CODES, decide, ending_of
from worker.sending import Sender, Timing
from worker.settings import Settings, load_settings, variable_of
from worker.supervisor import KILL_AFTER

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "guarantees.md").read_text(encoding="utf-8")

UNITS = {"s": 1.0, "min": 60.0, "h": 3600.0, "d": 86400.0}
MODELS: dict[str, type[BaseModel]] = {"actions": ActionModel, "lanes": LaneModel, "otp": OtpModel}

#: Limits that stand in the midst of code: the row, its file, and how the number is written there.
INLINE = {
    "first pause when the account is broken; doubles": "max(limits.breaker_pause, {:.1f})",
    "next look at a lane that an operator closed": "now + {:.0f}000, lane[4]",
    "next look at a full lane, should its wake-up be lost": "now + {:.0f}000 + 20 *",
    "a new batch that nobody has begun is told of again after": "if begun else {:.0f}_000)",
    "a batch that fails, or whose destination is missing, waits at most": "wait = min({:.1f}, 10.0 * 2 **",
    "a report that comes before its answer waits": "EARLY_REPORT_MS = HOUR_MS",
}


def section(title: str) -> str:
    """A section of the page, its subsections included."""
    marks, _, _ = title.partition(" ")
    found = re.search(rf"^{re.escape(title)}\n(.*?)(?=^#{{1,{len(marks)}}} |\Z)", PAGE, re.DOTALL | re.MULTILINE)
    assert found, title
    return found[1]


def rows(text: str) -> Iterator[list[str]]:
    """The rows of the tables in a text, without their heads."""
    lines = [re.split(r"(?<!\\)\|", line.strip().strip("|")) for line in text.splitlines() if line.startswith("|")]
    rules = [at for at, cells in enumerate(lines) if set("".join(cells).replace(" ", "")) == {"-"}]
    heads = {at - 1 for at in rules}
    for at, cells in enumerate(lines):
        if at not in heads and at not in rules:
            yield [cell.strip() for cell in cells]


def marked(cell: str) -> list[str]:
    """What stands in code marks."""
    return re.findall(r"`([^`]+)`", cell)


def script_text(name: str) -> str:
    """The text of a script of the store."""
    return (ROOT / "worker" / "delivery" / "lua" / f"{name}.lua").read_text(encoding="utf-8")


def number_of(text: str) -> float:
    """A number of the page, times in seconds."""
    value, _, unit = text.partition(" ")
    return float(value) * UNITS.get(unit, 1.0) if not unit or unit in UNITS else pytest.fail(f"unit of {text!r}")


LIMITS = [row for row in rows(section("## Every time and limit")) if row[1]]


# --- states -----------------------------------------------------------------------------------------------------------


def arrows() -> list[tuple[str, State | None, State]]:
    """The arrows of the page's table."""
    found: list[tuple[str, State | None, State]] = []
    for letter, origins, ends, _ in rows(section("## The states, and every arrow between them")):
        starts = [None] if origins == "(new)" else [State(one) for one in marked(origins)]
        found += [(letter, start, State(end)) for start in starts for end in marked(ends)]
    return found


def test_its_arrows_are_the_transitions() -> None:
    """Every transition that the table of states allows, or a report makes, has one arrow, and no arrow is made up."""
    drawn = Counter((start, end) for _, start, end in arrows())
    allowed: set[tuple[State | None, State]] = {(start, end) for start, ends in TRANSITIONS.items() for end in ends}
    (letters,) = re.findall(r"string\.find\('([a-z]+)', old", script_text("report"))
    for end in (State.DELIVERED, State.UNDELIVERED):
        allowed |= {(BY_LETTER[one], end) for one in letters if BY_LETTER[one] is not end}
    assert drawn == Counter(allowed)


def test_its_diagram_has_every_arrow() -> None:
    """The letters run on without a gap, and the diagram shows each of them, beside the one that nothing takes."""
    letters = list(dict.fromkeys(letter for letter, _, _ in arrows()))
    assert letters == [chr(ord("a") + at) for at in range(len(letters))]
    (diagram,) = re.findall(r"```\n(.*?)```", section("## The states, and every arrow between them"), re.DOTALL)
    shown = set(re.findall(r"(?<!\w)[a-z](?!\w)", diagram))
    assert shown == set(letters) - {"x"}
    assert {State(one) for one in re.findall(r"\b[a-z_]{4,}\b", diagram) if one in set(State)} == set(State)


def test_it_says_which_states_never_expire() -> None:
    """The states that never expire, and those that nothing leaves, are named."""
    said = re.search(r"((?:`\w+`(?:, | and )?)+) are final\. ((?:`\w+`(?:, | and )?)+) never expire", PAGE)
    assert said
    assert {State(one) for one in marked(said[1])} == {one for one in State if not TRANSITIONS[one]}
    assert {State(one) for one in marked(said[2])} == UNFINISHED


def test_its_identity_names_every_state() -> None:
    """The sum over the states has all of them."""
    (terms,) = re.findall(r"created  = (.*)", PAGE)
    assert {State(one) for one in terms.split(" + ")} == set(State)


# --- answers ----------------------------------------------------------------------------------------------------------

CLASSES = {
    AnswerClass(marked(row[0])[0]): row for row in rows(section("## Surely not sent, maybe sent")) if len(row) == 7
}


def test_every_class_has_a_row() -> None:
    """All classes of answers are in the table."""
    assert set(CLASSES) == set(AnswerClass)


@pytest.mark.parametrize("klass", AnswerClass)
def test_its_codes_are_those_of_the_table(klass: AnswerClass) -> None:
    """The numeric codes of each class, and the HTTP statuses, are the code's."""
    _, codes, statuses, *_ = CLASSES[klass]
    assert set(marked(codes)) == {code for code, one in CODES.items() if one.klass is klass}
    for status in range(200, 600):
        said = f"`{status}`" in statuses or (status < 300 and "`2xx`" in statuses)
        if said or status in STATUSES:
            assert (of_status(status)[0] is klass) is said, status
    if "any other 4xx" in statuses:
        assert of_status(451)[0] is klass
    if "any other 5xx" in statuses:
        assert of_status(599)[0] is klass


def answer_of(klass: AnswerClass) -> Answer:
    """An answer of a class."""
    return Answer(klass, status=200, code="202" if klass is AnswerClass.RECIPIENT else None, retry_after=1.0)


@pytest.mark.parametrize("klass", AnswerClass)
def test_what_becomes_of_an_answer(klass: AnswerClass, policies: dict[str, Any]) -> None:
    """What the table says becomes of a delivery, of its budget of attempts and of the lane is what is decided."""
    *_, becomes, attempt, lane = CLASSES[klass]
    decided = [
        decide(
            replace(Delivery("k", "m", "track"), attempts=attempts, history=history),
            answer_of(klass),
            policies[name],
            repeatable=ACTIONS[name].repeatable,
            shared=shared,
            now_ms=1_000_000,
            random=0.5,
            resend_after_ms=1_080_000,
        )
        for name in ("send_sms", "record_user_events")
        for shared in (False, True)
        for attempts in (0, policies[name].retry.attempts - 1)
        for history in ([], [{"at": 999_000, "maybe_sent": True, "class": "retry"}])
    ]
    named = {State(one) for one in marked(becomes) if one in set(State)}
    dead = {State.DEAD} if klass in (AnswerClass.DUPLICATE, AnswerClass.UNKNOWN) else set()
    assert {one.state for one in decided} == named | dead
    waiting = {one.counts for one in decided if one.state in (State.SCHEDULED, State.IN_DOUBT)}
    assert waiting == ({True} if attempt == "yes" else {False} if attempt == "no" else set())
    assert {
        "goes on": Ending.OK,
        "counts a failure": Ending.FAIL,
        "pauses for all workers": Ending.THROTTLE,
        "closes at once, then tries one": Ending.ACCOUNT,
    }[lane] is ending_of(answer_of(klass))


@pytest.fixture
def policies(tmp_path: Path) -> dict[str, Any]:
    """The policies of a destination that says nothing about them."""
    file = tmp_path / "destinations.yaml"
    file.write_text(yaml.safe_dump({"destinations": [{"name": "shop", "authkey": "key"}]}), encoding="utf-8")
    (shop,) = load_destinations(file, {}, settings=load_settings({}))
    return dict(shop.policies)


def test_it_names_every_failure_of_the_network() -> None:
    """Every failure that ends without an answer stands on one side of the line."""
    (sides,) = [row for row in rows(section("## Surely not sent, maybe sent")) if "`handed_back`" in row[0]]
    before, after = set(marked(sides[0])), set(marked(sides[1]))
    assert before.isdisjoint(after)
    assert before | after == {code for code, _ in _FAILURES.values()} | {"deadline"}


def test_it_names_the_codes_that_split_nothing() -> None:
    """Refusals that concern a whole request are listed."""
    (said,) = re.findall(r"^- ((?:`\d+` )+)and a wrong campaign", PAGE, re.MULTILINE)
    assert set(marked(said)) | {"campaign"} == SHARED_CODES


def test_what_ends_a_doubt_by_default(policies: dict[str, Any]) -> None:
    """Each action stands where its default policy puts it; those that carry a token are named."""
    text = section("### What ends a doubt")
    hold, resend, never = (set(marked(row[0])) for row in rows(text))
    for name, action in ACTIONS.items():
        assert (name in never) is action.repeatable, name
        assert (name in hold) is (policies[name].in_doubt == "hold"), name
        assert (name in resend) is (policies[name].in_doubt == "resend" and not action.repeatable), name
        if name in resend:
            assert policies[name].in_doubt_grace == 0
    (said,) = re.findall(r"Tokens travel with\s+(.*?)\. The others", text, re.DOTALL)
    assert set(marked(said)) == {name for name, action in ACTIONS.items() if action.correlates}


# --- times and limits -------------------------------------------------------------------------------------------------


def value_of(what: str, where: str, number: float) -> float:
    """The number that the code has, for a row of the table."""
    (name,) = marked(where)
    if name.isupper():
        (field,) = [one for one in Settings.model_fields if variable_of(one) == name]
        return float(getattr(Settings(), field))
    if "/" in name:
        assert INLINE[what].format(number) in (ROOT / name).read_text(encoding="utf-8"), what
        return number
    head, _, member = name.partition(": ")
    if head in MODELS:
        value = getattr(MODELS[head](), member)
        if name == "actions: in_doubt_grace":
            value = DEFAULT_GRACE
        return float(value) * (60.0 if name == "otp: expiry" else 1.0)
    return float(constant(head, member))


def constant(name: str, member: str) -> Any:
    """A constant, a field's default or an argument's default, by its dotted name; a key of what it is, or gives."""
    parts = name.split(".")
    at = next(at for at in range(len(parts), 0, -1) if _is_module(".".join(parts[:at])))
    found: Any = importlib.import_module(".".join(parts[:at]))
    for part in parts[at:]:
        defaults = {}
        if is_dataclass(found):
            defaults = {one.name: one.default for one in fields(found)}
        elif callable(found):
            defaults = {one.name: one.default for one in inspect.signature(found).parameters.values()}
        found = defaults[part] if part in defaults else getattr(found, part)
    if member:
        found = (found("msg91") if callable(found) else found)[member]
    return found


def _is_module(name: str) -> bool:
    try:
        importlib.import_module(name)
    except ModuleNotFoundError:
        return False
    return True


@pytest.mark.parametrize(("what", "number", "where"), LIMITS, ids=[row[0] for row in LIMITS])
def test_each_number_is_the_code_s(what: str, number: str, where: str) -> None:
    """A number in the table is the one that the code has."""
    assert value_of(what, where, number_of(number)) == number_of(number)


def test_it_lists_what_can_be_set() -> None:
    """Every number that bears on safety and can be set, and every field of a lane, a retry and a request, is there."""
    listed = {name for _, _, where in LIMITS for name in marked(where)}
    about = re.compile(r"ttl|window|length|deadline|lease|promote|grace|queue_limit|claim_after")
    for name, field in Settings.model_fields.items():
        if about.search(name) and isinstance(field.default, int | float):
            assert variable_of(name) in listed, name
    for one in ("recipients", "concurrency", "floor", "breaker_failures"):
        assert f"lanes: {one}" in listed
    for one in ("attempts", "horizon", "backoff_base", "backoff_cap", "in_doubt_grace"):
        assert f"actions: {one}" in listed
    for one in ("breaker_pause", "breaker_cap", "spread"):
        assert f"worker.delivery.lanes.LaneLimits.{one}" in listed


def test_the_code_agrees_with_itself() -> None:
    """What has a default in two places has the same in both."""
    settings, timing, policy, action = Settings(), Timing(), RetryPolicy(), ActionModel()
    assert (timing.deadline, timing.lease) == (settings.request_deadline, settings.claim_lease)
    assert (policy.attempts, policy.base, policy.cap, policy.horizon) == (
        action.attempts, action.backoff_base, action.backoff_cap, action.horizon,
    )  # fmt: skip
    kept = Retention()
    assert (kept.record, kept.dead_letter, kept.index, kept.journal) == (
        settings.record_ttl, settings.dead_letter_ttl, settings.index_ttl, settings.journal_length,
    )  # fmt: skip
    limits, lane = LaneLimits(), LaneModel()
    assert (limits.concurrency, limits.floor, limits.breaker_failures) == (
        lane.concurrency, lane.floor, lane.breaker_failures,
    )  # fmt: skip
    assert Batches(fake()).lease_ms == settings.batch_lease * 1000


def test_times_in_the_prose_follow_from_the_table() -> None:
    """Every time that a sentence mentions is in the table, or follows from what is."""
    timing, settings = Timing(), Settings()
    known = {number_of(number) for _, number, _ in LIMITS}
    known |= {
        timing.lease - timing.deadline - timing.margin,  # the last moment for a first byte
        timing.lease + timing.deadline,  # the first moment for a repeat
        settings.shutdown_grace + KILL_AFTER,
        50.0,  # what the compose file gives a worker, see below
        settings.batch_lease / 3,  # how often a run pushes its lease on
        90.0,  # the bound for lost work, which the chaos tests measure
    }
    # the tables of times have tests of their own; what was measured once is no promise
    prose = PAGE.replace(section("## Every time and limit"), "").replace(section("## The proof"), "")
    said = {match[0]: number_of(match[0]) for match in re.finditer(r"\b\d+(?:\.\d+)? (?:s|min|h|d)\b", prose)}
    assert {text for text, seconds in said.items() if seconds not in known} == set()
    assert len(said) > 10


def test_its_other_numbers_follow_too() -> None:
    """Numbers of requests and messages in the prose are products of the defaults."""
    lane, settings = LaneModel(), Settings()
    assert f"{settings.concurrency} × {lane.recipients} messages in doubt" in PAGE
    assert f"{lane.concurrency} requests to a lane" in PAGE
    assert f"the newest {settings.journal_length} requests" in PAGE
    assert f"the last {constant('worker.delivery.trust.REMEMBERED', '')} settled of the last hour" in PAGE
    assert f"last {constant('worker.deliveries.HISTORY_LENGTH', '')}\n   attempts" in PAGE
    assert f"most {constant('worker.recovery.recover_abandoned.limit', '')} abandoned requests a second" in PAGE
    compose = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))
    grace = int(compose["services"]["worker"]["stop_grace_period"].removesuffix("s"))
    assert f"the compose file gives {grace} s" in PAGE
    assert grace > settings.shutdown_grace + KILL_AFTER


# --- costs ------------------------------------------------------------------------------------------------------------


def fake() -> Store:
    """A store in memory."""
    store = Store(fakeredis.FakeRedis())
    store.open()
    return store


class Accepting:
    """A provider that takes everything."""

    def send(self, *_: Any, **__: Any) -> Answer:
        """Take it."""
        return Answer(AnswerClass.ACCEPTED, status=200, request_id="r" * 24)


def test_what_a_batch_costs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A batch of 500 takes the round trips that the page says: three, and two for each request."""
    (said,) = re.findall(r"to 100 recipients a request: (\d+) round trips", PAGE)
    file = tmp_path / "destinations.yaml"
    file.write_text(yaml.safe_dump({"destinations": [{"name": "shop", "authkey": "key"}]}), encoding="utf-8")
    destinations = load_destinations(file, {}, settings=load_settings({}))
    store = fake()
    batches = Batches(store)
    sender = Sender(store, Ledger(store), Lanes(store), lambda _d, _f: Accepting())
    forwarder = Forwarder(store, batches, sender, lambda: destinations)
    lines = [
        b'{"type":"track","event":"e","messageId":"m%d","properties":{"phone":"+9198%08d","message":"hi","senderID":"MSGIND"}}'
        % (number, number)
        for number in range(500)
    ]
    store.now_ms()
    trips: list[str] = []
    scripts: list[str] = []
    script, run = store.script, store.run

    def counting(name: str, *given: Any) -> Any:
        scripts.append(name)
        trips.append(name)
        return script(name, *given)

    def counting_trips(*calls: Call) -> None:
        scripts.extend(call.name for call in calls)
        trips.append("+".join(call.name for call in calls))
        run(*calls)

    monkeypatch.setattr(store, "script", counting)
    monkeypatch.setattr(store, "run", counting_trips)
    assert forwarder.run(batches.accept(join(lines), 500))
    monkeypatch.undo()
    assert Counter(trips) == {"accept": 1, "begin": 1, "acquire+claim": 5, "settle+release": 5, "finish": 1}
    assert Counter(scripts) == {
        "accept": 1,
        "begin": 1,
        "finish": 1,
        "acquire": 5,
        "claim": 5,
        "settle": 5,
        "release": 5,
    }
    assert len(trips) == int(said)


# --- what it tells to do ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "command",
    sorted(
        set(re.findall(r"msg91-destination ([a-z][a-z-]*(?: (?:status|confirm))?)", PAGE))
        | set(re.findall(r"`((?:in-doubt|dead-letters|lanes|schedule|recovery) [a-z]+)`", PAGE))
    ),
)
def test_its_commands_exist(command: str) -> None:
    """Every command that the page names is there."""
    assert CliRunner().invoke(app, [*command.split(), "--help"]).exit_code == 0


def test_variables_and_links_exist() -> None:
    """Every variable that it names is a setting, every link leads to a file or a heading of its own."""
    known = {variable_of(name) for name in Settings.model_fields}
    assert set(re.findall(r"\b(?:MSG91|REDIS|CELERY)_[A-Z_]+\b", PAGE)) <= known
    headings = {
        "#" + re.sub(r"[^a-z0-9 -]", "", title.lower()).replace(" ", "-")
        for title in re.findall(r"^#+ (.*)$", PAGE, re.MULTILINE)
    }
    for link in re.findall(r"\]\(([^)]+)\)", PAGE):
        assert link in headings or (ROOT / "docs" / link).exists(), link


def test_the_policies_that_it_names_are_the_policies() -> None:
    """Both settings it tells of have the values that it names."""
    for policy in ("hold", "resume"):
        assert load_settings({"MSG91_DESTINATION_RECOVERY": policy}).recovery == policy
    assert Settings().recovery == "hold"
    for policy in get_args(InDoubt):
        assert ActionModel(in_doubt=policy).in_doubt == policy
        assert f"`{policy}`" in PAGE


def test_its_tables_are_tables() -> None:
    """Each table has as many cells in every row as in its head."""
    for block in re.findall(r"(?:^\|.*\n)+", PAGE, re.MULTILINE):
        widths = [line.count("|") for line in block.splitlines()]
        assert all(one == other for one, other in pairwise(widths)), block


def test_every_action_is_spoken_of() -> None:
    """No action is left out."""
    assert [name for name in ACTIONS if f"`{name}`" not in PAGE] == []
