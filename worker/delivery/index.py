"""The index of a request: which recipient's delivery is which, for reports that name a recipient.

One field of the request's hash holds all of it, since there are millions: 28 characters an entry, the hash of the
recipient (8) and the key of the delivery (20). Format 1 has a field for each recipient; it is read, and
written as long as a worker lives that knows no other.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from .keys import HASH_LENGTH, KEY_LENGTH, recipient_hash

#: The field of the request's hash.
FIELD: Final = "_to"
_ENTRY: Final = HASH_LENGTH + KEY_LENGTH


def pack(keys: Sequence[str], recipients: Sequence[str]) -> str:
    """The entries of deliveries with these keys and recipients."""
    return "".join([recipient_hash(to) + key for key, to in zip(keys, recipients, strict=True)])


def unpack(fields: Mapping[str, bytes]) -> dict[str, str]:
    """Recipient hash → delivery key, from the fields of a request's hash."""
    entries = fields.get(FIELD, b"").decode()
    found = {
        entries[at : at + HASH_LENGTH]: entries[at + HASH_LENGTH : at + _ENTRY] for at in range(0, len(entries), _ENTRY)
    }
    return found | {name: key.decode() for name, key in fields.items() if not name.startswith("_")}
