"""The index of a request: what was claimed stands in it, and reports find it, whichever format wrote it."""

from __future__ import annotations

from worker.delivery import Call, LaneLimits, Outcome, State, new_id, recipient_hash, unpack_index

from .conftest import ABOUT, Bench, slip, slips


def entries(bench: Bench, token: str) -> dict[str, str]:
    """The index of a request: recipient hash → delivery key."""
    claim = bench.ledger.request(token)
    assert claim is not None
    return dict(claim.deliveries)


def test_it_holds_exactly_what_was_claimed(bench: Bench) -> None:
    """Deliveries that somebody else has are left out, wherever they stand."""
    for number in (0, 2, 5):
        bench.claim([slip(number)])
    token, blocked = bench.claim(slips(6))
    assert sorted(blocked) == [0, 2, 5]
    assert entries(bench, token) == {recipient_hash(slip(n).recipient): slip(n).key for n in (1, 3, 4)}


def test_a_repeated_claim_leaves_it_whole(bench: Bench) -> None:
    """The reply to a claim was lost, and it comes again: nothing is blocked, nothing of the index is gone."""
    token, _ = bench.claim(slips(3))
    before = entries(bench, token)
    assert bench.claim(slips(3), token=token)[1] == {}
    assert entries(bench, token) == before
    assert bench.states() == {"sending": 3}


def test_a_request_of_format_1_is_read(bench: Bench) -> None:
    """There each recipient had a field of its own; a report joins all the same."""
    token = bench.send(slips(2), Outcome(State.ACCEPTED))
    name, client = bench.store.keys.request(token), bench.store.client
    for hashed, key in entries(bench, token).items():
        client.hset(name, hashed, key)
    client.hdel(name, "_to")
    assert bench.ledger.report(recipient=slip(1).recipient, delivered=True, token=token).outcome == "recorded"
    assert bench.states() == {"accepted": 1, "delivered": 1}


def test_people_are_taken_out_of_it(bench: Bench) -> None:
    """Of both formats, with the reports that wait for them; the others stay."""
    token = bench.send(slips(3), Outcome(State.ACCEPTED))
    name, client = bench.store.keys.request(token), bench.store.client
    gone, old = recipient_hash(slip(1).recipient), recipient_hash("12025550123")
    client.hset(name, old, "k" * 20)
    client.hset(name, f"_report:{gone}", "d|")
    assert bench.store.script("unlist", [name], [gone, old]) == 2
    left = unpack_index({field.decode(): value for field, value in client.hgetall(name).items()})
    assert left == {recipient_hash(slip(n).recipient): slip(n).key for n in (0, 2)}
    assert not client.hexists(name, f"_report:{gone}")


def claiming(bench: Bench, token: str) -> Call:
    """A claim of one delivery that needs a slot of the lane ``msg91:sms``."""
    return bench.ledger.claiming(
        [slip(0)],
        token=token,
        lease_end_ms=bench.store.now_ms() + 60_000,
        origin="origin",
        from_batch="",
        about=ABOUT,
        items=b"[]",
        lane="msg91:sms",
    )


def test_nothing_is_claimed_without_a_slot_of_the_lane(bench: Bench) -> None:
    """Lane and claim are asked together: when the lane says later, the claim that follows does nothing."""
    for held, expected in ((True, {}), (False, {"sending": 1})):
        (bench.lanes.pause if held else lambda *_: bench.lanes.resume("msg91:sms"))("msg91:sms", "by hand")
        token = new_id()
        acquiring = bench.lanes.acquiring(
            "msg91:sms",
            LaneLimits(),
            token=token,
            lease_end_ms=bench.store.now_ms() + 60_000,
            cost=1,
            slot=False,
            waiter="",
        )
        claim = claiming(bench, token)
        bench.store.run(acquiring, claim)
        assert bench.lanes.grant(acquiring).verdict == ("pause" if held else "go")
        assert claim.answer[0] == (b"waits" if held else b"claimed")
        assert bench.states() == expected


def test_scripts_run_together_on_a_server_that_has_forgotten_them(bench: Bench) -> None:
    """A store that restarted knows no script any more; they are told to it again, and run once."""
    bench.store.client.script_flush()
    calls = [
        Call("accept", [keys.batch(one), keys.schedule, keys.counters], [one, 1, 2, 0, "kind", "events"])
        for keys in [bench.store.keys]
        for one in ("first", "second")
    ]
    bench.store.run(*calls)
    assert [call.answer for call in calls] == [1, 1]
    assert bench.store.client.zcard(bench.store.keys.schedule) == 2
