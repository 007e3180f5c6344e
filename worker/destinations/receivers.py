"""From the configuration of receivers to what the actions know of them."""

from base64 import b64encode
from types import MappingProxyType
from urllib.parse import parse_qsl, urlsplit

from pydantic import SecretStr

from worker.actions.receivers import Address, Receiver, Receivers
from worker.configuration.model import CallbackModel, OnwardModel, TrackingModel
from worker.configuration.onward import SEGMENT

__all__ = ["TRACK_PATH", "receivers_of"]

#: What is added to the address of a tracking API.
TRACK_PATH = "/v1/track"


def receivers_of(model: OnwardModel) -> Receivers:
    """All receivers of a destination."""
    return Receivers(
        tracking=MappingProxyType({one.name: _tracking(one) for one in model.tracking}),
        callbacks=MappingProxyType({one.name: _callbacks(one) for one in model.callbacks}),
    )


def _tracking(model: TrackingModel) -> Receiver:
    address = _address(model.url or SEGMENT)
    path = address.path.rstrip("/").removesuffix(TRACK_PATH) + TRACK_PATH
    # The write key is the user name of Basic authorization, and there is no password.
    credentials = b64encode(f"{model.write_key.get_secret_value()}:".encode()).decode()
    return Receiver(
        model.name,
        MappingProxyType({"track": Address(address.origin, path, address.query)}),
        timeout=model.timeout,
        secret=model.secret.get_secret_value() if model.secret is not None else None,
        authorization=f"Basic {credentials}",
    )


def _callbacks(model: CallbackModel) -> Receiver:
    urls = {"report": model.report_url, "inbound": model.inbound_url}
    return Receiver(
        model.name,
        MappingProxyType({kind: _address(url) for kind, url in urls.items() if url is not None}),
        timeout=model.timeout,
        secret=model.secret.get_secret_value(),
    )


def _address(url: SecretStr) -> Address:
    parts = urlsplit(url.get_secret_value())
    query = dict(parse_qsl(parts.query, keep_blank_values=True))
    return Address(f"{parts.scheme.lower()}://{parts.netloc}", parts.path or "/", MappingProxyType(query))
