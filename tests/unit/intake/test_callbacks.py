"""MSG91's callbacks: who may call, what each generation says, what comes of it, and what is kept of it."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import orjson
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from tests.stores import ClockedStore, fake_store
from worker.delivery import (
    Expectation,
    Ledger,
    Measures,
    Outcome,
    Slip,
    State,
    Unmatched,
    delivery_key,
    new_id,
    read_measures,
)
from worker.destinations import Destinations, load_destinations
from worker.intake import callbacks
from worker.intake.callbacks import Callback
from worker.intake.refusals import Refused
from worker.msg91.reports import Inbound, Report, Verdict

SECRET = "a-secret-of-sixteen-or-more"
OLDER = "the-secret-before-this-one"
NUMBER = "919000000001"
REQUEST_ID = "13672fa705a73d0000000001"
FORM = "application/x-www-form-urlencoded"
JSON = "application/json"


def load(folder: Path, *more: dict[str, Any], **keys: Any) -> Destinations:
    """Destinations: one that takes callbacks, and more."""
    first = {
        "name": "shop",
        "authkey": "k" * 24,
        "callbacks": {"secrets": [SECRET, OLDER], "header": "msg91-webhook-secret", **keys},
    }
    file = folder / "destinations.yaml"
    file.write_text(yaml.safe_dump({"destinations": [first, *more]}))
    return load_destinations(file, {})


@pytest.fixture
def destinations(tmp_path: Path) -> Destinations:
    """One destination that takes callbacks, one of the same account, one of another, none of which takes any."""
    return load(tmp_path, {"name": "twin", "authkey": "k" * 24}, {"name": "other", "authkey": "o" * 24})


@pytest.mark.parametrize(
    ("headers", "query"),
    [
        ({b"authorization": f"Bearer {SECRET}".encode()}, b""),
        ({b"msg91-webhook-secret": SECRET.encode()}, b""),
        ({b"msg91-webhook-secret": OLDER.encode()}, b""),
        ({}, urlencode({"a": "b", "token": SECRET}).encode()),
        ({b"authorization": b"Bearer wrong"}, urlencode({"token": SECRET}).encode()),
    ],
)
def test_a_secret_may_come_in_many_ways(destinations: Destinations, headers: dict[bytes, bytes], query: bytes) -> None:
    """As a bearer token, in the configured header, or in the URL; each of several secrets works."""
    shop = destinations.get("shop")
    assert callbacks.verify(shop, headers, query) is shop


@pytest.mark.parametrize("name", ["shop", "twin", "other", "nobody"])
@pytest.mark.parametrize(
    ("headers", "query"),
    [
        ({}, b""),
        ({b"authorization": b"Bearer wrong"}, b"token=wrong"),
        ({b"x-webhook-secret": SECRET.encode()}, b"token="),
        ({b"msg91-webhook-secret": b""}, b"secret=" + SECRET.encode()),
        ({b"authorization": b"Basic " + SECRET.encode()}, b"&".join([b"a=b"] * 100)),
    ],
)
def test_nothing_is_taken_without_the_secret(
    destinations: Destinations, name: str, headers: dict[bytes, bytes], query: bytes
) -> None:
    """Without a secret, with a false one, in the wrong place, or for a destination that has none."""
    with pytest.raises(Refused) as caught:
        callbacks.verify(destinations.get(name), headers, query)
    assert (caught.value.status, caught.value.code) == (401, "unauthorized")
    assert SECRET not in caught.value.message


def test_an_empty_secret_opens_nothing(tmp_path: Path) -> None:
    """A destination that configures no secret takes nothing, not even from a caller that sends an empty one."""
    shop = load(tmp_path, secrets=[]).get("shop")
    for headers in ({b"msg91-webhook-secret": b""}, {b"authorization": b"Bearer "}):
        with pytest.raises(Refused):
            callbacks.verify(shop, headers, b"token=")


# What MSG91 posts, in every generation, all about one message that was delivered.

V2 = [
    {
        "senderId": "MSGIND",
        "requestId": REQUEST_ID,
        "userId": "1",
        "campaignName": "API",
        "report": [
            {
                "date": "2026-01-01 10:00:00",
                "number": NUMBER,
                "status": "1",
                "desc": "DELIVERED",
                "failedReason": "",
                "amount": "0.01",
                "credit": "1",
                "ctCode": "900",
                "clientid": "",
                "CRQID": "0",
                "INMSID": "0",
            }
        ],
    }
]
V3 = {
    "date": "2026-01-01 10:00:00",
    "number": NUMBER,
    "senderId": "MSGIND",
    "amount": "0.01",
    "requestId": REQUEST_ID,
    "INMSID": "0",
    "CRQID": "0",
    "credit": "1",
    "userId": "1",
    "campaignName": "API",
    "status": "1",
    "desc": "DELIVERED",
}
V4 = [
    {
        "event": "delivered",
        "data": [{"meta": "TOKEN", "INMSID": "0", "description": "DELIVERED", "ts": 1726729500}],
    }
]
NEW = {"rid": REQUEST_ID, "to_whom": NUMBER, "what": "Delivered", "when": "2026-01-01 10:00:00", "route": 4}
WHATSAPP_NEW = {
    "crqid": "TOKEN",
    "companyId": "1",
    "customerNumber": NUMBER,
    "requestId": "another-id",
    "eventName": "read",
    "uuid": "u-1",
    "integratedNumber": "919999999999",
    "direction": "1",
    "content": '{"text":"secret words"}',
    "statusUpdatedAt": "2026-01-01T10:00:00.000Z",
}
WHATSAPP_OLD = {"CRQID": "", "mobile": NUMBER, "requestId": REQUEST_ID, "status": "delivered", "uuid": "u-1"}
WHATSAPP_SINGLE = {"customerNumber": NUMBER, "requestId": "another-id", "uuid": REQUEST_ID, "eventName": "delivered"}
FIELDS = {"recipient": "to_whom", "status": "what", "request_id": "rid", "at": "when"}
GENERATIONS: dict[str, tuple[str, str, Any]] = {
    "v2": ("sms", FORM, V2),
    "v3": ("sms", JSON, V3),
    "v4": ("sms", JSON, V4),
    "webhook (new)": ("sms", JSON, NEW),
    "whatsapp, new": ("whatsapp", JSON, WHATSAPP_NEW),
    "whatsapp, old": ("whatsapp", JSON, [WHATSAPP_OLD]),
    "whatsapp, single": ("whatsapp", JSON, WHATSAPP_SINGLE),
}
INBOUND = {
    "customerNumber": NUMBER,
    "customerName": "Asha",
    "integratedNumber": "919999999999",
    "contentType": "text",
    "text": '{"body":"hello"}',
    "uuid": "u-2",
}


class House:
    """A store with one delivery to `NUMBER`, accepted or in doubt, and whatever is called back about it."""

    def __init__(self, destinations: Destinations, state: State = State.ACCEPTED, *, of: str = "shop") -> None:
        self.destinations = destinations
        self.store: ClockedStore = fake_store()
        self.ledger = Ledger(self.store)
        self.measures = Measures(self.store, "intake")
        self.unmatched = Unmatched(self.store)
        self.slip = Slip(delivery_key(of, "m1", "track"), "m1", "track", NUMBER)
        self.token = new_id()
        about = f"{of}|send_sms"
        self.ledger.claim(
            [self.slip],
            token=self.token,
            lease_end_ms=self.store.now_ms() + 60_000,
            origin="origin",
            from_batch="",
            about=about,
            items=b"",
        )
        self.ledger.settle(
            [self.slip],
            [Outcome(state, "" if state is State.ACCEPTED else "no answer", b"{}")],
            expect=Expectation("s", self.token),
            about=about,
            token=self.token,
            request_id=REQUEST_ID if state is State.ACCEPTED else "",
        )

    def call(self, channel: str, content_type: str, document: Any) -> list[Callback]:
        """One call for ``shop``; ``TOKEN`` in it stands for the token."""
        body = document if isinstance(document, bytes) else orjson.dumps(document)
        body = body.replace(b"TOKEN", self.token.encode())
        if content_type == FORM:
            body = urlencode({"data": body}).encode()
        shop = self.destinations.get("shop")
        assert shop is not None
        found = callbacks.read(shop, channel, content_type, body, most=100)
        taken = callbacks.take(found, channel, shop, self.destinations, self.ledger)
        callbacks.note(taken, self.measures, self.unmatched)
        return taken

    @property
    def state(self) -> State:
        """What the delivery is now."""
        (record,) = self.ledger.records([self.slip.key])
        assert record is not None
        return record.state


@pytest.fixture
def house(tmp_path: Path) -> House:
    """A delivery that MSG91 took."""
    return House(load(tmp_path, {"name": "twin", "authkey": "k" * 24}, fields=FIELDS))


@pytest.mark.parametrize("generation", GENERATIONS)
def test_every_generation_finds_its_delivery(house: House, generation: str) -> None:
    """Each webhook version's report makes the delivery delivered, however often it comes."""
    outcomes = []
    for _ in range(2):
        (taken,) = house.call(*GENERATIONS[generation])
        assert (taken.delivery, taken.destination.name) == (house.slip.key, "shop")
        outcomes.append(taken.outcome)
    assert outcomes == ["recorded", "repeated"]
    assert house.state is State.DELIVERED
    assert list(house.unmatched.newest_first()) == []


def test_a_correlation_id_settles_a_doubt(tmp_path: Path) -> None:
    """No answer came, so nobody knows MSG91's id: the token that it gives back is enough."""
    house = House(load(tmp_path), State.IN_DOUBT)
    assert [one.outcome for one in house.call("sms", JSON, V4)] == ["settled"]
    assert house.state is State.DELIVERED


def test_sent_proves_that_it_was_taken(tmp_path: Path) -> None:
    """A status that is not final ends a doubt as accepted, and says nothing once more is known."""
    house = House(load(tmp_path), State.IN_DOUBT)
    sent, read = {**WHATSAPP_NEW, "eventName": "sent"}, WHATSAPP_NEW
    outcomes = [house.call("whatsapp", JSON, one)[0].outcome for one in (sent, read, sent)]
    assert outcomes == ["settled", "recorded", "outdated"]
    assert house.state is State.DELIVERED


def test_a_report_without_a_number_finds_the_one_recipient(house: House) -> None:
    """By request id as well; one of an unknown request does not wait: nobody could say whom it is about."""
    without = {**V3, "number": ""}
    (strange,) = house.call("sms", JSON, {**without, "requestId": "f" * 24})
    (taken,) = house.call("sms", JSON, without)
    assert (strange.outcome, taken.outcome) == ("unmatched", "recorded")
    assert house.state is State.DELIVERED


def test_an_account_shares_its_reports(tmp_path: Path) -> None:
    """MSG91 calls back for an account: a destination of the same one is reported, one of another is not."""
    destinations = load(tmp_path, {"name": "twin", "authkey": "k" * 24}, {"name": "other", "authkey": "o" * 24})
    for name, state in (("twin", State.DELIVERED), ("other", State.ACCEPTED)):
        house = House(destinations, of=name)
        house.call("sms", JSON, V3)
        assert house.state is state


def test_an_unknown_status_settles_nothing_and_is_kept(house: House) -> None:
    """The delivery is named and stays accepted; an operator finds what was said."""
    (taken,) = house.call("sms", JSON, {**V3, "status": "26", "desc": "WHATEVER"})
    assert (taken.outcome, taken.kind, taken.delivery) == ("unclear", "unknown", house.slip.key)
    assert house.state is State.ACCEPTED
    (stray,) = house.unmatched.newest_first()
    assert (stray.about["status"], stray.about["delivery"]) == ("26", house.slip.key)


def test_what_fits_nothing_is_counted_and_kept(house: House) -> None:
    """A stranger's report, and one that may be early, are there to be looked at, their numbers hidden."""
    house.call("sms", JSON, {**V3, "requestId": "f" * 24})
    house.call("sms", JSON, {"status": "1"})
    early, unmatched = sorted((one.about for one in house.unmatched.newest_first()), key=lambda one: one["outcome"])
    assert (early["outcome"], early["request_id"], early["recipient"]) == ("early", "f" * 24, "91*******001")
    assert unmatched["outcome"] == "unmatched"
    house.measures.flush()
    assert read_measures(house.store).callbacks == {
        ("shop", "delivered", "early"): 1,
        ("shop", "delivered", "unmatched"): 1,
    }


def test_the_journal_keeps_what_nobody_reads(house: House) -> None:
    """Unknown fields are kept, so many and so long; no number, no text and no name is."""
    extra = {f"field{number}": "x" * 1000 for number in range(50)}
    body = {**V3, "content": "secret words", "customerName": "Asha", "backup": "+91 98765 43210", **extra}
    house.call("sms", JSON, body)
    about = house.ledger.store.client.xrevrange(house.store.keys.journal, count=1)[0][1][b"about"]
    said = orjson.loads(about)["report"]
    assert (said["status"], said["at"], said["fields"]["credit"]) == ("1", "2026-01-01 10:00:00", "1")
    assert len(said["fields"]) == 16
    assert max(len(str(value)) for value in said["fields"].values()) == 100
    for secret in (NUMBER, "secret words", "Asha", "98765"):
        assert secret.encode() not in about


def test_reports_and_messages_come_by_one_address(house: House) -> None:
    """On the WhatsApp address inbound messages are told from reports by what they are; also in one call."""
    taken = house.call("whatsapp", JSON, [WHATSAPP_NEW, INBOUND])
    assert [(type(one.content), one.kind, one.outcome) for one in taken] == [
        (Report, "read", "recorded"),
        (Inbound, "inbound", "taken"),
    ]
    (message,) = house.call("whatsapp/inbound", JSON, {**INBOUND, "status": "received"})
    assert isinstance(message.content, Inbound)
    assert (message.content.sender, message.content.text) == (NUMBER, "hello")


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("1726729500", "e1726729500"),
        ("1726729500123", "e1726729500"),
        ("2026-01-01 10:00:00", "n1767261600"),
        ("2026-01-01T10:00:00Z", "e1767261600"),
        ("2026-01-01T15:30:00+05:30", "e1767261600"),
        ("yesterday", ""),
        ("", ""),
        ("99999999999999999999", ""),
    ],
)
def test_times_are_read_as_far_as_they_say(text: str, moment: str) -> None:
    """Seconds, milliseconds and dates; without a time zone it is a clock of its own."""
    assert callbacks.moment_of(text) == moment


@pytest.mark.parametrize("body", [b"", b"[]", b"5", b'"text"', b"[1]", b"not json", b"\xff\xfe"])
@pytest.mark.parametrize("channel", callbacks.CHANNELS)
def test_what_is_no_callback_is_refused(house: House, channel: str, body: bytes) -> None:
    """Garbage is answered with 400 and a sentence."""
    with pytest.raises(Refused) as caught:
        house.call(channel, JSON, body)
    assert (caught.value.status, caught.value.code) == (400, "bad_callback")


def test_too_much_is_refused(house: House) -> None:
    """One call may have so many reports."""
    with pytest.raises(Refused) as caught:
        house.call("sms", JSON, [V3] * 101)
    assert caught.value.status == 413


KEYS = sorted({*V3, *WHATSAPP_NEW, *INBOUND, "report", "data", "event", "meta", "ts"})
TEXTS = st.text(max_size=20) | st.sampled_from([NUMBER, REQUEST_ID, "1", "delivered", '{"text": "x"}'])
DOCUMENTS = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=8),
    max_leaves=20,
)
FUZZED = House(load_destinations(None, {"MSG91_AUTHKEY": "k" * 24}))


@given(
    st.sampled_from(callbacks.CHANNELS),
    st.sampled_from([JSON, FORM, "", "text/plain"]),
    st.binary(max_size=200) | DOCUMENTS.map(lambda one: json.dumps(one).encode()),
)
def test_whatever_comes_is_taken_or_refused(channel: str, content_type: str, body: bytes) -> None:
    """No bytes at all lead to anything but reports, messages or a refusal, and none of them breaks the counts."""
    (destination,) = FUZZED.destinations
    found: Sequence[Report | Inbound] = []
    with contextlib.suppress(Refused):
        found = callbacks.read(destination, channel, content_type, body, most=100)
    taken = callbacks.take(found, channel, destination, FUZZED.destinations, FUZZED.ledger)
    callbacks.note(taken, FUZZED.measures, FUZZED.unmatched)
    assert len(taken) == len(found)
    assert all(one.kind in {"inbound", *Verdict} for one in taken)
