"""Ctrl-C at a moment where it does no harm."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType, TracebackType
from typing import Any, Self

__all__ = ["Interrupts"]


class Interrupts:
    """Lets Ctrl-C and TERM end a command between two steps, never within one.

    Args:
        stop: Set as soon as a signal has come, so that a step that only waits ends too.
    """

    def __init__(self, stop: threading.Event) -> None:
        self._stop = stop
        self._holding = False
        self._pending = False
        self._previous: dict[int, Any] = {}

    def __enter__(self) -> Self:
        for number in (signal.SIGINT, signal.SIGTERM):
            self._previous[number] = signal.signal(number, self._on_signal)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    @contextmanager
    def held(self) -> Iterator[None]:
        """Hold signals back until the end of the block.

        Raises:
            KeyboardInterrupt: at the end of the block, when one has come.
        """
        self._holding = True
        try:
            yield
        finally:
            self._holding = False
            if self._pending:
                self._pending = False
                raise KeyboardInterrupt

    def _on_signal(self, _number: int, _frame: FrameType | None) -> None:
        self._stop.set()
        if not self._holding:
            raise KeyboardInterrupt
        self._pending = True
