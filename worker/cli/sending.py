"""The body of `send`: every file in turn, from where an earlier command left off."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from rich.text import Text

from worker.cli.output import stderr, warn
from worker.cli.progress import Progress
from worker.cli.send_report import Report, refusal
from worker.delivery import StoreUnavailable
from worker.intake.checkpoints import Checkpoint, CheckpointProblem, Checkpoints
from worker.intake.files import EventFile, Found, Reading, Refused, UnreadableFile
from worker.settings import Settings

__all__ = ["Sending", "checkpoints_in", "checkpoints_of"]


def checkpoints_in(settings: Settings, data_dir: Path, *, options: str, resume: bool | None) -> Checkpoints:
    """The checkpoints in a data directory, to be looked at."""
    store = f"{settings.redis_url or 'embedded'} {settings.namespace}"
    return Checkpoints(data_dir / "send", store=store, options=options, remembered=settings.record_ttl, resume=resume)


def checkpoints_of(settings: Settings, data_dir: Path, *, options: str, resume: bool | None) -> Checkpoints | None:
    """The checkpoints in a data directory; ``None``, with a warning, when none can be written."""
    made = checkpoints_in(settings, data_dir, options=options, resume=resume)
    try:
        made.prepare()
    except OSError as error:
        warn(
            f"{data_dir / 'send'} cannot be used ({error.strerror}): "
            "if this command is killed, it cannot go on where it was"
        )
        return None
    return made


class Sending:
    """Sends files, and notes in the report what ends the run early.

    Args:
        report: What the run came to.
        progress: Shows it meanwhile.
        reading: How the files are read.
        checkpoints: Where it is noted how far they are, if anywhere.
    """

    def __init__(self, report: Report, progress: Progress, reading: Reading, checkpoints: Checkpoints | None) -> None:
        self._report = report
        self._run = report.run
        self._refused_file = report.refused_file
        self._progress = progress
        self._reading = reading
        self._checkpoints = checkpoints
        self._open: list[Checkpoint] = []
        if self._refused_file is not None:
            self._run.on_checkpoint = self._refused_file.flush

    def send(self, files: Sequence[str]) -> None:
        """Send every file."""
        report = self._report
        began = time.monotonic()
        with ExitStack() as stack:
            stack.callback(self._close)
            if self._refused_file is not None:
                stack.callback(self._refused_file.close)
            try:
                for name in files:
                    self._send_one(name, alone=len(files) == 1)
            except (UnreadableFile, CheckpointProblem) as error:
                report.problem, report.hint = str(error), error.hint
            except StoreUnavailable as error:
                report.problem = f"the store went away: {error}"
                report.hint = "What was accepted is safe. `msg91-destination doctor` looks at the store"
            except OSError as error:
                report.problem = f"the refused lines cannot be written: {error.strerror}"
            except KeyboardInterrupt:
                report.problem, report.interrupted = "interrupted", True
            self._let_go()
        report.seconds = time.monotonic() - began

    def _send_one(self, name: str, *, alone: bool) -> None:
        run, progress = self._run, self._progress
        checkpoint = self._checkpoint(name)
        after = 0 if checkpoint is None else checkpoint.position.number
        with EventFile(name, reading=self._reading, after=after) as file:
            count = run.begin(file.name, alone=alone, checkpoint=checkpoint)
            progress.begin(file)
            if checkpoint is not None and checkpoint.run:
                self._say_resumed(file.name, checkpoint)
            if checkpoint is None or not checkpoint.done:
                self._send_events(file)
            progress.end(file, run.accepted, run.refused_count)
        if count.checkpoint is not None:
            count.checkpoint.close(done=True)

    def _send_events(self, file: EventFile) -> None:
        run = self._run
        for item in file:
            if isinstance(item, Found):
                run.add(item)
            elif isinstance(item, Refused):
                self._refuse(file, item)
            else:
                run.flush()
            if self._progress.is_time():
                self._progress.show(file, run.accepted, run.refused_count)
        run.flush()

    def _refuse(self, file: EventFile, refused: Refused) -> None:
        reason = refusal(file.name, refused)
        if self._refused_file is None:
            stderr.print(Text(reason), soft_wrap=True)
        else:
            self._refused_file.write(reason, refused, file.heading)
        self._run.refuse(refused)

    def _checkpoint(self, name: str) -> Checkpoint | None:
        if self._checkpoints is None:
            return None
        made = self._checkpoints.open(name)
        if made is not None:
            self._open.append(made)
            for other in self._checkpoints.others(made):
                warn(
                    f"{name}: a run was cut short after {other.accepted:,} events of what the file was then; "
                    "its content has changed, so all of it is sent"
                )
        return made

    def _say_resumed(self, name: str, checkpoint: Checkpoint) -> None:
        if self._refused_file is not None:
            self._refused_file.resume(name, checkpoint.position.line)
        when = time.strftime("%Y-%m-%d %H:%M", time.localtime(checkpoint.at))
        accepted = f"{checkpoint.position.accepted:,} events were accepted by a run that was cut short at {when}"
        if checkpoint.done:
            text = f"{name}: all of its {accepted}: it is not sent again (--restart would)"
        else:
            text = f"{name}: goes on after line {checkpoint.position.line}; {accepted}"
        stderr.print(Text(text), soft_wrap=True)

    def _close(self) -> None:
        """Whatever happens, no lock stays behind."""
        for one in self._open:
            one.close()

    def _let_go(self) -> None:
        """Forget how far it is when all is done; else keep it for the next time."""
        for one in self._open:
            if self._report.problem:
                one.close(clean=self._run.in_hand is None and not one.done)
            else:
                one.remove()
        if self._checkpoints is not None:
            self._checkpoints.tidy()
