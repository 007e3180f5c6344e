"""Where requests go: the origin of the API, and the proxy on the way to it."""

import re
import urllib.request
from typing import Final
from urllib.parse import SplitResult, unquote, urlsplit

from worker.msg91.errors import ClientSettingError

#: A host name or an address; a name in another script is to be given in its xn-- form.
_HOST: Final = re.compile(r"(?!.{254})[A-Za-z0-9_-]{1,63}(?:\.[A-Za-z0-9_-]{1,63})*\.?|[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*")


def checked_origin(base_url: str) -> str:
    """Return an origin such as ``https://control.msg91.com``.

    Raises:
        ClientSettingError: the text is more or less than an origin.
    """
    parts = _split(base_url)
    if parts is None:
        raise ClientSettingError("base_url: expected an origin such as https://control.msg91.com")
    if "@" in parts.netloc or parts.query or parts.fragment or parts.path not in ("", "/"):
        sentence = "base_url: expected an origin alone, without user, path or query, such as https://control.msg91.com"
        raise ClientSettingError(sentence)
    return f"{parts.scheme}://{parts.netloc}"


def environment_proxy(origin: str) -> str:
    """Find the proxy that the environment names for an origin; empty when there is none."""
    parts = urlsplit(origin)
    host = parts.hostname or ""
    if host in ("localhost", "::1") or host.startswith("127."):
        return ""  # a proxy elsewhere cannot mean this machine
    if urllib.request.proxy_bypass_environment(parts.netloc):  # type: ignore[attr-defined]
        return ""
    proxies = urllib.request.getproxies_environment()
    return proxies.get(parts.scheme) or proxies.get("all") or ""


def checked_proxy(proxy: str) -> tuple[str, tuple[str, str] | None]:
    """Take a proxy's URL apart into the URL without user, and user and password.

    Raises:
        ClientSettingError: it is no URL of an HTTP proxy.
    """
    parts = _split(proxy if "://" in proxy else f"http://{proxy}")
    if parts is None:
        raise ClientSettingError("proxy: expected the URL of an HTTP proxy such as http://proxy.example:3128")
    auth = (unquote(parts.username), unquote(parts.password or "")) if parts.username else None
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}", auth


def _split(text: str) -> SplitResult | None:
    """Take an HTTP URL apart; None when it is none."""
    try:
        parts = urlsplit(text.strip())
        usable = parts.scheme in ("http", "https") and _HOST.fullmatch(parts.hostname or "") and parts.port != 0
    except ValueError:
        return None
    return parts if usable else None
