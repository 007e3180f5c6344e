"""The event stream through a real store and real workers: nothing lost, nothing twice, whatever dies."""

from __future__ import annotations

import orjson
import pytest

from tests.system import System, many, sends_by_text, wait_until

pytestmark = pytest.mark.integration

KEY = "{msg91}:stream:events"


def write(system: System, events: list, *, pipeline: int = 500) -> list[str]:
    """``XADD`` events one per entry, as a producer does; gives the entry ids."""
    client = system.core.store.client
    ids: list[str] = []
    for start in range(0, len(events), pipeline):
        pipe = client.pipeline(transaction=False)
        for one in events[start : start + pipeline]:
            pipe.xadd(KEY, {"event": one if isinstance(one, bytes | str) else orjson.dumps(one)})
        ids += [entry.decode() for entry in pipe.execute()]
    return ids


def wait_received(system: System, count: int, seconds: float = 60.0) -> dict[str, int]:
    """Wait until so many events were taken and everything is settled; gives the deliveries by state."""
    wait_until(
        lambda: system.reconcile().counts.events["received"] >= count, seconds=seconds, what=f"{count} received"
    )
    return system.wait_settled(seconds)


def test_events_written_singly_are_delivered() -> None:
    """Raw JSON events on the stream are delivered; entries leave it; those that cannot be read are recorded."""
    with System() as system:
        write(system, [*many(1200), b"not json", b"[1,2]"])
        system.core.store.client.xadd(KEY, {"wrong": "field"})
        assert wait_received(system, 1203) == {"accepted": 1200}
        events = system.reconcile().counts.events
        assert (events["parsed"], events["malformed"]) == (1200, 3)
        assert system.core.store.client.xlen(KEY) == 0
        assert set(sends_by_text(system.sandbox.requests()).values()) == {1}
