"""The doctor: a server's settings, a store's state, an account's answer, each judged, with what to do about it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
import yaml

from worker.delivery import FORMAT, Keys
from worker.embedded import EmbeddedValkey
from worker.msg91.answers import Answer, AnswerClass
from worker.operations.doctor import Finding, Verdict, environment, examine, provider, store
from worker.settings import Settings, load_settings

KEYS = Keys("msg91")


@pytest.fixture(scope="module")
def server(valkey_url: str) -> Iterator[EmbeddedValkey]:
    """A server whose settings a test may change (where one can run at all)."""
    with EmbeddedValkey() as running:
        yield running


@pytest.fixture
def client(server: EmbeddedValkey) -> Iterator[Any]:
    """A client of it; every setting is as it was when the test is over."""
    names = ("appendonly", "appendfsync", "maxmemory", "maxmemory-policy")
    with redis.Redis.from_url(server.url) as found:
        before = {name: found.config_get(name)[name] for name in names}
        found.flushall()
        yield found
        for name, value in before.items():
            found.config_set(name, value)


def look(server: EmbeddedValkey) -> dict[str, Finding]:
    """What the doctor finds in the store."""
    return {one.check: one for one in store.examine(Settings(), server.url)}


def test_a_good_store(server: EmbeddedValkey, client: Any) -> None:
    """Append-only, never evicting, quick, ours: nothing to do."""
    client.config_set("appendonly", "yes")
    found = look(server)
    assert {one.verdict for one in found.values()} == {Verdict.OK}
    assert {one.cure for one in found.values()} == {""}
    assert "loses two seconds at most" in found["store persistence"].detail
    assert "ms" in found["store"].detail
    assert "***" in found["store"].detail


@pytest.mark.parametrize(
    ("settings", "check", "verdict", "words"),
    [
        ({}, "store persistence", Verdict.WARNING, "appendonly is off"),
        ({"appendonly": "yes", "appendfsync": "no"}, "store persistence", Verdict.WARNING, "half a minute"),
        ({"appendonly": "yes", "appendfsync": "always"}, "store persistence", Verdict.OK, "loses anything"),
        ({"maxmemory-policy": "allkeys-lru"}, "store memory", Verdict.WARNING, "allkeys-lru"),
        (
            {"maxmemory-policy": "allkeys-lru", "maxmemory": "100mb"},
            "store memory",
            Verdict.PROBLEM,
            "throws deliveries away",
        ),
        ({"maxmemory": "1500kb"}, "store memory", Verdict.WARNING, "MB used of"),
        ({"maxmemory": "100mb"}, "store memory", Verdict.OK, "nothing is evicted"),
    ],
)
def test_settings_are_judged(
    server: EmbeddedValkey, client: Any, settings: dict[str, str], check: str, verdict: Verdict, words: str
) -> None:
    """What a server's settings mean for what is stored."""
    for name, value in settings.items():
        client.config_set(name, value)
    found = look(server)[check]
    assert (found.verdict, words in found.detail) == (verdict, True), found
    assert bool(found.cure) is (verdict is not Verdict.OK)


def test_a_newer_format_is_a_problem(server: EmbeddedValkey, client: Any) -> None:
    """An older worker must not be started against it."""
    client.hset(KEYS.meta, "format", FORMAT + 1)
    assert look(server)["store format"].verdict is Verdict.PROBLEM
    client.hset(KEYS.meta, "format", FORMAT)
    assert look(server)["store format"].verdict is Verdict.OK


def test_looking_writes_nothing(server: EmbeddedValkey, client: Any) -> None:
    """An empty store stays empty: it is not made ours by a check."""
    look(server)
    assert client.dbsize() == 0


def test_work_that_does_not_move_is_a_warning(server: EmbeddedValkey, client: Any) -> None:
    """Batches long overdue mean that no worker runs."""
    now = time.time() * 1000
    client.zadd(KEYS.schedule, {"waiting": now + 60_000, "just due": now - 1000})
    assert look(server)["unfinished work"].verdict is Verdict.OK
    client.zadd(KEYS.schedule, {"forgotten": now - 600_000})
    found = look(server)["unfinished work"]
    assert found.verdict is Verdict.WARNING
    assert "1 of 3" in found.detail
    assert "worker" in found.cure


def test_a_replica_is_a_problem(client: Any) -> None:
    """It takes no writes."""
    client.replicaof("127.0.0.1", "1")
    try:
        findings = list(store._topology(client, client.info()))
    finally:
        client.replicaof("NO", "ONE")
    assert [one.verdict for one in findings] == [Verdict.PROBLEM]


@pytest.mark.parametrize(
    ("info", "verdict"),
    [
        ({"redis_version": "6.0.16"}, Verdict.PROBLEM),
        ({"redis_version": "6.2.0"}, Verdict.OK),
        ({"redis_version": "7.2.4", "valkey_version": "9.1.2"}, Verdict.OK),
        ({}, Verdict.PROBLEM),
    ],
)
def test_versions_are_judged(info: dict[str, str], verdict: Verdict) -> None:
    """The scripts need commands that came with 6.2."""
    assert store._version(info).verdict is verdict


def test_a_wrong_password_is_a_problem(server: EmbeddedValkey) -> None:
    """The server's words, and no password."""
    url = server.url.replace(server.url.split(":")[2].split("@")[0], "guessed")
    (found,) = store.examine(Settings(), url)
    assert found.verdict is Verdict.PROBLEM
    assert "guessed" not in found.detail


def destinations(folder: Path, *entries: dict[str, Any]) -> Path:
    """A destinations file."""
    file = folder / "destinations.yaml"
    file.write_text(yaml.safe_dump({"destinations": [{"authkey": "k", **one} for one in entries]}))
    return file


@pytest.mark.parametrize(
    ("answer", "verdict", "words"),
    [
        (Answer(AnswerClass.ACCEPTED, status=200), Verdict.OK, "known to"),
        (Answer(AnswerClass.ACCOUNT, status=401, code="201", message="Unauthorized"), Verdict.PROBLEM, "refuses it"),
        (Answer(AnswerClass.RETRY, code="connect_failed", sent=False), Verdict.PROBLEM, "cannot be reached"),
        (Answer(AnswerClass.RETRY, status=503), Verdict.WARNING, "neither yes nor no"),
        (Answer(AnswerClass.UNKNOWN, code="read_timeout"), Verdict.WARNING, "neither yes nor no"),
    ],
)
def test_an_accounts_answer_is_judged(tmp_path: Path, answer: Answer, verdict: Verdict, words: str) -> None:
    """Known, refused, not reachable, or no clear word."""
    loaded, _ = provider.examine(load_settings({}), {}, destinations(tmp_path, {"name": "a"}))
    assert loaded is not None
    (found,) = provider.examine_accounts(loaded, probe=lambda _destination: answer)
    assert (found.verdict, words in found.detail) == (verdict, True)
    assert found.check == "authkey of a"


def test_an_account_is_asked_once(tmp_path: Path) -> None:
    """Two destinations with one key are one account; another key, or another origin, is another."""
    file = destinations(
        tmp_path, {"name": "a"}, {"name": "b"}, {"name": "c", "authkey": "other"}, {"name": "d", "base_url": "http://x"}
    )
    loaded, _ = provider.examine(load_settings({}), {}, file)
    assert loaded is not None
    asked: list[str] = []

    def probe(destination: Any) -> Answer:
        asked.append(destination.name)
        return Answer(AnswerClass.ACCEPTED)

    found = list(provider.examine_accounts(loaded, probe=probe))
    assert asked == ["a", "c", "d"]
    assert found[0].check == "authkey of a, b"


def test_nothing_is_asked_offline(tmp_path: Path, server: EmbeddedValkey, client: Any) -> None:
    """And nobody can be reached who is not asked."""

    def probe(_destination: Any) -> Answer:
        raise AssertionError

    environ = {"REDIS_URL": server.url, "DESTINATIONS_FILE": str(destinations(tmp_path, {"name": "a"}))}
    found = list(examine(environ, offline=True, probe=probe))
    assert Verdict.PROBLEM not in {one.verdict for one in found}
    assert not [one for one in found if one.check.startswith("authkey")]


def test_a_broker_that_is_away_is_a_problem(tmp_path: Path, server: EmbeddedValkey, client: Any) -> None:
    """Another broker than the store is asked too; its password is not shown."""
    environ = {
        "REDIS_URL": server.url,
        "CELERY_BROKER_URL": "redis://:secret@127.0.0.1:1/0",
        "DESTINATIONS_FILE": str(destinations(tmp_path, {"name": "a"})),
    }
    (found,) = [one for one in examine(environ, offline=True) if one.check == "broker"]
    assert found.verdict is Verdict.PROBLEM
    assert "secret" not in found.detail


def test_every_mistake_of_a_file_is_a_line(tmp_path: Path) -> None:
    """With its place; warnings are warnings, and a mapping file that enables nothing is one."""
    file = destinations(tmp_path, {"name": "a b"}, {"name": "c", "modes": "dry"})
    loaded, findings = provider.examine(load_settings({}), {}, file)
    assert loaded is None
    assert [one.verdict for one in findings] == [Verdict.PROBLEM, Verdict.PROBLEM]
    assert all("destinations.yaml:" in one.detail for one in findings)
    mapping = {
        "name": "m",
        "action": "send_sms",
        "trigger": 'type = "track"',
        "mapping": {"phone": "1", "message": "x"},
        "enabled": False,
    }
    (tmp_path / "off.yaml").write_text(yaml.safe_dump({"mappings": [mapping]}))
    loaded, findings = provider.examine(
        load_settings({}), {}, destinations(tmp_path, {"name": "a", "mappings": ["off.yaml"]})
    )
    assert loaded is not None
    assert "none is enabled" in " ".join(one.detail for one in findings if one.verdict is Verdict.WARNING)


def test_missing_and_old_packages_are_named() -> None:
    """What our own requirements say is checked against what is installed."""
    assert environment._unmet("no-such-package-at-all>=1") == "no-such-package-at-all is not installed"
    assert environment._unmet("redis>=999") is not None
    assert environment._unmet("redis>=1") is None
    assert environment._unmet("no-such-package-at-all; extra == 'x'") is None


def test_a_disk_that_is_too_slow_is_told_of(client: Any) -> None:
    """A server that had to wait for its syncs answers before it writes for as long: a kill then loses something."""
    found = store._persistence(client, {"aof_enabled": 1, "aof_delayed_fsync": 3})
    assert found.verdict is Verdict.WARNING
    assert "took longer than that 3 times" in found.detail
    assert "always" in found.cure
