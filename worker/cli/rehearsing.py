"""``send --dry-run``: counts what would be sent, to whom and in how many parts, and sends nothing."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence

from rich.text import Text

from worker.cli.output import Exit, print_json, stderr, stdout, table
from worker.cli.progress import Progress
from worker.cli.send_report import INTERRUPTED, refusal
from worker.destinations import Destination
from worker.intake.checkpoints import Checkpoints
from worker.intake.files import EventFile, Found, Reading, Refused, UnreadableFile
from worker.intake.rehearsal import Rehearsal

__all__ = ["rehearse"]


def rehearse(
    files: Sequence[str],
    destinations: Sequence[Destination],
    reading: Reading,
    checkpoints: Checkpoints | None,
    *,
    as_json: bool,
) -> int:
    """Read every file, count, and print the counts.

    Returns:
        The code that the command leaves with.
    """
    refused = before = 0
    problem = ""
    hint: str | None = None
    with Rehearsal(destinations, lambda: round(time.time() * 1000)) as rehearsal, Progress(files) as progress:
        try:
            for name in files:
                position = checkpoints.look(name) if checkpoints else None
                before += position.accepted if position else 0
                with EventFile(name, reading=reading, after=position.number if position else 0) as file:
                    progress.begin(file)
                    for item in file:
                        if isinstance(item, Found):
                            rehearsal.add(item)
                        elif isinstance(item, Refused):
                            refused += 1
                            stderr.print(Text(refusal(file.name, item)), soft_wrap=True)
                        if progress.is_time():
                            progress.show(file, rehearsal.events, refused)
                    progress.end(file, rehearsal.events, refused)
        except UnreadableFile as error:
            problem, hint = str(error), error.hint
        except KeyboardInterrupt:
            return INTERRUPTED
        rehearsal.finish()
    if as_json:
        found = {**rehearsal.as_json(), "refused": refused, "accepted_before": before, "problem": problem or None}
        print_json(found)
    else:
        _print(rehearsal, refused, before)
    if problem:
        for name, text in (("error: ", problem), ("hint: ", hint)):
            if text:
                stderr.print(Text.assemble((name, "bold"), text), soft_wrap=True)
        return Exit.USAGE
    would_fail = any(row.verdict == "rejected" for row in rehearsal.rows)
    return Exit.PROBLEM if refused or would_fail else Exit.OK


def _print(rehearsal: Rehearsal, refused: int, before: int) -> None:
    rows = [
        (
            row.verdict,
            row.destination,
            row.mapping,
            row.reason,
            count,
            rehearsal.recipients_of_row(row),
            rehearsal.parts_of_row(row),
        )
        for row, count in sorted(rehearsal.rows.items())
    ]
    if rows:
        table(("verdict", "destination", "mapping", "reason", "deliveries", "recipients", "parts"), rows)
    for line in _summary(rehearsal, refused, before):
        stdout.print(Text(line), soft_wrap=True)


def _summary(rehearsal: Rehearsal, refused: int, before: int) -> Iterator[str]:
    yield f"{rehearsal.events:,} events read, {refused:,} lines refused; nothing was sent"
    if before:
        yield f"{before:,} events were accepted by a run that was cut short; what is counted here comes after them"
    made = rehearsal.as_json()
    yield (
        f"{made['deliveries']:,} deliveries would be sent to {rehearsal.recipients:,} recipients, "
        f"in {made['parts']:,} SMS parts"
    )
    if rehearsal.unknown_parts:
        yield "the length of templates is known to MSG91 alone: each counts as one part"
    if rehearsal.filtered:
        yield f"{rehearsal.filtered:,} events fit no mapping"
    if rehearsal.repeated:
        yield f"{rehearsal.repeated:,} of them come again under the same messageId, and would go out once"
