"""How long to wait before the next attempt. Pure: randomness is passed in."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """When to try again and when to give up.

    Attributes:
        attempts: Requests that count, at most.
        base: Longest first wait, seconds.
        cap: Longest wait, seconds.
        horizon: Seconds after the first attempt when a delivery is given up.
    """

    attempts: int = 12
    base: float = 2.0
    cap: float = 900.0
    horizon: float = 4 * 3600.0

    def delay(self, attempt: int, random: float) -> float:
        """Seconds to wait after the ``attempt``-th failure: exponential with full jitter.

        Args:
            attempt: 1 for the first failure.
            random: A number in [0, 1).
        """
        ceiling = min(self.cap, self.base * 2 ** min(attempt - 1, 32))
        return float(max(self.base / 10, ceiling * random))
