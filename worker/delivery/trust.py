"""Whether the store still knows every request that ever left: the one thing it must never forget.

A claim is written before its request leaves. A store that loses claims after a request has left would let the message
be sent again. That can happen only when the server behind it changes: a restart from a file that lacks the last writes,
or a replica that lagged. So at every new server (its ``run_id`` differs) each worker asks two questions:

- Are my own recent requests still there? They must be: a missing one proves that writes were lost.
- Could those of others be lost? When a worker and the server ended together without a goodbye and the file is not
  synced at each write, yes. After a power cut the last second may be missing. After a kill what the server had written
  is still there, but with ``appendfsync everysec`` it may have answered before it wrote: while a sync of the file is
  under way it puts writing off, up to two seconds. For a worker that has just started and remembers nothing also
  without an append-only file. Not when the server was stopped in good order.

A worker claims only on the server it has met; the claiming script itself compares.

When the answer is bad, sending is held (policy ``hold``) until an operator confirms, or goes on with a warning
(``resume``). Doors go on accepting.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import OrderedDict, deque
from pathlib import Path
from typing import Any

from redis.exceptions import ResponseError

from .batches import new_id
from .store import Store

log = logging.getLogger(__name__)

#: Settled requests remembered per process, to be looked for after a restart of the store.
REMEMBERED = 1_000
#: Seconds after which a worker that has not beaten is taken for dead.
BEAT_LOST = 5.0
#: Seconds for which a settled request is looked for; its index lives much longer.
MEMORY = 3_600.0
#: Where Linux says which boot this is.
BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
#: Key, in no namespace, under which an embedded server has its own run id when the one before it was stopped in order.
PREDECESSOR_IN_ORDER = "msg91-destination:predecessor-in-order"
LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})


class Trust:
    """One process's memory of what the store must know.

    Args:
        store: The store.
        policy: ``hold`` or ``resume``.
    """

    def __init__(self, store: Store, policy: str = "hold") -> None:
        self.store = store
        self.policy = policy
        self.id = new_id()
        self._run_id = ""
        self._under_way: OrderedDict[str, None] = OrderedDict()
        self._settled: deque[tuple[str, float]] = deque(maxlen=REMEMBERED)
        self._lock = threading.Lock()
        self._held = ""
        self._said = ""

    @property
    def server(self) -> str:
        """Run id of the server this process has met, ``""`` before it has met one."""
        return self._run_id

    @property
    def outdated(self) -> bool:
        """Whether the store has moved on to a format that this process does not know: it must end."""
        return self.store.format > self.store.newest

    @property
    def held(self) -> str:
        """Why nothing may be sent, ``""`` when it may; looks at the server first when a connection is new."""
        if self.store.reconnected.is_set():
            self.look()
        return self._held

    def claimed(self, token: str) -> None:
        """A request has been claimed: the store must know it from now on."""
        with self._lock:
            self._under_way[token] = None

    def settled(self, token: str, *, kept: bool) -> None:
        """A request is over.

        Args:
            token: Its token.
            kept: Whether its index stays (something of it was or may have been sent).
        """
        with self._lock:
            self._under_way.pop(token, None)
            if kept:
                self._settled.append((token, time.monotonic()))

    def stop(self) -> None:
        """Say goodbye: this process ended in good order."""
        keys, client = self.store.keys, self.store.client
        self.store.ask(lambda: client.hdel(keys.workers, self.id))
        self.store.ask(lambda: client.hdel(keys.formats, self.id))

    def look(self) -> None:
        """Compare the server with the one last seen, beat, and read whether sending is held."""
        with self._lock:
            # Cleared first: a connection made during the look asks for another one.
            self.store.reconnected.clear()
            run_id = str(self._info("server")["run_id"])
            if run_id != self._run_id:
                self._meet(run_id)
                self._run_id = run_id
            self._beat(run_id)
            keys, client = self.store.keys, self.store.client
            found = self.store.ask(lambda: client.hget(keys.meta, "held"))
            held = found.decode() if found else ""
            if self.outdated:
                # Nobody can confirm that: it goes on when it is another version.
                self._held = self.store.format_problem
                return
        if held != self._said:
            if held:
                log.error("nothing is sent: %s; `msg91-destination recovery confirm` goes on", held)
            else:
                log.warning("sending goes on: an operator confirmed")
            self._said = held
        self._held = held

    def _meet(self, run_id: str) -> None:
        """A server this process has not seen before."""
        keys, client = self.store.keys, self.store.client
        known = self.store.ask(lambda: client.hget(keys.meta, "run_id"))
        reason = ""
        if self._run_id and (lost := self._lost()):
            reason = f"the store restarted and forgot {lost} recent requests"
        elif known is not None and known.decode() != run_id:
            reason = self._may_have_lost(run_id)
        if reason:
            self._distrust(reason)
        seen: dict[Any, Any] = {"run_id": run_id, "boot": self._boot()}
        self.store.ask(lambda: client.hset(keys.meta, mapping=seen))

    def _lost(self) -> int:
        """How many of this process's own requests the store no longer knows."""
        since = time.monotonic() - MEMORY
        tokens = [*self._under_way, *(token for token, at in self._settled if at >= since)]
        if not tokens:
            return 0
        keys, client = self.store.keys, self.store.client

        def ask() -> list[Any]:
            pipe = client.pipeline(transaction=False)
            for token in tokens:
                pipe.exists(keys.request(token))
            return pipe.execute()

        return sum(not found for found in self.store.ask(ask))

    def _may_have_lost(self, run_id: str) -> str:
        """Why a server that restarted may lack what others wrote, ``""`` when it cannot."""
        if not self._run_id and not int(self._info("persistence").get("aof_enabled", 0)):
            return "the store restarted without an append-only file, so that claims may be lost"
        fsync, killed = self._fsync(), self._only_killed()
        if fsync == "always" or (fsync == "no" and killed) or self._predecessor_in_order(run_id):
            return ""
        dead = self._ended_without_goodbye(run_id)
        if not dead:
            return ""
        if killed:
            return (
                f"the store was killed together with {dead} workers: what it had not yet written, two seconds of "
                "claims at most, may be lost (appendfsync is not always)"
            )
        return (
            f"the store restarted and {dead} workers ended without a goodbye: after a power cut the last second "
            "of claims may be lost (appendfsync is not always)"
        )

    def _predecessor_in_order(self, run_id: str) -> bool:
        """Whether an embedded server says that the one before it wrote everything down."""
        client = self.store.client
        found = self.store.ask(lambda: client.get(PREDECESSOR_IN_ORDER))
        return found is not None and found.decode() == run_id

    def _boot(self) -> str:
        """Which boot of this machine the server runs in, ``""`` when it runs elsewhere or nothing says so."""
        where = self.store.client.connection_pool.connection_kwargs
        if where.get("host") not in LOOPBACK and "path" not in where:
            return ""
        try:
            return BOOT_ID.read_text(encoding="ascii").strip()
        except OSError:
            return ""

    def _only_killed(self) -> bool:
        """Whether the former server ran here too, and the machine has not restarted since."""
        keys, client = self.store.keys, self.store.client
        before = self.store.ask(lambda: client.hget(keys.meta, "boot"))
        return bool(before) and before.decode() == self._boot()

    def _ended_without_goodbye(self, run_id: str) -> int:
        """Workers that lived when the former server ended, and neither said goodbye nor beat any more.

        This one beats first: the others wait for its sign of life as it waits for theirs.
        """
        self._beat(run_id)
        keys, client = self.store.keys, self.store.client
        beats = self.store.ask(lambda: client.hgetall(keys.workers))
        before = {name: beat for name, beat in beats.items() if not beat.startswith(run_id.encode())}
        last = max((_beat_at(beat) for beat in before.values()), default=0)
        before = {name: beat for name, beat in before.items() if _beat_at(beat) >= last - BEAT_LOST * 1000}
        if not before:
            return 0
        deadline = time.monotonic() + BEAT_LOST
        while time.monotonic() < deadline:
            time.sleep(0.25)
            now = self.store.ask(lambda: client.hgetall(keys.workers))
            if all(now.get(name) != beat for name, beat in before.items()):
                return 0
        return sum(now.get(name) == beat for name, beat in before.items())

    def _beat(self, run_id: str) -> None:
        """Say that this process lives, and forget those that died while the server did not."""
        keys, client = self.store.keys, self.store.client
        now = self.store.now_ms()
        self.store.ask(lambda: client.hset(keys.workers, self.id, f"{run_id}|{now}"))
        gone = now - round(BEAT_LOST * 12_000)
        self.store.format = int(
            self.store.script("advance", [keys.meta, keys.workers, keys.formats], [self.id, self.store.newest, gone])
        )
        for name, beat in self.store.ask(lambda: client.hgetall(keys.workers)).items():
            server, _, at = beat.decode().partition("|")
            if server == run_id and now - int(at) > BEAT_LOST * 12_000:
                self.store.ask(lambda name=name: client.hdel(keys.workers, name))  # type: ignore[misc]

    def _distrust(self, reason: str) -> None:
        if self.policy == "resume":
            log.warning("%s; sending goes on, as the setting says: messages may be sent twice", reason)
            return
        keys, client = self.store.keys, self.store.client
        self.store.ask(lambda: client.hsetnx(keys.meta, "held", reason))

    def _info(self, section: str) -> dict[str, Any]:
        found: dict[str, Any] = self.store.ask(lambda: self.store.client.info(section))
        return found

    def _fsync(self) -> str:
        client = self.store.client
        try:
            found = self.store.ask(lambda: client.config_get("appendfsync"))
        except ResponseError:
            return "unknown"  # managed servers forbid CONFIG
        value = found.get("appendfsync") or found.get(b"appendfsync") or b""
        return value.decode() if isinstance(value, bytes) else str(value)


def _beat_at(beat: bytes) -> int:
    return int(beat.rpartition(b"|")[2])


def why_held(store: Store) -> str:
    """Why sending is held, ``""`` when it is not."""
    found = store.ask(lambda: store.client.hget(store.keys.meta, "held"))
    return found.decode() if found else ""


def confirm(store: Store) -> str:
    """An operator confirms that sending may go on.

    Returns:
        Why it was held, ``""`` when it was not.
    """
    reason = why_held(store)
    run_id = str(store.ask(lambda: store.client.info("server"))["run_id"])

    def write() -> None:
        pipe = store.client.pipeline(transaction=True)
        pipe.hdel(store.keys.meta, "held")
        pipe.hset(store.keys.meta, "run_id", run_id)
        pipe.execute()

    store.ask(write)
    return reason
