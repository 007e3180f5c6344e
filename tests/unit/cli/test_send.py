"""`send`: good events are accepted whatever stands beside them, bad ones are named with file, line and reason."""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import pytest
from rich.console import Console

from tests.system import wait_until
from worker.delivery import Batches, StoreUnavailable, read_counts
from worker.msg91.answers import Answer, AnswerClass

Track = Callable[..., dict[str, Any]]

UNKNOWN = Answer(AnswerClass.UNKNOWN, status=None, code="read_timeout", message="no answer came in time", sent=True)
RETRY = Answer(AnswerClass.RETRY, status=503, message="the service is not available", sent=True)


def test_good_events_are_accepted_and_bad_lines_named(stage: Any, track: Track) -> None:
    """Every good line is in the store; every bad one is on standard error with file, line and reason; exit 1."""
    stage.write("events.ndjson", track("8818888758", "m1"), b"nope", b"", {"type": "fly"}, track("8818888759", "m2"))
    result = stage.run("send", "events.ndjson")
    assert result.exit_code == 1
    assert [event["messageId"] for event in stage.stored()] == ["m1", "m2"]
    bad = result.stderr.splitlines()
    assert bad[0].startswith("events.ndjson:2: not JSON")
    assert bad[1].startswith("events.ndjson:4: type: 'fly' is not a call of the spec")
    assert len(bad) == 2
    assert "2 events accepted, 2 refused" in result.stdout
    assert read_counts(stage.core.store).events["queued"] == 2


def test_it_says_when_nobody_works_on_them(stage: Any, track: Track) -> None:
    """Without a worker the events wait in the schedule, and the command says so and is content."""
    stage.write("events.ndjson", track("8818888758"))
    result = stage.run("send", "events.ndjson")
    assert result.exit_code == 0
    assert "no worker has taken them yet" in result.stdout
    with stage.worker():
        wait_until(lambda: stage.core.schedule.depth() == 0)
    assert [sms["to"] for request in stage.requests for sms in request["sms"]] == [["918818888758"]]


def test_it_says_nothing_of_workers_that_work(stage: Any, track: Track, monkeypatch: pytest.MonkeyPatch) -> None:
    """When a worker takes up the events there is nothing to say about it."""
    monkeypatch.setattr("worker.cli.send.TAKEN_WITHIN", 20.0)
    stage.write("events.ndjson", track("8818888758"))
    with stage.worker():
        result = stage.run("send", "events.ndjson")
    assert result.exit_code == 0
    assert "no worker" not in result.stdout


def test_a_broker_that_is_away_does_no_harm(stage: Any, track: Track, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a broker the events are accepted all the same, and the command says where workers find them."""
    monkeypatch.setenv("CELERY_BROKER_URL", "redis://127.0.0.1:1/0")
    stage.write("events.ndjson", *[track("8818888758") for _ in range(3)])
    result = stage.run("send", "--batch-size", "1", "events.ndjson")
    assert result.exit_code == 0
    assert "the broker was not there: workers find 3 batches in the schedule" in result.stdout
    assert len(stage.stored()) == 3


def test_an_array_is_sent_like_lines(stage: Any, track: Track) -> None:
    """A JSON array is told by its content; what is bad in it is named with line and place."""
    (stage.folder / "events.txt").write_bytes(
        b"[\n" + b",\n".join(orjson.dumps(one) for one in (track("8818888758"), 7, track("8818888759"))) + b"]"
    )
    result = stage.run("send", "events.txt")
    assert result.exit_code == 1
    assert len(stage.stored()) == 2
    assert "events.txt:3 (item 2): an event is a JSON object, this is a number" in result.stderr


def test_events_without_an_id_get_one_from_run_and_line(stage: Any, track: Track) -> None:
    """The id names the run and the line, another run gives others, and an id that is there stays."""
    stage.write("events.ndjson", track("8818888758"), b"", track("8818888758", "mine"), track("8818888758", ""))
    first = stage.json("send", "--json", "events.ndjson")["run"]
    assert [f"{first}-1", "mine", f"{first}-4"] == [event["messageId"] for event in stage.stored()]
    assert stage.json("send", "--json", "events.ndjson")["run"] != first


def test_several_files_and_standard_input_go_in_one_run(stage: Any, track: Track) -> None:
    """Files are named one by one in the summary, and equal lines of two files stay two events."""
    a, b = stage.write("a.ndjson", track("8818888758")), stage.write("b.ndjson", track("8818888758"), b"x")
    found = stage.json("send", "--json", a, b, "-", stdin=orjson.dumps([track("8818888759")]), code=1)
    assert [(one["file"], one["accepted"], one["refused"]) for one in found["files"]] == [
        ("a.ndjson", 1, 0),
        ("b.ndjson", 1, 1),
        ("standard input", 1, 0),
    ]
    assert len({event["messageId"] for event in stage.stored()}) == 3


def test_the_json_summary_tells_everything(stage: Any, track: Track) -> None:
    """``--json`` prints one document: counts, files, and the refused lines with their codes."""
    stage.write("events.ndjson", track("8818888758"), b"x", {"type": "track"})
    found = stage.json("send", "--json", "--batch-size", "1", "events.ndjson", code=1)
    assert tuple(found[name] for name in ("complete", "accepted", "refused", "batches", "taken_by_worker")) == (
        True,
        1,
        2,
        1,
        False,
    )
    assert found["refused_by_code"] == {"not_json": 1, "event_not_defined": 1}
    assert [(one["file"], one["line"], one["code"]) for one in found["refused_lines"]] == [
        ("events.ndjson", 2, "not_json"),
        ("events.ndjson", 3, "event_not_defined"),
    ]


def test_no_phone_number_is_shown_in_a_refusal(stage: Any) -> None:
    """A number that stands where it does not belong is hidden in the reason."""
    stage.write("events.ndjson", {"type": "918818888758"})
    result = stage.run("send", "events.ndjson")
    assert "91*******758" in result.stderr
    assert "918818888758" not in result.output


def test_a_file_of_something_else_gets_a_hint(stage: Any) -> None:
    """When not one line is JSON the command says what it expected."""
    stage.write("events.txt", b"hello", b"world")
    result = stage.run("send", "events.txt")
    assert result.exit_code == 1
    assert "expected one event per line (NDJSON), a JSON array of events, or CSV" in result.stderr


@pytest.mark.parametrize(
    ("name", "says"),
    [("none.ndjson", "there is no such file"), ("zipped", "is xz-compressed")],
)
def test_a_file_that_cannot_be_read_stops_everything_before_it_begins(
    stage: Any, track: Track, name: str, says: str
) -> None:
    """One file that cannot be read: exit 2, one clean error, and nothing of the others is sent."""
    (stage.folder / "zipped").write_bytes(b"\xfd7zXZ\x00rest")
    result = stage.run("send", stage.write("good.ndjson", track("8818888758")), name)
    assert result.exit_code == 2
    assert f"error: {name}: {says}" in result.stderr
    assert not stage.stored()


def test_standard_input_that_is_no_text_is_an_error(stage: Any) -> None:
    """What standard input is shows only when it is read: exit 2, and the summary says that nothing was accepted."""
    result = stage.run("send", "-", stdin=b"\xfd7zXZ\x00rest")
    assert result.exit_code == 2
    assert "standard input: is xz-compressed" in result.stderr
    assert "xz -dc | msg91-destination send -" in result.stderr
    assert "no event was accepted" in result.stderr


def test_standard_input_twice_is_an_error(stage: Any) -> None:
    """Standard input can be read only once."""
    assert stage.run("send", "-", "-", stdin=b"").exit_code == 2


def test_a_destination_must_be_one(stage: Any, track: Track) -> None:
    """``--destination`` is checked against the configuration before anything is sent, and is kept with the batch."""
    stage.write("events.ndjson", track("8818888758"))
    result = stage.run("send", "-d", "msg19", "events.ndjson")
    assert (result.exit_code, "Did you mean msg91?" in result.stderr) == (2, True)
    assert not stage.stored()
    assert stage.run("send", "-d", "msg91", "events.ndjson").exit_code == 0
    (entry,) = stage.core.schedule.entries()
    assert stage.core.store.client.hget(stage.core.store.keys.batch(entry.batch_id), "destination") == b"msg91"


def test_a_producer_needs_no_configuration(stage: Any, track: Track) -> None:
    """Where no destination is configured events are accepted all the same; a named destination is taken on trust."""
    (stage.folder / "destinations.yaml").unlink()
    stage.write("events.ndjson", track("8818888758"))
    assert stage.run("send", "events.ndjson").exit_code == 0
    result = stage.run("send", "-d", "shop", "events.ndjson")
    assert (result.exit_code, "'shop'" in result.stderr) == (0, True)
    assert stage.run("send", "-d", "shop", "--wait", "events.ndjson").exit_code == 2


def test_wait_follows_the_deliveries_to_their_end(stage: Any, track: Track) -> None:
    """``--wait`` ends when everything has ended, and tells what became of it by state and reason."""
    stage.write(
        "events.ndjson",
        track("8818888758", "m1"),
        track("8818888759", "m2"),
        track("8818888759", "m2", "again"),
        track("12345", "m3"),
        {"type": "group", "messageId": "m4"},
    )
    with stage.worker():
        result = stage.run("send", "--wait", "events.ndjson")
    assert result.exit_code == 1
    rows = [line.split("\t") for line in result.stdout.splitlines()]
    assert ["state", "destination", "mapping", "reason", "deliveries"] in rows
    assert ["accepted", "msg91", "track", "", "2"] in rows
    assert ["rejected", "msg91", "track", "invalid: phone", "1"] in rows
    assert "3 became deliveries, 1 came before under the same messageId, 1 fit no mapping" in result.stdout


def test_wait_tells_new_events_from_those_that_came_before(stage: Any, track: Track) -> None:
    """Sent again, events with ids are duplicates: nothing goes out, and nothing is wrong with that."""
    stage.write("events.ndjson", *[track("8818888758", f"m{number}") for number in range(5)])
    with stage.worker():
        first = stage.json("send", "--wait", "--json", "--batch-size", "2", "events.ndjson")["deliveries"]
        again = stage.json("send", "--wait", "--json", "events.ndjson")["deliveries"]
    assert first["events"] == {"queued": 0, "parent": 5, "duplicate": 0, "filtered": 0}
    assert again["events"] == {"queued": 0, "parent": 0, "duplicate": 5, "filtered": 0}
    assert (first["states"], again["states"]) == ({"accepted": 5}, {})


def test_wait_follows_a_retry_and_ends_at_doubt(stage: Any, track: Track) -> None:
    """What waits for another attempt is followed on; what is in doubt has come to an end, and is trouble."""
    stage.configure(
        {"name": "msg91", "authkey": "a-key-for-tests", "default_sender": "MSGIND", "lanes": {"sms": {"recipients": 1}}}
    )
    stage.answers[:] = [RETRY, UNKNOWN]
    stage.write("events.ndjson", track("8818888758", "m1"), track("8818888759", "m2"))
    with stage.worker():
        found = stage.json("send", "--wait", "--json", "events.ndjson", code=1)["deliveries"]
    assert found["finished"]
    assert found["states"] == {"accepted": 1, "in_doubt": 1}
    assert [one["reason"] for one in found["outcomes"] if one["state"] == "in_doubt"] == [
        "read_timeout: no answer came in time"
    ]


def test_wait_gives_up_in_time_and_says_how_it_stands(stage: Any, track: Track) -> None:
    """Without a worker ``--wait`` ends at its timeout: exit 1, the events are queued, and nothing is lost."""
    stage.write("events.ndjson", *[track("8818888758") for _ in range(3)])
    result = stage.run("send", "--wait", "--timeout", "0.2", "events.ndjson")
    assert result.exit_code == 1
    assert "3 are still queued" in result.stdout
    assert "it goes on without this command" in result.stdout
    assert len(stage.stored()) == 3


def test_wait_notices_that_it_looks_for_other_mappings(stage: Any, track: Track) -> None:
    """Where the worker uses other mappings than this command, it says so instead of calling everything filtered."""
    configured = stage.destinations()
    stage.destinations = lambda: configured  # the worker keeps what it has
    stage.configure({"name": "shop", "authkey": "a-key-for-tests"})
    stage.write("events.ndjson", track("8818888758", "m1"))
    with stage.worker():
        result = stage.run("send", "--wait", "events.ndjson")
    assert "does the worker use another DESTINATIONS_FILE?" in result.stderr


def test_wait_without_any_worker_to_wait_for_sends_nothing(bare: Path, track: Track) -> None:
    """On a server of its own there is no worker that could work: exit 2 before anything is sent."""
    from typer.testing import CliRunner

    from worker.cli.main import app

    (bare / "events.ndjson").write_bytes(orjson.dumps(track("8818888758")))
    result = CliRunner().invoke(app, ["send", "--wait", "--data-dir", "here", "events.ndjson"])
    assert result.exit_code == 2
    assert "nothing was sent" in result.stderr


def test_without_any_server_the_data_directory_keeps_the_events(bare: Path, track: Track) -> None:
    """With neither REDIS_URL nor a running server, the events wait in the data directory for the next `up`."""
    from typer.testing import CliRunner

    from worker.cli.main import app

    (bare / "events.ndjson").write_bytes(orjson.dumps(track("8818888758")) + b"\n")
    for total in (1, 2):
        result = CliRunner().invoke(app, ["send", "--data-dir", "here", "events.ndjson"])
        assert result.exit_code == 0, result.output
        assert "`msg91-destination up --data-dir here` sends them" in result.stdout
        result = CliRunner().invoke(app, ["deliveries", "--data-dir", "here", "--json"])
        assert result.exit_code == 0, result.output
        result = CliRunner().invoke(app, ["deliveries", "show", "--data-dir", "here", "m1"])
        assert f"{total} events are still queued" in result.stderr


def test_progress_is_shown_to_whoever_watches(stage: Any, track: Track, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a terminal a bar shows the file with counts and rate, then the deliveries; piped there is none."""
    screen = io.StringIO()
    stage.write("events.ndjson", *[track("8818888758", f"m{number}") for number in range(20)], b"bad")
    with stage.worker():
        assert "━" not in stage.run("send", "--wait", "events.ndjson").output
        monkeypatch.setattr("worker.cli.progress.stderr", Console(file=screen, force_terminal=True, width=160))
        stage.run("send", "--wait", stage.write("empty.ndjson"), "events.ndjson")
    assert re.search(r"events\.ndjson.*100%.*20 accepted, 1 refused, [\d,]+/s", screen.getvalue())
    assert "deliveries" in screen.getvalue()


def test_the_store_going_away_is_told_with_the_lines_concerned(
    stage: Any, track: Track, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When patience is over: exit 2, what was accepted, and which lines nobody can speak for."""
    monkeypatch.setattr("worker.cli.send.PATIENCE", 0.0)
    monkeypatch.setattr(Batches, "accept", _leave_after(2, Batches.accept))
    stage.write("events.ndjson", *[track("8818888758", f"m{number}") for number in range(9)])
    found = stage.json("send", "--json", "--batch-size", "2", "events.ndjson", code=2)
    assert (found["complete"], found["accepted"]) == (False, 4)
    assert found["unknown"] == {"file": "events.ndjson", "first_line": 5, "last_line": 6}
    monkeypatch.setattr(Batches, "accept", _leave_after(0, Batches.accept))
    result = stage.run("send", "--restart", "--batch-size", "2", "events.ndjson")
    assert "the store went away: gone" in result.stderr
    assert "no event was accepted; whether those of lines 1 to 2 were is unknown" in result.stderr


def _leave_after(count: int, accept: Callable[..., str]) -> Callable[..., str]:
    """A store that goes away after some batches."""
    left = [count]

    def accept_or_not(*arguments: Any, **options: Any) -> str:
        if not left[0]:
            raise StoreUnavailable("gone")
        left[0] -= 1
        return accept(*arguments, **options)

    return accept_or_not
