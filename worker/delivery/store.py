"""The connection to the store: scripts by name, errors in our words, patience, the store's clock, its format."""

from __future__ import annotations

import logging
import re
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import resources
from typing import Any, TypeVar

import redis
from redis.backoff import NoBackoff
from redis.commands.core import Script
from redis.exceptions import (
    ClusterDownError,
    NoScriptError,
    OutOfMemoryError,
    ReadOnlyError,
    RedisError,
    ResponseError,
    TryAgainError,
)
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError
from redis.retry import Retry

from .errors import StoreFormatError, StoreUnavailable
from .keys import Keys

T = TypeVar("T")
log = logging.getLogger(__name__)

#: The newest format that this version reads and writes. It reads the one before, too, and writes that as long as a
#: worker of the version before lives (``Store.format``), so that an upgrade can go one worker at a time.
FORMAT = 2

SCRIPTS = (
    "accept",
    "accept_stream",
    "acquire",
    "advance",
    "begin",
    "claim",
    "discard",
    "early",
    "extend",
    "finish",
    "fold",
    "leave_stream",
    "overdue",
    "postpone",
    "promote",
    "queued",
    "release",
    "report",
    "rewrite",
    "settle",
    "swap",
    "sweep",
    "unlist",
)

#: Seconds between two looks at the store's clock.
CLOCK_READ = 30.0
#: Seconds by which the wall clock may part from the monotonic one before the store's is read again.
CLOCK_STEP = 0.5

#: Answers of a server that works but cannot write now (full memory, failed disk, replica, still loading), or takes no
#: part in its cluster. redis-py has a class for some of them and takes the word from their text.
_CANNOT_WRITE = (OutOfMemoryError, ReadOnlyError, ClusterDownError, TryAgainError)
_CANNOT_WRITE_WORDS = re.compile(r"(?:^|caused error: )(OOM|MISCONF|READONLY|LOADING|BUSY|NOREPLICAS)\b")


def connect(
    url: str,
    *,
    timeout: float = 10.0,
    connect_timeout: float = 5.0,
    on_connect: Callable[[], object] | None = None,
) -> redis.Redis:
    """A client with the time limits every connection of ours has (without them a half-open link hangs for good).

    Args:
        url: ``redis://``, ``rediss://`` or ``unix://``.
        timeout: Longest wait for an answer, seconds.
        connect_timeout: Longest wait for a connection, seconds.
        on_connect: Called after each new connection, which may lead to another server than the last one.
    """

    def greet(connection: Any) -> None:
        connection.on_connect()
        if on_connect is not None:
            on_connect()

    return redis.Redis.from_url(
        url,
        socket_timeout=timeout,
        socket_connect_timeout=connect_timeout,
        socket_keepalive=True,
        health_check_interval=10,
        retry=Retry(NoBackoff(), 1),
        redis_connect_func=greet,
    )


class Patience:
    """What to do while the store is away: how long to wait, how often to ask, when to stop.

    Args:
        seconds: How long a call may wait for the store; 0 raises at once, ``None`` waits until ``stop`` is set.
        stop: Set by whoever shuts the process down; a waiting call then raises.
    """

    def __init__(self, seconds: float | None = 0.0, stop: threading.Event | None = None) -> None:
        self.seconds = seconds
        self.stop = stop or threading.Event()
        self._away_since: float | None = None
        self._lock = threading.Lock()

    def run(self, call: Callable[[], T]) -> T:
        """Run ``call`` until the store answers.

        Raises:
            StoreUnavailable: the patience is over.
        """
        began = time.monotonic()
        pause = 0.1
        while True:
            try:
                result = call()
            except StoreUnavailable as error:
                self._say_away(error)
                waited = time.monotonic() - began
                if self.seconds is not None and waited + pause > self.seconds:
                    raise
                if self.stop.wait(pause):
                    raise
                pause = min(pause * 2, 2.0)
            else:
                if self._away_since is not None:
                    self._say_back()
                return result

    def _say_away(self, error: StoreUnavailable) -> None:
        with self._lock:
            if self._away_since is None:
                self._away_since = time.monotonic()
                log.warning("the store is away, waiting for it: %s", error)

    def _say_back(self) -> None:
        with self._lock:
            if self._away_since is not None:
                log.warning("the store is back after %.1f s", time.monotonic() - self._away_since)
                self._away_since = None


@dataclass(slots=True)
class Call:
    """One run of a script.

    Attributes:
        name: The script.
        keys: Its keys.
        args: Its arguments.
        answer: What it gave, once it has run.
    """

    name: str
    keys: Sequence[str]
    args: Sequence[Any]
    answer: Any = None


class Store:
    """A store under one namespace: the typed owner of the scripts.

    Args:
        client: A redis-py client that returns bytes.
        namespace: Prefix of all keys.
        patience: How to wait when the server is away; raises at once unless given.
        reconnected: Set at each new connection (see ``connect``), and cleared by whoever looks who answers there.

    Attributes:
        newest: The newest format that is read and written here.
        format: The format that is to be written now, known once the store is open: ``newest`` or the one before.
    """

    newest = FORMAT

    def __init__(
        self,
        client: redis.Redis,
        namespace: str = "msg91",
        patience: Patience | None = None,
        reconnected: threading.Event | None = None,
    ) -> None:
        self.client = client
        self.reconnected = reconnected or threading.Event()
        self.keys = Keys(namespace)
        self.patience = patience or Patience()
        folder = resources.files(__package__) / "lua"
        self._scripts: dict[str, Script] = {
            name: client.register_script((folder / f"{name}.lua").read_text(encoding="utf-8")) for name in SCRIPTS
        }
        self.format = self.newest
        self._ahead_ms = 0
        self._drift = 0.0
        self._read_again = 0.0

    def script(self, name: str, keys: Sequence[str], args: Sequence[Any]) -> Any:
        """Run one script.

        Raises:
            StoreUnavailable: the server did not answer within the patience; whether the script ran is unknown,
                and repeating it is safe.
        """
        script = self._scripts[name]
        return self.ask(lambda: script(keys=keys, args=args))

    def run(self, *calls: Call) -> None:
        """Run scripts one after the other in one round trip, each by itself: others' commands may come between.

        Raises:
            StoreUnavailable: as ``script``, for each of them.
        """
        if len(calls) == 1:
            calls[0].answer = self.script(calls[0].name, calls[0].keys, calls[0].args)
            return
        answers = self.ask(lambda: self._in_one_trip(calls))
        for call, answer in zip(calls, answers, strict=True):
            call.answer = answer

    def _in_one_trip(self, calls: Sequence[Call]) -> list[Any]:
        pipe = self.client.pipeline(transaction=False)
        for call in calls:
            pipe.evalsha(self._scripts[call.name].sha, len(call.keys), *call.keys, *call.args)
        answers: list[Any] = pipe.execute(raise_on_error=False)
        failures = [one for one in answers if isinstance(one, Exception)]
        if any(isinstance(one, NoScriptError) for one in failures):
            for name in {call.name for call in calls}:
                self.client.script_load(self._scripts[name].script)
            return self._in_one_trip(calls)
        if failures:
            raise failures[0]
        return answers

    def ask(self, call: Callable[[], Any]) -> Any:
        """Run a call on the client with patience and with our errors.

        Raises:
            StoreUnavailable: as ``script``.
        """

        def attempt() -> Any:
            try:
                return call()
            except (RedisConnectionError, RedisTimeoutError, *_CANNOT_WRITE) as error:
                raise StoreUnavailable(_words(error)) from error
            except ResponseError as error:
                if _CANNOT_WRITE_WORDS.search(str(error)):
                    raise StoreUnavailable(_words(error)) from error
                raise

        return self.patience.run(attempt)

    def now_ms(self) -> int:
        """The store's own clock, ms since 1970: leases and due times mean the same on every machine.

        Read from the server at most every 30 s and carried on by the monotonic clock in between, so that whoever sets
        this machine's clock ends no lease. A machine that slept reads it again: its monotonic clock slept too.
        """
        local, wall = time.monotonic(), time.time()
        if local >= self._read_again or abs(wall - local - self._drift) > CLOCK_STEP:
            seconds, micros = self.ask(self.client.time)
            local, wall = time.monotonic(), time.time()
            self._ahead_ms = round((seconds + micros / 1e6 - local) * 1000)
            self._drift = wall - local
            self._read_again = local + CLOCK_READ
        return round(local * 1000) + self._ahead_ms

    def open(self) -> None:
        """Check the format of the data, or mark an empty store as ours.

        Raises:
            StoreFormatError: the data was written by a newer version, or by one that is more than one format older.
            StoreUnavailable: the server does not answer.
        """
        found = self.ask(lambda: self.client.hget(self.keys.meta, "format"))
        if found is None:
            self.ask(lambda: self.client.hsetnx(self.keys.meta, "format", str(self.newest)))
            found = self.ask(lambda: self.client.hget(self.keys.meta, "format"))
        self.format = int(found or self.newest)
        problem = self.format_problem
        if problem:
            raise StoreFormatError(problem)

    @property
    def format_problem(self) -> str:
        """Why this version must not touch the store, ``""`` when it may."""
        if self.format > self.newest:
            return (
                f"the store has data of format {self.format}, this version knows formats up to {self.newest}: "
                "run the newer version of msg91-destination against it"
            )
        if self.format < self.newest - 1:
            return (
                f"the store has data of format {self.format}, this version reads {self.newest - 1} and {self.newest}: "
                "upgrade by one format at a time, with a version in between"
            )
        return ""


def _words(error: RedisError) -> str:
    return str(error).split("\n", 1)[0][:200] or type(error).__name__
