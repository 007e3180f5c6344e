"""Steering a running sandbox from another process."""

from __future__ import annotations

import http.client
from typing import Any
from urllib.parse import urlsplit

import orjson

from worker.sandbox.control import PREFIX, TOKEN_HEADER
from worker.sandbox.errors import CallbackError, FaultError, SandboxError, SandboxUnreachableError

_TIMEOUT = 10.0  # seconds


class SandboxClient:
    """The control endpoints of one sandbox.

    Args:
        url: Its address, like ``http://127.0.0.1:9191``.
        token: Its control token, for a sandbox on another machine.
    """

    def __init__(self, url: str, token: str | None = None) -> None:
        self.url = url.rstrip("/")
        self._token = token

    def add_faults(self, *faults: str) -> list[dict[str, Any]]:
        """Add faults; all of them or none.

        Raises:
            FaultError: one of them is no fault.
            SandboxUnreachableError: no sandbox answers at the address.
        """
        added: list[dict[str, Any]] = self._call("POST", "/faults", {"faults": list(faults)})["faults"]
        return added

    def faults(self) -> list[dict[str, Any]]:
        """List the standing faults: number, fault, hits, and hits left."""
        standing: list[dict[str, Any]] = self._call("GET", "/faults")["faults"]
        return standing

    def clear_faults(self, number: int | None = None) -> int:
        """Take every fault away, or the one with that number; gives how many went."""
        cleared: int = self._call("DELETE", "/faults" if number is None else f"/faults/{number}")["cleared"]
        return cleared

    def stats(self) -> dict[str, Any]:
        """Give the counts of `worker.sandbox.stats.Stats`."""
        return self._call("GET", "/stats")

    def requests(self, last: int = 20) -> list[dict[str, Any]]:
        """Give the last requests, oldest first, phone numbers hidden."""
        lines: list[dict[str, Any]] = self._call("GET", f"/requests?last={last}")["requests"]
        return lines

    def callbacks(self) -> dict[str, Any]:
        """Tell how it calls back, what is owed and what was done."""
        return self._call("GET", "/callbacks")

    def set_callbacks(self, *settings: str, secret: str | None = None) -> dict[str, Any]:
        """Tell it how to call back, in place of what it was told before; what is owed stays owed.

        Args:
            settings: Each written ``NAME=VALUE``.
            secret: What callbacks bring to prove who they are.

        Raises:
            CallbackError: one of them cannot be read, or they do not go together.
            SandboxUnreachableError: no sandbox answers at the address.
        """
        return self._call("PUT", "/callbacks", {"settings": list(settings), "secret": secret}, CallbackError)

    def stop_callbacks(self) -> int:
        """Call nothing back any more; gives how many calls and held messages were owed."""
        cleared: int = self._call("DELETE", "/callbacks")["cleared"]
        return cleared

    def report(self, **which: Any) -> int:
        """Post reports on demand, as `worker.sandbox.callbacks.asking.ask_reports` reads it.

        Returns:
            How many messages they are of; they are posted after this returns.

        Raises:
            CallbackError: there is no such message, or no such report of it.
        """
        messages: int = self._call("POST", "/reports", which, CallbackError)["messages"]
        return messages

    def inbound(self, sender: str, text: str = "", **more: str) -> str:
        """Post an inbound WhatsApp message and give its id; it is posted after this returns.

        Args:
            sender: Who it is from.
            text: What it says.
            more: Further fields of `worker.sandbox.callbacks.inbound.Inbound`.

        Raises:
            CallbackError: something in it is missing or wrong.
        """
        said: str = self._call("POST", "/inbound", {"from": sender, "text": text, **more}, CallbackError)["id"]
        return said

    def _call(
        self, method: str, path: str, body: object = None, refusal: type[SandboxError] = FaultError
    ) -> dict[str, Any]:
        parts = urlsplit(self.url)
        if parts.scheme != "http" or not parts.hostname:
            raise SandboxUnreachableError(
                f"{self.url!r} is no address of a sandbox; expected like http://127.0.0.1:9191"
            )
        connection = http.client.HTTPConnection(parts.hostname, parts.port or 80, timeout=_TIMEOUT)
        headers = {TOKEN_HEADER: self._token} if self._token else {}
        try:
            connection.request(method, f"{PREFIX}{path}", None if body is None else orjson.dumps(body), headers)
            response = connection.getresponse()
            answer = orjson.loads(response.read())
        except (OSError, http.client.HTTPException, orjson.JSONDecodeError) as wrong:
            raise SandboxUnreachableError(f"no sandbox answers at {self.url} ({wrong})") from wrong
        finally:
            connection.close()
        if response.status == 200 and isinstance(answer, dict):
            return answer
        said = answer.get("error") if isinstance(answer, dict) else None
        if response.status == 400:
            raise refusal(said or "the sandbox did not understand")
        raise SandboxUnreachableError(f"{self.url} answered {response.status}: {said or 'this is no sandbox'}")
