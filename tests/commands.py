"""Running commands of ours as processes of their own, and looking at what they leave behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Self

from tests.system import wait_until


def clean_environ(**more: str) -> dict[str, str]:
    """This process's environment without anything that configures us."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("MSG91", "CELERY", "REDIS"))}
    kept.pop("DESTINATIONS_FILE", None)
    return {**kept, "COLUMNS": "160", **more}


class Command:
    """``msg91-destination …`` running in a session of its own; killed with everything below it when the block ends.

    Args:
        arguments: Of the command.
        environ: Its environment.
        folder: Where it runs and where its output goes.
    """

    def __init__(self, *arguments: str, environ: dict[str, str], folder: Path) -> None:
        self.folder = folder
        self._name = f"command-{len(list(folder.glob('command-*.out')))}"
        with self._file("out").open("wb") as out, self._file("err").open("wb") as err:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "worker.cli.main", *arguments],
                cwd=folder,
                env=environ,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                start_new_session=True,
            )
        self._seen: set[int] = set()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        family = {*self._seen, *descendants(self.process.pid)}
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        for pid in family:
            if alive(pid):
                os.kill(pid, signal.SIGKILL)

    @property
    def out(self) -> str:
        """What it has printed."""
        return self._file("out").read_text(encoding="utf-8")

    @property
    def err(self) -> str:
        """What it has printed on standard error."""
        return self._file("err").read_text(encoding="utf-8")

    def family(self) -> set[int]:
        """The process ids of everything it has started and that still runs."""
        self._seen |= descendants(self.process.pid)
        return {pid for pid in self._seen if alive(pid)}

    def signal(self, number: int) -> None:
        """Send it a signal."""
        self.process.send_signal(number)

    def wait_for(self, text: str, *, seconds: float = 30.0) -> None:
        """Wait until it has printed a text."""

        def said() -> bool:
            if self.process.poll() is not None and text not in self.out + self.err:
                raise AssertionError(f"it ended with {self.process.returncode}\n{self.out}\n{self.err}")
            return text in self.out + self.err

        wait_until(said, seconds=seconds, what=f"it says {text!r}\n{self.out}\n{self.err}")
        self.family()

    def wait(self, seconds: float = 60.0) -> int:
        """Wait for its end; its exit code."""
        return self.process.wait(seconds)

    def _file(self, kind: str) -> Path:
        return self.folder / f"{self._name}.{kind}"


def run(*arguments: str, environ: dict[str, str], folder: Path, stdin: str = "") -> subprocess.CompletedProcess[str]:
    """Run a command to its end."""
    return subprocess.run(
        [sys.executable, "-m", "worker.cli.main", *arguments],
        cwd=folder,
        env=environ,
        input=stdin,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )


def descendants(pid: int) -> set[int]:
    """Process ids of the children, grandchildren and so on of a process (Linux)."""
    parents: dict[int, list[int]] = {}
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            fields = (entry / "stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        parents.setdefault(int(fields[1]), []).append(int(entry.name))
    found: set[int] = set()
    rest = [pid]
    while rest:
        children = parents.get(rest.pop(), [])
        found.update(children)
        rest.extend(children)
    return found


def alive(pid: int) -> bool:
    """Whether a process runs (one that has ended and waits for its parent to notice does not)."""
    try:
        return (Path("/proc") / str(pid) / "stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def wait_gone(pids: Iterable[int], *, seconds: float = 30.0) -> None:
    """Wait until none of these processes runs."""
    pids = set(pids)
    wait_until(
        lambda: not any(alive(pid) for pid in pids),
        seconds=seconds,
        what=f"ended: {[_command(pid) for pid in pids if alive(pid)]}",
    )


def _command(pid: int) -> str:
    try:
        return (Path("/proc") / str(pid) / "cmdline").read_text().replace("\0", " ")
    except OSError:
        return ""
