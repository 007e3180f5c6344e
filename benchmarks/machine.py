"""What it is measured on, and what a process has used so far."""

from __future__ import annotations

import os
import platform
from pathlib import Path
from typing import Any


def cpu_seconds(pid: int) -> float:
    """User and system time of a process so far, all its threads."""
    threads = list(Path(f"/proc/{pid}/task").glob("*/schedstat"))
    try:
        # Nanoseconds; but threads that have ended are not in it, so that the coarser figure may be the larger one.
        fine = sum(int(one.read_text(encoding="ascii").split()[0]) for one in threads) / 1e9
    except OSError:
        fine = 0.0
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rsplit(") ", 1)[1].split()
    return max(fine, (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK"))


def resident_mb(pid: int) -> float:
    """Resident memory of a process, MB."""
    pages = int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


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
        "system": platform.platform(),
        "python": platform.python_version(),
    }
