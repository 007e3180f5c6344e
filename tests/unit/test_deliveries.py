"""What is kept of a delivery, and that it comes back."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.deliveries import HISTORY_LENGTH, Delivery, dump, dump_claim, load, load_claim, restore
from worker.doubts import dump_timer, load_timer

payloads = st.dictionaries(
    st.text(max_size=8), st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=20), max_size=5
)


def delivery(payload: dict[str, Any]) -> Delivery:
    """A delivery with every field set."""
    return Delivery(
        key="k" * 20,
        message_id="m",
        mapping="track",
        recipient="919000000000",
        destination="msg91",
        version="v1",
        action="send_sms",
        payload=payload,
        group="g",
        cost=2,
        expires_ms=5,
        position=3,
        event={"type": "track"},
        attempts=1,
        first_ms=4,
        history=[{"at": 1}],
    )


@given(payloads)
def test_what_waits_comes_back_as_it_was(payload: dict[str, Any]) -> None:
    """A delivery survives being kept, whatever its payload holds."""
    one = delivery(payload)
    assert [one] == load(dump([one]))


@given(payloads)
def test_a_claim_keeps_everything_but_the_event(payload: dict[str, Any]) -> None:
    """What a lost worker leaves behind has all fields but the event, which its batch still holds."""
    one = delivery(payload)
    batch_id, (back,) = load_claim(dump_claim("batch", [one]))
    one.event = None
    assert ("batch", one) == (batch_id, back)


@pytest.mark.parametrize("value", [2**80, "\ud800", {1, 2}, object()])
def test_what_json_cannot_carry_does_not_stop_a_delivery(value: object) -> None:
    """Values beyond JSON are kept as near as it gets instead of raising."""
    assert len(load(dump([delivery({"x": value})]))) == 1


def test_fields_of_a_newer_version_are_left_out() -> None:
    """A rolling upgrade may leave deliveries with fields this version does not know."""
    assert delivery({}) == restore({**delivery({}).as_kept(), "new_field": 1})


def test_history_is_bounded() -> None:
    """Only the newest attempts are remembered."""
    one = delivery({})
    for number in range(100):
        one.remember({"at": number})
    assert len(one.history) == HISTORY_LENGTH
    assert one.history[-1] == {"at": 99}


def test_a_timer_of_an_older_version_names_no_request() -> None:
    """What a timer is about is read as it was written; one without a token is about any request."""
    assert load_timer(dump_timer(["k1", "k2"], "token")) == (["k1", "k2"], "token")
    assert load_timer(b"k1\nk2") == (["k1", "k2"], "")
