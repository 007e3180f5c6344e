"""Logs: one line per record, as text or JSON, with phone numbers masked."""

from __future__ import annotations

import logging
import re
import sys
import time
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Final

import orjson

#: Id of the batch whose events are being dealt with: the one under which they were accepted, also when they come back
#: from the schedule. It is in every line, so that an event can be followed from its door to MSG91's answer.
following: ContextVar[str] = ContextVar("following", default="")

#: Runs of digits long enough to be a phone number, not part of a word, a decimal or a longer id.
_NUMBER: Final = re.compile(r"(?<![\w.-])\+?\d{8,15}(?![\w-])")


def mask_numbers(text: str) -> str:
    """Mask what looks like a phone number: the first two and the last three digits stay."""

    def masked(match: re.Match[str]) -> str:
        digits = match.group().lstrip("+")
        return f"{digits[:2]}{'*' * (len(digits) - 5)}{digits[-3:]}"

    return _NUMBER.sub(masked, text)


class TextFormatter(logging.Formatter):
    """One line per record: ``2026-11-20T10:00:00.000Z WARNING worker.sending: …``."""

    def format(self, record: logging.LogRecord) -> str:
        """One record as text."""
        moment = datetime.fromtimestamp(record.created, UTC).strftime("%Y-%m-%dT%H:%M:%S")
        arrival = _arrival(record)
        name = f"{record.name} [{arrival}]" if arrival else record.name
        line = f"{moment}.{int(record.msecs):03d}Z {record.levelname} {name}: {record.getMessage()}"
        if record.exc_info:
            line += "\n" + self.formatException(record.exc_info)
        return mask_numbers(line)


class JsonFormatter(logging.Formatter):
    """One JSON object per line."""

    def format(self, record: logging.LogRecord) -> str:
        """One record as JSON."""
        entry = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": mask_numbers(record.getMessage()),
        }
        if arrival := _arrival(record):
            entry["arrival"] = arrival
        if record.exc_info:
            entry["error"] = mask_numbers(self.formatException(record.exc_info))
        return orjson.dumps(entry).decode()


def _arrival(record: logging.LogRecord) -> str:
    return getattr(record, "arrival", "") or following.get()


def configure_logging(level: str = "info", form: str = "text") -> None:
    """Send all logs to standard error.

    Args:
        level: ``debug``, ``info``, ``warning`` or ``error``.
        form: ``text`` or ``json``.
    """
    logging.Formatter.converter = time.gmtime
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter() if form == "json" else TextFormatter())
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    for name in ("httpx", "httpcore", "celery.worker.strategy", "celery.app.trace", "kombu"):
        logging.getLogger(name).setLevel(max(logging.WARNING, getattr(logging, level.upper())))
