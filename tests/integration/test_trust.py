"""After a restart of the store that may have lost claims nothing is sent until an operator confirms."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.system import System, many, sends_by_text, wait_until
from worker.delivery import (
    Ledger,
    Patience,
    Record,
    Slip,
    Store,
    StoreHeld,
    Trust,
    confirm,
    connect,
    why_held,
)
from worker.delivery import trust as trust_module
from worker.embedded import EmbeddedValkey

pytestmark = pytest.mark.integration


@pytest.fixture
def valkey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedValkey]:
    """A server with an append-only file that a test may kill."""
    with EmbeddedValkey(tmp_path_factory.mktemp("store")) as server:
        yield server


@pytest.fixture
def forgetful(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedValkey]:
    """A server that forgets everything when it is killed."""
    with EmbeddedValkey(tmp_path_factory.mktemp("store"), append_only=False) as server:
        yield server


def trust_of(server: EmbeddedValkey, policy: str = "hold") -> Trust:
    """What one process knows of a server."""
    reconnected = threading.Event()
    store = Store(connect(server.url, on_connect=reconnected.set), patience=Patience(10.0), reconnected=reconnected)
    return Trust(store, policy)


def sent(trust: Trust, token: str) -> None:
    """A request that left and was settled."""
    trust.claimed(token)
    trust.store.client.hset(trust.store.keys.request(token), "_about", "msg91|send_sms")
    trust.settled(token, kept=True)


def claim(ledger: Ledger, trust: Trust) -> dict[int, Record]:
    """Claim one delivery as a sender does."""
    return ledger.claim(
        [Slip("k" * 20, "m1", "track", "919000000001")],
        token="t1",
        lease_end_ms=ledger.store.now_ms() + 60_000,
        origin="o",
        from_batch="",
        about="msg91|send_sms",
        items=b"[]",
        server=trust.server,
    )


def password_of(url: str) -> str:
    """The password in an address."""
    return url.partition("://:")[2].partition("@")[0]


def test_a_restart_from_the_append_only_file_stops_nothing(valkey: EmbeddedValkey) -> None:
    """A worker that finds all its requests after a restart goes on."""
    trust = trust_of(valkey)
    trust.look()
    sent(trust, "t1")
    valkey.kill()
    valkey.restart()
    assert trust.held == ""


def test_a_store_that_forgot_a_request_is_not_trusted(forgetful: EmbeddedValkey) -> None:
    """A worker that misses one of its own requests holds all sending until an operator confirms."""
    trust = trust_of(forgetful)
    trust.look()
    sent(trust, "t1")
    forgetful.kill()
    forgetful.restart()
    assert "forgot 1" in trust.held
    other = trust_of(forgetful)
    other.look()
    assert other.held
    assert "forgot 1" in confirm(other.store)
    trust.look()
    assert trust.held == ""


def test_the_setting_can_say_to_go_on(forgetful: EmbeddedValkey) -> None:
    """With ``resume`` a loss is warned of, and sending goes on."""
    trust = trust_of(forgetful, "resume")
    trust.look()
    sent(trust, "t1")
    forgetful.kill()
    forgetful.restart()
    assert trust.held == ""


def test_what_was_surely_not_sent_is_not_missed(valkey: EmbeddedValkey) -> None:
    """Requests whose index went with them prove nothing."""
    trust = trust_of(valkey)
    trust.look()
    trust.claimed("t1")
    trust.settled("t1", kept=False)
    valkey.kill()
    valkey.restart()
    assert trust.held == ""


@pytest.mark.parametrize(("goodbye", "held"), [(True, False), (False, True)])
def test_a_new_worker_asks_how_the_last_ones_ended(
    valkey: EmbeddedValkey, monkeypatch: pytest.MonkeyPatch, goodbye: bool, held: bool
) -> None:
    """After a power cut, which ends workers and store at once, the last second may be missing: a new worker holds."""
    monkeypatch.setattr(trust_module, "BEAT_LOST", 0.5)
    old = trust_of(valkey)
    old.look()
    if goodbye:
        old.stop()
    # another machine, or another boot of this one: the former server was not merely killed
    old.store.client.hset(old.store.keys.meta, "boot", "")
    valkey.kill()
    valkey.restart()
    new = trust_of(valkey)
    new.look()
    assert bool(new.held) is held


@pytest.mark.parametrize(("fsync", "held"), [("everysec", True), ("always", False), ("no", False)])
def test_a_server_that_was_killed_with_its_workers_may_have_answered_before_it_wrote(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fsync: str, held: bool
) -> None:
    """With `everysec` writing waits for a sync that is under way; otherwise what was answered was written."""
    monkeypatch.setattr(trust_module, "BEAT_LOST", 0.5)
    with EmbeddedValkey(tmp_path, fsync=fsync) as server:
        trust_of(server).look()
        server.kill()
        server.restart()
        new = trust_of(server)
        new.look()
        assert bool(new.held) is held
        assert ("killed together with 1 workers" in new.held) is held


def test_workers_that_outlive_the_store_hear_of_one_another(
    valkey: EmbeddedValkey, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each waits for a sign of life of the others, and gives its own first: nobody is missed."""
    monkeypatch.setattr(trust_module, "BEAT_LOST", 2.0)
    workers = [trust_of(valkey) for _ in range(3)]
    for one in workers:
        one.look()
    valkey.kill()
    valkey.restart()
    threads = [threading.Thread(target=one.look) for one in workers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [one.held for one in workers] == ["", "", ""]


def test_a_server_that_was_stopped_in_order_has_written_everything(
    valkey: EmbeddedValkey, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However its workers ended, it wrote everything down itself."""
    monkeypatch.setattr(trust_module, "BEAT_LOST", 0.5)
    trust_of(valkey).look()
    valkey.restart()
    first = trust_of(valkey)
    first.look()
    assert first.held == ""
    valkey.kill()
    valkey.restart()
    second = trust_of(valkey)
    second.look()
    assert "killed together" in second.held


def test_a_server_that_was_stopped_is_known_by_its_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also when another process starts it again."""
    monkeypatch.setattr(trust_module, "BEAT_LOST", 0.5)
    with EmbeddedValkey(tmp_path) as server:
        trust_of(server).look()
    with EmbeddedValkey(tmp_path) as server:
        new = trust_of(server)
        new.look()
        assert new.held == ""
        server.kill()
    with EmbeddedValkey(tmp_path) as server:
        newer = trust_of(server)
        newer.look()
        assert "killed together" in newer.held


def test_a_worker_that_died_with_the_store_is_missed_by_the_living(
    valkey: EmbeddedValkey, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One machine with the store and a worker loses power: a worker elsewhere misses nothing of its own, and holds."""
    monkeypatch.setattr(trust_module, "BEAT_LOST", 0.5)
    living, dead = trust_of(valkey), trust_of(valkey)
    living.look()
    dead.look()
    living.store.client.hset(living.store.keys.meta, "boot", "")
    valkey.kill()
    valkey.restart()
    assert "1 workers ended without a goodbye" in living.held


def test_a_worker_that_died_long_before_the_store_is_not_missed(
    valkey: EmbeddedValkey, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a worker wrote that had died while others went on is in the file: nothing is held."""
    monkeypatch.setattr(trust_module, "BEAT_LOST", 0.5)
    living, dead = trust_of(valkey), trust_of(valkey)
    dead.look()
    keys = living.store.keys
    living.store.client.hset(keys.workers, dead.id, f"{dead.server}|{living.store.now_ms() - 5_000}")
    living.look()
    living.store.client.hset(keys.meta, "boot", "")
    valkey.kill()
    valkey.restart()
    assert living.held == ""


def test_nothing_is_claimed_on_a_server_that_was_not_met(valkey: EmbeddedValkey) -> None:
    """The claim itself finds out that another server answers: no thread slips through between look and claim."""
    trust = trust_of(valkey)
    trust.look()
    ledger = Ledger(trust.store)
    valkey.kill()
    valkey.restart()
    with pytest.raises(StoreHeld, match="another server"):
        claim(ledger, trust)
    trust.look()
    assert claim(ledger, trust) == {}


def test_nothing_is_claimed_while_sending_is_held(valkey: EmbeddedValkey) -> None:
    """A hold stops every claim at once, also those of workers that have not read of it yet."""
    trust = trust_of(valkey)
    trust.look()
    trust.store.client.hset(trust.store.keys.meta, "held", "somebody says so")
    with pytest.raises(StoreHeld, match="somebody says so"):
        claim(Ledger(trust.store), trust)
    assert Ledger(trust.store).under_way() == []


def test_a_user_who_may_not_ask_who_answers_can_claim(valkey: EmbeddedValkey) -> None:
    """Where the server does not say who it is, claims are not compared."""
    valkey_url = valkey.url
    connect(valkey_url).execute_command("ACL SETUSER limited on >secret ~* &* +@all -info")
    store = Store(
        connect(valkey_url.replace("redis://:", "redis://limited:").replace(password_of(valkey_url), "secret"))
    )
    items = {"token": "t1", "lease_end_ms": 1, "origin": "o", "from_batch": "", "about": "msg91|send_sms", "items": b""}
    assert Ledger(store).claim([Slip("k" * 20, "m1", "track", "919")], **items, server="elsewhere") == {}


def test_a_worker_without_memory_does_not_trust_a_store_without_a_file(forgetful: EmbeddedValkey) -> None:
    """A restart without an append-only file holds new workers, too, as far as anything is left to tell."""
    old = trust_of(forgetful)
    old.look()
    forgetful.kill()
    forgetful.restart()
    old.store.client.hset(old.store.keys.meta, "run_id", "the former server's")  # an old snapshot
    new = trust_of(forgetful)
    new.look()
    assert "append-only" in new.held


def test_a_held_worker_sends_nothing_and_loses_nothing() -> None:
    """While sending is held events are accepted and wait; after the confirmation all of them go out once."""
    with System() as system:
        system.core.store.client.hset(system.core.store.keys.meta, "held", "a test says so")
        wait_until(lambda: "nothing is sent: a test says so" in system.log, what="the worker knows")
        system.send(many(50), size=10)
        wait_until(lambda: system.queueing.length() == 0, what="the worker has seen the batches")
        assert system.sandbox.requests() == []
        assert why_held(system.core.store) == "a test says so"
        confirm(system.core.store)
        assert system.wait_settled(60) == {"accepted": 50}
        assert set(sends_by_text(system.sandbox.requests()).values()) == {1}
