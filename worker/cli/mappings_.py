"""`msg91-destination mappings`: check mapping files, explain them, describe them to editors, import Segment's."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import orjson
import typer
from rich.text import Text

import mappings
from mappings import ClauseVerdict, FieldError, FieldExplanation, Mapping, MappingError, MappingFile, Problem
from mappings.schema import mapping_schema
from mappings.segment import Imported, import_subscriptions
from mappings.values import json_text
from worker.actions import ACTIONS
from worker.cli.output import Exit, fail, print_json, stderr, stdout, table, warn

app = typer.Typer(help="Check, explain, describe and import mapping files.", no_args_is_help=True)

FIELDS = {name: action.fields for name, action in ACTIONS.items()}

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]
Output = Annotated[
    Path | None, typer.Option("--output", "-o", help="Write to a file instead.", show_default=False, dir_okay=False)
]

#: Characters of a value that a table shows.
_SHOWN = 200


@app.command()
def check(
    files: Annotated[list[str], typer.Argument(metavar="FILE…", help="Mapping files, or names of presets.")],
    json_: Json = False,
    strict: Annotated[bool, typer.Option("--strict", help="Exit 1 when there are warnings, too.")] = False,
) -> None:
    """Check mapping files whole: every problem at once, with its place.

    Exit codes: 0 nothing wrong; 1 problems, files that cannot be read, or with --strict warnings; 2 wrong usage.

    Examples:
      msg91-destination mappings check mappings/*.yaml
      msg91-destination mappings check segment-msg91 --json
    """
    problems: list[Problem] = []
    warnings: list[Problem] = []
    loaded: list[MappingFile] = []
    for file in files:
        try:
            loaded.append(mappings.load(file, FIELDS))
            warnings += loaded[-1].warnings
        except MappingError as error:
            problems += error.problems
    if json_:
        print_json(
            {
                "ok": not problems,
                "files": [{"file": each.name, "mappings": [_summary(one) for one in each.mappings]} for each in loaded],
                "problems": [_problem(problem) for problem in problems],
                "warnings": [_problem(warning) for warning in warnings],
            }
        )
    else:
        for problem in problems:
            _print_problem(problem)
        for warning in warnings:
            warn(str(warning))
        for each in loaded:
            count = len(each.mappings)
            stdout.print(Text(f"{each.name}: {count} mapping{'s' * (count != 1)}, nothing wrong"), soft_wrap=True)
    if problems or (strict and warnings):
        raise typer.Exit(int(Exit.PROBLEM))


@app.command()
def explain(
    file: Annotated[str, typer.Argument(metavar="FILE", help="A mapping file, or the name of a preset.")],
    event: Annotated[str, typer.Argument(metavar="EVENT", help="A file with one event as JSON; - is standard input.")],
    only: Annotated[
        str | None, typer.Option("--mapping", "-m", help="Explain this mapping alone.", show_default=False)
    ] = None,
    everything: Annotated[
        bool, typer.Option("--all", "-a", help="Show fields where the trigger says no, too.")
    ] = False,
    json_: Json = False,
) -> None:
    """Show what mappings make of an event: the trigger clause by clause, then every field and where it came from.

    Exit codes: 0 made; 1 an event that is meant cannot be sent; 2 a file cannot be read.

    Examples:
      msg91-destination mappings explain segment-msg91 event.json
      msg91-destination mappings explain mappings/shop.yaml event.json --mapping order-shipped --all
    """
    made = mappings.load(file, FIELDS)
    chosen = [mapping for mapping in made.mappings if only in (None, mapping.name)]
    if not made.mappings:
        fail(f"{made.name} has no mappings")
    if not chosen:
        fail(
            f"there is no mapping {only!r} in {made.name}", f"There are {', '.join(one.name for one in made.mappings)}."
        )
    read = _read_event(event)
    explained = [_explain(mapping, read, everything=everything) for mapping in chosen]
    if json_:
        print_json([one.as_dict() for one in explained])
    else:
        for one in explained:
            one.show()
    if any(one.failed for one in explained):
        raise typer.Exit(int(Exit.PROBLEM))


@app.command()
def schema(output: Output = None) -> None:
    """Print the JSON Schema of mapping files, so that an editor completes and checks them.

    Its place goes into the first line of a mapping file: # yaml-language-server: $schema=mappings.schema.json

    Examples:
      msg91-destination mappings schema --output mappings.schema.json
    """
    _write(orjson.dumps(mapping_schema(FIELDS), option=orjson.OPT_INDENT_2).decode() + "\n", output)


@app.command("import")
def import_(
    file: Annotated[
        str, typer.Argument(metavar="FILE", help="The answer of Segment's Public API; - is standard input.")
    ],
    output: Output = None,
    action: Annotated[
        list[str] | None,
        typer.Option(
            "--action",
            metavar="SEGMENT=OURS",
            help="Which action stands for one of Segment's (its slug or id); may be given several times.",
            show_default=False,
        ),
    ] = None,
    json_: Json = False,
) -> None:
    """Turn the subscriptions of a Segment destination into a mapping file, and name what has no counterpart.

    The file is what GET /destinations/{id}/subscriptions answers.

    Exit codes: 0 all of it; 1 something was left out; 2 a file cannot be read.

    Examples:
      msg91-destination mappings import subscriptions.json --output mappings/shop.yaml
    """
    choices = _choices(action or [])
    imported = import_subscriptions(_read_json(file), FIELDS, choices)
    if json_:
        notes = [{"subscription": one.subscription, "message": one.message, "lost": one.lost} for one in imported.notes]
        print_json({"mappings": imported.mappings, "notes": notes})
    else:
        _write(imported.to_yaml(), output)
        _show_notes(imported)
    if any(note.lost for note in imported.notes):
        raise typer.Exit(int(Exit.PROBLEM))


@dataclass(frozen=True, slots=True)
class _Explanation:
    """What one mapping makes of an event."""

    mapping: Mapping
    matches: bool
    clauses: Sequence[ClauseVerdict]
    fields: Sequence[FieldExplanation]
    errors: Sequence[FieldError]

    @property
    def failed(self) -> bool:
        return self.matches and self.mapping.enabled and (bool(self.errors) or any(one.error for one in self.fields))

    def as_dict(self) -> dict[str, Any]:
        return {
            "mapping": self.mapping.name,
            "action": self.mapping.action,
            "enabled": self.mapping.enabled,
            "matches": self.matches,
            "trigger": [
                {"clause": one.clause, "holds": one.holds, "depth": one.depth, "reason": one.reason}
                for one in self.clauses
            ],
            "fields": [_field(one) for one in self.fields],
            "errors": [{"field": one.field, "message": one.message} for one in self.errors],
        }

    def show(self) -> None:
        verdict = Text("meant", "bold green") if self.matches else Text("not meant", "yellow")
        disabled = "" if self.mapping.enabled else " (disabled)"
        title = Text.assemble((self.mapping.name, "bold"), f" → {self.mapping.action}{disabled}: ", verdict)
        stdout.print(title, soft_wrap=True)
        rows = [
            (Text("yes", "green") if one.holds else Text("no", "yellow"), "  " * one.depth + one.clause, _found(one))
            for one in self.clauses
        ]
        table(("holds", "clause", "found"), rows)
        if self.fields:
            table(("field", "value", "from", "note"), [self._row(one) for one in self.fields])
        for error in self.errors:
            stdout.print(Text.assemble(("✗ ", "bold red"), str(error)), soft_wrap=True)
        if self.fields and not self.errors and not any(one.error for one in self.fields):
            stdout.print(
                Text.assemble(("✓ ", "bold green"), f"the fields of {self.mapping.action} are in order"), soft_wrap=True
            )
        stdout.print()

    def _row(self, one: FieldExplanation) -> tuple[Any, ...]:
        sources = ", ".join(dict.fromkeys(read.path for read in one.reads)) or "the mapping itself"
        if one.error is not None:
            return one.field, Text("error", "red"), sources, one.error
        if one.value is mappings.MISSING:
            return one.field, Text("missing", "yellow"), sources, one.why_missing or ""
        return one.field, _shortened(json_text(one.value)), sources, ""


def _explain(mapping: Mapping, event: dict[str, Any], *, everything: bool) -> _Explanation:
    matches = mapping.trigger(event)
    clauses = mapping.trigger.explain(event)
    if not matches and not everything:
        return _Explanation(mapping, matches, clauses, (), ())
    fields = mapping.mapping.explain(event)
    errors: list[FieldError] = []
    if not any(one.error for one in fields):
        _, errors = mappings.compile_fields(FIELDS[mapping.action])(mapping.mapping(event))
    return _Explanation(mapping, matches, clauses, fields, errors)


def _found(one: ClauseVerdict) -> str:
    """What a clause found in the event, which is shown: whoever asks has the event."""
    if not one.reason or one.value is mappings.MISSING:
        return one.reason
    return _shortened(json_text(one.value))


def _field(one: FieldExplanation) -> dict[str, Any]:
    missing = one.value is mappings.MISSING
    return {
        "field": one.field,
        "missing": missing,
        "value": None if missing else one.value,
        "from": list(dict.fromkeys(read.path for read in one.reads)),
        "why_missing": one.why_missing,
        "error": one.error,
    }


def _summary(mapping: Mapping) -> dict[str, Any]:
    return {
        "name": mapping.name,
        "action": mapping.action,
        "trigger": mapping.trigger.text,
        "enabled": mapping.enabled,
        "version": mapping.version,
    }


def _problem(problem: Problem) -> dict[str, Any]:
    return {
        "file": problem.file,
        "line": problem.line,
        "column": problem.column,
        "path": problem.path,
        "message": problem.message,
        "suggestion": problem.suggestion,
    }


def _print_problem(problem: Problem) -> None:
    place = ":".join(str(part) for part in (problem.file, problem.line, problem.column) if part is not None)
    words = [(f"{place}: ", "bold"), (f"{problem.path} ", "cyan") if problem.path else "", problem.message]
    if problem.suggestion:
        words.append((f" {problem.suggestion}", "green"))
    stdout.print(Text.assemble(*words), soft_wrap=True)


def _show_notes(imported: Imported) -> None:
    for note in imported.notes:
        mark = ("lost: ", "bold yellow") if note.lost else ("note: ", "bold")
        stderr.print(Text.assemble(mark, str(note)), soft_wrap=True)
    count = len(imported.mappings)
    stderr.print(Text(f"{count} mapping{'s' * (count != 1)} imported"), soft_wrap=True)


def _choices(given: Sequence[str]) -> dict[str, str]:
    choices = {}
    for each in given:
        theirs, equals, ours = each.partition("=")
        if not equals or ours not in ACTIONS:
            fail(f"--action {each}: not an action of ours", f"Write SEGMENT=OURS; ours are {', '.join(ACTIONS)}.")
        choices[theirs] = ours
    return choices


def _read_event(name: str) -> dict[str, Any]:
    event = _read_json(name)
    if not isinstance(event, dict):
        fail(f"{name}: one event is needed, a JSON object", "For a list of events, take one out: jq '.[0]' events.json")
    return event


def _read_json(name: str) -> Any:
    try:
        data = sys.stdin.buffer.read() if name == "-" else Path(name).read_bytes()
    except OSError as error:
        fail(f"{name} cannot be read: {error.strerror}")
    try:
        return orjson.loads(data.decode("utf-8-sig"))
    except UnicodeDecodeError:
        fail(f"{name}: this is not UTF-8 text", "JSON is UTF-8: save it so, or convert it with iconv")
    except orjson.JSONDecodeError as error:
        many = "unexpected content after" in str(error)
        fail(
            f"{name}: this is not JSON: {error}",
            "Of a file with one event in each line, take one: head -n 1" if many else None,
        )


def _write(text: str, output: Path | None) -> None:
    if output is None:
        sys.stdout.write(text)
        return
    try:
        output.write_text(text, encoding="utf-8")
    except OSError as error:
        fail(f"{output} cannot be written: {error.strerror}")


def _shortened(text: str) -> str:
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"
