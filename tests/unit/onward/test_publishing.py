"""From a callback that was read to what its receivers get: once, signed, retried, recorded, forgotten."""

from __future__ import annotations

import hmac
from base64 import b64decode
from pathlib import Path
from typing import Any

import orjson
import pytest
import yaml

from tests.stores import states
from tests.unit.forwarding.conftest import track
from tests.unit.onward.conftest import ONWARD, OURS, Shop, destination_of
from worker.actions.receivers import SIGNATURE
from worker.delivery import Kind, State
from worker.destinations import Destination, load_destinations
from worker.events import join
from worker.explaining import explain_event
from worker.msg91.answers import Answer, AnswerClass
from worker.msg91.reports import Inbound, Report, Verdict
from worker.onward import pseudonym
from worker.operations import forgetting
from worker.operations.person import Person
from worker.settings import load_settings

NUMBER = "919876543210"
OTHER = "918818888758"
DOWN = Answer(AnswerClass.RETRY, status=500, message="the receiver cannot take it now")
REPLY = {"text": "A colleague answers by tomorrow.", "every": "1h"}


def said(verdict: Verdict, status: str, **more: Any) -> Report:
    """A report about ``NUMBER``."""
    return Report(verdict, status, recipient=NUMBER, **{"request_id": "r-1", **more})


def wrote(text: str = "Hello", *, sender: str = NUMBER, message_id: str = "u-1", kind: str = "text") -> Inbound:
    """A message of a customer."""
    return Inbound(sender, OURS, kind, text, message_id=message_id)


def bodies(shop: Shop) -> list[dict[str, Any]]:
    """What the receivers got."""
    return [orjson.loads(one.body or b"") for one in shop.requests if one.receiver]


def take_in(shop: Shop, *events: dict[str, Any]) -> None:
    """Let events come in and be sent; what MSG91 was sent is not looked at."""
    lines = [orjson.dumps(one) for one in events]
    assert shop.forwarder.run(shop.batches.accept(join(lines), len(lines), door="test"))


def test_a_report_is_told_as_the_user_of_its_message(shop: Shop) -> None:
    """Joined by MSG91's request id and number, it carries the ids of the event that the message came from."""
    take_in(shop, track(NUMBER, "order-4711", userId="user-1", anonymousId="anon-1"))
    report = said(Verdict.DELIVERED, "1", request_id="13672fa705a73d0000000001")
    assert shop.publish(report, channel="sms") == 1
    (event,) = bodies(shop)
    assert (event["event"], event["userId"], event["anonymousId"]) == ("SMS Delivered", "user-1", "anon-1")
    assert event["properties"]["originalMessageId"] == "order-4711"


def test_it_is_joined_by_the_correlation_id_before_the_answer_is_known(shop: Shop) -> None:
    """A report that comes while the request is under way is joined by the token that the request carries."""

    def report_first(request: Any) -> Answer:
        token = orjson.loads(request.body)["CRQID"]
        early = said(Verdict.DELIVERED, "1", token=token)
        shop.publisher.publish(shop.destination, [early], channel="sms", destinations=shop.destinations)
        return Answer(AnswerClass.ACCEPTED, status=200, request_id="r-1")

    shop.answers.append(report_first)
    take_in(shop, track(NUMBER, "order-4711", userId="user-1"))
    shop.publish(said(Verdict.DELIVERED, "1"), channel="sms")
    assert [one["userId"] for one in bodies(shop)] == ["user-1"]


def test_many_reports_of_one_callback_are_each_joined(shop: Shop) -> None:
    """By correlation id, by request id, and those of a request that is not known, or not answered yet, to nothing."""
    shop.answers += [Answer(AnswerClass.ACCEPTED, status=200, request_id=f"r-{n}") for n in range(2)]
    take_in(shop, track(NUMBER, "order-1", userId="user-1"))
    take_in(shop, track(NUMBER, "order-2", userId="user-2"), track(OTHER, "order-3", userId="user-3"))
    token = orjson.loads(shop.requests[0].body or b"")["CRQID"]
    shop.ledger.report(recipient=NUMBER, delivered=True, request_id="r-9")
    shop.publish(
        said(Verdict.DELIVERED, "1", request_id="", token=token),
        Report(Verdict.DELIVERED, "1", recipient=NUMBER, request_id="r-1"),
        Report(Verdict.DELIVERED, "1", recipient=OTHER, request_id="r-1", token="0" * 16),
        Report(Verdict.DELIVERED, "1", recipient="447400123456", request_id="r-1"),
        Report(Verdict.DELIVERED, "1", recipient=NUMBER, request_id="r-9"),
        Report(Verdict.DELIVERED, "1", token=token, message_id="v4"),
        channel="sms",
    )
    told = [one.get("userId") or one["anonymousId"][:6] for one in bodies(shop)]
    assert told == ["user-1", "user-2", "user-3", "msg91-", "msg91-", "user-1"]


def two(shop: Shop, *, account: str) -> Destination:
    """Let ``shop`` and ``outlet`` publish, each to a tracking API of its own; gives ``outlet``, of this account."""
    keys = {
        "mappings": ["segment-msg91"],
        "default_sender": "MSGIND",
        "onward": {"tracking": [{"name": "segment", "url": "http://127.0.0.1:2", "write_key": "write-key-of-outlet"}]},
    }
    file = shop.folder / "destinations.yaml"
    document = yaml.safe_load(file.read_text(encoding="utf-8"))
    document["destinations"].append({"name": "outlet", "authkey": account, **keys})
    file.write_text(yaml.safe_dump(document), encoding="utf-8")
    shop.destinations = load_destinations(file, {}, settings=load_settings({}))
    outlet = shop.destinations.get("outlet")
    assert outlet is not None
    return outlet


@pytest.mark.parametrize("by", ["token", "request_id", "reply"])
def test_nobody_is_told_of_another_account(shop: Shop, by: str) -> None:
    """Whoever may call back for one account learns nothing of whose messages another one sends, whatever it names."""
    two(shop, account="another-key")
    take_in(shop, {**track(NUMBER, "order-1", userId="user-of-outlet"), "integrations": {"All": False, "outlet": True}})
    (request,) = shop.requests
    token = orjson.loads(request.body or b"")["CRQID"]
    if by == "reply":
        raw = {"replyMsgId": "13672fa705a73d0000000001"}
        shop.publish(Inbound(NUMBER, OURS, "text", "Yes", message_id="u-1", raw=raw))
    else:
        ids = {"token": {"request_id": "", "token": token}, "request_id": {"request_id": "13672fa705a73d0000000001"}}
        shop.publish(said(Verdict.DELIVERED, "1", **ids[by]), channel="sms")
    told = [one for one in shop.requests if one.receiver]
    assert {one.receiver for one in told} == {"http://127.0.0.1:1"}
    assert not any(b"user-of-outlet" in (one.body or b"") or b"order-1" in (one.body or b"") for one in told)


def test_destinations_of_one_account_each_hear_of_their_own_messages(shop: Shop) -> None:
    """One address does for all of them: the receivers of whoever sent the message are told, and once."""
    outlet = two(shop, account="key")
    take_in(shop, {**track(NUMBER, "order-1", userId="user-1"), "integrations": {"All": False, "outlet": True}})
    report = said(Verdict.DELIVERED, "1", request_id="13672fa705a73d0000000001")
    assert shop.publish(report, channel="sms") == 1
    shop.destination = outlet
    shop.publish(report, channel="sms")
    (told,) = [one for one in shop.requests if one.receiver]
    event = orjson.loads(told.body or b"")
    assert (told.receiver, event["userId"], event["properties"]["destination"]) == (
        "http://127.0.0.1:2",
        "user-1",
        "outlet",
    )


def test_a_single_whatsapp_message_is_joined_by_its_own_id(shop: Shop) -> None:
    """Its answer may give the id of the message alone; the report names another request, and is joined all the same."""
    shop.configure(ONWARD, whatsapp={"numbers": [OURS], "check_templates": False, "templates_by": "single"})
    payload = {"phone": NUMBER, "template": "hello", "integratedNumber": OURS}
    line = orjson.dumps({"action": "send_whatsapp_template", "messageId": "order-1", "payload": payload})
    batch = shop.batches.accept(join([line]), 1, kind=Kind.PAYLOADS, door="test", destination="shop")
    assert shop.forwarder.run(batch)
    report = said(Verdict.DELIVERED, "delivered", request_id="another", message_id="13672fa705a73d0000000001")
    shop.publish(report)
    posted = [one for one in bodies(shop) if "statuses" in one]
    assert [one["statuses"][0]["msgId"] for one in posted] == ["order-1"]


def test_a_reply_is_told_as_the_user_of_the_message_that_it_answers(shop: Shop) -> None:
    """A customer whose number nobody knows is known by what was written to them."""
    take_in(shop, track(NUMBER, "order-4711", userId="user-1"))
    shop.publish(Inbound(NUMBER, OURS, "text", "Yes", message_id="u-1", raw={"replyMsgId": "13672fa705a73d0000000001"}))
    event, callback = bodies(shop)
    assert (event["userId"], event["properties"]["replyTo"]) == ("user-1", "13672fa705a73d0000000001")
    assert callback["context"] == {"id": "order-4711"}


def test_a_number_that_is_none_makes_no_delivery(shop: Shop) -> None:
    """However many digits somebody writes: nothing is rejected later for it, and nobody is told of it or answered."""
    shop.configure({**ONWARD, "auto_reply": REPLY})
    endless = "9" * 40_000
    assert shop.publish(Report(Verdict.DELIVERED, "1", recipient=endless, request_id="r-1"), channel="sms") == 0
    assert shop.publish(wrote(sender=endless)) == 0
    assert states(shop.store) == {}


def test_a_callback_that_comes_again_is_told_once(shop: Shop) -> None:
    """However often and in however many batches, each receiver gets one of each; what comes again is a duplicate."""
    for _ in range(3):
        assert shop.publish(wrote(), wrote()) == 2
    assert [one.receiver for one in shop.requests] == ["http://127.0.0.1:1"] * 2
    assert states(shop.store) == {"accepted": 2}


def test_each_request_proves_where_it_comes_from(shop: Shop) -> None:
    """The tracking API gets the write key, whoever takes callbacks the signature of the very bytes."""
    shop.publish(wrote())
    event, callback = shop.requests
    assert (event.method, event.path) == ("POST", "/v1/track")
    assert event.headers is not None
    assert b64decode(event.headers["Authorization"].removeprefix("Basic ")) == b"write-key-of-segment:"
    assert SIGNATURE not in event.headers
    digest = hmac.new(b"secret-of-clevertap", callback.body or b"", "sha256").hexdigest()
    assert (callback.path, callback.headers) == ("/inbound", {SIGNATURE: f"sha256={digest}"})


def test_a_tracking_api_with_a_secret_gets_a_signature_too(shop: Shop) -> None:
    """Beside the write key."""
    shop.configure({"tracking": [{**ONWARD["tracking"][0], "secret": "secret-of-segment"}]})
    shop.publish(wrote())
    (event,) = shop.requests
    digest = hmac.new(b"secret-of-segment", event.body or b"", "sha256").hexdigest()
    assert event.headers is not None
    assert event.headers[SIGNATURE] == f"sha256={digest}"


def test_clevertap_hears_of_its_own_messages(shop: Shop) -> None:
    """A status goes to the address for statuses, with its parameters and the id that CleverTap gave the message."""
    take_in(
        shop,
        {
            "type": "track",
            "event": "CleverTap WhatsApp Message",
            "messageId": "255|163|2022|255",
            "properties": {"to": NUMBER, "isTemplate": False, "kind": "text", "text": "Hi", "type": "text"},
        },
    )
    shop.publish(said(Verdict.READ, "read", request_id="13672fa705a73d0000000001"))
    callback = next(one for one in shop.requests if one.path == "/reports")
    assert callback.query == {"token": "abc"}
    (status,) = orjson.loads(callback.body or b"")["statuses"]
    assert (status["msgId"], status["status"]) == ("255|163|2022|255", "read")


def test_what_a_receiver_cannot_take_waits_and_goes_again(shop: Shop) -> None:
    """The same bytes, later, and the other receiver has its own already."""
    shop.answers += [DOWN]
    shop.publish(wrote())
    assert states(shop.store) == {"scheduled": 1, "accepted": 1}
    shop.run_due(60)
    assert states(shop.store) == {"accepted": 2}
    first, _, again = shop.requests
    assert (first.body, first.path) == (again.body, again.path)


def test_a_receiver_that_refuses_is_recorded_with_its_answer(shop: Shop) -> None:
    """It is rejected, kept for an operator with the reason, and without any key."""
    shop.answers += [Answer(AnswerClass.REQUEST, status=401, message="the receiver refused it")]
    shop.publish(wrote())
    (key,) = shop.ledger.attention(State.REJECTED)
    (record,), (kept,) = shop.ledger.records([key]), shop.ledger.kept([key])
    assert record is not None
    assert kept is not None
    assert record.reason == "HTTP 401: the receiver refused it"
    assert (kept["action"], kept["payload"]["target"]) == ("publish_event", "segment")
    assert "write-key" not in orjson.dumps(kept).decode()


def test_a_dead_receiver_closes_its_own_lane_alone(shop: Shop) -> None:
    """After five failures it is not asked any more; the other receiver and the SMS go on."""
    shop.answers += [lambda request: DOWN if request.path == "/v1/track" else Answer(AnswerClass.ACCEPTED)] * 40
    for n in range(8):
        shop.publish(wrote(message_id=f"u-{n}"))
    take_in(shop, track(OTHER, "order-1"))
    asked = [one.path for one in shop.requests]
    assert asked.count("/v1/track") == 5
    assert asked.count("/inbound") == 8
    assert asked.count("/api/v2/sendsms") == 1
    assert shop.core.lanes.status("shop:onward:segment").paused_until_ms is not None
    assert states(shop.store) == {"scheduled": 8, "accepted": 9}


def test_a_receiver_that_has_left_the_configuration(shop: Shop) -> None:
    """What waited for it is rejected and says so, and nothing goes anywhere else."""
    shop.answers += [DOWN]
    shop.publish(wrote())
    shop.configure({"callbacks": ONWARD["callbacks"]})
    sent = len(shop.requests)
    shop.run_due(60)
    (key,) = shop.ledger.attention(State.REJECTED)
    (kept,) = shop.ledger.kept([key])
    assert kept is not None
    problem = "the destination's onward.tracking names no such receiver; it names none"
    assert kept["history"][-1]["errors"] == [{"field": "target", "message": problem}]
    assert len(shop.requests) == sent


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        ({"mode": "dry"}, {"suppressed": 2}),
        ({"mode": "allow-list", "allow_list": ["+919876543210"]}, {"accepted": 2}),
        ({"mode": "allow-list", "allow_list": ["+918818888758"]}, {"suppressed": 2}),
    ],
)
def test_modes(shop: Shop, keys: dict[str, Any], expected: dict[str, int]) -> None:
    """In dry mode nothing is told; with a list of allowed numbers, only of those."""
    shop.configure(ONWARD, **keys)
    shop.publish(wrote())
    assert states(shop.store) == expected
    assert len(shop.requests) == expected.get("accepted", 0)


def test_nothing_is_kept_or_told_unless_configured(shop: Shop) -> None:
    """A destination without receivers and answers publishes nothing and remembers nothing."""
    shop.configure({})
    take_in(shop, track(NUMBER, "order-4711", userId="user-1"))
    shop.requests.clear()
    assert shop.publish(wrote()) == 0
    assert shop.requests == []
    names = [one.decode() for one in shop.store.client.keys(f"{shop.store.keys.prefix}*")]
    assert [one for one in names if ":from:" in one or ":named:" in one or ":answered:" in one] == []


def test_a_stranger_is_answered_once_in_a_while(shop: Shop) -> None:
    """The first message is answered, the same one again and others are not, and after a while one is again."""
    shop.configure({"auto_reply": REPLY})
    shop.publish(wrote())
    shop.publish(wrote())
    shop.publish(wrote("Anybody?", message_id="u-2"))
    shop.publish(wrote("Another", sender=OTHER, message_id="u-3"))
    answers = [orjson.loads(one.body or b"") for one in shop.requests]
    assert [(one["recipient_number"], one["text"]) for one in answers] == [
        (NUMBER, REPLY["text"]),
        (OTHER, REPLY["text"]),
    ]
    shop.store.client.delete(shop.store.keys.answered("shop", pseudonym(shop.destination, NUMBER)))
    shop.publish(wrote("And now?", message_id="u-4"))
    assert len(shop.requests) == 3


def test_the_answer_has_its_time(shop: Shop) -> None:
    """Who was answered is remembered for ``every``, and no longer."""
    shop.configure({"auto_reply": REPLY})
    shop.publish(wrote())
    left = shop.store.client.pttl(shop.store.keys.answered("shop", pseudonym(shop.destination, NUMBER)))
    assert 3_590_000 < left <= 3_600_000


def test_whoever_an_event_has_named_is_not_answered(shop: Shop) -> None:
    """Whether the message went out or not: a customer who writes gets no machine."""
    shop.configure({"auto_reply": REPLY})
    take_in(shop, track(NUMBER, "order-1"), track("+44 7400 123456", "order-2", message="x" * 5000))
    shop.requests.clear()
    shop.publish(wrote())
    shop.publish(wrote(sender="447400123456", message_id="u-2"))
    assert [orjson.loads(one.body or b"")["recipient_number"] for one in shop.requests] == ["447400123456"]


def test_an_automatic_answer_makes_nobody_known(shop: Shop) -> None:
    """Neither it nor what is published of a stranger's message counts as an event that names them."""
    shop.configure({**ONWARD, "auto_reply": REPLY})
    shop.publish(wrote())
    assert shop.store.client.exists(shop.store.keys.named("shop")) == 0


@pytest.mark.parametrize("kind", ["reaction", "unsupported"])
def test_what_wants_no_answer_gets_none(shop: Shop, kind: str) -> None:
    """A reaction is not answered."""
    shop.configure({"auto_reply": REPLY})
    assert shop.publish(wrote(kind=kind)) == 0


def test_an_answer_by_template(shop: Shop) -> None:
    """Where the setting names a template, that is what is sent, from the number that was written to."""
    shop.configure({"auto_reply": {"template": "we_are_away"}})
    shop.publish(wrote())
    (request,) = [orjson.loads(one.body or b"") for one in shop.requests]
    assert request["integrated_number"] == OURS
    assert request["payload"]["template"]["name"] == "we_are_away"


def test_the_oldest_numbers_are_forgotten_first(shop: Shop) -> None:
    """No more numbers are kept than the setting says."""
    shop.configure({"auto_reply": {**REPLY, "most": 2}})
    for n in range(4):
        shop.store.pass_time(1)
        take_in(shop, track(919000000000 + n, f"m{n}"))
    kept = {one.decode() for one in shop.store.client.zrange(shop.store.keys.named("shop"), 0, -1)}
    assert kept == {pseudonym(shop.destination, f"91900000000{n}") for n in (2, 3)}


@pytest.mark.parametrize("by", [{"phone": NUMBER}, {"user": "user-1"}])
@pytest.mark.parametrize("dry", [True, False])
def test_forgetting_erases_what_is_kept(shop: Shop, by: dict[str, str], dry: bool) -> None:
    """By number or by user: the event that a message came from, who is named, and what waits to be told."""
    shop.configure({**ONWARD, "auto_reply": REPLY})
    shop.publish(wrote(sender=OTHER))
    take_in(shop, track(NUMBER, "order-4711", userId="user-1"), track(OTHER, "order-4712", userId="user-2"))
    shop.answers += [DOWN, DOWN]
    shop.publish(said(Verdict.DELIVERED, "1", request_id="13672fa705a73d0000000001"))
    person = Person.known_to(shop.destinations, **by)
    erased = forgetting.forget(shop.core, shop.destinations, person, by="test", dry=dry)
    assert erased.onward == (2 if "phone" in by else 1)
    assert erased.waiting == 2
    origins = shop.store.client.keys(f"{shop.store.keys.origin_prefix}*")
    assert len(origins) == (2 if dry else 1)
    assert states(shop.store).get("suppressed", 0) == (0 if dry else 2)
    known = shop.store.client.zscore(shop.store.keys.named("shop"), pseudonym(shop.destination, NUMBER))
    assert (known is None) is ("phone" in by and not dry)
    assert shop.store.client.zscore(shop.store.keys.named("shop"), pseudonym(shop.destination, OTHER)) is not None


def test_mappings_can_publish_too(shop: Shop) -> None:
    """Any producer may use the action; a target that is not configured is refused, whatever it looks like."""
    item = {"messageId": "e-1", "event": "Order Shipped", "userId": "user-1"}
    lines = [
        orjson.dumps({"action": "publish_event", "messageId": target, "payload": {**item, "target": target}})
        for target in ("segment", "http://169.254.169.254/")
    ]
    batch = shop.batches.accept(join(lines), 2, kind=Kind.PAYLOADS, destination="shop")
    assert shop.forwarder.run(batch)
    assert [one["event"] for one in bodies(shop)] == ["Order Shipped"]
    assert states(shop.store) == {"accepted": 1, "rejected": 1}


def test_explaining_shows_where_it_goes_and_no_secret(tmp_path: Path) -> None:
    """What a mapping would publish names the receiver's origin, and neither path nor key of it."""
    (tmp_path / "crm.yaml").write_text(
        "mappings:\n"
        "  - name: pass-on\n"
        '    trigger: type = "track"\n'
        "    action: post_callback\n"
        '    mapping: {target: clevertap, kind: report, body: {"@path": $.properties}}\n',
        encoding="utf-8",
    )
    destination = destination_of(tmp_path, ONWARD, mappings=["crm.yaml"])
    event = {"type": "track", "event": "X", "userId": "u", "messageId": "m", "properties": {"a": 1}}
    (there,) = explain_event(event, [destination], now_ms=0, arrival="a").destinations
    (considered,) = there.considered
    assert considered.url == "http://127.0.0.1:1/…"
    assert considered.body() == {"a": 1}
