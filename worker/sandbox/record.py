"""The record: one line of JSON per request, appended before the request is answered.

It is the provider's own account of what it took, and other programs count sends from it. So it must be true
whenever the sandbox is killed: a line goes out in one ``write`` to a file opened for appending, which
outlives the process; a request is taken once its line is complete, and never before. A line that a kill cut
short was not taken: readers skip it, and the next sandbox begins a new one.

Lines hold phone numbers and texts as they came (never the authkey): the file is for its owner's eyes (mode
0600). `masked` gives what may be shown.
"""

from __future__ import annotations

import os
import re
from collections import Counter, deque
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import orjson

from worker.sandbox.answers import Reply
from worker.sandbox.calls import CORRELATION, NOT_JSON, Call, Verdict

#: A body is recorded as it came up to here (bytes); what is no JSON is cut there.
_TEXT_LIMIT: Final = 65_536
_SECRETS: Final = frozenset({"authkey", "tokenauth", "token", "authorization", "cookie"})
_SECRET_IN_FORM: Final = re.compile(r"(?i)(authkey=)[^&\s]+")
#: Stands for what is not written down.
MASK: Final = "***"
_OPTIONS: Final = orjson.OPT_UTC_Z | orjson.OPT_APPEND_NEWLINE


class Recorder:
    """Appends to one record.

    Args:
        path: The file; made with its directory if it is not there.
        fsync: Force every line to the disk.
    """

    def __init__(self, path: Path, *, fsync: bool = False) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path = path
        self._fsync = fsync
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        size = os.fstat(self._file).st_size
        # A line that a kill cut short is closed, so that the next one stands alone.
        self._cut = size > 0 and os.pread(self._file, 1, size - 1) != b"\n"

    def append(self, line: dict[str, Any]) -> None:
        """Append one line; once this returns it outlives the process.

        Raises:
            OSError: the file takes no more; the line does not count then, even if a part of it was written.
        """
        data = orjson.dumps(line, option=_OPTIONS)
        if self._cut:
            data = b"\n" + data
        self._cut = True
        rest = memoryview(data)
        while rest:
            rest = rest[os.write(self._file, rest) :]
        self._cut = False
        if self._fsync:
            os.fsync(self._file)

    def close(self) -> None:
        """Close the file."""
        os.close(self._file)


def line_of(
    call: Call, verdict: Verdict, reply: Reply, faults: list[str], *, taken: bool, now: float
) -> dict[str, Any]:
    """Build the line of one request.

    Args:
        call: The request.
        verdict: What MSG91 made of it.
        reply: The answer that was meant for it; a fault may keep it from being sent.
        faults: The faults that hit it, as they were written.
        taken: MSG91 took it: its messages count as sent.
        now: When it came (Unix seconds).
    """
    fields = call.fields
    return {
        "time": datetime.fromtimestamp(now, UTC),
        "kind": verdict.kind,
        "taken": taken,
        "status": reply.status,
        "code": reply.code,
        "request_id": verdict.request_id if taken else None,
        "faults": faults,
        "method": call.method,
        "path": call.path,
        "query": _without_secrets(call.query),
        "headers": _without_secrets(call.headers),
        "correlation": {name: fields[name] for name in CORRELATION if name in fields},
        "messages": verdict.messages,
        "body": _body(call),
    }


def _without_secrets(values: Mapping[str, str]) -> dict[str, str]:
    return {name: MASK if name in _SECRETS else value for name, value in values.items()}


def _body(call: Call) -> Any:
    if call.document is NOT_JSON:
        return _SECRET_IN_FORM.sub(rf"\1{MASK}", call.body[:_TEXT_LIMIT].decode("utf-8", "replace"))
    if isinstance(call.document, dict) and "authkey" in call.document:
        return {**call.document, "authkey": MASK}
    # The bytes that came are good JSON; a line break in them would end the line, so that these are rewritten.
    return call.document if b"\n" in call.body or b"\r" in call.body else orjson.Fragment(call.body)


def read_record(path: str | Path) -> Iterator[dict[str, Any]]:
    """Read a record from its beginning, one line at a time, skipping lines that a kill cut short."""
    with Path(path).open("rb") as file:
        for raw in file:
            line = _parse(raw)
            if line is not None:
                yield line


def last_lines(path: str | Path, number: int) -> list[dict[str, Any]]:
    """Read the last ``number`` complete lines of a record, oldest first, without reading the rest."""
    lines: deque[dict[str, Any]] = deque()
    with Path(path).open("rb") as file:
        at = file.seek(0, os.SEEK_END)
        rest = b""
        while at > 0 and len(lines) < number:
            step = min(at, 1 << 16)
            at = file.seek(at - step)
            first, *complete = (file.read(step) + rest).split(b"\n")
            rest = first
            for raw in reversed(complete if at else [first, *complete]):
                line = _parse(raw)
                if line is not None and len(lines) < number:
                    lines.appendleft(line)
    return list(lines)


def sends(lines: Iterable[dict[str, Any]]) -> Counter[tuple[str, str]]:
    """Count what the provider sent: taken messages by recipient and text.

    The text of a flow is its template id and its variables; of an event its name, properties and time.
    """
    return Counter((message["to"], message["text"]) for line in lines if line["taken"] for message in line["messages"])


def duplicates(lines: Iterable[dict[str, Any]]) -> dict[tuple[str, str], int]:
    """Give what the provider sent more than once, with how often."""
    return {message: number for message, number in sends(lines).items() if number > 1}


def mask(number: str) -> str:
    """Hide the middle of a phone number: its first two and last three digits stay."""
    return f"{number[:2]}{'*' * max(0, len(number) - 5)}{number[-3:]}" if len(number) > 5 else "*" * len(number)


def masked(line: dict[str, Any]) -> dict[str, Any]:
    """Give one line with every phone number in it hidden."""
    shown = {name: _hide(value) if name in _PERSONAL else value for name, value in line.items()}
    return _without_digits(shown) if str(line.get("kind", "")).startswith("otp") else shown


def _without_digits(line: dict[str, Any]) -> dict[str, Any]:
    """Hide the one-time password of a line: in the parameters, the body and the messages."""
    for name in ("query", "body"):
        if isinstance(line.get(name), dict) and "otp" in line[name]:
            line[name] = {**line[name], "otp": MASK}
    line["messages"] = [{**one, "text": MASK} for one in line["messages"]]
    return line


_PERSONAL: Final = frozenset({"query", "messages", "body"})
_NUMBER: Final = re.compile(r"(?<![0-9A-Za-z])[0-9]{7,15}(?![0-9A-Za-z])")


def _hide(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _hide(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_hide(inner) for inner in value]
    if isinstance(value, int) and not isinstance(value, bool):
        hidden = _hide(str(value))
        return value if hidden == str(value) else hidden
    return _NUMBER.sub(lambda found: mask(found[0]), value) if isinstance(value, str) else value


def _parse(raw: bytes) -> dict[str, Any] | None:
    try:
        line = orjson.loads(raw)
    except orjson.JSONDecodeError:
        return None
    return line if isinstance(line, dict) and "taken" in line and "messages" in line else None
