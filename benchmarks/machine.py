"""What it is measured on, and what each process has used."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from worker.delivery import Store


def cpu_seconds(pid: int) -> float:
    """User and system time of a process so far, all its threads; 0 when it is gone."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rsplit(") ", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    except FileNotFoundError:
        return 0.0


def resident_mb(pid: int) -> float:
    """Resident memory of a process, MB."""
    pages = int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def family(pid: int) -> list[int]:
    """A process and all that descend from it."""
    found = [pid]
    for children in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in children.read_text(encoding="ascii").split():
            found += family(int(child))
    return found


class Meter:
    """Processor time by part, from its making on.

    Args:
        store: The store; what its own ``INFO`` says is counted under ``store``.
        parts: Name → process ids.
    """

    def __init__(self, store: Store, parts: Mapping[str, Sequence[int]]) -> None:
        self._store = store
        self._parts = parts
        self._before = self._read()

    def per_event(self, events: int) -> dict[str, float]:
        """Microseconds an event since it was made."""
        return {name: round((now - self._before[name]) / events * 1e6, 1) for name, now in self._read().items()}

    def _read(self) -> dict[str, float]:
        cpu: dict[str, Any] = self._store.client.info("cpu")
        return {
            **{name: sum(map(cpu_seconds, pids)) for name, pids in self._parts.items()},
            "store": float(cpu["used_cpu_user"]) + float(cpu["used_cpu_sys"]),
        }


def machine() -> dict[str, Any]:
    """Processor, cores, system and Python."""
    model = ""
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        lines = cpuinfo.read_text(encoding="utf-8").splitlines()
        model = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")
    return {
        "cpu": model or platform.processor(),
        "cores": os.cpu_count(),
        "memory_gb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9),
        "system": f"{platform.system()} {platform.release().split('-')[0]}",
        "python": platform.python_version(),
    }
