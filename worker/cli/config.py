"""`msg91-destination config`: check the configuration, show what it comes to, and help an editor with it."""

import json
import os
import sys
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer
from rich.text import Text

from worker.cli.output import Exit, print_json, stderr, stdout, warn
from worker.configuration import ConfigurationError
from worker.configuration.schema import json_schema
from worker.destinations import Destination, Destinations, load_destinations
from worker.msg91.numbers import mask
from worker.settings import Settings, load_settings

app = typer.Typer(help="Check, show and describe the configuration.", no_args_is_help=True)

File = Annotated[
    Path | None,
    typer.Argument(
        metavar="[FILE]",
        help="The destinations file. Without it: DESTINATIONS_FILE, else ./destinations.yaml, else the environment.",
        show_default=False,
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]


@app.command()
def check(
    file: File = None,
    json_: Json = False,
    strict: Annotated[bool, typer.Option("--strict", help="Exit 1 when there are warnings.")] = False,
) -> None:
    """Check the settings, the destinations file and its mapping files.

    Exit codes: 0 nothing wrong; 1 warnings, with --strict; 2 something is wrong.

    Examples:
      msg91-destination config check
      msg91-destination config check staging.yaml --strict
    """
    _, destinations = _load(file, as_json=json_)
    warnings = destinations.warnings
    if json_:
        print_json(
            {
                "ok": True,
                "from": destinations.origin,
                "destinations": [_summary(destination) for destination in destinations],
                "problems": [],
                "warnings": [warning.as_dict() for warning in warnings],
            }
        )
    else:
        for warning in warnings:
            warn(str(warning))
        for destination in destinations:
            stdout.print(Text(_sentence(destination)), soft_wrap=True)
        count = len(destinations)
        verdict = f"{destinations.origin}: {count} destination{'s' * (count != 1)}, nothing wrong"
        stdout.print(Text(verdict), soft_wrap=True)
    if strict and warnings:
        raise typer.Exit(int(Exit.PROBLEM))


@app.command()
def show(file: File = None, json_: Json = False) -> None:
    """Show the whole configuration as it is used, defaults included and secrets masked.

    Exit codes: 0 shown; 2 something is wrong.

    Examples:
      msg91-destination config show --json
    """
    settings, destinations = _load(file, as_json=json_)
    shown = {
        "from": destinations.origin,
        "fingerprint": destinations.fingerprint,
        "settings": settings.masked(),
        "destinations": [_details(destination) for destination in destinations],
    }
    if json_:
        print_json(shown)
        return
    for line in _lines(shown):
        stdout.print(Text(line), soft_wrap=True)


@app.command()
def schema(
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Write it to a file instead.", show_default=False)
    ] = None,
) -> None:
    """Print the JSON Schema of the destinations file, for editors.

    Exit codes: 0 printed; 2 the file cannot be written.

    Examples:
      msg91-destination config schema --output destinations.schema.json
    """
    text = json.dumps(json_schema(), indent=2, ensure_ascii=False) + "\n"
    if output is None:
        sys.stdout.write(text)
        return
    try:
        output.write_text(text, encoding="utf-8")
    except OSError as error:
        _fail(ConfigurationError(f"{output} cannot be written: {error.strerror}"), as_json=False)


def _load(file: Path | None, *, as_json: bool) -> tuple[Settings, Destinations]:
    try:
        settings = load_settings()
        return settings, load_destinations(file, os.environ, settings=settings)
    except ConfigurationError as error:
        _fail(error, as_json=as_json)


def _fail(error: ConfigurationError, *, as_json: bool) -> NoReturn:
    if as_json:
        print_json({"ok": False, "problems": [problem.as_dict() for problem in error.problems], "warnings": []})
    else:
        for problem in error.problems:
            stderr.print(Text.assemble(("error: ", "bold red"), str(problem)), soft_wrap=True)
    raise typer.Exit(int(Exit.USAGE))


def _summary(destination: Destination) -> dict[str, Any]:
    return {
        "name": destination.name,
        "base_url": destination.base_url,
        "mode": destination.mode,
        "mappings": [mapping.name for mapping in destination.mappings],
    }


def _sentence(destination: Destination) -> str:
    names = ", ".join(mapping.name for mapping in destination.mappings) or "none enabled"
    return f"{destination.name}: {destination.mode}, {destination.base_url}, mappings: {names}"


def _details(destination: Destination) -> dict[str, Any]:
    """Return a destination as its file would say it, were every default written out."""
    keys: dict[str, Any] = destination.configuration.model_dump(mode="json")
    keys["authkey"] = _masked(destination.authkey.get_secret_value())
    keys["write_keys"] = [_masked(key.get_secret_value()) for key in destination.write_keys]
    keys["webhooks"] = {
        name: _masked(secret.get_secret_value()) if secret else None
        for name, secret in destination.configuration.webhooks
    }
    keys["callbacks"]["secrets"] = [
        _masked(secret.get_secret_value()) for secret in destination.configuration.callbacks.secrets
    ]
    keys["allow_list"] = [mask(number) for number in sorted(destination.allow_list)]
    keys["base_url"] = destination.base_url
    keys["mappings"] = [
        {"name": mapping.name, "action": mapping.action, "version": mapping.version} for mapping in destination.mappings
    ]
    for family, lane in destination.lanes.items():
        keys["lanes"][family]["burst"] = lane.limits.burst if lane.limits.rate else None
    keys["actions"] = {
        name: {
            "time_to_live": policy.time_to_live,
            "in_doubt": policy.in_doubt,
            "in_doubt_grace": policy.in_doubt_grace,
            "attempts": policy.retry.attempts,
            "horizon": policy.retry.horizon,
            "backoff_base": policy.retry.base,
            "backoff_cap": policy.retry.cap,
            "report_window": policy.report_window,
        }
        for name, policy in destination.policies.items()
    }
    return keys


def _masked(secret: str) -> str:
    """Show so much of a key that two can be told apart: its last four characters, if it is long enough."""
    return f"****{secret[-4:]}" if len(secret) >= 16 else "****"


def _lines(value: Any, indent: str = "") -> list[str]:
    """Write nested data as indented lines."""
    lines: list[str] = []
    for key, item in value.items():
        if isinstance(item, dict) and item:
            lines += [f"{indent}{key}:", *_lines(item, indent + "  ")]
        elif isinstance(item, list) and item and isinstance(item[0], dict):
            lines.append(f"{indent}{key}:")
            for one in item:
                first, *rest = _lines(one, indent + "    ")
                lines += [f"{indent}  - {first.strip()}", *rest]
        else:
            lines.append(f"{indent}{key}: {_plain(item)}")
    return lines


def _plain(item: Any) -> str:
    if item is None or item in ([], {}):
        return "-"
    if isinstance(item, bool):
        return str(item).lower()
    if isinstance(item, list):
        return ", ".join(map(str, item))
    return f"{item:.10g}" if isinstance(item, float) else str(item)
