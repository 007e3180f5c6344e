"""The endpoints that take events."""

from __future__ import annotations

from typing import Any

from worker.intake import tracking
from worker.intake.authentication import reached
from worker.intake.bodies import parse
from worker.intake.door import Endpoint, Receive, Scope
from worker.intake.refusals import Refused
from worker.intake.tracking import Arrival


class TrackingEndpoint(Endpoint):
    """``/v1/{call}``: Segment's tracking API; ``/api/s/{call}`` is the same for Jitsu's clients."""

    async def handle(self, scope: Scope, headers: dict[bytes, bytes], receive: Receive, arrival: Arrival) -> bytes:
        """Take one event or a batch."""
        kind = tracking.CALLS.get(scope["path_params"]["call"])
        if kind is None:
            raise Refused(404, "not_found", f"the calls are {', '.join(tracking.CALLS)}")
        body = await self.door.bodies.read(headers, receive)
        if kind == tracking.METRICS:
            return b'{"success":true}'
        document: Any = parse(body)
        key = document.get("writeKey") if isinstance(document, dict) else None
        destinations = reached(self.door.destinations.current, headers, key)
        limits = self.door.limits
        if kind == tracking.BATCH:
            taken = tracking.take_batch(document, arrival, limits)
        else:
            taken = tracking.take_one(kind, document, arrival, limits)
        self.door.pressure.check()
        return await self.door.take(arrival, taken, destinations, door="http")
