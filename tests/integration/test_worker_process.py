"""Worker processes under their supervisor: told to stop, killed, orphaned; nothing is lost and nothing sent twice."""

from __future__ import annotations

import os
import signal
import socket
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.commands import Command, alive, wait_gone
from tests.system import System, many, sends_by_text, wait_until
from worker.delivery import State

pytestmark = pytest.mark.integration

#: Requests take a third of a second, so that there is always one under way.
SLOW = {"sandbox": {"faults": ["slow=300"]}, "workers": 0}


@pytest.fixture
def slow() -> Iterator[System]:
    """A system whose provider takes its time, without workers yet."""
    with System(**SLOW, destination={"lanes": {"sms": {"recipients": 5}}}) as system:  # type: ignore[arg-type]
        yield system


def start(system: System, *arguments: str, processes: int = 1, **settings: str) -> Command:
    """Start the worker command against a system and wait until it takes work."""
    command = Command(
        *("worker", "--processes", str(processes), "--concurrency", "4", *arguments),
        environ={**system.environ, **settings},
        folder=system.folder,
    )
    try:
        wait_until(lambda: command.err.count(" ready.") >= processes, what=f"{processes} ready\n{command.err}")
        command.family()
    except BaseException:
        command.__exit__()
        raise
    return command


def state(system: System, one: State) -> int:
    """How many deliveries are in a state."""
    return system.reconcile().counts.states[one]


def under_way(system: System) -> bool:
    """Whether some are sent and some are on their way."""
    return state(system, State.ACCEPTED) > 0 and state(system, State.SENDING) > 0


def assert_each_sent_once(system: System, count: int) -> None:
    """MSG91's own record says that every message was taken, and none twice."""
    sent = sends_by_text(system.sandbox.requests())
    assert len(sent) == count
    assert set(sent.values()) == {1}


def test_term_under_load_leaves_nothing_in_doubt(slow: System) -> None:
    """TERM finishes what is in flight, hands the rest back, exits 0; the next worker sends the rest, each once."""
    with start(slow, processes=2) as command:
        slow.send(many(300), size=20)
        wait_until(lambda: under_way(slow), what="some sent, some on their way")
        command.signal(signal.SIGTERM)
        assert command.wait(40) == 0
        wait_gone(command.family(), seconds=1)
    left = slow.reconcile()
    assert left.holds, left.problems
    assert left.counts.states[State.SENDING] == 0
    assert left.counts.states[State.IN_DOUBT] == 0
    assert left.counts.states[State.ACCEPTED] < 300
    with start(slow, processes=2):
        assert slow.wait_settled() == {"accepted": 300}
    assert_each_sent_once(slow, 300)


def test_a_killed_child_is_replaced_and_its_requests_are_recovered() -> None:
    """After kill -9 of a worker process another takes its place; what it had in flight is in doubt, not sent again."""
    settings = {
        "MSG91_DESTINATION_REQUEST_DEADLINE": "1",
        "MSG91_DESTINATION_CLAIM_LEASE": "11",
        "MSG91_DESTINATION_BATCH_LEASE": "11",
    }
    with System(**SLOW, destination={"lanes": {"sms": {"recipients": 5}}}, settings=settings) as system:  # type: ignore[arg-type]
        with start(system) as command:
            (victim,) = command.family()
            system.send(many(100), size=20)
            wait_until(lambda: under_way(system), what="some sent, some on their way")
            os.kill(victim, signal.SIGKILL)
            wait_until(lambda: command.err.count(" ready.") == 2, what="a successor is ready")
            counts = system.wait_settled(60)
            command.signal(signal.SIGTERM)
            assert command.wait(40) == 0
        assert set(counts) == {"accepted", "in_doubt"}
        assert sum(counts.values()) == 100
        assert 5 <= counts["in_doubt"] <= 20
        assert f"worker process 0 ended with {-signal.SIGKILL}" in command.err
        assert set(sends_by_text(system.sandbox.requests()).values()) == {1}


def test_a_killed_supervisor_leaves_no_orphan(slow: System) -> None:
    """After kill -9 of the supervisor its workers finish what is in flight and end by themselves."""
    with start(slow, processes=2) as command:
        children = command.family()
        slow.send(many(300), size=20)
        wait_until(lambda: under_way(slow), what="some sent, some on their way")
        command.signal(signal.SIGKILL)
        wait_gone(children, seconds=40)
    assert state(slow, State.SENDING) == 0
    assert state(slow, State.IN_DOUBT) == 0
    with start(slow):
        assert slow.wait_settled() == {"accepted": 300}
    assert_each_sent_once(slow, 300)


def test_a_second_signal_does_not_wait_for_answers() -> None:
    """The second TERM ends workers within seconds though a request hangs, and says so with exit code 1."""
    with System(workers=0, sandbox={"faults": ["hang-after=30"]}) as system, start(system) as command:
        system.send(many(1))
        wait_until(system.sandbox.requests, what="a request hangs")
        began = time.monotonic()
        command.signal(signal.SIGTERM)
        command.wait_for("stopping: 1 worker")
        command.signal(signal.SIGTERM)
        assert command.wait(15) == 1
        assert time.monotonic() - began < 15, "faster than the answer, and than the grace time"
        assert system.counts() == {"in_doubt": 1}, "not left to its lease"
        assert system.core.ledger.under_way() == []


def test_a_second_signal_hands_back_what_has_not_left() -> None:
    """What waits for a connection when the second TERM comes is not in doubt: another worker sends it at once."""
    with System(workers=0) as system, socket.create_server(("127.0.0.1", 0), backlog=0) as deaf:
        # Two connections fill its backlog; the third waits to be taken.
        with (
            socket.create_connection(deaf.getsockname()),
            suppress(TimeoutError),
            socket.create_connection(deaf.getsockname(), timeout=0.5),
        ):
            pass
        port = deaf.getsockname()[1]
        good = system.folder / "destinations.yaml"
        text = good.read_text(encoding="utf-8")
        good.write_text(text.replace(system.sandbox.url, f"http://127.0.0.1:{port}"), encoding="utf-8")
        with start(system) as command:
            system.send(many(1))
            wait_until(lambda: state(system, State.SENDING) == 1, what="a request waits for its connection")
            command.signal(signal.SIGTERM)
            command.wait_for("stopping: 1 worker")
            command.signal(signal.SIGTERM)
            assert command.wait(15) == 1
        assert system.counts() == {"scheduled": 1}
        good.write_text(text, encoding="utf-8")
        with start(system):
            assert system.wait_settled() == {"accepted": 1}


def test_two_terms_to_one_worker_let_go_at_once() -> None:
    """A worker without a supervisor that gets a second TERM settles what it has and ends."""
    with System(sandbox={"faults": ["hang-after=30"]}) as system:
        worker = system.workers[0]
        system.send(many(200), size=100)
        wait_until(lambda: state(system, State.SENDING) == 200, what="requests hang")
        worker.process.send_signal(signal.SIGTERM)
        time.sleep(1.2)
        assert state(system, State.SENDING) == 200, "the first TERM waits for answers"
        worker.process.send_signal(signal.SIGTERM)
        assert worker.process.wait(10) == 3
        assert system.counts() == {"in_doubt": 200}
        assert "2 requests were under way" in system.log


def test_a_term_that_comes_twice_at_once_is_one() -> None:
    """A service manager that signals the whole group sends TERM beside the supervisor's: nothing is given up."""
    with System(sandbox={"faults": ["slow=1000"]}) as system:
        worker = system.workers[0]
        system.send(many(100))
        wait_until(lambda: state(system, State.SENDING) == 100, what="a request is under way")
        for _ in range(3):
            worker.process.send_signal(signal.SIGTERM)
        assert worker.process.wait(20) == 0
        assert system.counts() == {"accepted": 100}


def test_the_end_of_the_grace_time_hands_back() -> None:
    """When the grace time is over, what hangs is in doubt and the rest of the batch is handed back at once."""
    settings = {"MSG91_DESTINATION_SHUTDOWN_GRACE": "1"}
    lanes = {"lanes": {"sms": {"recipients": 10}}}
    with System(sandbox={"faults": ["hang-after=30,count=1"]}, settings=settings, destination=lanes) as system:
        worker = system.workers[0]
        system.send(many(100))
        wait_until(lambda: state(system, State.SENDING) == 10, what="a request hangs")
        assert worker.stop(15) == 3
        assert system.counts() == {"in_doubt": 10}
        system.start_worker()
        assert system.wait_settled(20) == {"accepted": 90, "in_doubt": 10}
        assert set(sends_by_text(system.sandbox.requests()).values()) == {1}


def test_the_grace_time_is_kept_even_when_the_store_is_away() -> None:
    """A worker that waits for a store that does not come back ends with its grace time."""
    settings = {"MSG91_DESTINATION_SHUTDOWN_GRACE": "1"}
    with (
        System(workers=0, sandbox={"faults": ["slow=1000"]}, settings=settings) as system,
        start(system) as command,
    ):
        system.send(many(1))
        wait_until(lambda: state(system, State.SENDING) == 1, what="a request is under way")
        system.valkey.kill()
        command.signal(signal.SIGTERM)
        command.wait(20)
        wait_gone(command.family(), seconds=1)
        system.valkey.restart()
        assert state(system, State.SENDING) == 1, "left to its lease"


def test_an_unusable_store_stops_the_supervisor(tmp_path: Path) -> None:
    """Workers that cannot use the store say why, are not started again and again, and the command exits 2."""
    with System(workers=0) as system:
        system.core.store.client.hset(system.core.store.keys.meta, "format", "99")
        with Command("worker", environ=system.environ, folder=system.folder) as command:
            assert command.wait(30) == 2
        assert "run the newer version" in command.err
        assert "Traceback" not in command.err


def test_a_configuration_that_breaks_later_does_not_stop_the_workers(slow: System) -> None:
    """With a broken destinations file a killed worker is tried again, and comes back when the file is mended."""
    good = slow.folder / "destinations.yaml"
    text = good.read_text(encoding="utf-8")
    with start(slow) as command:
        (victim,) = command.family()
        good.write_text("destinations: [{name: broken}]", encoding="utf-8")
        os.kill(victim, signal.SIGKILL)
        wait_until(lambda: "ended with 2" in command.err, what="the successor finds the file broken")
        assert command.process.poll() is None
        good.write_text(text, encoding="utf-8")
        slow.send(many(10))
        assert slow.wait_settled() == {"accepted": 10}
        assert not alive(victim)
