"""What the WhatsApp commands share: whose account, which number, and asking MSG91."""

from __future__ import annotations

from typing import Annotated, NoReturn

import typer

from worker.cli.operating import needed
from worker.cli.output import Exit, fail
from worker.destinations import Destination
from worker.msg91.client import Fetched, Request
from worker.msg91.errors import CallRefused
from worker.runtime import Clients
from worker.settings import load_settings

DestinationOption = Annotated[
    str, typer.Option("--destination", "-d", help="Whose account.", show_default="the first that has a number")
]
FromOption = Annotated[
    str, typer.Option("--from", help="The integrated number.", show_default="the destination's default_number")
]


def chosen_destination(name: str) -> Destination:
    """The destination of a name; without one the first that has an integrated number."""
    destinations = needed(load_settings())
    if name:
        found = destinations.get(name)
        if found is None:
            fail(f"there is no destination {name!r}", f"There are {', '.join(destinations.names)}")
        return found
    with_number = [one for one in destinations if one.context.whatsapp.default_number]
    return with_number[0] if with_number else destinations.all[0]


def chosen_number(destination: Destination, given: str) -> str:
    """The integrated number that is meant: the one that is given, or the default."""
    number = "".join(character for character in given if character.isdigit())
    number = number or destination.context.whatsapp.default_number or ""
    if not number:
        fail(
            f"{destination.name} has no integrated number",
            "Name one by --from, or under whatsapp: {numbers: […]} in the destinations file",
        )
    return number


def fetched_from(destination: Destination, request: Request) -> Fetched:
    """What MSG91 answers to a request, whole."""
    clients = Clients(load_settings())
    try:
        return clients.of(destination, "whatsapp").fetch(request)
    finally:
        clients.close()


def asked(destination: Destination, request: Request) -> Fetched:
    """Ask MSG91; anything but a success ends the command: with 2 where no answer came, with 1 where it says no."""
    fetched = fetched_from(destination, request)
    answer = fetched.answer
    if answer.klass != "accepted":
        refused = CallRefused(f"WhatsApp of {destination.name}", answer)
        fail(str(refused), code=Exit.USAGE if answer.status is None else Exit.PROBLEM)
    return fetched


def unread(fetched: Fetched) -> NoReturn:
    """End the command: the answer has a form that nobody has described."""
    fail(f"MSG91's answer has another form than is known: {fetched.answer.body[:300]}", code=Exit.PROBLEM)
