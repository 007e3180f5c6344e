"""What holds for every action."""

from types import ModuleType
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mappings import compile_fields
from worker import actions
from worker.actions import ACTIONS, Action, ActionContext, FieldErrors, WhatsAppContext
from worker.msg91.answers import Answer, AnswerClass
from worker.msg91.numbers import PhoneNumbers

CONTEXT = ActionContext(
    "msg91",
    PhoneNumbers("IN"),
    default_sender="SHOPIN",
    default_template_id="61e8f2a3b4c5d6e7f8091a2b",
    phonebook_id="pb1",
    otp_template_id="61e8f2a3b4c5d6e7f8091a2b",
    whatsapp=WhatsAppContext(numbers=("918888888888",), default_number="918888888888"),
)
each = pytest.mark.parametrize("action", ACTIONS.values(), ids=lambda action: action.name)


def test_every_public_name_exists() -> None:
    """`__all__` is exactly what the package defines and re-exports."""
    found = {name for name, value in vars(actions).items() if name[0] != "_" and not isinstance(value, ModuleType)}
    assert sorted(actions.__all__) == sorted(found)
    kinds = {value for value in vars(actions).values() if isinstance(value, type) and issubclass(value, Action)}
    assert kinds == {Action, *map(type, ACTIONS.values())}


def test_names() -> None:
    """The registry holds the actions under their own, fixed names."""
    assert list(ACTIONS) == [
        "send_sms",
        "send_flow_sms",
        "send_otp",
        "resend_otp",
        "run_campaign",
        "send_whatsapp_template",
        "send_whatsapp_session",
        "record_user_events",
        "upsert_contact",
        "publish_event",
        "post_callback",
    ]
    assert all(name == action.name for name, action in ACTIONS.items())


@each
def test_what_people_receive_is_never_repeatable(action: Action) -> None:
    """An action whose repetition a person would notice is not called repeatable, and goes to nobody twice at once."""
    assert action.people_receive != action.repeatable
    assert action.people_receive <= action.unique_recipients
    assert (action.family in {"segmento", "onward"}) != action.people_receive
    assert (action.family == "onward") == action.names_people


@each
def test_fields_are_definitions_of_segment(action: Action) -> None:
    """Fields compile, have a label and a description, and name what is required."""
    compile_fields(action.fields)
    for field in action.fields.values():
        assert field["label"]
        assert field["description"].endswith(".")
        assert field["type"] in {"string", "boolean", "integer", "object", "datetime"}
    assert any(field.get("required") for field in action.fields.values())


@each
def test_an_answer_speaks_for_all(action: Action) -> None:
    """The answer to a request is the answer for each of its items."""
    answer = Answer(AnswerClass.ACCEPTED)
    assert action.read(answer, 3) == [answer] * 3


@each
def test_empty_mapping_names_what_is_missing(action: Action) -> None:
    """A mapping that fills nothing is refused by the names of the required fields."""
    with pytest.raises(FieldErrors) as caught:
        action.prepare({}, CONTEXT)
    missing = {name for name, field in action.fields.items() if field.get("required")}
    # A session message needs some content, whichever it is.
    missing |= {"text"} if action.name == "send_whatsapp_session" else set()
    # A campaign needs some address.
    missing |= {"phone"} if action.name == "run_campaign" else set()
    # A track event needs somebody whose it is.
    missing |= {"userId"} if action.name == "publish_event" else set()
    assert {error.field for error in caught.value.errors} == missing
    assert all(name in str(caught.value) for name in missing)


@each
@pytest.mark.parametrize("resolved", [None, [], "text", 5])
def test_a_mapping_that_gives_no_fields(action: Action, resolved: Any) -> None:
    """What is no object of fields is refused as a whole, not field by field."""
    with pytest.raises(FieldErrors) as caught:
        action.prepare(resolved, CONTEXT)
    assert [error.field for error in caught.value.errors] == [""]


_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(st.characters(), max_size=20)
    | st.sampled_from(["918818888758", "MSGIND", "2024-05-01T10:00:00Z", "61e8f2a3b4c5d6e7f8091a2b", "a@b.co", "4"]),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(st.characters(), max_size=8), inner, max_size=3)
    ),
    max_leaves=6,
)


@each
@given(data=st.data())
def test_whatever_a_mapping_gives_is_prepared_or_refused(action: Action, data: st.DataObject) -> None:
    """No resolved value whatever makes anything but a request that can be built, or a refusal that names fields."""
    names = st.sampled_from([*action.fields, "unknown"])
    resolved = data.draw(st.dictionaries(names, _values, max_size=8))
    resolved |= {name: data.draw(_values) for name, field in action.fields.items() if field.get("required")}
    try:
        prepared = action.prepare(resolved, CONTEXT)
    except FieldErrors as refusal:
        errors = refusal.errors
    else:
        errors = []
        kept = orjson.loads(orjson.dumps(prepared.payload))
        request = action.build([kept], CONTEXT, "token")
        assert request.body is None or isinstance(orjson.loads(request.body), dict)
        assert orjson.dumps(request.sample)
        assert prepared.recipient
        assert prepared.cost >= 1
    named = [error.field.split(".")[0].split("[")[0] for error in errors]
    assert named == sorted(named, key=list(action.fields).index)
    for error in errors:
        assert error.field.split(".")[0].split("[")[0] in action.fields
        assert error.message
