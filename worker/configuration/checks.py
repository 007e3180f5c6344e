"""What only several keys together can show. Pure; places are relative to the destination."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import ip_address
from urllib.parse import urlsplit

from pydantic import SecretStr

from worker.configuration.model import FAMILIES, DestinationModel
from worker.configuration.onward import ReceiverModel, is_plain
from worker.configuration.source import Key

__all__ = ["Finding", "errors_of", "warnings_of"]

_TEMPLATE_ID = re.compile(r"[0-9a-fA-F]{24}")
_DLT_TEMPLATE_ID = re.compile(r"[0-9]{18,20}")
_SHORT_WRITE_KEY = 16


@dataclass(frozen=True, slots=True)
class Finding:
    """Something wrong or doubtful: where, what, and what to do."""

    key: Key
    message: str
    suggestion: str


def errors_of(model: DestinationModel, *, record_ttl: float) -> Iterator[Finding]:
    """Find keys of one destination that contradict each other.

    Args:
        model: The destination.
        record_ttl: Life of a delivery's record from its final state, seconds.
    """
    if model.name.lower() == "all":
        yield Finding(("name",), "this name means every destination in an integrations object", "Choose another")
    if model.allow_list and model.mode != "allow-list":
        yield Finding(
            ("allow_list",),
            f"the list has no effect in mode {model.mode}",
            "Add mode: allow-list, or remove the list",
        )
    if model.mode == "allow-list" and not model.allow_list:
        yield Finding(("mode",), "there is no allow_list", "Add one, or use mode: dry to send nothing")
    yield from _lanes(model)
    yield from _whatsapp(model)
    yield from _onward(model)
    for name, action in model.actions.items():
        if action.horizon >= record_ttl:
            yield Finding(
                ("actions", name, "horizon"),
                f"{action.horizon:.10g} s is not shorter than the life of a record ({record_ttl:.10g} s): "
                "a retry could come when the delivery is forgotten",
                "Shorten it, or lengthen MSG91_DESTINATION_RECORD_TTL",
            )
        if (action.report_window or 0.0) >= record_ttl:
            yield Finding(
                ("actions", name, "report_window"),
                f"{action.report_window:.10g} s is not shorter than the life of a record ({record_ttl:.10g} s): "
                "the delivery is forgotten by then",
                "Shorten it, or lengthen MSG91_DESTINATION_RECORD_TTL",
            )
        if action.report_window and not model.callbacks.secrets:
            yield Finding(
                ("actions", name, "report_window"),
                "no report can come: callbacks has no secret",
                "Set callbacks, or remove it",
            )
        if action.backoff_base > action.backoff_cap:
            yield Finding(
                ("actions", name, "backoff_base"),
                "it is longer than backoff_cap",
                "Shorten it, or lengthen backoff_cap",
            )


def _lanes(model: DestinationModel) -> Iterator[Finding]:
    for family in FAMILIES:
        lane = getattr(model.lanes, family)
        if lane.floor > lane.concurrency:
            yield Finding(
                ("lanes", family, "floor"),
                f"it is above concurrency ({lane.concurrency})",
                "Lower it, or raise concurrency",
            )
        for key in ("burst", "cost"):
            if key in lane.model_fields_set and lane.rate is None:
                yield Finding(("lanes", family, key), "it has no effect without rate", f"Add rate, or remove {key}")
        if lane.cost == "parts" and family not in {"sms", "otp"}:
            yield Finding(("lanes", family, "cost"), "only an SMS has parts", "Use cost: requests")
        if family == "otp" and lane.recipients > 1 and "recipients" in lane.model_fields_set:
            yield Finding(("lanes", family, "recipients"), "a one-time password goes to one recipient", "Remove it")


def _whatsapp(model: DestinationModel) -> Iterator[Finding]:
    whatsapp = model.whatsapp
    if whatsapp.default_number and whatsapp.numbers and whatsapp.default_number not in whatsapp.numbers:
        yield Finding(("whatsapp", "default_number"), "it is none of numbers", "Add it there, or take one of them")
    if "templates_ttl" in whatsapp.model_fields_set and not whatsapp.check_templates:
        yield Finding(("whatsapp", "templates_ttl"), "it has no effect without check_templates", "Remove it")


def _onward(model: DestinationModel) -> Iterator[Finding]:
    onward = model.onward
    receivers: list[tuple[Key, ReceiverModel]] = [
        *((("onward", "tracking", number), one) for number, one in enumerate(onward.tracking)),
        *((("onward", "callbacks", number), one) for number, one in enumerate(onward.callbacks)),
    ]
    names: set[str] = set()
    for place, receiver in receivers:
        if receiver.name in names:
            yield Finding((*place, "name"), "another receiver has this name already", "Choose another")
        names.add(receiver.name)
        if not receiver.addresses and place[1] == "callbacks":
            yield Finding(place, "it has no address", "Add report_url, inbound_url, or both")
        for name, address in receiver.addresses.items():
            if is_plain(address) and not receiver.allow_http:
                yield Finding((*place, name), "it would be told unencrypted", "Use https, or add allow_http: true")
    reply, place = onward.auto_reply, ("onward", "auto_reply")
    if reply is None:
        return
    if (reply.text is None) == (reply.template is None):
        yield Finding(place, "expected either text or template", "Give one of the two")
    if not model.whatsapp.numbers and model.whatsapp.default_number is None:
        yield Finding(place, "the destination has no integrated number", "Add whatsapp: {numbers: …}")


def warnings_of(model: DestinationModel, *, base_url: str, literal_authkey: bool) -> Iterator[Finding]:
    """Find what works but is likely a mistake.

    Args:
        model: The destination.
        base_url: The origin that it uses.
        literal_authkey: Whether the authkey stands in the file itself.
    """
    if literal_authkey:
        yield Finding(
            ("authkey",),
            "the authkey stands in the file, where backups and version control see it",
            "Put it into an environment variable and write ${NAME} here",
        )
    url = urlsplit(base_url)
    if url.scheme == "http" and not _loopback(url.hostname or ""):
        yield Finding(("base_url",), "authkey and messages travel unencrypted", "Use https")
    for number, key in enumerate(model.write_keys):
        if len(key.get_secret_value()) < _SHORT_WRITE_KEY:
            yield Finding(
                ("write_keys", number),
                f"a key of fewer than {_SHORT_WRITE_KEY} characters can be guessed",
                "Make one with: openssl rand -hex 16",
            )
    for place, secret in _secrets(model):
        if secret is not None and len(secret.get_secret_value()) < _SHORT_WRITE_KEY:
            yield Finding(
                place,
                f"a secret of fewer than {_SHORT_WRITE_KEY} characters can be guessed",
                "Make one with: openssl rand -hex 16",
            )
    for number, key in enumerate(model.callbacks.secrets):
        if len(key.get_secret_value()) < _SHORT_WRITE_KEY:
            yield Finding(
                ("callbacks", "secrets", number),
                f"a secret of fewer than {_SHORT_WRITE_KEY} characters can be guessed",
                "Make one with: openssl rand -hex 16",
            )
    if model.default_template_id and not _TEMPLATE_ID.fullmatch(model.default_template_id):
        yield Finding(
            ("default_template_id",),
            "a template of MSG91 has an id of 24 hexadecimal digits; this one has another form",
            "Copy it from the template's page; a DLT id belongs under dlt_template_id",
        )
    if model.dlt_template_id and not _DLT_TEMPLATE_ID.fullmatch(model.dlt_template_id):
        yield Finding(
            ("dlt_template_id",), "a DLT template has an id of about 19 digits", "Copy it from the DLT portal"
        )


def _secrets(model: DestinationModel) -> Iterator[tuple[Key, SecretStr | None]]:
    """What others prove themselves with, or we sign with."""
    for name, secret in model.webhooks:
        yield ("webhooks", name), secret
    for number, tracking in enumerate(model.onward.tracking):
        yield ("onward", "tracking", number, "secret"), tracking.secret
    for number, callbacks in enumerate(model.onward.callbacks):
        yield ("onward", "callbacks", number, "secret"), callbacks.secret
    yield ("onward", "pseudonym_key"), model.onward.pseudonym_key


def _loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        # Names without a dot are those of a container network.
        return "." not in host or host.endswith(".localhost")
