"""The names of everything in the store. All share one hash tag, so that every script runs on one cluster slot.

| key                    | type   | holds                                                                      |
| ---------------------- | ------ | -------------------------------------------------------------------------- |
| ``meta``               | hash   | format version, run id of the server last seen, whether sending is held,   |
|                        |        | how often the journal was swapped for a rewritten copy                     |
| ``workers``            | hash   | worker process → server and moment of its last beat; see ``trust.py``       |
| ``formats``            | hash   | worker process → newest format it reads and writes; see ``advance.lua``     |
| ``counters``           | hash   | events and deliveries by state, cumulative; see ``counters.py``             |
| ``measures``           | hash   | processor time, latencies and refusals, for people; see ``measures.py``     |
| ``folding``            | hash   | ``<hour>:<letter>`` → records whose life ends in that hour                  |
| ``batch:<id>``         | hash   | a batch's bytes and who works on it                                        |
| ``schedule``           | zset   | batch id → when it is due (ms): the one record of all unfinished work      |
| ``d:<key>``            | string | the record of one delivery                                                 |
| ``kept:<key>``         | string | the resolved payload, event and attempts of a delivery somebody may act on |
| ``attention:<letter>`` | zset   | delivery key → since when (ms), for in doubt, dead and rejected            |
| ``claims``             | zset   | token of a request under way → end of its lease (ms)                       |
| ``req:<token>``        | hash   | a request: recipients and their deliveries (``index.py``), what was in it  |
| ``rid:<request id>``   | string | MSG91's request id → token                                                 |
| ``awaiting``           | zset   | token of a request that expects reports → end of its report window (ms)    |
| ``unreported``         | zset   | token of one whose reports are overdue → since when it is accepted (ms)    |
| ``unmatched``          | stream | callbacks that changed nothing and should have, bounded                    |
| ``from:<key>``         | string | the event a delivery came from; only where reports are published onward    |
| ``named:<destination>``| zset   | pseudonym of a number that an event named → when (ms); for automatic       |
|                        |        | answers, as is the next one                                                |
| ``answered:<destination>:<pseudonym>`` | string | who was answered lately → what                             |
| ``lane:<name>``        | hash   | a lane's rate, pause, breaker and adaptive limit                           |
| ``lane:<name>:busy``   | zset   | token → end of its lease (ms): the concurrent requests                     |
| ``lane:<name>:queue``  | zset   | batch id → since when (ms): batches waiting for a free slot                |
| ``lanes``              | set    | names of all lanes seen                                                    |
| ``journal``            | stream | every outcome and what operators did, bounded                              |
| ``journal:<id>``       | stream | a copy being rewritten; gone within the hour                               |
| ``malformed``          | stream | events that could not be read, with the reason, bounded                    |
| ``stream:<name>``      | stream | events as producers wrote them; they leave it when they are taken          |
| ``salt:<period>``      | string | what one-time passwords are encrypted with; see ``sealing.py``             |
"""

from __future__ import annotations

from binascii import b2a_base64
from hashlib import blake2b
from typing import Final

#: Characters of a delivery's key, and of a recipient's hash; the scripts know them, too.
KEY_LENGTH: Final = 20
HASH_LENGTH: Final = 8
#: Base64 alphabets whose texts may stand in a command: a key never begins with a hyphen, so that no command takes it
#: for an option; a recipient's hash never with an underscore, which marks the own fields of a request's index.
_OF_KEYS: Final = bytes.maketrans(b"+/", b"._")
_OF_RECIPIENTS: Final = bytes.maketrans(b"+/", b".-")


def delivery_key(destination: str, message_id: str, mapping: str) -> str:
    """The idempotency key of a delivery: 20 characters (120 bits) of a digest of destination, message and mapping."""
    text = f"{destination}\x00{mapping}\x00{message_id}".encode("utf-8", "surrogatepass")
    digest = blake2b(text, digest_size=15).digest()
    return b2a_base64(digest, newline=False).translate(_OF_KEYS).decode()


def recipient_hash(recipient: str) -> str:
    """Eight characters that stand for a recipient inside one request's index, instead of the number itself."""
    digest = blake2b(recipient.encode("utf-8", "surrogatepass"), digest_size=6).digest()
    return b2a_base64(digest, newline=False).translate(_OF_RECIPIENTS).decode()


class Keys:
    """Key names under one namespace."""

    def __init__(self, namespace: str = "msg91") -> None:
        self.namespace = namespace
        prefix = f"{{{namespace}}}:"
        self.prefix = prefix
        self.meta = f"{prefix}meta"
        self.workers = f"{prefix}workers"
        self.formats = f"{prefix}formats"
        self.counters = f"{prefix}counters"
        self.measures = f"{prefix}measures"
        self.folding = f"{prefix}folding"
        self.schedule = f"{prefix}schedule"
        self.claims = f"{prefix}claims"
        self.awaiting = f"{prefix}awaiting"
        self.unreported = f"{prefix}unreported"
        self.unmatched = f"{prefix}unmatched"
        self.lanes = f"{prefix}lanes"
        self.journal = f"{prefix}journal"
        self.malformed = f"{prefix}malformed"
        self.record_prefix = f"{prefix}d:"
        self.kept_prefix = f"{prefix}kept:"
        self.batch_prefix = f"{prefix}batch:"
        self.origin_prefix = f"{prefix}from:"

    def record(self, key: str) -> str:
        """The record of one delivery."""
        return self.record_prefix + key

    def kept(self, key: str) -> str:
        """The kept payload of one delivery."""
        return self.kept_prefix + key

    def batch(self, batch_id: str) -> str:
        """One batch."""
        return self.batch_prefix + batch_id

    def request(self, token: str) -> str:
        """The index of one request by its correlation token."""
        return f"{self.prefix}req:{token}"

    def request_id(self, request_id: str) -> str:
        """MSG91's request id to our token."""
        return f"{self.prefix}rid:{request_id}"

    def attention(self, letter: str) -> str:
        """The deliveries in one state that somebody may want to look at."""
        return f"{self.prefix}attention:{letter}"

    def origin(self, key: str) -> str:
        """The event that a delivery came from."""
        return f"{self.origin_prefix}{key}"

    def named(self, destination: str) -> str:
        """The numbers that events of a destination have named."""
        return f"{self.prefix}named:{destination}"

    def answered(self, destination: str, pseudonym: str) -> str:
        """What somebody was answered lately."""
        return f"{self.prefix}answered:{destination}:{pseudonym}"

    def salt(self, period: str) -> str:
        """What is joined to the secret that one-time passwords of a period are encrypted with."""
        return f"{self.prefix}salt:{period}"

    def stream(self, name: str = "events") -> str:
        """A stream on which producers write events."""
        return f"{self.prefix}stream:{name}"

    def lane(self, name: str) -> str:
        """One lane."""
        return f"{self.prefix}lane:{name}"

    def lane_busy(self, name: str) -> str:
        """The requests under way in a lane."""
        return f"{self.prefix}lane:{name}:busy"

    def lane_queue(self, name: str) -> str:
        """The batches that wait for a free slot of a lane."""
        return f"{self.prefix}lane:{name}:queue"
