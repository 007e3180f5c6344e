"""Secrets that pass through the store: one-time passwords, encrypted, and unreadable once their time is over.

What is sealed is encrypted with `Fernet <https://github.com/fernet/spec>`_ (AES-128-CBC and HMAC-SHA-256, by the
library ``cryptography``). A key is derived (HKDF-SHA-256) from a random salt that lies in the store and, where one is
set, a secret that does not (``MSG91_DESTINATION_OTP_KEY``):

- **A value** (the digits inside a delivery) has a salt for the hour in which its life ends. The salt leaves the store
  with that hour, and nothing opens the value any more, wherever a copy of it may lie.
- **A batch** that may carry digits has a salt that stays, since a batch may hold other events that must not be lost;
  its bytes leave the store when it is done with.

Without the secret this protects what is copied out of the store piece by piece, and what outlives the salt; who can
read the whole store at the right time can read the digits. With the secret, the store alone opens nothing.
"""

from __future__ import annotations

import os
from base64 import urlsafe_b64encode
from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Final, TypeGuard

from .errors import DeliveryError
from .store import Store

if TYPE_CHECKING:
    from cryptography.fernet import Fernet

__all__ = ["REDACTED", "SEALED", "CannotOpen", "Sealing", "is_sealed", "may_carry"]

#: Stands where a one-time password was.
REDACTED: Final = "[redacted]"
#: What a sealed value or body begins with; no JSON and no list of keys does.
SEALED: Final = "msg91-sealed:"
_MARK: Final = SEALED.encode()
#: Words that make a batch one that may carry a one-time password; too many are sealed rather than too few.
_HINTS: Final = (b"otp", b"one_time", b"onetime", b"passcode", b"verification")
_HOUR_MS: Final = 3_600_000
#: Where the salt of batches is; it stays.
_BATCHES: Final = "batches"


class CannotOpen(DeliveryError):
    """A batch was sealed with another key."""


class Sealing:
    """Seals and opens for one store.

    Args:
        store: Where the salts are.
        secret: Joined to every salt; empty for none. The same in every process.
    """

    def __init__(self, store: Store, secret: str = "") -> None:
        self._store = store
        self._secret = secret.encode()
        self._salt = lru_cache(64)(self._read_salt)

    def seal(self, text: str, expires_ms: int) -> str:
        """Encrypt a value whose life ends at a moment (ms since 1970)."""
        period = str(expires_ms // _HOUR_MS + 1)
        return f"{SEALED}{period}:{self._cipher(period).encrypt(text.encode()).decode()}"

    def open(self, sealed: str) -> str | None:
        """Decrypt a value; ``None`` when its life is over, or it was sealed with another key."""
        from cryptography.fernet import InvalidToken  # noqa: PLC0415 - few processes ever need it

        period, _, token = sealed.removeprefix(SEALED).partition(":")
        if not period.isascii() or not period.isdigit() or int(period) * _HOUR_MS <= self._store.now_ms():
            return None
        try:
            return self._cipher(period).decrypt(token.encode()).decode()
        except InvalidToken:
            return None

    def body(self, body: bytes, *, always: bool = False) -> bytes:
        """Encrypt a batch, or a line of one, that may carry a one-time password, or in any case; others stay."""
        if not always and not may_carry(body):
            return body
        return _MARK + self._cipher(_BATCHES).encrypt(body)

    def lines(self, lines: Sequence[bytes]) -> bytes:
        """Join the lines of a batch, those encrypted that may carry a one-time password."""
        joined = b"\n".join(lines)
        return b"\n".join([self.body(line) for line in lines]) if may_carry(joined) else joined

    def read(self, body: bytes) -> bytes:
        """Decrypt a batch, where it or a line of it is sealed.

        Raises:
            CannotOpen: it was sealed with another key.
        """
        if _MARK not in body:
            return body
        lines = body.split(b"\n")
        return b"\n".join([self._line(line) if line.startswith(_MARK) else line for line in lines])

    def _line(self, line: bytes) -> bytes:
        from cryptography.fernet import InvalidToken  # noqa: PLC0415

        try:
            return self._cipher(_BATCHES).decrypt(line[len(_MARK) :])
        except InvalidToken as error:
            msg = "a batch was sealed with another key: MSG91_DESTINATION_OTP_KEY must be the same in every process"
            raise CannotOpen(msg) from error

    def _cipher(self, period: str) -> Fernet:
        return _cipher(self._salt(period), self._secret)

    def _read_salt(self, period: str) -> bytes:
        """The salt of a period, made by whoever asks first."""
        client, name = self._store.client, self._store.keys.salt(period)
        # A value's salt outlives the value by an hour at most.
        end = None if period == _BATCHES else int(period) * _HOUR_MS
        self._store.ask(lambda: client.set(name, os.urandom(32), nx=True, pxat=end))
        found = self._store.ask(lambda: client.get(name))
        return found or b""


def is_sealed(value: object) -> TypeGuard[str]:
    """Whether a value of a payload is sealed."""
    return isinstance(value, str) and value.startswith(SEALED)


def may_carry(body: bytes) -> bool:
    """Whether a batch may carry a one-time password, by its words."""
    folded = body.lower()
    return any(hint in folded for hint in _HINTS)


@lru_cache(64)
def _cipher(salt: bytes, secret: bytes) -> Fernet:
    from cryptography.fernet import Fernet  # noqa: PLC0415
    from cryptography.hazmat.primitives.hashes import SHA256  # noqa: PLC0415
    from cryptography.hazmat.primitives.kdf.hkdf import HKDF  # noqa: PLC0415

    derived = HKDF(SHA256(), length=32, salt=salt, info=b"msg91-destination otp").derive(secret or b"-")
    return Fernet(urlsafe_b64encode(derived))
