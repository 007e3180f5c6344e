"""What `send` says at its end: to people, and as JSON."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from rich.text import Text

from worker.cli.output import Exit, stderr, stdout, table, warn
from worker.intake.files import Refused
from worker.intake.follow import Followed
from worker.intake.refused_file import RefusedFile
from worker.intake.run import Run
from worker.logs import mask_numbers

__all__ = ["Report", "refusal"]

#: What a shell calls a command that Ctrl-C ended.
INTERRUPTED: Final = 130


@dataclass(slots=True)
class Report:
    """What a run came to, beyond its own counts.

    Attributes:
        run: The run.
        data_dir: Where the embedded server has its data.
        is_temporary: The store's server ends with the command.
        seconds: How long it took until everything was accepted.
        problem: What ended the run before its end.
        hint: What to do about it.
        interrupted: By Ctrl-C.
        withheld: Batches that the broker was not told of.
        taken: Whether a worker has taken the first batch; ``None`` when nobody looked.
        followed: What became of the deliveries, when that was asked for.
        created: Deliveries made while they were followed, by anybody.
        refused_file: Where refused lines are kept, when that was asked for.
    """

    run: Run
    data_dir: Path
    is_temporary: bool = False
    seconds: float = 0.0
    problem: str = ""
    hint: str | None = None
    interrupted: bool = False
    withheld: int = 0
    taken: bool | None = None
    followed: Followed | None = None
    created: int = 0
    refused_file: RefusedFile | None = None

    @property
    def exit_code(self) -> int:
        """What the command leaves with."""
        if self.interrupted:
            return INTERRUPTED
        if self.problem:
            return Exit.USAGE
        followed = self.followed
        if (
            self.run.refused_count
            or self._refused_before
            or (followed is not None and (followed.trouble or not followed.finished))
        ):
            return Exit.PROBLEM
        return Exit.OK

    def print(self) -> None:
        """Print it for people."""
        run = self.run
        if len(run.files) > 1:
            table(("file", "accepted", "refused"), [(one.name, one.accepted, one.refused) for one in run.files])
        if self.followed is not None:
            _print_outcomes(self.followed)
        for line in self._summary():
            stdout.print(Text(line), soft_wrap=True)
        if self.problem:
            stderr.print(Text.assemble(("error: ", "bold red"), self.problem), soft_wrap=True)
            for line in filter(None, (*self._how_far(), self.hint)):
                stderr.print(Text.assemble(("hint: ", "bold"), line), soft_wrap=True)
        elif run.refused_count and not run.accepted and set(run.refused_by_code) == {"not_json"}:
            warn("nothing here is JSON: expected one event per line (NDJSON), a JSON array of events, or CSV")
        if self._is_blind():
            warn(
                "deliveries were made meanwhile, but none by the mappings configured here: "
                "does the worker use another DESTINATIONS_FILE?"
            )

    def as_json(self) -> dict[str, Any]:
        """The form in which ``--json`` prints it."""
        run = self.run
        return {
            "run": run.id,
            "complete": not self.problem,
            "problem": self.problem or None,
            "accepted": run.accepted,
            "refused": run.refused_count,
            "batches": run.batch_count,
            "told_to_broker": run.batch_count - self.withheld,
            "taken_by_worker": self.taken,
            "seconds": round(self.seconds, 3),
            "files": [one.as_json() for one in run.files],
            "accepted_before": sum(file.before.accepted for file in run.files),
            "refused_files": {}
            if self.refused_file is None
            else {str(k): n for k, n in self.refused_file.written.items()},
            "refused_by_code": dict(run.refused_by_code),
            "refused_lines": [
                {
                    "file": name,
                    "line": one.line,
                    "number": one.number,
                    "code": one.code,
                    "message": mask_numbers(one.message),
                }
                for name, one in run.refused
            ],
            "unknown": None
            if run.in_hand is None
            else {"file": run.in_hand.file, "first_line": run.in_hand.first_line, "last_line": run.in_hand.last_line},
            "deliveries": None if self.followed is None else self.followed.as_json(),
        }

    def _summary(self) -> Iterator[str]:
        run, followed = self.run, self.followed
        took = f" in {self.seconds:.1f} s ({run.accepted / self.seconds:,.0f}/s)" if self.seconds >= 1 else ""
        yield f"{_count(run.accepted, 'event')} accepted, {run.refused_count:,} refused{took}; run {run.id}"
        if self.refused_file is not None:
            yield from _kept(self.refused_file)
        if not run.accepted:
            return
        if followed is not None:
            yield from _followed(followed)
            return
        if self.withheld:
            yield f"the broker was not there: workers find {_count(self.withheld, 'batch', 'batches')} in the schedule"
        if self.is_temporary:
            yield f"nobody works on them yet: `msg91-destination up --data-dir {self.data_dir}` sends them"
        elif self.taken is False:
            yield "no worker has taken them yet: they wait in the schedule, and go as soon as one runs"

    def _how_far(self) -> Iterator[str]:
        """Say exactly which lines were accepted, when the run ended early."""
        run = self.run
        if self.followed is not None or not run.files:
            return
        file = run.files[-1]
        any_accepted = file.accepted or file.before.accepted
        done = f"events up to line {file.accepted_to} were accepted" if any_accepted else "no event was accepted"
        if run.in_hand is None:
            yield f"{file.name}: {done}, and none after it" if any_accepted else f"{file.name}: {done}"
        else:
            lines = f"lines {run.in_hand.first_line} to {run.in_hand.last_line}"
            yield f"{file.name}: {done}; whether those of {lines} were is unknown; none after them was"
        if file.checkpoint is not None:
            yield "run the same command again: it goes on there, and sends nothing twice"

    @property
    def _refused_before(self) -> int:
        return sum(file.before.refused for file in self.run.files)

    def _is_blind(self) -> bool:
        followed = self.followed
        return followed is not None and self.created > 0 and not (followed.parents or followed.duplicates)


def refusal(name: str, refused: Refused) -> str:
    """Name what was refused, and why, the way compilers do."""
    item = f" (item {refused.number})" if refused.number != refused.line else ""
    return f"{name}:{refused.line}{item}: {mask_numbers(refused.message)}"


def _print_outcomes(followed: Followed) -> None:
    rows = [
        (outcome.state.value, outcome.destination, outcome.mapping, outcome.reason, count)
        for outcome, count in sorted(followed.outcomes.items())
    ]
    if rows:
        table(("state", "destination", "mapping", "reason", "deliveries"), rows)


def _kept(refused: RefusedFile) -> Iterator[str]:
    for path, count in refused.written.items():
        again = f"mend them, and send them with the same options: msg91-destination send {path}"
        yield f"{_count(count, 'refused line')} in {path}, each under its reason; {again}"
    if refused.without_text:
        yield f"of these, {refused.without_text:,} were too long or cut off: the file has their reason and place alone"


def _followed(followed: Followed) -> Iterator[str]:
    parts = [f"{followed.parents:,} became deliveries"]
    parts += [f"{followed.duplicates:,} came before under the same messageId"] if followed.duplicates else []
    parts += [f"{followed.filtered:,} fit no mapping"] if followed.filtered else []
    parts += [f"{followed.queued:,} are still queued"] if followed.queued else []
    yield f"of the events, {', '.join(parts)}"
    if not followed.finished:
        yield f"after {followed.seconds:.0f} s not everything has come to an end; it goes on without this command"


def _count(number: int, one: str, many: str | None = None) -> str:
    return f"{number:,} {one if number == 1 else many or one + 's'}"
