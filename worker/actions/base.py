"""What every action is: fields to fill, a request to build, an answer to read."""

import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, ClassVar, Final, Literal, NamedTuple

from mappings import FieldError, compile_fields
from worker.actions.receivers import Receivers
from worker.msg91.answers import Answer
from worker.msg91.client import Request
from worker.msg91.errors import InvalidNumber
from worker.msg91.numbers import PhoneNumbers

__all__ = ["Action", "ActionContext", "Family", "FieldError", "FieldErrors", "Prepared", "WhatsAppContext"]

#: Endpoint families; each destination has one lane for each, and for ``onward`` one for each receiver.
Family = Literal["sms", "otp", "segmento", "whatsapp", "campaign", "onward"]

DEFAULT_EVENTS_PATH: Final = "/api/v5/segmento/api/v1/phonebooks/{phonebook_id}/events"
DEFAULT_CONTACTS_PATH: Final = "/api/v5/segmento/api/v1/phonebooks/{phonebook_id}/contacts"

_NONE: Final[frozenset[str]] = frozenset()
_INSIDE: Final = re.compile(r"[.\[]")
_TOKEN: Final = re.compile(r"[A-Za-z0-9_.-]{1,80}")


class FieldErrors(Exception):
    """The fields of an action cannot be sent.

    Attributes:
        errors: one for each field at fault, in the order of the fields.
    """

    def __init__(self, errors: Sequence[FieldError]) -> None:
        super().__init__("; ".join(f"{error.field}: {error.message}" for error in errors))
        self.errors = list(errors)


class Prepared(NamedTuple):
    """One delivery, ready to be put into a request.

    Attributes:
        payload: final and JSON-able, everything `Action.build` needs; what is kept for retries.
        recipient: digits or contact id; see `Action.unique_recipients`.
        group: deliveries of an action with equal groups may share a request.
        cost: SMS parts; 1 for what is no SMS, or an SMS whose text only MSG91 knows.
        time_to_live: seconds after its event at which it is of no use to anybody; None when that never comes.
        others: who else gets something by it: addresses, copies.
    """

    payload: dict[str, Any]
    recipient: str
    group: str
    cost: int
    time_to_live: float | None = None
    others: tuple[str, ...] = ()

    def __repr__(self) -> str:
        """Neither whom it is for nor what it says."""
        return f"Prepared(cost={self.cost!r}, time_to_live={self.time_to_live!r})"


@dataclass(frozen=True, slots=True)
class WhatsAppContext:
    """What the WhatsApp actions may know of the destination.

    Attributes:
        numbers: the integrated numbers, digits with country code; an event may name one of them.
        default_number: the one that is used where the event names none.
        namespace: of the business account, where the event names none.
        language: language code of a template where the event names none.
        single: send template messages one by one, and not many with one request.
        attached_media: write media of session messages as ``attachment_url``, and not as Meta's objects.
        correlates: send a correlation id.
    """

    numbers: tuple[str, ...] = ()
    default_number: str | None = None
    namespace: str | None = None
    language: str = "en"
    single: bool = False
    attached_media: bool = False
    correlates: bool = True


@dataclass(frozen=True, slots=True)
class ActionContext:
    """What an action may know of the destination.

    Attributes:
        destination: its name.
        numbers: reads phone numbers in its default country.
        default_sender: sender id where the event names none.
        default_template_id: Flow template where the event names none.
        default_route: ``4`` transactional, ``1`` promotional.
        sms_country: value for ``country`` where the event names none; None leaves it out.
        dlt_template_id: DLT template id where the event names none.
        phonebook_id: Segmento phonebook.
        events_path: path of the user-events call; may contain ``{phonebook_id}``.
        contacts_path: path of the contact call; may contain ``{phonebook_id}``.
        event_timezone: IANA zone in which Segmento reads ``event_timestamp`` (its documentation does not
            say).
        max_parts: longest message, in SMS parts.
        max_sender_length: longest alphanumeric sender id outside India (sources say 11 and 14).
        whatsapp: what the WhatsApp actions may know.
        otp_template_id: OTP template where the event names none.
        otp_expiry: minutes that a one-time password is good for, where the event does not say.
        otp_length: digits of a one-time password that MSG91 makes up; None leaves that to MSG91.
        otp_parameters: where the parameters of the OTP call go: ``query`` or ``body``.
        otp_resend: how a one-time password is sent again where the event does not say: ``text`` or ``voice``.
        receivers: who is told of what MSG91 reports.
    """

    destination: str
    numbers: PhoneNumbers
    default_sender: str | None = None
    default_template_id: str | None = None
    default_route: str = "4"
    sms_country: str | None = None
    dlt_template_id: str | None = None
    phonebook_id: str | None = None
    events_path: str = DEFAULT_EVENTS_PATH
    contacts_path: str = DEFAULT_CONTACTS_PATH
    event_timezone: str = "UTC"
    max_parts: int = 10
    max_sender_length: int = 11
    whatsapp: WhatsAppContext = WhatsAppContext()
    otp_template_id: str | None = None
    otp_expiry: int = 15
    otp_length: int | None = None
    otp_parameters: Literal["query", "body"] = "query"
    otp_resend: Literal["text", "voice"] = "text"
    receivers: Receivers = field(default_factory=Receivers)


class Action(ABC):
    """One kind of call to MSG91.

    Attributes:
        name: as mappings name it.
        family: the lane it uses.
        repeatable: doing it twice does no harm.
        people_receive: a person gets a message from it.
        names_people: it tells others of a person, so that a list of allowed numbers holds for it as well.
        unique_recipients: one request must not carry the same recipient twice (reports join by number).
        correlates: `build` puts the token into the request, so that a delivery report can be joined by it.
        urgent: somebody is waiting for it: it uses the queue that overtakes others.
        resends: it is sent again when it is in doubt, unless a policy says otherwise.
        secret: field and payload key of a one-time password; it is encrypted wherever it is kept, and shown to nobody.
            Empty for none.
        approved: the field that `objection` (or a list of approved templates) is about.
        max_recipients: most deliveries of one request; a lane's setting may lower or raise it where MSG91
            allows.
        fields: Segment's field definitions, by field name.
    """

    name: ClassVar[str]
    family: ClassVar[Family]
    repeatable: ClassVar[bool]
    people_receive: ClassVar[bool]
    unique_recipients: ClassVar[bool]
    correlates: ClassVar[bool]
    names_people: ClassVar[bool] = False
    urgent: ClassVar[bool] = False
    resends: ClassVar[bool] = False
    secret: ClassVar[str] = ""
    approved: ClassVar[str] = "template"
    max_recipients: ClassVar[int] = 100
    fields: ClassVar[dict[str, dict[str, Any]]]

    @cached_property
    def _clean(self) -> Callable[[dict[str, Any]], tuple[dict[str, Any], list[FieldError]]]:
        return compile_fields(self.fields)

    def cleaned(self, resolved: dict[str, Any]) -> tuple[dict[str, Any], "Problems"]:
        """Clean up, coerce and check what a mapping resolved, by `fields`.

        Returns:
            The fields, every required one among them, and the problems so far: a field that is missing or has a value
            it cannot have. The action's own checks add theirs, so that one look shows them all.

        Raises:
            FieldErrors: it is no object of fields at all.
        """
        fields, errors = self._clean(resolved)
        problems = Problems(self.fields)
        if not errors:
            return fields, problems
        if not errors[0].field:
            raise FieldErrors(errors)
        problems.errors = errors
        problems.at_fault = frozenset([_field_of(error) for error in errors])
        return {**self._stand_ins, **fields}, problems

    @cached_property
    def _stand_ins(self) -> dict[str, str]:
        """Values for required fields at fault (all are text); what a check says of them is not heard."""
        return {name: "" for name, field in self.fields.items() if field.get("required")}

    @abstractmethod
    def prepare(self, resolved: dict[str, Any], context: ActionContext) -> Prepared:
        """Turn what a mapping resolved into a delivery.

        Raises:
            FieldErrors: naming each field at fault.
        """

    @abstractmethod
    def build(self, items: Sequence[dict[str, Any]], context: ActionContext, token: str) -> Request:
        """Build one request for payloads of one group.

        Args:
            items: payloads as `prepare` made them, at least one.
            context: the destination.
            token: correlation id, at most 80 of ``A-Z a-z 0-9 _ . -``; sent as ``CRQID`` where `correlates`.
        """

    def read(self, answer: Answer, count: int) -> list[Answer]:
        """Read an answer back into one for each item; none of MSG91's answers tells items apart so far."""
        return [answer] * count

    def lane(self, destination: str, group: str) -> str:
        """Name the lane of a request.

        Args:
            destination: the destination's name.
            group: of its deliveries, see `Prepared`.
        """
        del group
        return f"{destination}:{self.family}"

    def objection(self, payload: dict[str, Any], context: ActionContext) -> str | None:
        """Say why a payload cannot be sent any more, as the destination is now; None when it can."""
        del payload, context
        return None

    def problems(self, context: ActionContext) -> list[str]:
        """Say what a destination lacks for this action, a sentence for each setting; for checks at start."""
        del context
        return []


class Problems:
    """Collects the errors of several fields, so that one look shows them all.

    Args:
        names: the fields, in the order in which their errors are to be shown.

    Attributes:
        errors: what was collected.
        at_fault: the fields whose definitions they break already; what further checks say of them is not heard, and
            checks that depend on them prove nothing.
    """

    __slots__ = ("_names", "at_fault", "errors")

    def __init__(self, names: Iterable[str]) -> None:
        self.errors: list[FieldError] = []
        self.at_fault = _NONE
        self._names = names

    def add(self, field: str, message: str) -> None:
        """Note that a field is at fault, unless that is known."""
        error = FieldError(field, message)
        if _field_of(error) not in self.at_fault:
            self.errors.append(error)

    def phone(self, field: str, value: object, context: ActionContext) -> str:
        """Read a phone number; empty when it is none."""
        if self.at_fault and field in self.at_fault:
            return ""
        try:
            return context.numbers.read(value)
        except InvalidNumber as error:
            self.add(field, str(error))
            return ""

    def raise_any(self) -> None:
        """Raise what was collected.

        Raises:
            FieldErrors: anything was.
        """
        if self.errors:
            order = list(self._names)
            raise FieldErrors(sorted(self.errors, key=lambda error: order.index(_field_of(error))))


def _field_of(error: FieldError) -> str:
    """The action's field that an error is about: ``variables`` of ``variables.name``."""
    return _INSIDE.split(error.field, 1)[0]


def checked_token(token: str) -> str:
    """Return a correlation id that MSG91 takes.

    Raises:
        ValueError: it would be refused or changed on the way.
    """
    if not _TOKEN.fullmatch(token):
        raise ValueError("token: expected 1 to 80 of A-Z a-z 0-9 _ . -")
    return token
