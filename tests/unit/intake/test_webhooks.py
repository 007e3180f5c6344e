"""Webhooks: who may send, and what they carry."""

from __future__ import annotations

import contextlib
import hmac
import json
from base64 import b64encode
from pathlib import Path
from typing import Any

import orjson
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from worker.destinations import Destination, Destinations, load_destinations
from worker.intake.authentication import key_of_headers, reached
from worker.intake.limits import Limits
from worker.intake.refusals import Refused
from worker.intake.tracking import Arrival
from worker.intake.webhooks import first_element, signed, take, verify
from worker.settings import load_settings

SECRET = "shared-secret"
TOKEN = "token-of-webhooks"
ARRIVAL = Arrival.at("request-1", 1_795_000_000_123)


def signature(text: bytes, secret: str = SECRET) -> bytes:
    """What Segment would write into X-Signature."""
    return hmac.new(secret.encode(), text, "sha1").hexdigest().encode()


@pytest.fixture
def destinations(tmp_path: Path) -> Destinations:
    """One destination with a secret, one with a token, one with neither; two share a write key."""
    file = tmp_path / "destinations.yaml"
    named = {
        "signed": {"webhooks": {"segment_secret": SECRET}, "write_keys": ["shared-key", "own:key"]},
        "token": {"webhooks": {"token": TOKEN}, "write_keys": ["shared-key"]},
        "bare": {"write_keys": ["bare-key"]},
    }
    found = [{"name": name, "authkey": "k", **keys} for name, keys in named.items()]
    file.write_text(yaml.safe_dump({"destinations": found}), encoding="utf-8")
    return load_destinations(file, {}, settings=load_settings({}))


def may(destination: Destination | None, source: str, headers: dict[bytes, bytes], body: bytes) -> bool:
    """Whether a webhook may send."""
    with contextlib.suppress(Refused):
        return verify(destination, source, headers, body) is destination
    return False


ONE = b'{"type":"page","messageId":"m1"}'
SEVERAL = b'[{"type":"page","messageId":"m1"},{"type":"page","messageId":"m2"}]'


def test_classic_signature_covers_the_body(destinations: Destinations) -> None:
    """Segment's classic webhook signs the body; a changed body or signature is refused."""
    there = destinations.get("signed")
    assert may(there, "segment", {b"x-signature": signature(ONE)}, ONE)
    assert may(there, "segment", {b"x-signature": signature(ONE).upper()}, ONE)
    assert not may(there, "segment", {b"x-signature": signature(ONE)}, ONE + b" ")
    assert not may(there, "segment", {b"x-signature": signature(ONE, "other")}, ONE)


def test_actions_signature_covers_the_first_event(destinations: Destinations) -> None:
    """Segment's Actions webhook signs the JSON of its first event, also when it sends several."""
    there = destinations.get("signed")
    assert may(there, "segment", {b"x-signature": signature(ONE)}, SEVERAL)
    assert may(there, "segment", {b"x-signature": signature(SEVERAL)}, SEVERAL)
    assert not may(there, "segment", {b"x-signature": signature(b'{"type":"page","messageId":"m2"}')}, SEVERAL)


@pytest.mark.parametrize("given_value", [b"", b"0" * 40, b"\xff" * 40, b"x" * 10_000])
def test_false_signatures_are_refused(destinations: Destinations, given_value: bytes) -> None:
    """Anything that is not the signature is refused."""
    assert not may(destinations.get("signed"), "segment", {b"x-signature": given_value}, ONE)


def test_signature_needs_a_secret_and_the_right_source(destinations: Destinations) -> None:
    """Nothing is signed with a secret that is not configured, and others than Segment do not sign."""
    assert not may(destinations.get("bare"), "segment", {b"x-signature": signature(ONE, "")}, ONE)
    assert not may(destinations.get("token"), "segment", {b"x-signature": signature(ONE, "")}, ONE)
    assert not may(destinations.get("signed"), "jitsu", {b"x-signature": signature(ONE)}, ONE)
    assert not may(None, "segment", {b"x-signature": signature(ONE, "")}, ONE)
    with pytest.raises(Refused) as caught:
        verify(None, "segment", {b"x-signature": signature(ONE)}, ONE)
    assert (caught.value.status, caught.value.code) == (401, "unauthorized")


@pytest.mark.parametrize("source", ["segment", "rudderstack", "jitsu", "json"])
def test_token_opens_every_source(destinations: Destinations, source: str) -> None:
    """The token of the destination is enough for each of them; another, or none, is not."""
    there = destinations.get("token")
    assert may(there, source, {b"authorization": b"Bearer " + TOKEN.encode()}, ONE)
    assert may(there, source, {b"authorization": b"bearer " + TOKEN.encode()}, ONE)
    for wrong in (b"Bearer other", b"Bearer ", b"Basic " + b64encode(TOKEN.encode()), TOKEN.encode(), b"Bearer \xff"):
        assert not may(there, source, {b"authorization": wrong}, ONE)
    assert not may(there, source, {}, ONE)
    assert not may(destinations.get("bare"), source, {b"authorization": b"Bearer " + TOKEN.encode()}, ONE)
    assert not may(None, source, {b"authorization": b"Bearer " + TOKEN.encode()}, ONE)


@given(
    st.lists(
        st.dictionaries(st.text(max_size=5), st.text(max_size=5) | st.integers() | st.lists(st.none(), max_size=2)),
        min_size=1,
        max_size=3,
    ),
    st.sampled_from([None, 2]),
    st.booleans(),
)
def test_first_element_is_found_byte_by_byte(items: list[Any], indent: int | None, ascii_only: bool) -> None:
    """Whatever the layout, the first element is what stands there, not what would be written for it."""
    first = json.dumps(items[0], ensure_ascii=ascii_only, indent=indent)
    rest = "".join(f" , {json.dumps(one)}" for one in items[1:])
    body = f" [ {first}{rest} ] ".encode()
    assert first_element(body) == first.encode()
    assert signed(body, signature(first.encode()).decode(), SECRET)


@pytest.mark.parametrize("body", [b"", b"{}", b"[]", b"[", b'"["', b"[\xff]", b"[" * 100_000, b"[,]"])
def test_bodies_without_first_element(body: bytes) -> None:
    """What is no array, or cannot be read, has no first element."""
    assert first_element(body) is None


@pytest.mark.parametrize(
    ("document", "ids"),
    [
        ({"type": "page", "messageId": "m1"}, ["m1"]),
        ([{"type": "page", "messageId": "m1"}, {"type": "page"}], ["m1", "request-1-1"]),
        ({"batch": [{"type": "page", "messageId": "m1"}], "context": {}}, ["m1"]),
    ],
)
def test_events_come_singly_in_arrays_and_in_batches(document: Any, ids: list[str]) -> None:
    """A webhook carries one event, an array, or a batch."""
    taken = take("json", document, ARRIVAL, Limits())
    assert [orjson.loads(line)["messageId"] for line in taken.lines] == ids


@pytest.mark.parametrize("document", [None, 5, "x", {}, {"type": "merge"}, []])
def test_webhook_without_events_is_refused(document: Any) -> None:
    """What holds no event is refused, so that its sender sees it."""
    with pytest.raises(Refused) as caught:
        take("segment", document, ARRIVAL, Limits())
    assert caught.value.status == 400


def test_traits_in_the_context_are_found() -> None:
    """RudderStack's browser client writes the traits of an identify call into its context alone."""
    event = {"type": "identify", "context": {"traits": {"phone": "1"}}}
    (line,) = take("rudderstack", event, ARRIVAL, Limits()).lines
    assert orjson.loads(line)["traits"] == {"phone": "1"}
    own = {"type": "identify", "traits": {"phone": "2"}, "context": {"traits": {"phone": "1"}}}
    (line,) = take("rudderstack", own, ARRIVAL, Limits()).lines
    assert orjson.loads(line)["traits"] == {"phone": "2"}


def test_write_key_reaches_its_destinations(destinations: Destinations) -> None:
    """A key reaches every destination that lists it, by header or body, and no other."""
    basic = {b"authorization": b"Basic " + b64encode(b"shared-key:")}
    assert [one.name for one in reached(destinations, basic, None)] == ["signed", "token"]
    assert [one.name for one in reached(destinations, {}, "bare-key")] == ["bare"]
    assert [one.name for one in reached(destinations, {b"x-write-key": b"own:key"}, None)] == ["signed"]
    assert [one.name for one in reached(destinations, {b"authorization": b"Bearer oauth"}, "bare-key")] == ["bare"]


@pytest.mark.parametrize(
    ("headers", "key"),
    [
        ({}, None),
        ({}, ""),
        ({}, 5),
        ({}, "other"),
        ({}, "x" * 100_000),
        ({}, "\ud800"),
        ({b"authorization": b"Basic " + b64encode(b":")}, "bare-key"),
        ({b"authorization": b"Basic " + b64encode(b"other:")}, "bare-key"),
        ({b"authorization": b"Basic nonsense"}, "bare-key"),
        ({b"authorization": b"Basic \xff"}, "bare-key"),
        ({b"authorization": b"Basic " + b64encode(b"\xff:")}, "bare-key"),
    ],
)
def test_wrong_write_keys_are_refused(destinations: Destinations, headers: dict[bytes, bytes], key: Any) -> None:
    """No key or a wrong one is refused; a header counts before the body."""
    with pytest.raises(Refused) as caught:
        reached(destinations, headers, key)
    assert (caught.value.status, caught.value.code) == (401, "unauthorized")


def test_basic_authorization_may_lack_its_colon() -> None:
    """A key is a key with or without the colon that Basic authorization asks for."""
    assert key_of_headers({b"authorization": b"basic " + b64encode(b"key")}) == "key"


def test_short_secrets_are_warned_of(tmp_path: Path) -> None:
    """A secret that can be guessed works, with a warning that names it."""
    file = tmp_path / "destinations.yaml"
    webhooks = {"segment_secret": "short", "token": TOKEN}
    file.write_text(yaml.safe_dump({"destinations": [{"name": "d", "authkey": "${K}", "webhooks": webhooks}]}))
    (warning,) = load_destinations(file, {"K": "k" * 24}, settings=load_settings({})).warnings
    assert warning.path == "destinations[0].webhooks.segment_secret"
