"""Whatever is reported or written: what is published of it is valid, and the same thing is the same again."""

from __future__ import annotations

import string
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from worker.actions import ACTIONS
from worker.configuration.model import OnwardModel
from worker.delivery import Origin
from worker.destinations import Destination, load_destinations
from worker.destinations.receivers import receivers_of
from worker.msg91.answers import AnswerClass
from worker.msg91.receiver import ReceiverClient
from worker.msg91.reports import Inbound, Report, Verdict
from worker.onward import items_of
from worker.onward.items import reply_of
from worker.pipeline import Over, resolve_payload

TEXT = st.text(st.characters(), max_size=40)
NUMBERS = st.sampled_from(["", "919876543210", "447400123456", "1", "9" * 20])
RAW = st.dictionaries(
    st.sampled_from(["ts", "context", "button", "interactive", "url", "latitude", "replyMsgId", "x"]) | TEXT,
    st.recursive(
        st.none() | st.integers() | st.floats() | TEXT | st.sampled_from(["1764324900", "1764324900123"]),
        lambda inner: (
            st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(["id", "button_reply", "text"]), inner)
        ),
        max_leaves=5,
    ),
    max_size=4,
)
REPORTS = st.builds(
    Report,
    verdict=st.sampled_from(Verdict),
    status=TEXT | st.sampled_from(["1", "sent", "failed"]),
    reason=TEXT | st.text(min_size=200, max_size=5000),
    recipient=NUMBERS,
    request_id=TEXT,
    token=TEXT,
    message_id=TEXT,
    at=TEXT | st.sampled_from(["1764324900", "2024-05-22 10:06:20"]),
    raw=RAW,
)
INBOUND = st.builds(
    Inbound,
    sender=NUMBERS,
    integrated_number=TEXT | st.just("918818888758"),
    kind=TEXT | st.sampled_from(["text", "image", "voice", "button", "interactive", "location", "reaction"]),
    text=TEXT | st.text(st.characters(), min_size=4000, max_size=9000),
    name=TEXT,
    message_id=TEXT,
    raw=RAW,
)
ORIGINS = st.none() | st.builds(
    Origin, message_id=TEXT, mapping=TEXT, action=st.just("send_sms"), user_id=TEXT, anonymous_id=TEXT
)


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Destination:
    """A destination that tells everybody everything, and answers."""
    file: Path = tmp_path_factory.mktemp("shop") / "destinations.yaml"
    receiver: dict[str, Any] = {"write_key": "w" * 16, "phone": "full"}
    urls = {"report_url": "https://c.example/r", "inbound_url": "https://c.example/i"}
    onward = {
        "tracking": [{"name": "segment", **receiver}],
        "callbacks": [{"name": "crm", "secret": "s" * 16, "channels": ["sms", "whatsapp"], **urls}],
        "auto_reply": {"text": "Hello"},
    }
    keys = {"name": "shop", "authkey": "key", "whatsapp": {"numbers": ["918818888758"]}, "onward": onward}
    file.write_text(yaml.safe_dump({"destinations": [keys]}), encoding="utf-8")
    return load_destinations(file, {}).all[0]


@given(read=REPORTS | INBOUND, channel=st.sampled_from(["sms", "whatsapp"]), origin=ORIGINS)
def test_whatever_is_read_makes_valid_deliveries_or_none(
    shop: Destination, read: Report | Inbound, channel: Any, origin: Origin | None
) -> None:
    """Each is written as a line, passes its action's own checks, and can be built; the same read gives the same ids."""
    items = items_of(shop, read, channel=channel, origin=origin, at_ms=1_764_324_900_000)
    for item in items:
        line = orjson.loads(item.line())
        outcome = resolve_payload(
            line["payload"],
            destination=shop,
            action=ACTIONS[line["action"]],
            message_id=line["messageId"],
            mapping=line["action"],
            now_ms=0,
        )
        assert not isinstance(outcome, Over), outcome.delivery.history
        request = ACTIONS[line["action"]].build([outcome.payload], shop.context, "token")
        assert isinstance(orjson.loads(request.body or b""), dict)
    again = items_of(shop, read, channel=channel, origin=None, at_ms=1)
    both = {one.action for one in items} & {one.action for one in again}
    assert {one.message_id for one in items if one.action in both} == {
        one.message_id for one in again if one.action in both
    }
    assert len({(one.action, one.message_id) for one in items}) == len(items)


@given(read=INBOUND)
def test_whoever_writes_is_answered_by_a_line_or_not_at_all(shop: Destination, read: Inbound) -> None:
    """An answer goes to the sender and to nobody else."""
    reply = reply_of(shop, read)
    if reply is None:
        assert not read.sender
    else:
        assert orjson.loads(reply.line())["payload"]["phone"] == read.sender


@given(
    scheme=st.sampled_from(["http", "https", "HTTPS"]),
    host=st.text(f"{string.ascii_letters}{string.digits}.-_[]:%@ ", min_size=1, max_size=30),
    rest=st.text(string.printable, max_size=20),
)
def test_whatever_address_is_taken_can_be_used(scheme: str, host: str, rest: str) -> None:
    """An address that the configuration takes is one that the client takes: nothing fails when something leaves."""
    try:
        model = OnwardModel.model_validate(
            {"callbacks": [{"name": "crm", "secret": "s" * 16, "report_url": f"{scheme}://{host}/{rest}"}]}
        )
    except ValidationError:
        return
    crm = receivers_of(model).callbacks["crm"]
    client = ReceiverClient(
        crm.addresses["report"].origin, transport=httpx.MockTransport(lambda _: httpx.Response(204))
    )
    assert client.send(crm.post("report", b"{}", {})).klass is AnswerClass.ACCEPTED
