"""``msg91-destination whatsapp templates``: the templates of a number, and their states."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Final

import typer
import yaml
from rich.text import Text

from worker.cli.operating import JsonOption
from worker.cli.output import fail, print_json, stdout, table, warn
from worker.cli.whatsapp_account import (
    DestinationOption,
    FromOption,
    asked,
    chosen_destination,
    chosen_number,
    unread,
)
from worker.destinations import Destination
from worker.msg91.client import Request
from worker.msg91.whatsapp_panel import (
    MOST_TEMPLATES,
    ListedTemplate,
    create_template,
    delete_template,
    edit_template,
    list_templates,
    read_templates,
)

_STYLES: Final = {"approved": "green", "pending": "yellow", "rejected": "bold red"}

templates_app = typer.Typer(
    help="List the templates of a number with their states; create, edit and delete them.",
    invoke_without_command=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

ComponentsArgument = Annotated[
    Path, typer.Argument(metavar="FILE", help="YAML or JSON: the list of components, as Meta describes them.")
]


@templates_app.callback()
def templates(
    ctx: typer.Context,
    name: Annotated[str, typer.Option("--name", help="Only the template of this name.")] = "",
    status: Annotated[str, typer.Option("--status", help="Only those in this state, such as approved.")] = "",
    language: Annotated[str, typer.Option("--language", "-l", help="Only those in this language.")] = "",
    from_: FromOption = "",
    destination: DestinationOption = "",
    json_: JsonOption = False,
) -> None:
    """List the templates of a number: every language with its state.

    Examples:
      msg91-destination whatsapp templates --status approved
      msg91-destination whatsapp templates create order_shipped components.yaml --category UTILITY
    """
    if ctx.invoked_subcommand is not None:
        return
    chosen = chosen_destination(destination)
    number = chosen_number(chosen, from_)
    request = list_templates(number, name=name or None, status=status or None, language=language or None)
    fetched = asked(chosen, request)
    found = read_templates(fetched.document)
    if found is None:
        unread(fetched)
    if json_:
        rows = [
            {
                "name": one.name,
                "language": one.language,
                "status": one.status,
                "category": one.category,
                "id": one.id,
                "namespace": one.namespace,
                "reason": one.reason,
                "components": [dict(component) for component in one.components],
            }
            for one in found
        ]
        print_json({"destination": chosen.name, "number": number, "templates": rows})
        return
    table(
        ("name", "language", "status", "category", "id", "text"),
        [
            (
                one.name,
                one.language,
                Text(f"{one.status} ({one.reason})" if one.reason else one.status, _STYLES.get(one.status, "")),
                one.category.lower(),
                one.id,
                _text(one),
            )
            for one in found
        ],
    )
    if len(found) >= MOST_TEMPLATES:
        warn(f"MSG91 lists {MOST_TEMPLATES} templates at most: there may be more; narrow it down by --name")


def _text(template: ListedTemplate) -> str:
    texts = [str(one.get("text") or "") for one in template.components if str(one.get("type")).upper() == "BODY"]
    return " ".join(" ".join(texts).split())[:80]


@templates_app.command("create")
def create(
    name: Annotated[str, typer.Argument(help="Small letters, digits and _.")],
    components: ComponentsArgument,
    category: Annotated[str, typer.Option("--category", help="UTILITY, MARKETING or AUTHENTICATION.")] = "UTILITY",
    language: Annotated[str, typer.Option("--language", "-l", help="Its language code.")] = "en",
    from_: FromOption = "",
    destination: DestinationOption = "",
    json_: JsonOption = False,
) -> None:
    """Hand a template in for approval; it can be sent once it is approved.

    Exit codes: 0 done; 1 MSG91 says no; 2 wrong usage, or MSG91 could not be asked.

    Examples:
      msg91-destination whatsapp templates create order_shipped components.yaml --language en
    """
    chosen = chosen_destination(destination)
    request = create_template(chosen_number(chosen, from_), name, language, category, _components(components))
    _changed(chosen, request, json_=json_)


@templates_app.command("edit")
def edit(
    template_id: Annotated[str, typer.Argument(metavar="ID", help="As `whatsapp templates` shows it.")],
    components: ComponentsArgument,
    from_: FromOption = "",
    destination: DestinationOption = "",
    json_: JsonOption = False,
) -> None:
    """Give a template other components; it has to be approved again.

    Exit codes: 0 done; 1 MSG91 says no; 2 wrong usage, or MSG91 could not be asked.

    Examples:
      msg91-destination whatsapp templates edit 1234567890123456 components.yaml
    """
    chosen = chosen_destination(destination)
    _changed(chosen, edit_template(chosen_number(chosen, from_), template_id, _components(components)), json_=json_)


@templates_app.command("delete")
def delete(
    name: Annotated[str, typer.Argument(help="Its name.")],
    template_id: Annotated[str, typer.Option("--id", help="Only the language with this id.")] = "",
    from_: FromOption = "",
    destination: DestinationOption = "",
    json_: JsonOption = False,
) -> None:
    """Delete a template in all its languages.

    Exit codes: 0 done; 1 MSG91 says no; 2 wrong usage, or MSG91 could not be asked.

    Examples:
      msg91-destination whatsapp templates delete order_shipped
    """
    chosen = chosen_destination(destination)
    _changed(chosen, delete_template(chosen_number(chosen, from_), name, template_id or None), json_=json_)


def _changed(destination: Destination, request: Request, *, json_: bool) -> None:
    fetched = asked(destination, request)
    data = fetched.document.get("data") if isinstance(fetched.document, dict) else None
    if json_:
        print_json({"destination": destination.name, "data": data})
        return
    said = data.get("message") if isinstance(data, dict) else data
    number = data.get("template_id") if isinstance(data, dict) else None
    stdout.print(Text(f"{said or 'done'}" + (f" (id {number})" if number else "")), soft_wrap=True)


def _components(path: Path) -> list[dict[str, Any]]:
    try:
        found = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        fail(f"{path}: {error.strerror}")
    except (yaml.YAMLError, UnicodeDecodeError):
        fail(f"{path}: expected YAML or JSON")
    if isinstance(found, dict):
        found = found.get("components")
    if not isinstance(found, list) or not found or not all(isinstance(one, dict) and "type" in one for one in found):
        fail(f"{path}: expected a list of components, each an object with type: HEADER, BODY, FOOTER or BUTTONS")
    return found
