"""The keys under ``onward``: who is told of what MSG91 reports, and who gets an answer."""

from __future__ import annotations

import re
from ipaddress import ip_address
from typing import Annotated, Any, Literal
from urllib.parse import parse_qsl, urlsplit

from pydantic import BeforeValidator, Field, SecretStr, StringConstraints
from pydantic_core import PydanticCustomError

from worker.configuration.base import Key, Model, one_or_many
from worker.configuration.quantities import AsText, Seconds, Whole, read_identifier

__all__ = ["SEGMENT", "AutoReplyModel", "CallbackModel", "OnwardModel", "ReceiverModel", "TrackingModel", "is_plain"]

#: Where Segment takes events.
SEGMENT = SecretStr("https://api.segment.io")

_EXPECTED = "expected an address like https://receiver.example/path"
_HOST = re.compile(
    r"(?!.{254})[A-Za-z0-9_-]{1,63}(?:\.[A-Za-z0-9_-]{1,63})*\.?|\[[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*\]",
)
_PATH = re.compile(r"[\x21\x24-\x3b\x3d\x40-\x5b\x5d-\x5f\x61-\x7e%]*")


def _address(value: Any) -> str:
    """Read the address of a receiver: scheme, host, perhaps port, path and query."""
    text = read_identifier(value)
    try:
        url = urlsplit(text)
        port = url.port
        query = parse_qsl(url.query, keep_blank_values=True, strict_parsing=bool(url.query), max_num_fields=50)
    except ValueError:
        raise PydanticCustomError("receiver_url", "expected an address; this is not one") from None
    host = f"[{url.hostname}]" if url.hostname and ":" in url.hostname else url.hostname
    if url.scheme.lower() not in {"http", "https"} or not host or not _HOST.fullmatch(host) or port == 0:
        raise PydanticCustomError("receiver_url", f"{_EXPECTED}: https or http, and a host")
    if url.username is not None or url.password is not None or url.fragment or "#" in text:
        raise PydanticCustomError("receiver_url", f"{_EXPECTED}, without user name, password and fragment")
    if not _PATH.fullmatch(url.path) or url.path.startswith("//"):
        raise PydanticCustomError("receiver_url", f"{_EXPECTED}, percent-encoded")
    if len(dict(query)) != len(query):
        raise PydanticCustomError("receiver_url", f"{_EXPECTED}; a parameter of its query stands there twice")
    return text


#: An address; its path may be as good as a password, so that it is shown to nobody.
Address = Annotated[SecretStr, BeforeValidator(_address), AsText()]
Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{1,32}$"), AsText()]
Channel = Literal["sms", "whatsapp"]


class ReceiverModel(Model):
    """What all receivers have."""

    name: Name = Field(description="Its name, one for each receiver; letters, digits, `_` and `-`, at most 32.")
    mappings: Annotated[list[str], BeforeValidator(one_or_many)] = Field(
        default=[],
        description="Only of messages that came by these mappings (or actions) it hears; nothing: of all.",
    )
    timeout: Annotated[Seconds, Field(ge=0.1, le=15)] = Field(
        default=5.0, description="How long one request may take; a tenth of a second to 15 s."
    )
    allow_http: bool = Field(
        default=False, description="Take an address with `http:`; without it only this machine's own."
    )

    @property
    def addresses(self) -> dict[str, SecretStr]:
        """Its addresses by their keys."""
        found = ((name, getattr(self, name, None)) for name in ("url", "report_url", "inbound_url"))
        return {name: address for name, address in found if address is not None}


class TrackingModel(ReceiverModel):
    """A tracking API: Segment's, or one that takes the same calls."""

    url: Address | None = Field(
        default=None,
        description="Where it is; `/v1/track` is added to it. Without it: Segment's, `https://api.segment.io`.",
    )
    write_key: Key = Field(description="The write key of the source, best as `${NAME}`.")
    secret: Key | None = Field(default=None, description="What bodies are signed with. Without it: no signature.")
    channels: Annotated[list[Channel], BeforeValidator(one_or_many)] = Field(
        default=["sms", "whatsapp"], description="Of which channels it hears: `sms`, `whatsapp`."
    )
    phone: Literal["none", "masked", "full"] = Field(
        default="none",
        description="Whether it is told the number: `none`, `masked`, or in `full` (as the trait `phone`, too).",
    )
    text: bool = Field(default=True, description="Whether it is told what a customer wrote.")


class CallbackModel(ReceiverModel):
    """Whoever takes callbacks in the shape of CleverTap's generic WhatsApp provider."""

    report_url: Address | None = Field(
        default=None, description="Where the status of a message goes. Without it: nowhere."
    )
    inbound_url: Address | None = Field(
        default=None, description="Where a message of a customer goes. Without it: nowhere."
    )
    secret: Key = Field(description="What bodies are signed with, best as `${NAME}`.")
    channels: Annotated[list[Channel], BeforeValidator(one_or_many)] = Field(
        default=["whatsapp"], description="Of which channels it hears: `sms`, `whatsapp`."
    )


class AutoReplyModel(Model):
    """An answer to those who write first: nobody whom an event has ever named gets it."""

    text: Annotated[str, StringConstraints(min_length=1, max_length=4096)] | None = Field(
        default=None, description="The answer, at most 4096 characters."
    )
    template: Annotated[str, StringConstraints(pattern=r"^[a-z0-9_]{1,512}$")] | None = Field(
        default=None, description="Or an approved template without variables."
    )
    every: Annotated[Seconds, Field(ge=60)] = Field(
        default=86_400.0, description="At most once in this time for each sender; at least a minute."
    )
    remember: Annotated[Seconds, Field(ge=86_400)] = Field(
        default=31_536_000.0, description="How long a number counts as named after the last event that names it."
    )
    most: Annotated[int, Field(ge=1), Whole] = Field(
        default=5_000_000, description="Numbers remembered at most; those named longest ago go first."
    )


class OnwardModel(Model):
    """Those who hear of reports and of customers' messages."""

    tracking: list[TrackingModel] = Field(default=[], description="Tracking APIs that get it as events.")
    callbacks: list[CallbackModel] = Field(default=[], description="Those that get it as callbacks.")
    auto_reply: AutoReplyModel | None = Field(
        default=None, description="What unknown WhatsApp senders are answered. Without it: nothing."
    )
    pseudonym_key: Key | None = Field(
        default=None,
        description="What stands in for a number is derived with it, best as `${NAME}`. Without it: with the name.",
    )


def is_plain(address: SecretStr) -> bool:
    """Tell whether an address is unencrypted and leaves this machine."""
    url = urlsplit(address.get_secret_value())
    if url.scheme.lower() == "https":
        return False
    host = url.hostname or ""
    try:
        return not ip_address(host).is_loopback
    except ValueError:
        return host != "localhost" and not host.endswith(".localhost")
