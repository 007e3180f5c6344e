"""The keys of the destinations file: their types, bounds, defaults and meaning.

This is the one place where they are defined: the errors, the JSON Schema and the tables of
docs/configuration.md follow from it.
"""

from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    StringConstraints,
)
from pydantic_core import PydanticCustomError

from worker.configuration.base import Key, Model, one_or_many
from worker.configuration.onward import AutoReplyModel, CallbackModel, OnwardModel, TrackingModel
from worker.configuration.quantities import AsText, Identifier, Origin, Rate, Seconds, Whole, read_identifier

__all__ = [
    "FAMILIES",
    "ActionModel",
    "AutoReplyModel",
    "CallbackFieldsModel",
    "CallbackModel",
    "CallbacksModel",
    "ClevertapModel",
    "DestinationModel",
    "DestinationsFile",
    "LaneModel",
    "LanesModel",
    "OnwardModel",
    "OtpModel",
    "SegmentoModel",
    "TrackingModel",
    "WebhooksModel",
    "WhatsAppModel",
]

#: Families of endpoints; each destination has one lane for each, and for ``onward`` one for each receiver.
FAMILIES = ("sms", "otp", "segmento", "whatsapp", "campaign", "onward")

EVENTS_PATH = "/api/v5/segmento/api/v1/phonebooks/{phonebook_id}/events"
CONTACTS_PATH = "/api/v5/segmento/api/v1/phonebooks/{phonebook_id}/contacts"
EVENT_TYPES_PATH = "/api/v5/segmento/api/v1/phonebooks/{phonebook_id}/event-types"
FAILED_EVENTS_PATH = "/api/v5/segmento/api/v1/phonebooks/{phonebook_id}/failed-events"

InDoubt = Literal["hold", "resend", "drop"]


def _country(value: Any) -> str:
    """Read an ISO 3166 code or a calling code as an ISO code."""
    from phonenumbers import COUNTRY_CODE_TO_REGION_CODE, SUPPORTED_REGIONS  # noqa: PLC0415 - slow to import

    text = str(value).upper()
    if text in SUPPORTED_REGIONS:
        return text
    digits = text.removeprefix("+").removeprefix("00")
    if digits.isascii() and digits.isdigit() and len(digits) <= 3:
        regions = COUNTRY_CODE_TO_REGION_CODE.get(int(digits), ("001",))
        if regions[0] != "001":
            return str(regions[0])
    raise PydanticCustomError("country", "expected a country: its ISO code like IN, or its calling code like 91")


def _path(value: Any) -> str:
    text = read_identifier(value)
    if not text.startswith("/") or text.startswith("//") or any(character in text for character in "?# \\"):
        raise PydanticCustomError("path", "expected a path like /api/v5/…, without host and query")
    if set("{}") & set(text.replace("{phonebook_id}", "")):
        raise PydanticCustomError("path_placeholder", "the only placeholder is {phonebook_id}")
    return text


def _time_zone(value: str) -> str:
    try:
        ZoneInfo(value)
    except (KeyError, ValueError, OSError):
        expected = "expected the name of a time zone, like UTC or Asia/Kolkata"
        raise PydanticCustomError("time_zone", expected) from None
    return value


UrlPath = Annotated[str, BeforeValidator(_path)]


def _integrated(value: Any) -> str:
    """Read a number as digits with country code."""
    digits = "".join(character for character in read_identifier(value) if character not in "+ -().")
    if not (digits.isascii() and digits.isdigit() and 7 <= len(digits) <= 15):
        raise PydanticCustomError("integrated_number", "expected a number with country code, like +918818888758")
    return digits.removeprefix("00")


IntegratedNumber = Annotated[str, BeforeValidator(_integrated), AsText()]


class LaneModel(Model):
    """How fast, and how many at once, for all workers together."""

    rate: Rate | None = Field(
        default=None, description='How much may go, per second, or like `"600/min"`. Without it: no limit.'
    )
    cost: Literal["requests", "parts"] = Field(
        default="requests",
        description="What `rate` and `burst` count: requests, or SMS parts (the unit of billing).",
    )
    burst: Annotated[int, Field(ge=1), Whole] | None = Field(
        default=None, description="How much may go at once. Without it: a tenth of a second's `rate`, at least 1."
    )
    concurrency: Annotated[int, Field(ge=1, le=1000), Whole] = Field(
        default=30, description="Requests under way at a time, at most; 1 to 1000."
    )
    recipients: Annotated[int, Field(ge=1, le=1000), Whole] = Field(
        default=100, description="Recipients in a request, where the endpoint takes several; 1 to 1000."
    )
    adaptive: bool = Field(
        default=True,
        description="Lower the concurrency when MSG91 throttles or slows down, and raise it again.",
    )
    floor: Annotated[int, Field(ge=1, le=1000), Whole] = Field(
        default=1, description="The lowest that `adaptive` goes; at most `concurrency`."
    )
    breaker_failures: Annotated[int, Field(ge=1, le=1000), Whole] = Field(
        default=5, description="Failed requests in a row that close the lane for a while."
    )
    treat_503_as_in_doubt: bool = Field(
        default=False,
        description="For gateways that answer 503 although the request went through: do not retry it.",
    )


class OnwardLaneModel(LaneModel):
    """The same for one receiver: few at once, so that a slow one keeps few threads waiting."""

    concurrency: Annotated[int, Field(ge=1, le=1000), Whole] = Field(
        default=4, description="Requests under way at a time, at most; 1 to 1000."
    )


class LanesModel(Model):
    """One lane for each family of endpoints."""

    sms: LaneModel = Field(default=LaneModel(), description="`send_sms` and `send_flow_sms`.")
    otp: LaneModel = Field(default=LaneModel(), description="`send_otp` and `resend_otp`.")
    segmento: LaneModel = Field(default=LaneModel(), description="`record_user_events` and `upsert_contact`.")
    whatsapp: LaneModel = Field(default=LaneModel(), description="`send_whatsapp_template`, `send_whatsapp_session`.")
    campaign: LaneModel = Field(default=LaneModel(), description="Campaigns.")
    onward: OnwardLaneModel = Field(
        default=OnwardLaneModel(),
        description="`publish_event` and `post_callback`: the same for each receiver's own lane; `concurrency` is 4.",
    )


class ActionModel(Model):
    """How hard an action tries, and how long its messages are worth sending."""

    time_to_live: Annotated[Seconds, Field(gt=0)] | None = Field(
        default=None,
        description="Not sent when the event is older than this: `expired`. Without it: no limit; "
        "a one-time password never outlives its expiry.",
    )
    in_doubt: InDoubt | None = Field(
        default=None,
        description="What becomes of a message that may have been sent: `hold`, `resend` or `drop`. "
        "Without it: `resend` for one-time passwords and what is safe to repeat, else `hold`.",
    )
    in_doubt_grace: Seconds | None = Field(
        default=None,
        description="How long a delivery report may still settle it, before it is sent again or dropped. "
        "Without it: ten minutes, for one-time passwords none.",
    )
    attempts: Annotated[int, Field(ge=1, le=1000), Whole] = Field(
        default=12, description="Attempts before a delivery is `dead`; waiting for a lane is none."
    )
    horizon: Annotated[Seconds, Field(gt=0)] = Field(
        default=14_400.0,
        description="Time after which no further attempt is made; shorter than the record's life.",
    )
    backoff_base: Annotated[Seconds, Field(gt=0)] = Field(
        default=2.0,
        description="The first wait, at most; it doubles with each attempt and is drawn at random.",
    )
    backoff_cap: Annotated[Seconds, Field(gt=0)] = Field(default=900.0, description="The longest wait.")
    report_window: Seconds | None = Field(
        default=None,
        description="What is accepted and not reported within this time counts as unreported; `0s`: nothing does. "
        "Without it: `MSG91_DESTINATION_REPORT_WINDOW` where `callbacks` has secrets and the action a correlation id.",
    )


class SegmentoModel(Model):
    """The part of MSG91 that takes user events and contacts."""

    phonebook_id: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{1,64}$"), AsText()] | None = Field(
        default=None, description="The phonebook. Needed by mappings that record user events or contacts."
    )
    events_path: UrlPath = Field(default=EVENTS_PATH, description="The path that takes user events.")
    contacts_path: UrlPath = Field(default=CONTACTS_PATH, description="The path that takes contacts.")
    event_types_path: UrlPath = Field(default=EVENT_TYPES_PATH, description="The path that lists event types.")
    failed_events_path: UrlPath = Field(default=FAILED_EVENTS_PATH, description="The path that lists failed events.")
    event_timezone: Annotated[str, AfterValidator(_time_zone)] = Field(
        default="UTC", description="The time zone in which Segmento reads times, like `Asia/Kolkata`."
    )


class OtpModel(Model):
    """One-time passwords."""

    template_id: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9]{1,64}$"), AsText()] | None = Field(
        default=None, description="The OTP template when an event has none (24 hexadecimal digits)."
    )
    expiry: Annotated[int, Field(ge=1, le=10_080), Whole] = Field(
        default=15,
        description="Minutes that it is good for when an event does not say, and that it is tried to be sent.",
    )
    length: Annotated[int, Field(ge=4, le=9), Whole] | None = Field(
        default=None, description="Digits that MSG91 makes up when an event has none. Without it: MSG91's default, 4."
    )
    parameters: Literal["query", "body"] = Field(
        default="query", description="Where the parameters of the call go: into the `query`, or the JSON `body`."
    )
    resend: Literal["text", "voice"] = Field(
        default="text",
        description="How it is sent again when an event does not say: as `text`, or by a call (`voice`).",
    )


class ClevertapModel(Model):
    """What CleverTap proves itself with; without it, nothing that CleverTap posts is accepted."""

    username: Key = Field(description="The user name that is set at CleverTap, under Authentication.")
    password: Key = Field(description="The password that is set at CleverTap; best as `${NAME}`.")


class WhatsAppModel(Model):
    """The part of MSG91 that sends WhatsApp messages."""

    numbers: Annotated[list[IntegratedNumber], BeforeValidator(one_or_many)] = Field(
        default=[], description="The integrated numbers, with country code. Needed by mappings that send WhatsApp."
    )
    default_number: IntegratedNumber | None = Field(
        default=None, description="The one that is used when an event names none. Without it: the first of `numbers`."
    )
    namespace: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{1,64}$"), AsText()] | None = Field(
        default=None, description="The namespace of the business account when an event has none."
    )
    language: Annotated[str, StringConstraints(pattern=r"^[A-Za-z]{2,3}([_-][A-Za-z0-9]{2,8})*$"), AsText()] = Field(
        default="en", description="The language code of a template when an event has none."
    )
    check_templates: bool = Field(
        default=True, description="Ask MSG91 for the approved templates, and reject a message with any other."
    )
    templates_ttl: Annotated[Seconds, Field(ge=60)] = Field(
        default=600.0, description="How long the list of approved templates is used; at least a minute."
    )
    templates_by: Literal["bulk", "single"] = Field(
        default="bulk", description="Template messages go with many recipients a request, or one by one (`single`)."
    )
    media: Literal["object", "attachment"] = Field(
        default="object", description="How session media are written: Meta's `object`, or `attachment_url`."
    )
    correlation: bool = Field(default=True, description="Send a correlation id (`CRQID`), for delivery reports.")
    clevertap: ClevertapModel | None = Field(
        default=None, description="What CleverTap proves itself with: `username` and `password`. Without it: no door."
    )


class WebhooksModel(Model):
    """How the webhooks of other systems prove who they are; without any of it, none is accepted."""

    segment_secret: Key | None = Field(
        default=None, description="The shared secret of Segment's webhook destination: its requests are signed with it."
    )
    token: Key | None = Field(
        default=None, description="What any webhook may send instead, as `Authorization: Bearer …`."
    )


FieldName = Annotated[str, StringConstraints(min_length=1, max_length=64), AsText()]


class CallbackFieldsModel(Model):
    """What the owner of an account calls the fields of its template-defined webhooks; MSG91's own names work anyway."""

    recipient: FieldName | None = Field(default=None, description="The number.")
    request_id: FieldName | None = Field(default=None, description="MSG91's id of the request.")
    token: FieldName | None = Field(default=None, description="The correlation id (`CRQID`).")
    message_id: FieldName | None = Field(default=None, description="MSG91's id of the one message.")
    status: FieldName | None = Field(default=None, description="The status: a word or a number.")
    description: FieldName | None = Field(default=None, description="The status in words, beside a number.")
    reason: FieldName | None = Field(default=None, description="Why it was not delivered.")
    at: FieldName | None = Field(default=None, description="When it happened.")


class CallbacksModel(Model):
    """How MSG91 proves that it calls back; without a secret, nothing that it calls back is taken."""

    secrets: Annotated[list[Key], BeforeValidator(one_or_many)] = Field(
        default=[],
        description="The secret that MSG91 sends along, best as `${NAME}`; several while it is being changed.",
    )
    header: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{1,64}$"), AsText()] = Field(
        default="X-Webhook-Secret",
        description="The header that holds it; `Authorization: Bearer …` and `?token=…` work as well.",
    )
    fields: CallbackFieldsModel = Field(
        default=CallbackFieldsModel(), description="The names of fields that you chose in MSG91's panel."
    )


class DestinationModel(Model):
    """One MSG91 account, and what is sent through it."""

    name: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{1,32}$"), AsText()] = Field(
        description="Its name, in the integrations object too; letters, digits, `_` and `-`, at most 32."
    )
    authkey: Key = Field(description="The authkey, best as `${MSG91_AUTHKEY}`.")
    base_url: Origin | None = Field(
        default=None,
        description="The origin of the API. Without it: `MSG91_BASE_URL`, else `https://control.msg91.com`.",
    )
    write_keys: Annotated[list[Key], BeforeValidator(one_or_many)] = Field(
        default=[], description="Keys by which senders reach it over HTTP."
    )
    webhooks: WebhooksModel = Field(default=WebhooksModel(), description="How webhooks prove who they are.")
    callbacks: CallbacksModel = Field(default=CallbacksModel(), description="How MSG91 proves that it calls back.")
    default_country: Annotated[str, BeforeValidator(_country), AsText()] = Field(
        default="IN", description="The country of numbers without country code: `IN`, or `91`."
    )
    bare_numbers: Literal["international", "national"] = Field(
        default="international",
        description="How digits are read that are a number in both ways: `international` or `national`.",
    )
    mappings: Annotated[list[str], BeforeValidator(one_or_many), Field(min_length=1)] = Field(
        default=["segment-msg91"],
        description="A preset or a mapping file, or a list of them; paths start at the destinations file.",
    )
    mode: Literal["live", "allow-list", "dry"] = Field(
        default="live",
        description="`live`; `allow-list`: only the numbers of `allow_list` get a message; `dry`: nothing is sent.",
    )
    allow_list: Annotated[list[Identifier], BeforeValidator(one_or_many)] = Field(
        default=[], description="The numbers that `mode: allow-list` may send to."
    )
    default_sender: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9]{3,14}$"), AsText()] | None = Field(
        default=None, description="The sender ID when an event has none."
    )
    default_template_id: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9]{1,64}$"), AsText()] | None = Field(
        default=None, description="The Flow template when an event has none (24 hexadecimal digits)."
    )
    dlt_template_id: Annotated[str, StringConstraints(pattern=r"^[0-9]{10,25}$"), AsText()] | None = Field(
        default=None,
        description="The DLT template of free text when an event has none (India; about 19 digits).",
    )
    default_route: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9]{1,16}$"), AsText()] = Field(
        default="4", description="The route of free text: `4` transactional, `1` promotional."
    )
    sms_country: Annotated[str, StringConstraints(pattern=r"^[0-9]{1,3}$"), AsText()] | None = Field(
        default=None, description="`country` of free text (`0` international, `91` India). Without it: not sent."
    )
    max_parts: Annotated[int, Field(ge=1, le=255), Whole] = Field(
        default=10, description="The longest free text, in SMS parts; a longer one is `rejected`."
    )
    max_sender_length: Annotated[int, Field(ge=3, le=14), Whole] = Field(
        default=11, description="The longest sender ID outside India."
    )
    otp: OtpModel = Field(default=OtpModel(), description="How one-time passwords are sent.")
    segmento: SegmentoModel = Field(default=SegmentoModel(), description="Where user events and contacts go.")
    whatsapp: WhatsAppModel = Field(default=WhatsAppModel(), description="How WhatsApp messages are sent.")
    onward: OnwardModel = Field(default=OnwardModel(), description="Who is told of what MSG91 reports.")
    lanes: LanesModel = Field(default=LanesModel(), description="Limits, for each family of endpoints.")
    actions: dict[str, ActionModel] = Field(default={}, description="Retries and lifetimes, by the name of the action.")


class DestinationsFile(Model):
    """The destinations file of msg91-destination."""

    destinations: Annotated[list[DestinationModel], Field(min_length=1)] = Field(description="The destinations.")
