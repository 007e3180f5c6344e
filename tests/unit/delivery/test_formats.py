"""The format of the store goes up by one, and only when every worker that lives can read the next one."""

from __future__ import annotations

import pytest

from tests.stores import ClockedStore
from worker.delivery import (
    FORMAT,
    Expectation,
    Ledger,
    Origin,
    Origins,
    Outcome,
    Reported,
    Slip,
    State,
    StoreFormatError,
    Trust,
    delivery_key,
    recipient_hash,
)

NEXT = FORMAT + 1


class NextStore(ClockedStore):
    """The store as the next version sees it."""

    newest = NEXT


@pytest.fixture
def old(store: ClockedStore) -> Trust:
    """A worker of this version."""
    return worker_of(ClockedStore, store)


@pytest.fixture
def new(store: ClockedStore, old: Trust) -> Trust:
    """A worker of the next one, started later."""
    return worker_of(NextStore, store)


def worker_of(version: type[ClockedStore], store: ClockedStore) -> Trust:
    """A worker on the same server."""
    made = version(store.client, store.keys.namespace)
    made.open()
    return Trust(made)


@pytest.fixture(autouse=True)
def server(monkeypatch: pytest.MonkeyPatch) -> None:
    """The fake server tells nothing of itself."""
    monkeypatch.setattr(Trust, "_info", lambda _self, _section: {"run_id": "r" * 40})


def test_the_next_version_writes_what_the_present_one_reads(old: Trust, new: Trust) -> None:
    """As long as a worker of this version lives, the store stays in its format."""
    old.look()
    new.look()
    new.look()
    assert (old.store.format, new.store.format) == (FORMAT, FORMAT)
    assert not old.outdated


def test_the_store_moves_on_when_the_last_old_worker_has_gone(old: Trust, new: Trust) -> None:
    """A goodbye is enough; from then on this version is refused."""
    old.look()
    new.look()
    old.stop()
    new.look()
    assert new.store.format == NEXT
    assert new.store.client.hget(new.store.keys.meta, "format") == str(NEXT).encode()
    with pytest.raises(StoreFormatError, match=f"format {NEXT}"):
        old.store.open()


def test_a_killed_worker_is_waited_for_a_minute(old: Trust, new: Trust) -> None:
    """Without a goodbye it may only have been silent for a while."""
    old.look()
    new.store.pass_time(50)  # type: ignore[attr-defined]
    new.look()
    assert new.store.format == FORMAT
    new.store.pass_time(11)  # type: ignore[attr-defined]
    new.look()
    assert new.store.format == NEXT


def test_a_worker_of_a_version_that_said_nothing_of_formats_counts_as_old(old: Trust, new: Trust) -> None:
    """It beats like all others, and that is all it does."""
    old.look()
    old.store.client.delete(old.store.keys.formats)
    new.look()
    assert new.store.format == FORMAT


def test_a_worker_that_woke_up_too_late_sends_nothing_more(old: Trust, new: Trust) -> None:
    """It slept while the store moved on: it says that it is outdated, and no operator can confirm that away."""
    old.look()
    new.store.pass_time(61)  # type: ignore[attr-defined]
    new.look()
    old.look()
    assert old.outdated
    assert f"format {NEXT}" in old.held
    assert new.held == ""


def test_two_formats_at_once_are_refused(store: ClockedStore) -> None:
    """Who skips a version is told to upgrade by one at a time."""

    class AfterNext(ClockedStore):
        newest = FORMAT + 2

    after_next = AfterNext(store.client, store.keys.namespace)
    with pytest.raises(StoreFormatError, match="one format at a time"):
        after_next.open()


def test_it_goes_up_with_several_new_workers(old: Trust, store: ClockedStore) -> None:
    """Whoever looks first moves it on, once."""
    old.look()
    news = [worker_of(NextStore, store) for _ in range(3)]
    for one in news:
        one.look()
    old.stop()
    for one in [*news, *news]:
        one.look()
    assert {one.store.format for one in news} == {NEXT}
    assert set(store.client.hgetall(store.keys.formats)) == {one.id.encode() for one in news}


def test_a_request_is_indexed_in_the_format_of_the_store(store: ClockedStore) -> None:
    """As long as the store is in format 1 each recipient has a field; reports are joined in both."""
    ledger = Ledger(store)
    for form, number in ((1, 0), (2, 1)):
        store.format = form
        one = Slip(delivery_key("msg91", f"m{number}", "track"), f"m{number}", "track", f"91900000000{number}")
        token = f"token-{number}"
        ledger.claim(
            [one],
            token=token,
            lease_end_ms=store.now_ms() + 60_000,
            origin="o",
            from_batch="",
            about="msg91|send_sms",
            items=b"[]",
        )
        fields = store.client.hkeys(store.keys.request(token))
        assert (recipient_hash(one.recipient).encode() in fields) is (form == 1)
        assert (b"_to" in fields) is (form == 2)
        claim = ledger.request(token)
        assert claim is not None
        assert claim.deliveries == {recipient_hash(one.recipient): one.key}
        ledger.settle(
            [one], [Outcome(State.ACCEPTED)], expect=Expectation("si", token), about="msg91|send_sms", token=token
        )
        assert ledger.report(recipient=one.recipient, delivered=True, token=token).outcome == "recorded"


@pytest.mark.parametrize("form", [1, 2])
def test_origins_are_found_in_both_formats(store: ClockedStore, form: int) -> None:
    """Whoever is told of reports is told of those about requests of the format before, too."""
    store.format = form
    one = Slip(delivery_key("msg91", "m0", "track"), "m0", "track", "919000000000")
    ledger, origins = Ledger(store), Origins(store)
    about = "msg91|send_sms"
    ledger.claim(
        [one],
        token="t",
        lease_end_ms=store.now_ms() + 60_000,
        origin="o",
        from_batch="",
        about=about,
        items=b"[]",
    )
    ledger.settle(
        [one], [Outcome(State.ACCEPTED)], expect=Expectation("si", "t"), about=about, token="t", request_id="r"
    )
    origin = Origin("m0", "track", "send_sms", "user")
    origins.note({one.key: origin})
    found = origins.find(
        [Reported("t", "", one.recipient), Reported("t"), Reported("", "r", one.recipient), Reported("t", "", "other")],
        destinations={"msg91"},
    )
    assert [whose.origin for whose in found] == [origin, origin, origin, None]
