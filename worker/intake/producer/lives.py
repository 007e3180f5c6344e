"""The engines of this process, and what happens to them when it forks, exits, or ends as a Celery worker."""

from __future__ import annotations

import atexit
import logging
import os
import weakref
from collections.abc import Callable
from multiprocessing import parent_process
from multiprocessing.util import Finalize
from typing import Any

from celery.signals import worker_process_shutdown, worker_shutdown

from worker.intake.producer.engine import Engine
from worker.intake.producer.errors import NotAccepted

log = logging.getLogger(__name__)

#: Seconds that a fork waits, at most, for a batch under way.
FORK_WAIT = 1.0

_engines: list[Engine] = []
_on_fork: list[weakref.WeakMethod[Callable[[], Any]]] = []
#: Engines that are held still while a process forks.
_held: list[Engine] = []
#: What a child has from its parent: never used, and kept, so that nothing of it is finalised in the child either.
_inherited: list[object] = []


def call_in_children(forget: Callable[[], Any]) -> None:
    """Have a method called in every child that this process forks, as long as its object lives.

    What it returns is kept and never touched.
    """
    _on_fork[:] = [one for one in _on_fork if one() is not None]
    _on_fork.append(weakref.WeakMethod(forget))


def look_after(engine: Engine) -> None:
    """Empty an engine's buffer before the process ends."""
    _engines[:] = [one for one in _engines if one.is_alive]
    if not _engines and parent_process() is not None:
        # A child of multiprocessing ends without the functions of atexit, but not without this.
        Finalize(None, close_all, exitpriority=10)
    _engines.append(engine)


def flush_all(**_: Any) -> None:
    """Wait until everything is accepted, at most each engine's time for the exit; says what is not."""
    _end(lambda engine: engine.flush(engine.exit_timeout))


def close_all() -> None:
    """The same, and take nothing more."""
    _end(lambda engine: engine.close(engine.exit_timeout))


def _end(how: Callable[[Engine], None]) -> None:
    for engine in tuple(_engines):
        try:
            if engine.is_alive:
                how(engine)
        except NotAccepted as error:
            log.error("at the end of the process: %s", error)  # noqa: TRY400 - the stack says nothing more


def _before_fork() -> None:
    _held.extend(engine for engine in _engines if engine.hold(FORK_WAIT))


def _in_parent() -> None:
    while _held:
        _held.pop().let_go()


def _in_child() -> None:
    _inherited.extend(_held)
    _held.clear()
    _inherited.extend(_engines)
    _engines.clear()
    for one in _on_fork:
        forget = one()
        if forget is not None:
            _inherited.append(forget())


os.register_at_fork(before=_before_fork, after_in_parent=_in_parent, after_in_child=_in_child)
atexit.register(close_all)
worker_process_shutdown.connect(flush_all, dispatch_uid="msg91-destination-producer")
worker_shutdown.connect(flush_all, dispatch_uid="msg91-destination-producer")
