"""`send` and files: CSV, folders, going on after a kill, and refused lines that can be mended."""

from __future__ import annotations

import gzip
import os
import time
from pathlib import Path
from typing import Any

import orjson
import pytest

from tests.unit.cli.conftest import track
from worker.delivery import Batches, StoreUnavailable
from worker.intake.checkpoints import Checkpoint, Checkpoints

CSV = ("--type", "track", "--event", "Order Shipped")


class Killed(BaseException):
    """The process is gone."""


def lines(count: int, prefix: str = "") -> list[dict[str, Any]]:
    """Events without ids, each with a text of its own."""
    return [track(919000000000 + number, message=f"{prefix}text {number}") for number in range(count)]


def killed_after(monkeypatch: pytest.MonkeyPatch, batches: int, *, noted: bool = False) -> None:
    """Let the next command die when so many batches were accepted: before the last is noted, or right after."""
    accept, write = Batches.accept, Checkpoint.write
    left = [batches]

    def accept_and_die(self: Batches, *arguments: Any, **options: Any) -> str:
        batch_id = accept(self, *arguments, **options)
        left[0] -= 1
        if left[0] == 0 and not noted:
            raise Killed
        return batch_id

    def write_and_die(self: Checkpoint, *arguments: Any) -> None:
        write(self, *arguments)
        if left[0] == 0 and noted:
            raise Killed

    monkeypatch.setattr(Batches, "accept", accept_and_die)
    monkeypatch.setattr(Checkpoint, "write", write_and_die)


def texts(stage: Any) -> list[str]:
    """The texts that MSG91 got, sorted."""
    return sorted(sms["message"] for request in stage.requests for sms in request["sms"] for _ in sms["to"])


def checkpoints(stage: Any) -> list[Path]:
    """What lies in the folder of the checkpoints."""
    return sorted((stage.folder / "data" / "send").glob("*"))


@pytest.mark.parametrize("noted", [False, True])
@pytest.mark.parametrize("batches", [1, 3, 5])
def test_a_killed_send_goes_on_and_sends_nothing_twice(
    stage: Any, monkeypatch: pytest.MonkeyPatch, batches: int, noted: bool
) -> None:
    """Whether the kill comes before or after the checkpoint: every event goes out once, and no trace is left behind."""
    events = lines(9)
    stage.write("events.ndjson", *events[:4], b"bad", *events[4:])
    with monkeypatch.context() as dying:
        killed_after(dying, batches, noted=noted)
        with pytest.raises(Killed):
            stage.run("send", "--batch-size", "2", "events.ndjson").stdout  # noqa: B018
    stage.work()
    result = stage.json("send", "--json", "--batch-size", "3", "events.ndjson", code=1)
    (file,) = result["files"]
    assert file["accepted_before"] == min(9, 2 * (batches if noted else batches - 1))
    assert file["accepted"] + file["accepted_before"] == 9
    assert file["refused"] + file["refused_before"] == 1
    stage.work()
    assert texts(stage) == sorted(event["properties"]["message"] for event in events)
    assert checkpoints(stage) == []


def test_tomorrows_file_of_the_same_name_is_a_new_one(stage: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another content under the name is sent whole, with a warning; the same content again after its end, too."""
    stage.write("events.ndjson", *lines(4))
    with monkeypatch.context() as dying:
        killed_after(dying, 1, noted=True)
        with pytest.raises(Killed):
            stage.run("send", "--batch-size", "2", "events.ndjson")
    stage.write("events.ndjson", *lines(4, "tomorrow's "))
    result = stage.run("send", "events.ndjson")
    assert "4 events accepted" in result.stdout
    assert "its content has changed, so all of it is sent" in result.stderr
    assert "4 events accepted" in stage.run("send", "events.ndjson").stdout
    assert len({event["messageId"] for event in stage.stored()}) == 10


def test_files_that_were_done_are_not_sent_again(stage: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Killed in the second of three files: the first is passed over, the second gone on with, the third begun."""
    for name in "abc":
        stage.write(f"{name}.ndjson", *lines(4, f"{name} "))
    names = ("b.ndjson", "a.ndjson", "c.ndjson")
    with monkeypatch.context() as dying:
        killed_after(dying, 3)
        with pytest.raises(Killed):
            stage.run("send", "--batch-size", "2", *names)
    stage.work()
    result = stage.run("send", "--batch-size", "2", *reversed(names))
    assert "b.ndjson: all of its 4 events were accepted" in result.stderr
    stage.work()
    assert texts(stage) == sorted(f"{name} text {number}" for name in "abc" for number in range(4))
    assert "4 events accepted" in stage.run("send", "b.ndjson").stdout


def test_restart_sends_all_of_it_again(stage: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """``--restart`` begins a new run; so does ``--no-checkpoint``, which also notes nothing."""
    stage.write("events.ndjson", *lines(4))
    assert stage.run("send", "events.ndjson").exit_code == 0
    assert not (stage.folder / "data").exists()
    for option in ("--restart", "--no-checkpoint"):
        with monkeypatch.context() as dying:
            killed_after(dying, 1, noted=True)
            with pytest.raises(Killed):
                stage.run("send", "--batch-size", "2", "events.ndjson")
        assert "4 events accepted" in stage.run("send", option, "events.ndjson").stdout


def test_other_options_and_old_runs_are_for_a_person_to_decide(stage: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is sent where it might be twice, until ``--resume`` or ``--restart`` says how."""
    stage.write("events.ndjson", *lines(4))
    with monkeypatch.context() as dying:
        killed_after(dying, 1, noted=True)
        with pytest.raises(Killed):
            stage.run("send", "--batch-size", "2", "events.ndjson")
    result = stage.run("send", "-d", "msg91", "events.ndjson")
    assert (result.exit_code, "it had other options" in result.stderr) == (2, True)
    monkeypatch.setenv("MSG91_DESTINATION_RECORD_TTL", "2s")
    monkeypatch.setenv("MSG91_DESTINATION_REPORT_WINDOW", "1s")
    later = time.time() + 3
    monkeypatch.setattr("worker.intake.checkpoints.time.time", lambda: later)
    result = stage.run("send", "events.ndjson")
    assert (result.exit_code, "is not known any more" in result.stderr) == (2, True)
    assert "--resume goes on" in result.stderr
    assert "2 events accepted" in stage.run("send", "--resume", "events.ndjson").stdout
    assert len(stage.stored()) == 4


def test_two_commands_do_not_send_one_file(stage: Any) -> None:
    """While a run is at a file, another one leaves it alone, and says so."""
    stage.write("events.ndjson", *lines(2))
    options = {"store": f"{stage.settings.redis_url} {stage.settings.namespace}", "options": "", "remembered": 60.0}
    folder = stage.folder / "data" / "send"
    folder.mkdir(parents=True)
    held = Checkpoints(folder, **options).open("events.ndjson")
    assert held is not None
    result = stage.run("send", "events.ndjson")
    assert (result.exit_code, "another `send` is at this very file" in result.stderr) == (2, True)
    held.remove()
    assert stage.run("send", "events.ndjson").exit_code == 0


def test_a_store_that_went_away_is_gone_on_with(stage: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The command says that it can be run again, and then sends the rest alone."""
    monkeypatch.setattr("worker.cli.send.PATIENCE", 0.0)
    stage.write("events.ndjson", *lines(6))
    accept = Batches.accept
    with monkeypatch.context() as broken:
        left = [2]

        def accept_or_not(*arguments: Any, **options: Any) -> str:
            left[0] -= 1
            if left[0] < 0:
                raise StoreUnavailable("gone")
            return accept(*arguments, **options)

        broken.setattr(Batches, "accept", accept_or_not)
        result = stage.run("send", "--batch-size", "2", "events.ndjson")
    assert "run the same command again" in result.stderr
    assert stage.json("send", "--json", "events.ndjson")["accepted"] == 2


def test_a_checkpoint_that_was_cut_off_counts_as_far_as_it_goes(stage: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Half a line at its end, as a full disk or a power cut leaves it, costs that step and nothing more."""
    stage.write("events.ndjson", *lines(6))
    with monkeypatch.context() as dying:
        killed_after(dying, 2, noted=True)
        with pytest.raises(Killed):
            stage.run("send", "--batch-size", "2", "events.ndjson")
    (path,) = checkpoints(stage)
    os.truncate(path, path.stat().st_size - 5)
    found = stage.json("send", "--json", "--batch-size", "2", "events.ndjson")
    assert (found["accepted_before"], found["accepted"]) == (2, 4)
    stage.work()
    assert len(texts(stage)) == 6


def test_without_a_place_for_checkpoints_it_sends_and_says_so(stage: Any) -> None:
    """Where none can be written the file is sent all the same, with a warning."""
    (stage.folder / "data").write_text("a file")
    stage.write("events.ndjson", *lines(1))
    result = stage.run("send", "events.ndjson")
    assert (result.exit_code, "cannot go on where it was" in result.stderr) == (0, True)


def test_csv_is_sent_by_its_columns(stage: Any) -> None:
    """Rows become events by header and options; the same options explain a file."""
    content = "Mobile No,message,total:number\n8818888758,one,1.5\n8818888759,two,x\n"
    (stage.folder / "orders.csv").write_text(content)
    result = stage.run("send", *CSV, "--map", "Mobile No=properties.phone", "orders.csv")
    assert result.exit_code == 1
    assert "orders.csv:3: column total: expected a number" in result.stderr
    (event,) = stage.stored()
    assert event["properties"] == {"phone": "8818888758", "message": "one", "total": 1.5}
    assert event["messageId"].endswith("-2")
    for options in (("--types", "total=text"), ("--types", "total=text", "--columns", "phone,message,total")):
        assert (
            stage.run(
                "send",
                *CSV,
                "--map",
                f"{'phone' if len(options) > 2 else 'Mobile No'}=properties.phone",
                *options,
                "orders.csv",
            ).exit_code
            == 0
        )
    explained = stage.json("explain", *CSV, "--map", "Mobile No=properties.phone", "--json", "orders.csv", code=1)
    assert len(explained) == 2


def test_csv_that_says_nothing_of_its_events_is_not_sent(stage: Any) -> None:
    """Without a type nothing is sent, and the hint says how to name it."""
    (stage.folder / "orders.csv").write_text("phone,message\n8818888758,one\n")
    result = stage.run("send", stage.write("good.ndjson", *lines(1)), "orders.csv")
    assert (result.exit_code, "--type track --event" in result.stderr) == (2, True)
    assert stage.stored() == []


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (("--types", "a=colour"), "cannot be 'colour'"),
        (("--types", "a"), "has no '='"),
        (("--map", "a"), "has no '='"),
        (("--delimiter", "ab"), "is not one character"),
    ],
)
def test_options_that_cannot_be_understood_say_why(stage: Any, options: tuple[str, ...], says: str) -> None:
    """Exit 2, with the option and what it takes."""
    result = stage.run("send", *options, stage.write("good.ndjson", *lines(1)))
    assert (result.exit_code, says in result.stderr) == (2, True)


def test_a_folder_is_sent_with_everything_below(stage: Any) -> None:
    """Every event file in it goes, compressed or not; what is passed over is named; an empty folder is an error."""
    (stage.folder / "in/deep").mkdir(parents=True)
    stage.write("in/a.ndjson", *lines(2, "a "))
    (stage.folder / "in/deep/b.json.gz").write_bytes(gzip.compress(orjson.dumps(lines(3, "b "))))
    (stage.folder / "in/notes.txt").write_text("hello")
    result = stage.run("send", "in")
    assert (result.exit_code, "in/notes.txt" in result.stderr) == (0, True)
    assert "5 events accepted" in result.stdout
    (stage.folder / "empty").mkdir()
    assert stage.run("send", "empty").exit_code == 2


def test_refused_lines_can_be_mended_and_sent(stage: Any) -> None:
    """Each stands in the file as it was, under its reason; the file is sent as it is, and refuses the same again."""
    stage.write("events.ndjson", *lines(1), b"nope, nope", {"type": "fly"}, b"\xff")
    result = stage.run("send", "--refused", "bad.ndjson", "events.ndjson")
    assert "3 refused lines in bad.ndjson" in result.stdout
    path = stage.folder / "bad.ndjson"
    text = path.read_bytes().split(b"\n")
    assert [text[2], text[4], text[6]] == [b"nope, nope", b'{"type":"fly"}', b"\xff"]
    assert text[1].startswith(b"# refused: events.ndjson:2: not JSON")
    assert path.stat().st_mode & 0o777 == 0o600
    found = stage.json("send", "--json", "bad.ndjson", code=1)
    assert (found["accepted"], found["refused"]) == (0, 3)
    path.write_bytes(b"\n".join([*text[:4], orjson.dumps(lines(1)[0]), *text[5:]]))
    assert stage.json("send", "--json", "bad.ndjson", code=1)["accepted"] == 1


def test_refused_rows_keep_their_header(stage: Any) -> None:
    """Rows go to a file with their header, rows of other columns to another one; each is sent with the same options."""
    (stage.folder / "a.csv").write_text('phone,"the\nmessage",n:number\n1,"x\ny",z\n2,b,2\n')
    (stage.folder / "b.csv").write_text("phone;n:number\n1;z\n")
    found = stage.json("send", *CSV, "--json", "--refused", "bad.csv", "a.csv", "b.csv", code=1)
    assert found["refused_files"] == {"bad.csv": 1, "bad-2.csv": 1}
    for name in ("bad.csv", "bad-2.csv"):
        path = stage.folder / name
        assert stage.json("send", *CSV, "--json", name, code=1)["refused_by_code"] == {"bad_cell": 1}
        path.write_text(path.read_text().replace("z", "7"))
        assert stage.json("send", *CSV, "--json", name)["accepted"] == 1


@pytest.mark.parametrize("separator", [b",", b",\n"])
def test_a_killed_send_refuses_no_line_twice(stage: Any, monkeypatch: pytest.MonkeyPatch, separator: bytes) -> None:
    """However the kill falls, each refused item stands in the file once, also of an array on one line."""
    content = [orjson.dumps(one) for event in lines(9) for one in (event, 7)]
    (stage.folder / "events.ndjson").write_bytes(b"[%b]" % (separator.join(content)))
    with monkeypatch.context() as dying:
        killed_after(dying, 3)
        with pytest.raises(Killed):
            stage.run("send", "--batch-size", "2", "--refused", "bad.ndjson", "events.ndjson")
    stage.run("send", "--batch-size", "2", "--refused", "bad.ndjson", "events.ndjson")
    reasons = [line for line in (stage.folder / "bad.ndjson").read_text().splitlines()[1:] if line.startswith("#")]
    assert len(reasons) == len(set(reasons)) == 9


def test_a_file_of_refused_lines_never_grows_while_it_is_read(stage: Any) -> None:
    """What is being sent is not written to: what it refuses goes to a file beside it."""
    stage.write("bad.ndjson", b"# refused: NDJSON", b"nope")
    found = stage.json("send", "--json", "--refused", "bad.ndjson", "bad.ndjson", code=1)
    assert found["refused_files"] == {"bad-2.ndjson": 1}


def test_a_dry_run_writes_no_refused_lines(stage: Any) -> None:
    """They would stand there twice after the run that follows it."""
    result = stage.run("send", "--dry-run", "--refused", "bad.ndjson", stage.write("events.ndjson", b"bad"))
    assert (result.exit_code, "--dry-run writes nothing" in result.stderr) == (2, True)
    assert not (stage.folder / "bad.ndjson").exists()


def test_a_refused_file_that_cannot_be_written_stops_everything_before_it_begins(stage: Any) -> None:
    """Exit 2, and nothing is sent."""
    result = stage.run("send", "--refused", "no/such/bad.ndjson", stage.write("good.ndjson", *lines(1)))
    assert (result.exit_code, "cannot be written" in result.stderr) == (2, True)
    assert stage.stored() == []


def test_a_dry_run_counts_and_sends_nothing(stage: Any) -> None:
    """Deliveries, people and parts by mapping and reason; nothing is in the store, and no trace is left."""
    stage.write("events.ndjson", *lines(3), track(919000000000, message="x" * 161), track("12345"), b"bad")
    result = stage.run("send", "--dry-run", "events.ndjson")
    assert result.exit_code == 1
    rows = [line.split("\t") for line in result.stdout.splitlines()]
    assert ["would be sent", "msg91", "track", "", "4", "3", "5"] in rows
    assert ["rejected", "msg91", "track", "invalid: phone", "1", "", ""] in rows
    assert "4 deliveries would be sent to 3 recipients, in 5 SMS parts" in result.stdout
    assert "events.ndjson:6: not JSON" in result.stderr
    assert stage.stored() == []
    assert checkpoints(stage) == []
    found = stage.json("send", "--dry-run", "--json", "events.ndjson", code=1)
    assert (found["deliveries"], found["recipients"], found["parts"], found["refused"]) == (4, 3, 5, 1)


def test_a_dry_run_counts_what_is_left_of_a_run_that_was_cut_short(stage: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was accepted before is not counted again, and the run can be gone on with afterwards."""
    stage.write("events.ndjson", *lines(6))
    with monkeypatch.context() as dying:
        killed_after(dying, 1, noted=True)
        with pytest.raises(Killed):
            stage.run("send", "--batch-size", "2", "events.ndjson")
    found = stage.json("send", "--dry-run", "--json", "events.ndjson")
    assert (found["deliveries"], found["accepted_before"]) == (4, 2)
    assert stage.json("send", "--json", "events.ndjson")["accepted"] == 4


def test_lines_tell_how_far_it_is_where_there_is_no_terminal(stage: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A log gets a line now and then with count, rate, share and time left."""
    monkeypatch.setattr("worker.cli.progress.LINE_INTERVAL", 0.0)
    stage.write("events.ndjson", *lines(3))
    result = stage.run("send", "events.ndjson")
    assert "events.ndjson: 0 accepted" in result.stderr
    assert "/s, 100%, 0:00:00 left" in result.stderr
