"""Lines per second, memory and processor time of `send` on files of every format.

    python -m benchmarks.files [--lines 200000] [--json]

Each file is sent by the command as a user runs it, into a real Valkey with its append-only file, no worker running; the
clock runs from the start of the process to its end. ``--dry-run`` runs the whole pipeline instead. Peak memory beside
that of a file a hundred times shorter shows that it does not grow with the file: ``--lines 10000000`` is welcome.
"""

from __future__ import annotations

import argparse
import gzip
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson

from benchmarks.workload import event
from tests.system import System

HEADER = b"type,event,messageId,userId,timestamp,phone,firstName,message,senderID,total:number\n"


def ndjson(count: int) -> Iterator[bytes]:
    for number in range(count):
        yield orjson.dumps(event(number)) + b"\n"


def json(count: int) -> Iterator[bytes]:
    yield b"["
    for number in range(count):
        yield (b"," if number else b"") + orjson.dumps(event(number)) + b"\n"
    yield b"]"


def csv(count: int) -> Iterator[bytes]:
    yield HEADER
    row = b'track,Order Shipped,c-%d,user-%d,2026-01-15T10:00:00Z,%d,Asha,"Hi, order %d is on its way.",MSGIND,1499.5\n'
    for number in range(count):
        yield row % (number, number, 919_000_000_000 + number, number)


CASES: dict[str, tuple[Any, bool, list[str]]] = {
    "NDJSON": (ndjson, False, []),
    "NDJSON, gzip": (ndjson, True, []),
    "JSON array": (json, False, []),
    "CSV": (csv, False, []),
    "CSV, gzip": (csv, True, []),
    "NDJSON, dry run": (ndjson, False, ["--dry-run"]),
}


def run(name: str, count: int) -> dict[str, Any]:
    """Send one file; what it took."""
    lines, packed, options = CASES[name]
    with System(workers=0) as system, tempfile.TemporaryDirectory(prefix="bench-files-") as folder:
        path = Path(folder, "events")
        with gzip.open(path, "wb", compresslevel=1) if packed else path.open("wb") as file:
            file.writelines(lines(count))
        began = time.monotonic()
        process = subprocess.Popen(
            [sys.executable, "-m", "worker.cli.main", "send", "--json", *options, str(path)],
            cwd=folder,
            env=system.environ,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        assert process.stdout is not None
        found = orjson.loads(process.stdout.read())
        process.stdout.close()
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        seconds = time.monotonic() - began
        assert found.get("accepted", found.get("events")) == count, found
        return {
            "case": name,
            "lines": count,
            "megabytes": round(path.stat().st_size / 1e6, 1),
            "lines_per_second": round(count / seconds),
            "cpu_us_per_line": round((used.ru_utime + used.ru_stime) / count * 1e6, 1),
            "peak_megabytes": round(used.ru_maxrss / 1024, 1),
        }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lines", type=int, default=200_000)
    parser.add_argument("--case", choices=list(CASES), action="append")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    results = []
    for name in options.case or CASES:
        short = run(name, max(options.lines // 100, 1))
        long = {**run(name, options.lines), "peak_megabytes_of_a_hundredth": short["peak_megabytes"]}
        results.append(long)
        if not options.json:
            print(
                f"{name:16} {long['lines']:>10,} lines, {long['megabytes']:>7,} MB: "
                f"{long['lines_per_second']:>7,} lines/s, {long['cpu_us_per_line']:>5} µs CPU a line, "
                f"peak {long['peak_megabytes']} MB ({short['peak_megabytes']} MB for a hundredth)",
                flush=True,
            )
    if options.json:
        sys.stdout.write(orjson.dumps(results, option=orjson.OPT_INDENT_2).decode() + "\n")
    else:
        print(f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
