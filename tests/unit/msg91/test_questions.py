"""Questions to MSG91: pages to their end, refusals, answers that nobody has described."""

from __future__ import annotations

import contextlib
import gzip
import zlib
from collections.abc import Callable
from datetime import date
from typing import Any

import httpx
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.msg91 import CallRefused, ClientSettingError, InvalidNumber, Msg91, UnexpectedAnswer, fill_template
from worker.msg91.answers import Answer, AnswerClass
from worker.msg91.client import Fetched, Request

KEY = "the-key"


def answering(*bodies: Any, status: int = 200) -> tuple[Msg91, list[httpx.Request]]:
    """An account that answers these documents in order, and the requests it got."""
    seen: list[httpx.Request] = []
    rest = list(bodies)

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        body = rest.pop(0)
        return httpx.Response(status, content=body if isinstance(body, bytes) else orjson.dumps(body))

    return Msg91(KEY, phonebook_id="7", transport=httpx.MockTransport(answer)), seen


def page(numbers: range, **more: Any) -> dict[str, Any]:
    """A page of campaigns."""
    items = [{"id": number, "name": f"c{number}", "slug": f"c{number}"} for number in numbers]
    return {"status": "success", "hasError": False, "data": {"data": items, **more}}


def test_pages_are_read_to_the_count() -> None:
    """With a total in the answer the last page is the last question, and all items come once."""
    account, seen = answering(
        page(range(2), totalEntityCount=5), page(range(2, 4)), page(range(4, 5), totalEntityCount=5)
    )
    found = [one.id for one in account.campaigns(page_size=2)]
    assert found == ["0", "1", "2", "3", "4"]
    assert [request.url.params["pageNo"] for request in seen] == ["1", "2", "3"]
    assert [request.url.params["page"] for request in seen] == ["1", "2", "3"]


def test_pages_without_a_count_end_with_a_short_one() -> None:
    """Without a total a page that is not full, or empty, is the last one."""
    account, seen = answering(page(range(2)), page(range(2, 3)))
    assert len(list(account.campaigns(page_size=2))) == 3
    account, seen = answering(page(range(2)), page(range(0)))
    assert len(list(account.campaigns(page_size=2))) == 2
    assert len(seen) == 2


def test_pages_that_are_smaller_than_asked_for_are_read_to_their_end() -> None:
    """A service that gives fewer at a time than it was asked for, and no total, loses no items."""
    account, seen = answering(page(range(3)), page(range(3, 6)), page(range(6, 7)))
    assert [one.id for one in account.campaigns(page_size=100)] == [str(n) for n in range(7)]
    assert len(seen) == 3
    account, _ = answering(page(range(3)), page(range(0)))
    assert len(list(account.campaigns(page_size=100))) == 3


def test_a_service_that_does_not_mind_the_page_is_not_asked_for_ever() -> None:
    """The same page again is the end, and its items come once."""
    account, seen = answering(page(range(100)), page(range(100)))
    assert len(list(account.campaigns(page_size=100))) == 100
    assert len(seen) == 2


def test_asking_beyond_the_last_page_may_be_an_error() -> None:
    """After a page that was not full a refusal of the next one is the end; a broken account is none."""
    refusal = {"status": "fail", "hasError": True, "errors": "page does not exist"}
    account, _ = answering(page(range(3)), refusal)
    assert len(list(account.campaigns(page_size=100))) == 3
    account, _ = answering(page(range(3)), {**refusal, "errors": "Unauthorized", "apiError": "201"})
    with pytest.raises(CallRefused):
        list(account.campaigns(page_size=100))
    account, _ = answering(page(range(100)), refusal)
    with pytest.raises(CallRefused):
        list(account.campaigns(page_size=100))


@pytest.mark.parametrize(
    "pack",
    [lambda body: b"\xef\xbb\xbf" + body + b"\r\n", gzip.compress, zlib.compress],
    ids=["mark", "gzip", "deflate"],
)
def test_an_answer_is_read_however_it_is_packed(pack: Callable[[bytes], bytes]) -> None:
    """A byte order mark, or what a gateway compressed unasked, hides no answer."""
    encodings = {gzip.compress: "gzip", zlib.compress: "deflate"}

    def answer(request: httpx.Request) -> httpx.Response:
        body = pack(b'{"message": "OTP verified success", "type": "success"}')
        headers = {"content-encoding": encodings[pack]} if pack in encodings else {}
        return httpx.Response(200, stream=httpx.ByteStream(body), headers={"content-length": str(len(body)), **headers})

    account = Msg91(KEY, transport=httpx.MockTransport(answer))
    assert account.verify_otp("+919812345678", "4321").result == "verified"


@pytest.mark.parametrize(
    ("body", "result"),
    [
        ({"msg": "OTP not match", "msgType": "error"}, "wrong"),
        ({"status": "fail", "hasError": True, "errors": "otp_expired"}, "expired"),
        ({"status": "success", "hasError": False, "message": "OTP verified success"}, "verified"),
        ({"type": "success", "message": "otp could not be verified"}, "unknown"),
        ({"type": "success", "message": "OTP not verified"}, "unknown"),
    ],
)
def test_a_verification_is_read_in_every_envelope(body: dict[str, Any], result: str) -> None:
    """The words count wherever they stand, and a success that denies itself is none."""
    account, _ = answering(body)
    assert account.verify_otp("+919812345678", "4321").result == result


def test_the_text_form_of_a_request_tells_nobody_anything() -> None:
    """Digits, numbers and texts of requests and answers are in no repr, as none is in a traceback or a log line."""
    request = Request(
        "GET", "/api/v5/otp/verify", b'{"text": "secret"}', {"otp": "4321", "mobile": "919812345678"}, {"x": "y4321"}
    )
    fetched = Fetched(Answer(AnswerClass.ACCEPTED), {"mobile": "919812345678"}, b"919812345678")
    shown = repr(request) + repr(fetched)
    assert not any(word in shown for word in ("4321", "919812345678", "secret"))


def test_failed_events_ask_for_their_days() -> None:
    """Campaign, days and page size are in every question."""
    body = {"status": "success", "data": {"failedEvents": [{"eventId": "e1", "recipient": "u-1"}], "total": 1}}
    account, seen = answering(body)
    [found] = account.failed_events("5", start=date(2026, 1, 1), end=date(2026, 1, 31), page_size=10)
    assert (found.id, found.raw) == ("e1", {"eventId": "e1", "recipient": "u-1"})
    assert dict(seen[0].url.params) == {
        "campaign_id": "5",
        "limit": "10",
        "page": "1",
        "start_date": "2026-01-01",
        "end_date": "2026-01-31",
    }
    assert seen[0].url.path.endswith("/phonebooks/7/failed-events")


@pytest.mark.parametrize("status", [401, 404, 429, 500, 502])
def test_a_refusal_is_an_error_with_its_answer(status: int) -> None:
    """A refusal of whatever kind raises, and the answer tells which."""
    account, _ = answering({"status": "fail", "hasError": True, "errors": "Unauthorized"}, status=status)
    with pytest.raises(CallRefused, match="templates") as caught:
        account.templates()
    assert caught.value.answer.status == status


@pytest.mark.parametrize("body", [b"", b"<html>", b"[1, 2]", b'{"data": {"x": 1}}', b'{"data": "text"}', b"5"])
def test_an_answer_nobody_has_described_is_shown(body: bytes) -> None:
    """It is not guessed at: the error says what came."""
    account, _ = answering(body)
    with pytest.raises(UnexpectedAnswer, match="templates"):
        account.templates()


def test_an_answer_shows_no_numbers() -> None:
    """Phone numbers in an answer that is shown are masked."""
    account, _ = answering({"data": {"x": "919812345678"}})
    with pytest.raises(UnexpectedAnswer) as caught:
        account.templates()
    assert "9812345" not in str(caught.value)


def test_verification_without_an_answer_is_no_verdict() -> None:
    """A network that fails says nothing of the digits: it raises."""

    def lose(request: httpx.Request) -> httpx.Response:
        raise httpx.ReadTimeout("", request=request)

    account = Msg91(KEY, transport=httpx.MockTransport(lose))
    with pytest.raises(CallRefused) as caught:
        account.verify_otp("+919812345678", "4321")
    assert caught.value.answer.klass is AnswerClass.UNKNOWN
    with pytest.raises(InvalidNumber):
        account.verify_otp("12", "4321")


@given(st.text(max_size=40))
def test_nothing_but_success_verifies(message: str) -> None:
    """Whatever MSG91 writes into an error, the digits are not verified."""
    account, _ = answering({"type": "error", "message": message})
    with contextlib.suppress(CallRefused):
        assert not account.verify_otp("+919812345678", "4321")


def test_digits_are_not_in_the_verdict() -> None:
    """Should MSG91 repeat the digits, the answer that is kept has stars."""
    account, _ = answering({"type": "error", "message": "OTP not match: 748193"})
    found = account.verify_otp("+919812345678", "748193")
    assert "748193" not in repr(found)
    assert found.result == "wrong"


def test_a_question_about_no_phonebook() -> None:
    """Without a phonebook the error names the setting; a path without the placeholder needs none."""
    with pytest.raises(ClientSettingError, match="phonebook_id"):
        Msg91(KEY).event_types()


@given(
    st.dictionaries(st.from_regex(r"\A[A-Za-z_]{1,8}\Z"), st.text(max_size=20), max_size=5),
    st.lists(st.from_regex(r"\A[A-Za-z_]{1,8}\Z"), max_size=5),
)
def test_filling_a_template(variables: dict[str, str], names: list[str]) -> None:
    """Every placeholder has its value or is said to lack one; values are not looked at again."""
    filled = fill_template(" ".join(f"##{name}##" for name in names), variables)
    assert filled.text == " ".join(variables.get(name, f"##{name}##") for name in names)
    assert set(filled.missing) == set(names) - set(variables)
    assert set(filled.unused) == set(variables) - set(names)


def test_the_key_is_not_shown() -> None:
    """Neither repr nor errors show the authkey."""
    account, _ = answering(KEY.encode())
    assert KEY not in repr(account)
    with pytest.raises(UnexpectedAnswer) as caught:
        account.templates()
    assert KEY not in str(caught.value)
