"""Whether the store is one that nothing is lost in: reachable, new enough, persistent, never evicting, ours."""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator
from typing import Any

import redis

from worker.configuration.quantities import mask_url
from worker.delivery import FORMAT, Keys, connect
from worker.operations.doctor.findings import Finding, ok, problem, warning
from worker.settings import Settings

#: The scripts use ``SET … PXAT``, ``ZADD … LT`` and exclusive ranges of streams.
MINIMUM_VERSION = (6, 2)
PINGS = 20
#: Seconds of a round trip beyond which the store slows every request down.
SLOW = 0.02
#: Seconds of difference between two clocks beyond which times to live and the journal mislead.
SKEW = 2.0
#: Seconds after which something that is due and does not move means that no worker runs.
OVERDUE = 300.0
FULL = 0.8


def examine(settings: Settings, url: str) -> Iterator[Finding]:
    """Check the store behind an address.

    Args:
        settings: Name the namespace.
        url: Its address.
    """
    client = connect(url, timeout=5.0, connect_timeout=3.0)
    try:
        yield from _examine(client, url, Keys(settings.namespace))
    finally:
        client.close()


def _examine(client: redis.Redis, url: str, keys: Keys) -> Iterator[Finding]:
    address = mask_url(url)
    try:
        client.ping()
        info: dict[str, Any] = client.info()
    except (redis.RedisError, OSError) as error:
        words = str(error).split("\n", 1)[0][:200] or type(error).__name__
        yield problem("store", f"{address} does not answer: {words}", "Start it, or correct REDIS_URL")
        return
    yield _speed(client, address)
    yield _version(info)
    yield from _topology(client, info)
    yield _persistence(client, info)
    yield _eviction(info)
    yield _format(client, keys)
    yield _clock(client)
    yield _moving(client, keys)


def _speed(client: redis.Redis, address: str) -> Finding:
    times = []
    for _ in range(PINGS):
        began = time.perf_counter()
        client.ping()
        times.append(time.perf_counter() - began)
    median = statistics.median(times)
    detail = f"{address} answers in {median * 1000:.2f} ms"
    if median > SLOW:
        return warning("store", detail, "Every request to MSG91 waits for it several times: bring it nearer")
    return ok("store", detail)


def _version(info: dict[str, Any]) -> Finding:
    version = str(info.get("redis_version", "0"))
    name = f"Valkey {info['valkey_version']}" if "valkey_version" in info else f"Redis {version}"
    parts = tuple(int(part) for part in version.split(".")[:2] if part.isdigit())
    if parts < MINIMUM_VERSION:
        needed = ".".join(map(str, MINIMUM_VERSION))
        return problem("store version", f"{name}; the scripts need {needed}", "Use Valkey, or a newer Redis")
    return ok("store version", name)


def _topology(client: redis.Redis, info: dict[str, Any]) -> Iterator[Finding]:
    if info.get("role") in ("slave", "replica"):
        yield problem("store role", "a replica, which takes no writes", "Give REDIS_URL the address of the primary")
    if info.get("cluster_enabled") in (1, "1"):
        yield warning(
            "store role",
            "a node of a cluster; all keys are on one slot and only its node answers",
            "Give REDIS_URL the address of that node, or better a server that is no cluster",
        )
    try:
        client.eval("return 1", 0)
    except redis.RedisError as error:
        yield problem("store scripts", f"Lua scripts are refused: {error}", "Allow EVAL and EVALSHA for this user")


def _persistence(client: redis.Redis, info: dict[str, Any]) -> Finding:
    if info.get("aof_enabled") not in (1, "1"):
        return warning(
            "store persistence",
            "appendonly is off: a restart of the server loses what is scheduled, and what was sent",
            "Set appendonly yes and appendfsync everysec in its configuration",
        )
    if info.get("aof_last_write_status", "ok") != "ok":
        return problem("store persistence", "the append-only file cannot be written", "Look at its disk and its log")
    fsync = _setting(client, "appendfsync")
    if fsync is None:
        return ok("store persistence", "appendonly is on; appendfsync cannot be read here")
    if fsync == "no":
        return warning(
            "store persistence",
            "appendonly is on, but appendfsync is no: a power cut can lose half a minute",
            "Set appendfsync everysec (a power cut then loses two seconds at most) or always",
        )
    if fsync == "always":
        return ok(
            "store persistence", "appendonly is on, appendfsync always: neither a power cut nor a kill loses anything"
        )
    slow = int(info.get("aof_delayed_fsync", 0))
    loss = "a power cut, or a kill while its disk is busy, loses two seconds at most"
    if slow:
        return warning(
            "store persistence",
            f"appendonly is on, appendfsync {fsync}: {loss}; its disk took longer than that {slow:,} times",
            "Give it a faster disk, or set appendfsync always, which answers only after the sync",
        )
    return ok("store persistence", f"appendonly is on, appendfsync {fsync}: {loss}")


def _eviction(info: dict[str, Any]) -> Finding:
    policy = str(info.get("maxmemory_policy", "noeviction"))
    used, limit = int(info.get("used_memory", 0)), int(info.get("maxmemory", 0))
    memory = f"{used / 2**20:,.0f} MB used" + (f" of {limit / 2**20:,.0f} MB" if limit else "")
    cure = "Set maxmemory-policy noeviction"
    if policy != "noeviction" and limit:
        return problem("store memory", f"{memory}; maxmemory-policy {policy} throws deliveries away when full", cure)
    if policy != "noeviction":
        return warning("store memory", f"{memory}; maxmemory-policy is {policy}", cure)
    if limit and used > FULL * limit:
        return warning("store memory", memory, "Give it more, or shorten the times that things are kept")
    return ok("store memory", f"{memory}, nothing is evicted")


def _format(client: redis.Redis, keys: Keys) -> Finding:
    found = client.hget(keys.meta, "format")
    if found is None:
        return ok("store format", f"nothing is stored under {keys.namespace!r} yet")
    version = int(found)
    if version > FORMAT:
        return problem(
            "store format",
            f"{version}; this version knows formats up to {FORMAT}",
            "Run the newer version of msg91-destination against it",
        )
    if version < FORMAT - 1:
        return problem(
            "store format",
            f"{version}; this version reads {FORMAT - 1} and {FORMAT}",
            "Upgrade by one format at a time, with a version in between",
        )
    return ok("store format", f"{version}, namespace {keys.namespace!r}")


def _clock(client: redis.Redis) -> Finding:
    began = time.time()
    seconds, micros = client.time()
    local = (began + time.time()) / 2
    skew = seconds + micros / 1e6 - local
    detail = f"the store's is {abs(skew):.1f} s {'ahead of' if skew > 0 else 'behind'} this machine's"
    if abs(skew) > SKEW:
        return warning("clock", detail, "Let both follow NTP: the age of events is judged by them")
    return ok("clock", f"the store's and this machine's agree within {max(abs(skew), 0.1):.1f} s")


def _moving(client: redis.Redis, keys: Keys) -> Finding:
    seconds, _ = client.time()
    overdue = int(client.zcount(keys.schedule, "-inf", round((seconds - OVERDUE) * 1000)))
    waiting = int(client.zcard(keys.schedule))
    if overdue:
        return warning(
            "unfinished work",
            f"{overdue:,} of {waiting:,} batches are overdue by more than {OVERDUE / 60:.0f} minutes",
            "Start a worker: `msg91-destination worker`",
        )
    return ok("unfinished work", f"{waiting:,} batches, none overdue" if waiting else "none")


def _setting(client: redis.Redis, name: str) -> str | None:
    """A setting of the server; hosted ones often show none."""
    try:
        return str(client.config_get(name)[name])
    except (redis.RedisError, KeyError):
        return None
