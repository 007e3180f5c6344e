"""A store that is there and does not serve: full, a replica, another password. Workers and doors wait and say so."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import redis

from tests.intake import WRITE_KEY, Intake
from tests.system import System, many, sends_by_text, sms, wait_until

pytestmark = [pytest.mark.integration, pytest.mark.timeout(120)]

#: Makes the store unable to serve, and able again.
Trouble = tuple[Callable[[redis.Redis], object], Callable[[redis.Redis], object]]


def fill(client: redis.Redis) -> None:
    """It is full."""
    client.config_set("maxmemory", "1")


def drain(client: redis.Redis) -> None:
    """It has room again."""
    client.config_set("maxmemory", "0")


def demote(client: redis.Redis) -> None:
    """After a failover the old primary is a replica, of a server that cannot be reached."""
    client.execute_command("REPLICAOF", "127.0.0.1", "1")


def promote(client: redis.Redis) -> None:
    """It is the primary again."""
    client.execute_command("REPLICAOF", "NO", "ONE")


def lock(client: redis.Redis) -> None:
    """Somebody changed the password, and every connection has to log in again."""
    client.config_set("requirepass", "another")
    client.client_kill_filter(_type="normal", skipme=True)


def unlock(client: redis.Redis, password: str) -> None:
    """The password is what it was."""
    client.config_set("requirepass", password)


TROUBLES = {"full": (fill, drain), "replica": (demote, promote)}


@pytest.fixture
def system() -> Iterator[System]:
    """Two workers."""
    with System(workers=2, concurrency=4, sandbox={"faults": ["slow=20-60"]}) as made:
        yield made


@pytest.mark.parametrize("trouble", ["full", "replica", "password"])
def test_workers_wait_for_a_store_that_does_not_serve(system: System, trouble: str) -> None:
    """Nothing is lost, nothing sent twice, no worker ends, nobody spins, and it goes on by itself."""
    operator = redis.Redis.from_url(system.valkey.url)
    password = str(operator.connection_pool.connection_kwargs["password"])
    events = many(400)
    wait_until(lambda: system.log.count(" ready.") == 2, what="both take work")
    system.send(events[:200], size=20)
    wait_until(lambda: len(system.sandbox.requests()) >= 2, what="the workers work")
    if trouble == "password":
        lock(operator)
    else:
        TROUBLES[trouble][0](operator)
    wait_until(lambda: system.log.count("the store is away") >= 2, what="both say so")
    before = processor_seconds(system)
    pids = [one.process.pid for one in system.workers]
    ended = wait_quietly(system, seconds=8)
    assert not ended, system.log[-3000:]
    spent = {pid: processor_seconds(system)[pid] - before[pid] for pid in pids}
    assert max(spent.values()) < 1.6, spent
    if trouble == "password":
        unlock(operator, password)
    else:
        TROUBLES[trouble][1](operator)
    system.send(events[200:], size=20)
    assert system.wait_settled() == {"accepted": 400}, system.log[-3000:]
    assert set(sends_by_text(system.sandbox.requests()).values()) == {1}
    assert [one.process.poll() for one in system.workers] == [None, None]
    for words in ("maintenance failed", "failed, run", "cannot be settled", "Unrecoverable error"):
        assert words not in system.log, system.log[-5000:]
    operator.close()


def wait_quietly(system: System, *, seconds: float) -> list[int]:
    """Look for so long whether a worker ends; gives those that did."""
    try:
        wait_until(lambda: [one for one in system.workers if one.process.poll() is not None], seconds=seconds)
    except AssertionError:
        return []
    return [one.process.pid for one in system.workers if one.process.poll() is not None]


def processor_seconds(system: System) -> dict[int, float]:
    """Processor time of every worker so far."""
    found = {}
    for one in system.workers:
        fields = Path(f"/proc/{one.process.pid}/stat").read_text().rpartition(")")[2].split()
        found[one.process.pid] = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return found


@pytest.mark.parametrize("trouble", TROUBLES)
def test_the_door_refuses_while_the_store_does_not_serve(trouble: str) -> None:
    """Senders are told to come back; what was refused is not stored, what was accepted goes out, once."""
    with System(workers=1, destination={"write_keys": [WRITE_KEY]}) as system, Intake(system) as door:
        operator = redis.Redis.from_url(system.valkey.url)
        assert door.post("/v1/track", sms(919000000001, "before")).status_code == 200
        system.wait_settled()
        TROUBLES[trouble][0](operator)
        refused = door.post("/v1/track", sms(919000000002, "during"))
        assert (refused.status_code, refused.json()["code"]) == (429, "store_away")
        assert int(refused.headers["retry-after"]) >= 1
        TROUBLES[trouble][1](operator)
        wait_until(
            lambda: door.post("/v1/track", sms(919000000003, "after")).status_code == 200, what="the door takes again"
        )
        assert system.wait_settled() == {"accepted": 2}
        assert door.process.poll() is None
        assert "Traceback" not in door.log
        operator.close()
