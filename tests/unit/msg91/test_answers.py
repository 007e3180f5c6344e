"""What an answer of MSG91 means."""

import gzip
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.msg91.answers import MAX_RETRY_AFTER, Answer, AnswerClass, read_answer
from worker.msg91.codes import CODES, STATUS_LIKE_CODES, find_text, of_status

NOW = 1_700_000_000.0
REQUEST_ID = "3462646e6c72616a61643234"

ACCEPTED, RETRY, THROTTLED = AnswerClass.ACCEPTED, AnswerClass.RETRY, AnswerClass.THROTTLED
RECIPIENT, REQUEST, ACCOUNT = AnswerClass.RECIPIENT, AnswerClass.REQUEST, AnswerClass.ACCOUNT
DUPLICATE, UNKNOWN = AnswerClass.DUPLICATE, AnswerClass.UNKNOWN


def read(status: int, body: Any, headers: dict[str, str] | None = None, **options: Any) -> Answer:
    """Read an answer whose body is given as bytes, text or something to be JSON."""
    if not isinstance(body, bytes):
        body = body.encode() if isinstance(body, str) else orjson.dumps(body)
    return read_answer(status, headers or {}, body, now=NOW, **options)


@pytest.mark.parametrize(
    ("body", "request_id"),
    [
        ({"message": REQUEST_ID, "type": "success"}, REQUEST_ID),
        ({"request_id": REQUEST_ID, "type": "success"}, REQUEST_ID),
        ({"message": f" {REQUEST_ID} ", "type": "Success"}, REQUEST_ID),
        ({"type": "success", "message": "SMS sent"}, None),
        ({"type": "success"}, None),
        (
            {
                "status": "success",
                "hasError": False,
                "data": "in process",
                "errors": None,
                "request_id": "f" * 32,
            },
            "f" * 32,
        ),
        (
            {"status": "success", "hasError": False, "data": {"request_id": "1660000000_abcdef"}},
            "1660000000_abcdef",
        ),
        ({"status": "success", "data": {"message_uuid": "0af1c5c2-7f2e"}}, "0af1c5c2-7f2e"),
        ({"status": "success", "hasError": False, "data": {"contact": {"id": 7}}, "errors": []}, None),
        ({"data": {"contact": {"id": 7}}}, None),
        (f"\ufeff  {orjson.dumps({'message': REQUEST_ID, 'type': 'success'}).decode()}\n", REQUEST_ID),
        (REQUEST_ID, REQUEST_ID),
    ],
)
def test_success(body: Any, request_id: str | None) -> None:
    """A body that says success is accepted, with MSG91's request id where it has one."""
    answer = read(200, body, {"content-type": "text/html"})
    assert (answer.klass, answer.request_id, answer.by_provider) == (ACCEPTED, request_id, True)


@pytest.mark.parametrize("entry", CODES.values(), ids=lambda entry: entry.code)
def test_every_known_code_in_every_envelope(entry: Any) -> None:
    """Each numeric code has its class in all three envelopes, as text or number, whatever the HTTP status."""
    code = entry.code
    bodies: list[Any] = [
        {"type": "error", "message": "words", "code": code},
        {"type": "error", "message": "words", "code": int(code)},
        {"type": "error", "message": code},
        {"status": "fail", "hasError": True, "errors": "words", "code": "401", "apiError": code},
        {"status": "fail", "hasError": True, "errors": ["words"], "code": code},
        {"msg": code, "msgType": "error"},
        {"msg_type": "error", "msg": int(code)},
        {"message": "words", "code": code},
        code,
        f'"{code}"',
        f" {code}\r\n",
    ]
    for body in bodies:
        for status in (200, 400, 401, 500, 502):
            answer = read(status, body)
            assert answer.klass is entry.klass, body
            assert answer.code is not None
            assert answer.by_provider


@pytest.mark.parametrize(
    ("body", "klass"),
    [
        ({"message": "Invalid authkey", "type": "error", "code": "201"}, ACCOUNT),
        ({"message": "  INVALID   AuthKey ", "type": "error"}, ACCOUNT),
        ({"message": "Auth Key missing", "type": "error"}, ACCOUNT),
        ({"code": "401", "message": "AuthenticationFailure", "type": "error"}, ACCOUNT),
        (
            {"status": "fail", "hasError": True, "errors": "Unauthorized", "code": "401", "apiError": "201"},
            ACCOUNT,
        ),
        (
            {"status": "fail", "hasError": True, "errors": "Unauthorized", "code": "401", "apiError": "418"},
            ACCOUNT,
        ),
        ({"type": "error", "message": "The provided flow ID or template ID is invalid."}, REQUEST),
        ({"type": "error", "message": "Template ID Missing or Invalid Template", "code": 400}, REQUEST),
        ({"type": "error", "message": "Please enter atleast one number to send sms."}, REQUEST),
        ({"type": "error", "message": "Mobile no. empty or not numeric"}, RECIPIENT),
        ({"type": "error", "message": "Invalid authkey", "code": 400}, ACCOUNT),
        ({"type": "error", "msg": "Route Missing"}, ACCOUNT),
        ({"status": "fail", "hasError": True, "errors": ["Something went wrong"]}, RETRY),
        ({"status": "fail", "hasError": True, "errors": {"sendTo": ["Invalid template"]}}, REQUEST),
        ({"status": "error", "errors": "Internal Server Error! Please contact support"}, RETRY),
        ({"message": "Too many Attempts"}, THROTTLED),
        ({"type": "error", "message": "a new kind of error", "code": "742"}, REQUEST),
        ({"type": "error", "message": {"odd": ["shape"]}}, REQUEST),
        ({"hasError": True}, REQUEST),
        ({"hasError": "true", "status": "success"}, REQUEST),
        ({"type": "success", "hasError": True, "errors": "no"}, REQUEST),
        ({"type": "error"}, REQUEST),
        ("Invalid authkey", ACCOUNT),
        ({"type": "error", "code": "500", "message": "oops"}, RETRY),
    ],
)
def test_refusals_under_http_200(body: Any, klass: AnswerClass) -> None:
    """An error body under HTTP 200 is what its code or text says, and unknown ones are refused for good."""
    answer = read(200, body, {"content-type": "text/html; charset=UTF-8"})
    assert answer.klass is klass
    assert answer.by_provider
    assert answer.message


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{}",
        b"[]",
        b"null",
        b"OK",
        b"<html><body>Welcome to the guest network</body></html>",
        b'{"type":"succ',
        b'{"message":"3462646e6c72616a61643234"}',
        b'{"status":"queued"}',
        b'{"type":1,"status":null}',
        b"999",
        b"4500",
        b'[{"type":"success"}]',
        b"\xff\xfe\x00garbage",
        b'{"type":"success","x":NaN}',
    ],
)
@pytest.mark.parametrize("status", [200, 202, 204, 500, 502, 504, 520, 599, 303])
def test_unreadable_answers_leave_in_doubt(status: int, body: bytes) -> None:
    """Without a body that MSG91 wrote, 2xx, 500, 502, 504 and unheard-of statuses leave in doubt what was sent."""
    answer = read(status, body)
    assert answer.klass is UNKNOWN
    assert not answer.by_provider


@pytest.mark.parametrize(
    ("status", "klass"),
    [
        (301, ACCOUNT),
        (302, ACCOUNT),
        (307, ACCOUNT),
        (400, REQUEST),
        (401, ACCOUNT),
        (403, ACCOUNT),
        (404, ACCOUNT),
        (405, ACCOUNT),
        (407, ACCOUNT),
        (408, RETRY),
        (413, REQUEST),
        (418, ACCOUNT),
        (422, REQUEST),
        (429, THROTTLED),
        (451, REQUEST),
        (503, RETRY),
    ],
)
@pytest.mark.parametrize("body", [b"", b"<html>nginx</html>", b"{}"])
def test_statuses_that_speak_for_themselves(status: int, klass: AnswerClass, body: bytes) -> None:
    """These statuses decide when the body says nothing."""
    assert read(status, body).klass is klass


@pytest.mark.parametrize(
    ("status", "klass"),
    [
        (500, RETRY),
        (502, RETRY),
        (503, RETRY),
        (504, RETRY),
        (400, REQUEST),
        (401, ACCOUNT),
        (429, THROTTLED),
    ],
)
def test_unknown_error_of_msg91_with_a_status(status: int, klass: AnswerClass) -> None:
    """An error body of MSG91's own without a known code goes by its status, and a 5xx is then safe to repeat."""
    assert read(status, {"status": "fail", "hasError": True, "data": None, "errors": "oops"}).klass is klass


def test_known_code_wins_over_the_status() -> None:
    """A known code in the body counts more than the HTTP status."""
    assert read(429, {"type": "error", "code": "301"}).klass is ACCOUNT
    assert read(503, {"type": "error", "code": "202"}).klass is RECIPIENT
    assert read(500, {"message": "207", "type": "error"}).klass is ACCOUNT


@pytest.mark.parametrize(
    "body",
    [
        {"message": "Internal server error"},
        {"message": "Endpoint request timed out"},
        {"message": "Unauthorized"},
        {"status": "error", "message": "Internal server error"},
        {"status": "error", "message": "upstream failed", "code": 502},
        {"code": 502, "message": "Bad Gateway"},
        {"type": "about:blank", "status": 502, "title": "Bad Gateway"},
        "Internal Server Error",
        "Something went wrong",
        '"Internal Server Error"',
    ],
)
@pytest.mark.parametrize("status", [500, 502, 504])
def test_errors_that_a_gateway_may_have_written(status: int, body: Any) -> None:
    """Words that any gateway writes are no proof that nothing was taken."""
    answer = read(status, body)
    assert (answer.klass, answer.by_provider) == (UNKNOWN, False)


@pytest.mark.parametrize("body", [{"message": "Internal server error"}, "Something went wrong"])
def test_words_of_failure_under_success(body: Any) -> None:
    """Outside MSG91's own shapes a text of failure under 200 proves nothing either."""
    assert read(200, body).klass is UNKNOWN
    assert read(503, body).klass is RETRY
    assert read(503, body, treat_503_as_unknown=True).klass is UNKNOWN


def test_success_body_under_an_error_status() -> None:
    """A body that says success under an error status proves the send by its request id, else leaves it in doubt."""
    assert read(503, {"type": "success", "message": REQUEST_ID}).klass is ACCEPTED
    assert read(502, {"type": "success", "message": REQUEST_ID}).klass is ACCEPTED
    assert read(503, {"type": "success"}).klass is UNKNOWN
    assert read(400, {"type": "success"}).klass is UNKNOWN


def test_503_can_be_made_doubtful() -> None:
    """With the setting a 503 that MSG91 did not write leaves in doubt; its own error body still speaks."""
    assert read(503, b"", treat_503_as_unknown=True).klass is UNKNOWN
    own = {"status": "fail", "hasError": True, "errors": "down"}
    assert read(503, own, treat_503_as_unknown=True).klass is RETRY


def test_empty_answer_is_success_for_segmento_only() -> None:
    """An empty 2xx body is success where the request says so, and nowhere else."""
    assert read(200, b"", empty_is_success=True).klass is ACCEPTED
    assert read(204, b" \r\n", empty_is_success=True).klass is ACCEPTED
    assert read(500, b"", empty_is_success=True).klass is UNKNOWN
    assert read(200, b"", empty_is_success=True, complete=False).klass is UNKNOWN


def test_cut_off_answers() -> None:
    """A cut-off answer is believed only where what came proves itself complete, or where the status is enough."""
    whole = orjson.dumps({"type": "success", "message": REQUEST_ID})
    assert read(200, whole, complete=False).klass is ACCEPTED
    assert read(200, whole[:-1], complete=False).klass is UNKNOWN
    assert read(200, b"301", complete=False).klass is UNKNOWN
    assert read(200, REQUEST_ID, complete=False).klass is UNKNOWN
    assert read(429, b"<ht", complete=False).klass is THROTTLED
    assert "cut off" in read(200, b"", complete=False).message


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("7", 7.0),
        (" 2.5 ", 2.5),
        ("0", 0.0),
        ("-30", 0.0),
        ("999999999", MAX_RETRY_AFTER),
        ("1e400", MAX_RETRY_AFTER),
        ("nan", None),
        ("soon", None),
        ("", None),
        ("Tue, 99 Foo 2023 99:99:99 GMT", None),
        (format_datetime(datetime.fromtimestamp(NOW + 90, UTC), usegmt=True), 90.0),
        (format_datetime(datetime.fromtimestamp(NOW - 90, UTC), usegmt=True), 0.0),
        (format_datetime(datetime.fromtimestamp(NOW + 10**7, UTC), usegmt=True), MAX_RETRY_AFTER),
        ("Sunday, 06-Nov-94 08:49:37 GMT", 0.0),
        ("Sun Nov  6 08:49:37 1994", 0.0),
    ],
)
@pytest.mark.parametrize("status", [429, 503])
def test_retry_after(status: int, value: str, seconds: float | None) -> None:
    """Retry-After is read as seconds or date, never negative, never beyond the bound, and garbage is as if absent."""
    assert read(status, b"", {"retry-after": value}).retry_after == seconds


def test_retry_after_date_is_measured_on_the_servers_clock() -> None:
    """A server whose clock is an hour off still gets exactly the pause it asked for."""
    off = NOW - 3600
    headers = {
        "retry-after": format_datetime(datetime.fromtimestamp(off + 30, UTC), usegmt=True),
        "date": format_datetime(datetime.fromtimestamp(off, UTC), usegmt=True),
    }
    assert read(429, b"", headers).retry_after == 30.0


def test_retry_after_of_codes() -> None:
    """Closed hours, daily caps and the duplicate window bring their own time to wait; a header may say another."""
    assert read(200, {"type": "error", "code": 306}).retry_after == 3600.0
    assert read(200, {"type": "error", "code": "506"}).retry_after == 3600.0
    assert read(200, {"type": "error", "code": "306"}, {"retry-after": "60"}).retry_after == 60.0
    assert read(200, {"type": "error", "code": "311"}).retry_after == 10.0
    assert read(200, {"type": "error", "code": "601"}).retry_after is None
    assert read(200, {"type": "error", "code": "201"}, {"retry-after": "60"}).retry_after is None


def test_compressed_answer() -> None:
    """A gateway that compresses unasked is understood, and a bomb is not unpacked."""
    body = orjson.dumps({"type": "success", "message": REQUEST_ID})
    assert read(200, gzip.compress(body), {"content-encoding": "gzip"}).request_id == REQUEST_ID
    bomb = gzip.compress(b" " * 50_000_000)
    assert read(200, bomb[:65536], {"content-encoding": "gzip"}).klass is UNKNOWN
    assert read(200, b"not gzip", {"content-encoding": "gzip"}).klass is UNKNOWN


def test_numbers_are_masked() -> None:
    """A phone number that MSG91 repeats does not get into message or body."""
    answer = read(200, {"type": "error", "message": "Number +918818888758 is bad", "mobile": "918818888758"})
    assert "8818888758" not in answer.message + answer.body
    assert "758" in answer.message


def test_body_and_message_are_bounded() -> None:
    """Of a long body only the beginning is kept."""
    answer = read(200, {"type": "error", "message": "x" * 60_000})
    assert len(answer.body) <= 2048
    assert len(answer.message) <= 300


_keys = st.sampled_from(
    [
        "type",
        "message",
        "code",
        "msg",
        "msgType",
        "msg_type",
        "status",
        "hasError",
        "errors",
        "error",
        "data",
        "apiError",
    ]
)
_json = st.recursive(
    st.none() | st.booleans() | st.integers(-999, 9999) | st.floats(allow_nan=False) | st.text(max_size=30),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_keys, inner, max_size=5),
    max_leaves=12,
)


@given(st.integers(100, 999), st.dictionaries(_keys, _json, max_size=8) | _json)
def test_success_is_only_what_says_success(status: int, body: Any) -> None:
    """Whatever JSON comes back is judged without failing, and accepted only if the word or the contact is in it."""
    answer = read(status, body)
    if answer.klass is ACCEPTED:
        text = orjson.dumps(body).decode().casefold()
        assert "success" in text or "contact" in text


@given(
    st.integers(100, 999),
    st.binary(max_size=300),
    st.dictionaries(st.sampled_from(["retry-after", "date"]), st.text()),
)
def test_any_bytes_are_judged(status: int, body: bytes, headers: dict[str, str]) -> None:
    """Whatever bytes come back are judged without failing."""
    answer = read_answer(status, headers, body, now=NOW)
    assert answer.klass in AnswerClass
    assert answer.retry_after is None or 0 <= answer.retry_after <= MAX_RETRY_AFTER


def test_tables_are_consistent() -> None:
    """Codes have three digits and stand under their own name; no code is in both tables."""
    for table in (CODES, STATUS_LIKE_CODES):
        for code, entry in table.items():
            assert code == entry.code
            assert len(code) == 3
            assert entry.meaning
    assert not CODES.keys() & STATUS_LIKE_CODES.keys()


def test_text_search_ignores_case_and_spaces() -> None:
    """Known texts are found whatever their case and white space."""
    found = find_text("\n The  provided FLOW id or\ttemplate ID is invalid.")
    assert found is not None
    assert found.code == "211"
    assert find_text("quite another thing") is None


def test_every_status_has_a_class() -> None:
    """Any status at all has a class, and success is never concluded from a status."""
    for status in range(100, 1000):
        klass, meaning = of_status(status)
        assert klass is not ACCEPTED
        assert meaning
