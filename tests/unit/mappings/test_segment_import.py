"""Importing the subscriptions of a Segment destination."""

from __future__ import annotations

from typing import Any

import pytest

from mappings import MappingError
from mappings.mapping import parse
from mappings.segment import Imported, import_subscriptions
from worker.actions import ACTIONS

FIELDS = {name: action.fields for name, action in ACTIONS.items()}

PHONE = {"@path": "$.properties.phone"}


def subscription(**changes: Any) -> dict[str, Any]:
    """A subscription as the Public API returns it."""
    return {
        "id": "eoeXaMeAYcB2XvEApJDrQs",
        "name": "Order Shipped",
        "actionId": "uD9jEQ4DxJZzhzVqppM7UD",
        "actionSlug": "sendSMS",
        "destinationId": "fP7qoQw2HTWt9WdMr718gn",
        "modelId": "",
        "enabled": True,
        "trigger": 'type = "track" and event = "Order Shipped"',
        "settings": {"phone": PHONE, "message": {"@template": "Hi {{properties.firstName}}"}},
    } | changes


def imported(*subscriptions: Any, choices: dict[str, str] | None = None) -> Imported:
    """Import subscriptions; what comes out always loads."""
    result = import_subscriptions(list(subscriptions), FIELDS, choices)
    parse(result.to_yaml(), "imported.yaml", FIELDS)
    return result


def lost(result: Imported) -> list[str]:
    """What had no counterpart."""
    return [note.message for note in result.notes if note.lost]


def test_a_subscription_becomes_a_mapping() -> None:
    """Name, action, trigger and mapping come over, and nothing is lost."""
    result = imported(subscription())

    assert result.notes == []
    assert result.mappings == [
        {
            "name": "order-shipped",
            "action": "send_sms",
            "trigger": 'type = "track" and event = "Order Shipped"',
            "mapping": {"phone": PHONE, "message": {"@template": "Hi {{properties.firstName}}"}},
        }
    ]
    [mapping] = parse(result.to_yaml(), "f", FIELDS).mappings
    event = {"type": "track", "event": "Order Shipped", "properties": {"phone": 5, "firstName": "Zoë"}}
    assert mapping.trigger(event)
    assert mapping.mapping(event) == {"phone": 5, "message": "Hi Zoë"}


@pytest.mark.parametrize(
    ("trigger", "words"),
    [
        ("type = 'track'", ["single quotes"]),
        ('type = "track" and anonymousId = "x" and messageId != null', ["on anonymousId", "on messageId"]),
        ('type = "track" and (contains(type, "x") or contains(groupId, "y"))', ["on type", "on groupId"]),
        ('match(event, "abc") or match(event, "*b*") or match(name, "a?*")', ["whole glob"]),
        ('type = "track" and event != null', ["event is null"]),
        ('!(type = "page")', ["! before a group"]),
        (
            '!contains(event, "x") and match(traits.a, "x*") and match(context.b, "*x") and name = "it\'s"',
            [],
        ),
    ],
)
def test_a_trigger_that_means_something_else_here_is_noted(trigger: str, words: list[str]) -> None:
    """The mapping is imported, and the notes say what Segment made of its trigger; nothing else is noted."""
    result = imported(subscription(trigger=trigger))

    assert len(result.mappings) == 1
    assert [note.lost for note in result.notes] == [False] * len(words)
    assert all(word in note.message for word, note in zip(words, result.notes, strict=True))


@pytest.mark.parametrize(
    "document",
    [
        [subscription()],
        {"subscriptions": [subscription()]},
        {"data": {"pagination": {"current": "MA=="}, "subscriptions": [subscription()]}},
        {"data": {"subscription": subscription()}},
        {"data": {"data": {"subscriptions": [subscription()]}}},
        subscription(),
    ],
)
def test_every_wrapping_of_the_public_api_is_read(document: Any) -> None:
    """A list, one subscription, or an answer as an API client hands it on."""
    assert [one["name"] for one in import_subscriptions(document, FIELDS).mappings] == ["order-shipped"]


def test_presets_of_segments_source_are_read() -> None:
    """Their keys are subscribe, partnerAction and mapping."""
    preset = {
        "name": "Send",
        "subscribe": 'type = "track"',
        "partnerAction": "sendSms",
        "mapping": {"phone": PHONE, "message": "x"},
    }

    assert [one["action"] for one in imported(preset).mappings] == ["send_sms"]


@pytest.mark.parametrize("document", [None, 5, "text", {}, {"data": {}}, {"data": {"data": {"data": {"data": {}}}}}])
def test_a_document_without_subscriptions_is_an_error(document: Any) -> None:
    """The error says what is needed."""
    with pytest.raises(MappingError, match="Segment's Public API"):
        import_subscriptions(document, FIELDS)


def test_fields_get_our_names_and_what_has_none_is_named() -> None:
    """Known names of other messaging destinations are translated; the rest is dropped and told."""
    result = imported(
        subscription(
            settings={
                "to": PHONE,
                "body": "x",
                "from": "MSGIND",
                "shorten": True,
                "batch_size": 1000,
                "__segment_internal_sync_mode": "add",
            }
        )
    )

    assert result.mappings[0]["mapping"] == {"phone": PHONE, "message": "x", "senderID": "MSGIND"}
    assert lost(result) == ["shorten is dropped: send_sms has no such field."]
    assert len(result.notes) == 6


def test_a_new_name_is_used_once() -> None:
    """Two settings that could both be the phone: the exact name wins, the other is told."""
    result = imported(subscription(settings={"to": "1", "phone": "2", "message": "x"}))

    assert result.mappings[0]["mapping"] == {"phone": "2", "message": "x"}
    assert lost(result) == ["to is dropped: send_sms has no such field."]


def test_the_action_is_found_by_choice_then_by_name_then_by_fields() -> None:
    """What a person says counts most."""
    settings = {"phone": PHONE, "message": "x"}
    by_choice = imported(subscription(actionSlug="x", settings=settings), choices={"x": "send_flow_sms"})
    by_id = imported(subscription(actionId="i", settings=settings), choices={"i": "send_flow_sms"})
    by_fields = imported(subscription(actionSlug="trackUser", settings={"userId": PHONE, "event": "x"}))

    assert by_choice.mappings[0]["action"] == by_id.mappings[0]["action"] == "send_flow_sms"
    assert by_fields.mappings[0]["action"] == "record_user_events"
    assert "whose fields fit" in by_fields.notes[0].message


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"actionSlug": "createAudience", "settings": {"q": 1}}, "has no counterpart here"),
        ({"settings": {"message": "x"}}, "nothing fills phone, which send_sms requires"),
        ({"settings": {}}, "nothing to map"),
        ({"settings": None}, "nothing to map"),
        ({"modelId": "m"}, "reverse ETL"),
        ({"trigger": 'type = "track" and'}, "trigger cannot be read"),
        ({"trigger": None}, "no trigger"),
        ({"settings": {"phone": {"@nope": 1}, "message": "x"}}, "mapping cannot be used: /phone"),
    ],
)
def test_what_cannot_come_over_is_left_out_and_named(changes: dict[str, Any], reason: str) -> None:
    """One subscription that does not fit leaves the others alone."""
    result = imported(subscription(**changes), subscription(name="Good"))

    assert [one["name"] for one in result.mappings] == ["good"]
    assert any(reason in message for message in lost(result))
    assert {note.subscription for note in result.notes} == {"Order Shipped"}


def test_what_is_no_subscription_is_named() -> None:
    """Its place in the list stands for its name."""
    assert [str(note) for note in imported(5).notes] == ["subscription 1: is a number, not an object."]


def test_a_trigger_that_means_something_else_here_is_pointed_out() -> None:
    """And beside or: Segment takes the last word for all of them."""
    result = imported(subscription(trigger='type = "track" and event = "A" or event = "B"'))

    assert lost(result) == []
    assert "and binds tighter" in result.notes[0].message


def test_names_are_made_plain_and_unique() -> None:
    """Names become part of delivery ids, so they have few characters and stand once."""
    result = imported(
        subscription(name="Order: Shipped! (नया)"),
        subscription(name="order shipped"),
        subscription(name="नया"),
        subscription(name="x" * 100),
        subscription(name=None, id="ID_1"),
    )

    assert [one["name"] for one in result.mappings] == ["order-shipped", "order-shipped-2", "mapping", "x" * 56, "id_1"]


def test_a_disabled_subscription_stays_disabled() -> None:
    """Importing does not switch anything on."""
    assert imported(subscription(enabled=False)).mappings[0]["enabled"] is False


def test_a_whole_directive_comes_over_as_it_is() -> None:
    """A mapping wrapped into one directive keeps its fields unseen."""
    settings = {"__segment_internal_directive": {"@transform": {"apply": {"a": 1}}}, "phone": {"@path": "$.a"}}

    result = imported(subscription(settings=settings))

    assert result.mappings[0]["mapping"] == settings
    assert lost(result) == []


def test_the_yaml_says_at_its_top_what_was_lost() -> None:
    """The notes stand in the file as comments, each on one line."""
    text = imported(subscription(name="A\nB", actionSlug="x", settings={"q": 1})).to_yaml()

    assert "# A B: left out: its action (x) has no counterpart here." in text.splitlines()
