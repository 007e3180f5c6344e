"""The connection: patience while the store is away, errors in our words, the format, the clock."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from importlib import resources

import pytest
import redis
from redis._parsers.base import BaseParser

from tests.stores import ClockedStore
from worker.delivery import FORMAT, Patience, Store, StoreFormatError, StoreUnavailable, connect
from worker.delivery.store import SCRIPTS


def failing(times: int, error: Exception) -> Callable[[], str]:
    """A call that fails so often and then answers."""
    left = [error] * times

    def call() -> str:
        if left:
            raise left.pop()
        return "here"

    return call


def test_without_patience_it_raises_at_once(store: ClockedStore) -> None:
    """A door answers 503 rather than waiting."""
    with pytest.raises(StoreUnavailable, match="gone"):
        store.ask(failing(1, redis.ConnectionError("gone")))


def test_with_patience_it_waits_and_says_so_once(store: ClockedStore, caplog: pytest.LogCaptureFixture) -> None:
    """A worker waits for a store that is away; one line says so, and one that it is back."""
    store.patience = Patience(5.0)
    with caplog.at_level(logging.WARNING):
        assert store.ask(failing(2, redis.TimeoutError("slow"))) == "here"
    assert ["away" in caplog.messages[0], "back" in caplog.messages[1]] == [True, True]
    assert len(caplog.messages) == 2


def test_patience_ends(store: ClockedStore) -> None:
    """After the time given the caller hears of it."""
    store.patience = Patience(0.15)
    with pytest.raises(StoreUnavailable):
        store.ask(failing(100, redis.ConnectionError("gone")))


def test_who_shuts_down_does_not_wait(store: ClockedStore) -> None:
    """Endless patience ends with the process."""
    stop = threading.Event()
    stop.set()
    store.patience = Patience(None, stop)
    with pytest.raises(StoreUnavailable):
        store.ask(failing(100, redis.ConnectionError("gone")))


@pytest.mark.parametrize(
    "line",
    [
        "OOM command not allowed when used memory > 'maxmemory'.",
        "MISCONF Errors writing to the AOF file: No space left on device",
        "LOADING Valkey is loading the dataset in memory",
        "READONLY You can't write against a read only replica.",
        "MASTERDOWN Link with MASTER is down",
        "CLUSTERDOWN The cluster is down",
        "BUSY Valkey is busy running a script.",
        "NOREPLICAS Not enough good replicas to write.",
        "NOAUTH Authentication required.",
        "WRONGPASS invalid username-password pair or user is disabled.",
        "ERR max number of clients reached",
    ],
)
def test_a_server_that_cannot_serve_is_away(store: ClockedStore, line: str) -> None:
    """Full memory or disk, a replica, a server that loads or asks for a password: the caller may ask again later.

    The errors are those that redis-py makes of a server's line, also inside a pipeline.
    """
    client = redis.Redis()
    for piped in (False, True):
        error = BaseParser.parse_error(line)
        if piped:
            client.pipeline().annotate_exception(error, 1, ("HSET", "key"))
        with pytest.raises(StoreUnavailable):
            store.ask(failing(1, error))


def test_our_own_mistakes_are_not_waited_for(store: ClockedStore) -> None:
    """A command the server does not understand would fail for ever."""
    store.patience = Patience(60)
    with pytest.raises(redis.ResponseError, match="WRONGTYPE"):
        store.ask(failing(1, redis.ResponseError("WRONGTYPE")))


def test_a_server_that_is_not_there(tmp_path: object) -> None:
    """Nobody listens: the words say so and show no password."""
    away = Store(connect("redis://:secret@127.0.0.1:1/0", connect_timeout=0.2))
    with pytest.raises(StoreUnavailable) as caught:
        away.open()
    assert "secret" not in str(caught.value)


def test_an_empty_store_becomes_ours(store: ClockedStore) -> None:
    """Opening writes the format; opening again finds it."""
    assert store.client.hget(store.keys.meta, "format") == str(FORMAT).encode()
    store.open()


def test_a_newer_store_is_refused(store: ClockedStore) -> None:
    """An older worker must not write over data it does not understand."""
    store.client.hset(store.keys.meta, "format", str(FORMAT + 1))
    with pytest.raises(StoreFormatError, match=f"format {FORMAT + 1}"):
        store.open()


def test_an_older_store_is_read_and_written_as_it_is(store: ClockedStore) -> None:
    """Opening it moves it to no other format: workers of the version before may still be at it."""
    store.client.hset(store.keys.meta, "format", str(FORMAT - 1))
    store.open()
    assert store.format == FORMAT - 1
    assert store.client.hget(store.keys.meta, "format") == str(FORMAT - 1).encode()


def test_the_stores_clock_counts(store: ClockedStore) -> None:
    """Times are the server's, whatever the local clock says."""
    seconds, _ = store.client.time()
    assert abs(Store.now_ms(store) - seconds * 1000) < 2000


def test_every_script_is_registered_and_has_its_contract() -> None:
    """One file for each name, and each begins by saying what it does and what its keys are."""
    folder = resources.files("worker.delivery") / "lua"
    files = {one.name: one.read_text(encoding="utf-8") for one in folder.iterdir()}
    assert set(files) == {f"{name}.lua" for name in SCRIPTS}
    for name, text in files.items():
        assert text.startswith(f"-- {name.removesuffix('.lua')}: "), name
        head = text.split("\n\n")[0].split("\nlocal")[0]
        assert "-- KEYS  1" in head, name
        assert "-- ARGV  1" in head, name
        assert "-- Returns" in head, name
        assert "redis.call('TIME')" not in text, name
