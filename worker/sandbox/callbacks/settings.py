"""What a sandbox can be told about calling back, and how it is written: ``NAME=VALUE``, one after another."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from typing import Any, Final

from worker.sandbox.callbacks.placeholders import SMS_FIELDS, WHATSAPP_FIELDS
from worker.sandbox.callbacks.sent import Channel
from worker.sandbox.callbacks.values import (
    one_of,
    read_both,
    read_header,
    read_range,
    read_seconds,
    read_share,
    read_shares,
    read_timeout,
    read_tries,
    read_url,
    read_yes,
    template_with,
)
from worker.sandbox.errors import CallbackError

#: Environment variable with the secret that callbacks bring (never on a command line, where `ps` shows it).
SECRET_VARIABLE: Final = "MSG91_SANDBOX_CALLBACK_SECRET"  # noqa: S105 - the name of a variable, not a secret
URLS: Final = frozenset({"to", "sms", "whatsapp", "inbound"})
_QUERY: Final = re.compile(r"\?.*")


@dataclass(frozen=True, slots=True)
class Callbacks:
    """How one sandbox calls back.

    Attributes:
        sms: Where reports of SMS go; empty for nowhere.
        whatsapp: Where reports of WhatsApp messages go; empty for nowhere.
        inbound: Where inbound WhatsApp messages go; empty takes ``whatsapp``.
        format: Shape of SMS reports: ``v2``, ``v3``, ``v4`` or ``new``.
        template: The JSON template of ``new``; ``None`` takes one of our own.
        whatsapp_format: Generation of WhatsApp's keys, by the name of its status: ``eventName`` or ``status``.
        whatsapp_template: A JSON template of your own for WhatsApp's reports.
        as_list: WhatsApp's bodies are a list of one.
        text: The text of an inbound message: ``plain``, or ``json`` inside text.
        received: With ``new``, a call also when the request was received, without a delivery status.
        delay: Shortest and longest wait before a report (seconds); it is counted from the report before.
        lost: Share of reports that never come.
        late: Share of reports that come ``late_by`` seconds later.
        late_by: Seconds.
        twice: Share of reports that come twice.
        disorder: Share of messages whose reports come in the wrong order.
        read: Share of delivered WhatsApp messages that are read.
        status: What becomes of messages: names and their shares.
        hold: Reports wait until they are asked for.
        tries: How often a report is posted until somebody takes it.
        retry_after: Seconds before the second try; doubled with each.
        timeout: Seconds that a post may take.
        secret_in: ``header`` or ``query``.
        header: Name of the header with the secret.
        secret: The secret; empty for none.
        texts: The settings as they were written.
    """

    sms: str = ""
    whatsapp: str = ""
    inbound: str = ""
    format: str = "v3"
    template: Any = None
    whatsapp_format: str = "eventName"
    whatsapp_template: Any = None
    as_list: bool = False
    text: str = "plain"
    received: bool = False
    delay: tuple[float, float] = (1.0, 1.0)
    lost: float = 0.0
    late: float = 0.0
    late_by: float = 30.0
    twice: float = 0.0
    disorder: float = 0.0
    read: float = 1.0
    status: tuple[tuple[str, float], ...] = (("delivered", 1.0),)
    hold: bool = False
    tries: int = 5
    retry_after: float = 0.5
    timeout: float = 10.0
    secret_in: str = "header"  # noqa: S105 - where it goes, not a secret
    header: str = "X-Webhook-Secret"
    secret: str = field(default="", repr=False)
    texts: tuple[str, ...] = ()

    def url_of(self, channel: Channel, *, inbound: bool = False) -> str:
        """Where something goes; empty for nowhere."""
        if inbound:
            return self.inbound or self.whatsapp
        return self.sms if channel is Channel.SMS else self.whatsapp

    def shown(self) -> list[str]:
        """The settings as they were written, without what the query of a URL holds: that may be a secret."""
        return [_QUERY.sub("?***", text) if text.partition("=")[0] in URLS else text for text in self.texts]

    @property
    def is_on(self) -> bool:
        """Whether anything is called back at all."""
        return bool(self.sms or self.whatsapp or self.inbound)


def read_callbacks(texts: Iterable[str], secret: str | None = None) -> Callbacks:
    """Read settings, each written ``NAME=VALUE``; a later one wins.

    Args:
        texts: The settings.
        secret: What callbacks bring to prove who they are.

    Raises:
        CallbackError: one of them cannot be read, or they do not go together.
    """
    texts = tuple(texts)
    given: dict[str, Any] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        setting = SETTINGS.get(name)
        if setting is None:
            near = get_close_matches(name, SETTINGS, 1)
            known = f"did you mean {near[0]}?" if near else f"there are: {', '.join(SETTINGS)}"
            raise CallbackError(f"{name!r} is no setting of callbacks; {known}")
        if not equals:
            raise CallbackError(f"{name}: expected a value, like {setting.example}")
        try:
            given |= setting.read(value.strip())
        except ValueError as wrong:
            raise CallbackError(f"{name}: {wrong} (like {setting.example})") from None
    callbacks = replace(Callbacks(**given), secret=secret or "", texts=texts)
    if callbacks.template is not None and callbacks.format != "new":
        raise CallbackError("template: only format=new has a template; add format=new")
    if callbacks.received and callbacks.format != "new":
        raise CallbackError("received: only format=new tells of requests received; add format=new")
    if texts and not callbacks.is_on:
        raise CallbackError("callbacks: nothing says where they go; add to=URL, sms=URL, whatsapp=URL or inbound=URL")
    if not callbacks.header.isascii() or (secret and not (secret.isascii() and secret.isprintable())):
        raise CallbackError("the secret of callbacks and the name of its header are printable ASCII")
    return callbacks


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting.

    Attributes:
        example: How it is written.
        summary: What it does, in one line.
        read: Gives the values of `Callbacks` that it stands for.
    """

    example: str
    summary: str
    read: Callable[[str], dict[str, Any]]


def _as(name: str, read: Callable[[str], Any]) -> Callable[[str], dict[str, Any]]:
    return lambda text: {name: read(text)}


SETTINGS: Final[dict[str, Setting]] = {
    "to": Setting("to=URL", "reports of SMS go to URL/sms, those of WhatsApp and inbound to URL/whatsapp", read_both),
    "sms": Setting("sms=URL", "reports of SMS go to this URL", _as("sms", read_url)),
    "whatsapp": Setting(
        "whatsapp=URL",
        "reports of WhatsApp messages, and inbound ones, go to this URL",
        _as("whatsapp", read_url),
    ),
    "inbound": Setting("inbound=URL", "inbound WhatsApp messages go to this URL instead", _as("inbound", read_url)),
    "format": Setting(
        "format=v3",
        "shape of SMS reports: v2, v3, v4 or new",
        _as("format", one_of("v2", "v3", "v4", "new")),
    ),
    "template": Setting(
        'template={"id":"{{CRQID}}"}',
        "JSON template of format=new; @FILE reads one",
        _as("template", template_with(SMS_FIELDS)),
    ),
    "received": Setting(
        "received=yes",
        "with format=new, a call also when a request is received",
        _as("received", read_yes),
    ),
    "whatsapp-format": Setting(
        "whatsapp-format=status",
        "keys of WhatsApp's reports: eventName (and customerNumber) or status (and mobile)",
        _as("whatsapp_format", one_of("eventName", "status")),
    ),
    "whatsapp-template": Setting(
        'whatsapp-template={"id":"{{CRQID}}"}',
        "JSON template for WhatsApp's reports; @FILE reads one",
        _as("whatsapp_template", template_with(WHATSAPP_FIELDS)),
    ),
    "list": Setting("list=yes", "WhatsApp's bodies are a list of one", _as("as_list", read_yes)),
    "text": Setting("text=json", "inbound text is JSON inside text, or plain", _as("text", one_of("plain", "json"))),
    "delay": Setting("delay=0.5-3", "seconds before a report, after the one before it", _as("delay", read_range)),
    "status": Setting(
        "status=delivered:8/failed:1/dnd:1",
        "what becomes of messages, and its shares",
        _as("status", read_shares),
    ),
    "read": Setting("read=0.5", "share of delivered WhatsApp messages that are read", _as("read", read_share)),
    "lost": Setting("lost=0.1", "share of reports that never come", _as("lost", read_share)),
    "late": Setting("late=0.1", "share of reports that come late", _as("late", read_share)),
    "late-by": Setting("late-by=30", "seconds that a late one is late", _as("late_by", read_seconds)),
    "twice": Setting("twice=0.1", "share of reports that come twice", _as("twice", read_share)),
    "disorder": Setting(
        "disorder=0.1", "share of messages whose reports come in the wrong order", _as("disorder", read_share)
    ),
    "hold": Setting("hold=yes", "reports wait until they are asked for", _as("hold", read_yes)),
    "tries": Setting("tries=5", "how often a report is posted until it is answered 2xx", _as("tries", read_tries)),
    "retry-after": Setting(
        "retry-after=0.5", "seconds before the second try, doubled with each", _as("retry_after", read_seconds)
    ),
    "timeout": Setting("timeout=10", "seconds that a post may take", _as("timeout", read_timeout)),
    "secret-in": Setting(
        "secret-in=query",
        "where the secret goes: header, or query as ?token=",
        _as("secret_in", one_of("header", "query")),
    ),
    "header": Setting("header=x-api-key", "name of the header with the secret", _as("header", read_header)),
}
