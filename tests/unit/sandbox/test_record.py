"""The record: what it holds, what it hides, and what is left of it after a kill."""

from __future__ import annotations

import stat
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.sandbox.calls import SENDSMS, call, provider, sms
from worker.sandbox.calls import Call
from worker.sandbox.record import Recorder, duplicates, last_lines, line_of, mask, masked, read_record, sends


def line(request: Call, *, taken: bool = True, faults: list[str] | None = None) -> dict[str, Any]:
    """Build the line of one request and read it back as JSON."""
    verdict = provider().judge(request, 0.0)
    built = line_of(request, verdict, verdict.reply, faults or [], taken=taken, now=1_800_000_000.5)
    read: dict[str, Any] = orjson.loads(orjson.dumps(built, option=orjson.OPT_UTC_Z))
    return read


def write(path: Path, *lines: dict[str, Any], fsync: bool = False) -> None:
    """Append lines to a record."""
    recorder = Recorder(path, fsync=fsync)
    for one in lines:
        recorder.append(one)
    recorder.close()


def test_a_line_tells_the_whole_request() -> None:
    """Time, purpose, outcome, correlation, messages and body are all there."""
    written = line(call(SENDSMS, sms(CRQID="batch-1", UUID="u")), faults=["slow=10"])
    assert written["time"] == "2027-01-15T08:00:00.500000Z"
    assert (written["kind"], written["taken"], written["status"], written["code"]) == ("sms", True, 200, None)
    assert written["correlation"] == {"CRQID": "batch-1", "UUID": "u"}
    assert written["messages"] == [{"to": "919812345678", "text": "Hello"}]
    assert written["body"] == sms(CRQID="batch-1", UUID="u")
    assert written["faults"] == ["slow=10"]
    assert len(written["request_id"]) == 24


def test_what_was_not_taken_has_no_request_id() -> None:
    """Only a taken request is known to the provider by an id."""
    assert line(call(SENDSMS, sms()), taken=False)["request_id"] is None


def test_a_refused_request_still_tells_its_messages() -> None:
    """A request refused for one of its numbers shows all of them, and the code."""
    written = line(call(SENDSMS, sms(sms=[{"message": "Hello", "to": ["919812345678", "1"]}])), taken=False)
    assert [message["to"] for message in written["messages"]] == ["919812345678", "1"]
    assert written["code"] == "202"


@pytest.mark.parametrize(
    "request_",
    [
        call(SENDSMS, sms(), headers={"authorization": "Bearer s3cret", "cookie": "s3cret"}, authkey="s3cret"),
        call(SENDSMS, sms(), query={"authkey": "s3cret"}, authkey=None),
        call(SENDSMS, {**sms(), "authkey": "s3cret"}),
        call(SENDSMS, body=b"mobiles=1&authkey=s3cret&message=x"),
    ],
)
def test_the_authkey_is_never_on_record(request_: Call) -> None:
    """Wherever a request carries its key, the record shows stars."""
    text = orjson.dumps(line(request_)).decode()
    assert "s3cret" not in text
    assert "***" in text


def test_a_body_with_line_breaks_stays_one_line(tmp_path: Path) -> None:
    """JSON written over several lines is one line of the record."""
    body = orjson.dumps(sms(), option=orjson.OPT_INDENT_2)
    request = Call("POST", SENDSMS, {}, {}, body, orjson.loads(body))
    verdict = provider().judge(request, 0.0)
    write(tmp_path / "r", line_of(request, verdict, verdict.reply, [], taken=False, now=0.0))
    assert (tmp_path / "r").read_bytes().count(b"\n") == 1
    assert next(read_record(tmp_path / "r"))["body"] == sms()


def test_the_record_is_for_its_owner_only(tmp_path: Path) -> None:
    """Nobody else may read a file with phone numbers in it; its directory is made where it is missing."""
    path = tmp_path / "new" / "r"
    write(path, line(call(SENDSMS, sms())))
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_record_goes_on_where_it_ended(tmp_path: Path) -> None:
    """Opening a record again appends to it, with or without forcing it to the disk."""
    path = tmp_path / "r"
    for fsync in (False, True):
        write(path, line(call(SENDSMS, sms())), fsync=fsync)
    assert len(list(read_record(path))) == 2


@given(cut=st.integers(min_value=0, max_value=400))
def test_a_line_that_was_cut_short_spoils_no_other(tmp_path_factory: pytest.TempPathFactory, cut: int) -> None:
    """Cut the last line anywhere: what is whole still reads, what is cut counts for nothing, the next one stands."""
    path = tmp_path_factory.mktemp("record") / "r"
    write(path, line(call(SENDSMS, sms(sender="FIRSTT"))))
    whole = path.read_bytes()
    path.write_bytes(whole + whole[: min(cut, len(whole) - 2)])
    write(path, line(call(SENDSMS, sms(sender="THIRDD"))))
    assert [one["body"]["sender"] for one in read_record(path)] == ["FIRSTT", "THIRDD"]


def test_a_write_that_fails_in_the_middle_spoils_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A full disk cuts a line short; the next line that fits begins anew."""
    recorder = Recorder(tmp_path / "r")
    real = __import__("os").write

    def half(file: int, data: bytes) -> int:
        real(file, data[: len(data) // 2])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.write", half)
    with pytest.raises(OSError, match="No space"):
        recorder.append(line(call(SENDSMS, sms(sender="FIRSTT"))))
    monkeypatch.undo()
    recorder.append(line(call(SENDSMS, sms(sender="SECOND"))))
    recorder.close()
    assert [one["body"]["sender"] for one in read_record(tmp_path / "r")] == ["SECOND"]


@given(
    sizes=st.lists(st.integers(min_value=0, max_value=100_000), max_size=8),
    wanted=st.integers(min_value=1, max_value=10),
)
def test_the_last_lines_are_the_end_of_the_whole_record(
    tmp_path_factory: pytest.TempPathFactory, sizes: list[int], wanted: int
) -> None:
    """Reading from the end gives what reading everything ends with, whatever the lengths of the lines."""
    path = tmp_path_factory.mktemp("record") / "r"
    write(path, *({"taken": True, "messages": [], "n": n, "pad": "x" * size} for n, size in enumerate(sizes)))
    everything = list(read_record(path))
    assert last_lines(path, wanted) == everything[-wanted:]
    assert len(everything) == len(sizes)


def test_sends_count_taken_messages_only() -> None:
    """What was refused or lost before it was taken is no send; what was taken twice is a duplicate."""
    taken, lost = line(call(SENDSMS, sms())), line(call(SENDSMS, sms()), taken=False)
    assert sends([taken, lost, taken]) == {("919812345678", "Hello"): 2}
    assert duplicates([taken, lost, taken]) == {("919812345678", "Hello"): 2}
    assert duplicates([taken, lost]) == {}


def test_what_is_shown_hides_every_phone_number() -> None:
    """Numbers as text, as numbers, inside texts and in the query are hidden; ids and short numbers stay."""
    body = sms(
        sms=[{"message": "Call 9812345678 about order 4711", "to": [919812345678]}],
        DLT_TE_ID="1107161234567890123",
    )
    written = line(call(SENDSMS, body, query={"mobile": "919812345678"}))
    shown = orjson.dumps(masked(written)).decode()
    assert "98123456" not in shown
    assert "91*******678" in shown
    for kept in ("4711", "1107161234567890123", written["request_id"], '"country":"91"'):
        assert kept in shown


def test_a_mask_keeps_both_ends() -> None:
    """The first two and the last three digits stay; what is too short for that shows nothing."""
    assert mask("919812345678") == "91*******678"
    assert mask("12345") == "*****"
