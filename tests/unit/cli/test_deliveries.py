"""`deliveries`: every state is listed from where it lives, and one message's whole life is shown, numbers hidden."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import pytest
from typer.testing import CliRunner

from worker.cli import main
from worker.deliveries import Delivery, dump_claim
from worker.delivery import delivery_key, new_id
from worker.msg91.answers import Answer, AnswerClass

Track = Callable[..., dict[str, Any]]

NUMBER = "8818888758"
UNKNOWN = Answer(AnswerClass.UNKNOWN, status=None, code="read_timeout", message="no answer came in time", sent=True)
RETRY = Answer(AnswerClass.RETRY, status=503, message="the service is not available", sent=True)


@pytest.fixture
def lived(stage: Any, track: Track) -> Any:
    """A store in which something has happened: one delivery in each of many states."""
    stage.configure(
        {
            "name": "msg91",
            "authkey": "a-key-for-tests",
            "default_sender": "MSGIND",
            "lanes": {"sms": {"recipients": 1}},
        },
    )
    stage.answers[:] = [UNKNOWN, RETRY]
    stage.write(
        "events.ndjson",
        track(f"{NUMBER[:-1]}1", "doubtful"),
        track(f"{NUMBER[:-1]}2", "waiting"),
        track(f"{NUMBER[:-1]}3", "taken"),
        track("12345", "wrong"),
    )
    assert stage.run("send", "events.ndjson").exit_code == 0
    stage.work()
    return stage


def listed(stage: Any, *arguments: str) -> list[dict[str, Any]]:
    """The deliveries of a list."""
    return list(stage.json("deliveries", "list", "--json", *arguments)["deliveries"])


def claim(stage: Any, message_id: str, number: str) -> None:
    """Leave a delivery in the middle of a request, as a worker has it there."""
    delivery = Delivery(
        key=delivery_key("msg91", message_id, "track"),
        message_id=message_id,
        mapping="track",
        recipient=f"91{number}",
        destination="msg91",
        action="send_sms",
        payload={"to": f"91{number}", "message": "hello"},
    )
    stage.core.ledger.claim(
        [delivery],
        token=new_id(),
        lease_end_ms=stage.core.store.now_ms() + 60_000,
        origin="12345678",
        from_batch="",
        about="msg91|send_sms",
        items=dump_claim("batch", [delivery]),
    )


@pytest.mark.parametrize(
    ("state", "message_id", "reason"),
    [
        ("in_doubt", "doubtful", "read_timeout: no answer came in time"),
        ("scheduled", "waiting", "HTTP 503: the service is not available"),
        ("accepted", "taken", None),
        ("rejected", "wrong", "invalid: phone"),
    ],
)
def test_each_state_is_listed(lived: Any, state: str, message_id: str, reason: str | None) -> None:
    """``--state`` lists exactly the deliveries in that state, wherever the store has them."""
    (row,) = listed(lived, "--state", state)
    expected = (state, message_id, "track", "msg91", "send_sms", reason)
    assert expected == tuple(
        row[name] for name in ("state", "message_id", "mapping", "destination", "action", "reason")
    )
    assert (state == "scheduled") == (row["due"] is not None)


def test_what_is_being_sent_is_listed(lived: Any) -> None:
    """A delivery whose first request is under way has no entry in the journal yet, and is listed all the same."""
    claim(lived, "on-its-way", NUMBER)
    assert [row["message_id"] for row in listed(lived, "--state", "sending")] == ["on-its-way"]
    assert "on-its-way" in {row["message_id"] for row in listed(lived)}
    assert "sending" in lived.run("deliveries", "show", "on-its-way").stdout


def test_alone_it_lists_everything_newest_first(lived: Any, track: Track) -> None:
    """``deliveries`` alone is ``deliveries list``; a delivery that moved stands once, as it is now."""
    assert lived.run("deliveries", "--json").stdout == lived.run("deliveries", "list", "--json").stdout
    lived.work()
    rows = lived.json("deliveries", "--json")["deliveries"]
    assert (rows[0]["message_id"], rows[0]["state"]) == ("waiting", "accepted")
    assert sorted(row["message_id"] for row in rows) == ["doubtful", "taken", "waiting", "wrong"]
    assert [row["since"] for row in rows] == sorted((row["since"] for row in rows), reverse=True)


def test_lists_can_be_narrowed_and_cut(lived: Any) -> None:
    """Destination, action and limit narrow a list."""
    assert len(listed(lived, "--destination", "msg91", "--action", "send_sms")) == 4
    assert listed(lived, "--destination", "shop") == []
    assert listed(lived, "--action", "send_flow_sms", "--state", "rejected") == []
    assert len(listed(lived, "--limit", "2")) == 2


def test_a_list_for_people_has_a_heading_and_the_counts(lived: Any) -> None:
    """Piped, the list is tab-separated with a header; how many there are of each state goes to standard error."""
    result = lived.run("deliveries")
    header, *rows = result.stdout.splitlines()
    assert header == "state\tmessage id\tmapping\tdestination\taction\tsince\treason"
    assert any("HTTP 503: the service is not available; again at 20" in row for row in rows)
    assert "1 scheduled, 1 accepted, 1 rejected, 1 in_doubt; 0 events queued" in result.stderr


def test_long_lists_are_read_in_pages(stage: Any, track: Track) -> None:
    """Lists longer than a page are complete, for each place they come from."""
    stage.configure({"name": "msg91", "authkey": "a-key-for-tests", "default_sender": "MSGIND"})
    stage.write("wrong.ndjson", *[track("12345", f"w{number}") for number in range(450)])
    stage.answers[:] = [RETRY] * 5
    stage.write("right.ndjson", *[track(8818880000 + number, f"r{number}") for number in range(450)])
    assert stage.run("send", "wrong.ndjson", "right.ndjson").exit_code == 0
    stage.work()
    assert len({row["message_id"] for row in listed(stage, "--state", "rejected", "--limit", "1000")}) == 450
    assert len({row["message_id"] for row in listed(stage, "--state", "scheduled", "--limit", "1000")}) == 450
    assert len({row["message_id"] for row in listed(stage, "--limit", "1000")}) == 900


def test_the_whole_life_of_a_message_is_shown(lived: Any) -> None:
    """State, reason, attempts with MSG91's answers, next attempt and payload, however often it was tried."""
    result = lived.run("deliveries", "show", "waiting")
    assert result.exit_code == 0
    for expected in (
        "waiting: msg91 / track → send_sms: scheduled",
        "next attempt:",
        "attempts:     1",
        "retry: HTTP 503 the service is not available",
        '"to": "91*******752"',
    ):
        assert expected in result.stdout
    lived.work()
    (shown,) = lived.json("deliveries", "show", "--json", "waiting")
    assert [line["state"] for line in shown["journal"]] == ["scheduled", "accepted"]
    assert (shown["state"], shown["attempts"], shown["request_id"]) == ("accepted", 2, "13672fa705a73d0000000001")


def test_doubt_and_refusal_are_explained(lived: Any) -> None:
    """What is in doubt says so at the attempt that caused it; what was rejected says which field and why."""
    assert "may have been sent" in lived.run("deliveries", "show", "doubtful").stdout
    assert "not sent: phone: 5 digits are too few" in lived.run("deliveries", "show", "wrong").stdout


@pytest.mark.parametrize("json_", [False, True])
def test_no_command_shows_a_number(lived: Any, json_: bool) -> None:
    """Neither lists nor lives show a phone number."""
    claim(lived, "on-its-way", f"{NUMBER[:-1]}4")
    more = ["--json"] if json_ else []
    shown = lived.run("deliveries", *more).output
    for message_id in ("doubtful", "waiting", "taken", "wrong", "on-its-way"):
        shown += lived.run("deliveries", "show", message_id, *more).output
    assert NUMBER[:-1] not in shown
    assert "12345" not in shown


def test_a_delivery_is_found_by_id_mapping_and_key(lived: Any) -> None:
    """A messageId, a messageId with a mapping, and the key of a delivery all lead to it."""
    key = delivery_key("msg91", "waiting", "track")
    for wanted in ("waiting", "waiting:track", key):
        (found,) = lived.json("deliveries", "show", "--json", wanted)
        assert (key, "waiting", "track", "send_sms") == tuple(
            found[name] for name in ("delivery", "message_id", "mapping", "action")
        )
    assert lived.run("deliveries", "show", "waiting:page").exit_code == 1


def test_ids_may_hold_anything(stage: Any, track: Track) -> None:
    """An id with colons, or one that begins like an option, is found all the same."""
    stage.write("events.ndjson", track(NUMBER, "a:track:b"), track(NUMBER, "-x-1"))
    assert stage.run("send", "events.ndjson").exit_code == 0
    stage.work()
    for wanted in ("a:track:b", "a:track:b:track", "-x-1", "-x-1:track"):
        assert stage.run("deliveries", "show", wanted).exit_code == 0


def test_every_mapping_and_destination_of_a_message_is_shown(stage: Any, track: Track) -> None:
    """A message that became several deliveries shows them all."""
    account = {"authkey": "a-key-for-tests", "default_sender": "MSGIND"}
    stage.configure({"name": "msg91", **account}, {"name": "shop", **account})
    stage.write("events.ndjson", track(NUMBER, "m1"))
    assert stage.run("send", "events.ndjson").exit_code == 0
    stage.work()
    assert [one["destination"] for one in stage.json("deliveries", "show", "--json", "m1")] == ["msg91", "shop"]


@pytest.mark.parametrize("wanted", ["doubtful", "waiting", "taken", "wrong", "on-its-way", "waiting:track"])
def test_without_a_configuration_it_is_found_all_the_same(lived: Any, wanted: str) -> None:
    """Where the configuration is broken, journal, claims, schedule and what is kept lead to the delivery."""
    claim(lived, "on-its-way", NUMBER)
    (lived.folder / "destinations.yaml").write_text("destinations: [")
    result = lived.run("deliveries", "show", "--json", wanted)
    assert result.exit_code == 0
    (found,) = orjson.loads(result.stdout)
    assert (wanted.partition(":")[0], "msg91", "send_sms") == (
        found["message_id"],
        found["destination"],
        found["action"],
    )
    assert "the configuration cannot be used" in result.stderr


def test_a_trimmed_journal_hides_nothing_that_is_unfinished(lived: Any) -> None:
    """What waits, is in doubt or was rejected is found when neither configuration nor journal know it any more."""
    (lived.folder / "destinations.yaml").write_text("destinations: [")
    lived.core.store.client.delete(lived.core.store.keys.journal)
    for wanted in ("doubtful", "waiting", "wrong"):
        (found,) = lived.json("deliveries", "show", "--json", wanted)
        assert wanted == found["message_id"]
    assert [row["message_id"] for row in listed(lived, "--state", "in_doubt")] == ["doubtful"]


def test_a_record_whose_time_is_over_leaves_the_journal(lived: Any) -> None:
    """When a record has expired the journal still tells how the delivery ended."""
    keys = lived.core.store.keys
    lived.core.store.client.delete(keys.record(delivery_key("msg91", "taken", "track")))
    result = lived.run("deliveries", "show", "taken")
    assert (result.exit_code, "its time is over" in result.stdout) == (0, True)
    assert "accepted" in {row["state"] for row in listed(lived)}


def test_a_delivery_report_is_part_of_a_life(lived: Any) -> None:
    """A report changes the state; the list names the message although the report does not."""
    lived.core.ledger.report(recipient=f"91{NUMBER[:-1]}1", delivered=True, token=_token(lived, "doubtful"))
    (row,) = listed(lived, "--state", "delivered")
    assert row["message_id"] == "doubtful"
    assert "delivered (by report)" in lived.run("deliveries", "show", "doubtful").stdout


def _token(stage: Any, message_id: str) -> str:
    (record,) = stage.core.ledger.records([delivery_key("msg91", message_id, "track")])
    return str(record.ref)


def test_what_nobody_knows_leaves_with_one(lived: Any) -> None:
    """Nothing is known: exit 1 and a sentence; with ``--json`` an empty array."""
    result = lived.run("deliveries", "show", "never-seen")
    assert (result.exit_code, "nothing is known of 'never-seen'" in result.stderr) == (1, True)
    assert lived.json("deliveries", "show", "--json", "never-seen", code=1) == []


def test_an_event_that_is_still_queued_may_be_the_one(stage: Any, track: Track) -> None:
    """While events are queued the command says that the message may be among them."""
    stage.write("events.ndjson", track(NUMBER, "m1"))
    assert stage.run("send", "events.ndjson").exit_code == 0
    assert "1 events are still queued" in stage.run("deliveries", "show", "m1").stderr


def test_looking_leaves_no_trace(bare: Path) -> None:
    """Where there is no store, a command that looks says so and makes no data directory."""
    result = CliRunner().invoke(main.app, ["deliveries"])
    assert (result.exit_code, "there is no store" in result.stderr) == (2, True)
    assert list(bare.iterdir()) == []
