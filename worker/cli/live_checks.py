"""``doctor --live``: what can be asked of a real account without sending anything, beside what the documentation says.

Every question only reads. What a question cannot settle is listed to be tried by hand, with the command for it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final

from worker.cli.gate import account
from worker.destinations import Destination
from worker.masking import mask_text
from worker.msg91 import CallRefused, Msg91, Msg91Error, UnexpectedAnswer
from worker.msg91.answers import AnswerClass
from worker.msg91.numbers import mask

__all__ = ["BY_HAND", "Checked", "check_live"]

#: What only a message can settle: what is not sure, and the command that tells.
BY_HAND: Final = (
    ("a Flow template reaches you, its variables filled in", "sms send YOUR_NUMBER --template ID -v NAME=VALUE"),
    ("free text is taken by this account (route, DLT template)", "sms send YOUR_NUMBER --message TEXT"),
    ("a one-time password of your own digits arrives", "otp send YOUR_NUMBER --digits -"),
    ("those digits verify, and a second time say already verified", "otp verify YOUR_NUMBER"),
    ("how many wrong attempts there are, and after which MSG91 says so", "otp verify YOUR_NUMBER 0000"),
    ("a resend by voice calls, and a third one is refused", "otp resend YOUR_NUMBER --voice"),
    ("the path of user events: the event shows in the panel", "segmento events FILE"),
    ("a campaign runs for you alone", "campaigns run SLUG --phone YOUR_NUMBER"),
    ("a WhatsApp template reaches you, in the form of many recipients", "whatsapp send YOUR_NUMBER -t NAME --test"),
    ("a file reaches you after you wrote", "whatsapp send YOUR_NUMBER --media image=URL --test"),
)
_SHOWN: Final = 200
#: A number of fiction, to which no one-time password was ever sent.
_NOBODY: Final = "+12025550199"


@dataclass(frozen=True, slots=True)
class Checked:
    """One question to a real account.

    Attributes:
        destination: whose account.
        call: method and path, as the documentation has them.
        result: ``as documented``, ``refused``, ``differs`` or ``not asked``.
        found: what came back.
    """

    destination: str
    call: str
    result: str
    found: str

    def as_json(self) -> dict[str, str]:
        """The form in which ``--json`` prints it."""
        return {"destination": self.destination, "call": self.call, "result": self.result, "found": self.found}


def check_live(destination: Destination) -> Iterator[Checked]:
    """Ask one account everything that can be asked without sending anything."""
    segmento = destination.configuration.segmento
    with account(destination, "sms") as msg91:
        for call, ask in _questions(msg91):
            yield _checked(destination.name, call, ask)
        yield from _whatsapp(destination, msg91)
        campaigns = _first_campaign(msg91)
        if campaigns:
            slug, number = campaigns
            call = "GET /api/v5/campaign/api/campaigns/{slug}/fields"
            yield _checked(destination.name, call, lambda: _fields(msg91, slug))
        if not segmento.phonebook_id:
            skipped = (segmento.event_types_path, segmento.failed_events_path)
            yield from (Checked(destination.name, f"GET {path}", "not asked", "no phonebook_id") for path in skipped)
            return
        yield _checked(destination.name, f"GET {segmento.event_types_path}", lambda: _listed(msg91.event_types()))
        if campaigns:
            yield _checked(
                destination.name,
                f"GET {segmento.failed_events_path}",
                lambda: _listed(list(islice(msg91.failed_events(number, page_size=10), 10))),
            )


def _whatsapp(destination: Destination, msg91: Msg91) -> Iterator[Checked]:
    """WhatsApp is asked about where the destination has it: elsewhere MSG91 would only refuse."""
    number = destination.context.whatsapp.default_number
    calls = ("GET /api/v5/whatsapp/whatsapp-activation/", "GET /api/v5/whatsapp/get-template-client/{number}")
    if number is None:
        yield from (Checked(destination.name, call, "not asked", "no whatsapp.numbers") for call in calls)
        return

    def numbers() -> str:
        found = msg91.whatsapp_numbers()
        if number not in {one.number for one in found}:
            raise _Differs(f"{len(found)} numbers, and {mask(number)} is not among them")
        return f"{len(found)} numbers, {mask(number)} among them"

    def templates() -> str:
        found = msg91.whatsapp_templates(number)
        if any(not (one.name and one.language and one.status) for one in found):
            raise _Differs("name, language or status of a template have other names")
        approved = sum(one.status == "approved" for one in found)
        return f"{len(found)} templates, each language by itself, {approved} approved"

    yield from (_checked(destination.name, *each) for each in zip(calls, (numbers, templates), strict=True))


def _questions(msg91: Msg91) -> Iterator[tuple[str, Callable[[], str]]]:
    yield "GET /api/v5/otp/verify (the authkey)", lambda: _probe(msg91)
    yield "GET /api/v5/otp/verify (nobody's digits)", lambda: _verify(msg91)
    yield "GET /api/v5/flows", lambda: _listed(msg91.templates())
    yield "GET /api/v5/sms/getTemplateVersions", lambda: _versions(msg91)
    yield "GET /api/v5/campaign/api/campaigns", lambda: _listed(list(islice(msg91.campaigns(page_size=25), 25)))


def _checked(name: str, call: str, ask: Callable[[], str]) -> Checked:
    try:
        return Checked(name, call, "as documented", ask())
    except _Differs as error:
        return Checked(name, call, "differs", str(error))
    except UnexpectedAnswer as error:
        return Checked(name, call, "differs", mask_text(str(error))[:_SHOWN])
    except CallRefused as error:
        return Checked(name, call, "refused", mask_text(str(error))[:_SHOWN])
    except Msg91Error as error:
        return Checked(name, call, "not asked", str(error)[:_SHOWN])


class _Differs(Exception):
    """An answer that is not as the documentation has it; the text says what came."""


def _probe(msg91: Msg91) -> str:
    answer = msg91.probe()
    if answer.klass is not AnswerClass.ACCEPTED:
        raise CallRefused("the authkey", answer)
    return "MSG91 knows the authkey"


def _verify(msg91: Msg91) -> str:
    found = msg91.verify_otp(_NOBODY, "0000")
    if found.result != "not_found":
        raise _Differs(f"{found.result.value}: {found.answer.message}"[:_SHOWN])
    return "not_found, as it should be"


def _versions(msg91: Msg91) -> str:
    templates = msg91.templates()
    if not templates:
        return "there is no template to ask about"
    versions = msg91.template_versions(templates[0].id)
    if versions and not (versions[0].text and versions[0].dlt_status):
        raise _Differs(f"text or DLT status have other names: {', '.join(sorted(versions[0].raw))}"[:_SHOWN])
    return _listed(versions)


def _fields(msg91: Msg91, slug: str) -> str:
    found = msg91.campaign_fields(slug)
    if not isinstance(found.raw, dict) or "mapping" not in found.raw:
        raise _Differs(f"no mapping in it: {mask_text(repr(found.raw))}"[:_SHOWN])
    return f"{len(found.mapping)} fields, {len(found.variables)} variables"


def _first_campaign(msg91: Msg91) -> tuple[str, str] | None:
    try:
        first = next(msg91.campaigns(page_size=1), None)
    except Msg91Error:
        return None
    return (first.slug, first.id) if first else None


def _listed(items: list[Any]) -> str:
    if not items:
        return "an empty list"
    keys = ", ".join(sorted(items[0].raw))
    return f"{len(items)}, with {keys}"[:_SHOWN]
