"""Times, rates, addresses and identifiers as people write them."""

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from worker.configuration.quantities import Identifier, Origin, Rate, RedisUrl, Seconds, mask_url


def read(kind: Any, value: object) -> Any:
    """Read a value as the configuration would."""
    return TypeAdapter(kind).validate_python(value)


@pytest.mark.parametrize(
    ("written", "seconds"),
    [
        (0, 0),
        (90, 90),
        (1.5, 1.5),
        ("90", 90),
        ("1.5", 1.5),
        ("90s", 90),
        ("500ms", 0.5),
        ("10m", 600),
        ("10 min", 600),
        ("2h", 7200),
        ("1h 30m", 5400),
        ("1H30M", 5400),
        ("7d", 604800),
        (" 2h ", 7200),
    ],
)
def test_length_of_time(written: object, seconds: float) -> None:
    """A length of time is a number of seconds, or numbers with units, which add up."""
    assert read(Seconds, written) == seconds


@pytest.mark.parametrize(
    "written",
    [
        "",
        "h",
        "10x",
        "10 days",
        "-1",
        -1,
        "1h30",
        "h1",
        "1:30",
        math.nan,
        math.inf,
        "nan",
        "inf",
        "1e3",
        True,
        None,
        [],
        {},
    ],
)
def test_no_length_of_time(written: object) -> None:
    """Anything else is refused, with examples of what is expected."""
    with pytest.raises(ValidationError, match='"10m", "2h"'):
        read(Seconds, written)


@pytest.mark.parametrize(
    ("written", "per_second"),
    [
        (10, 10),
        (0.5, 0.5),
        ("10", 10),
        ("10/s", 10),
        ("600/min", 10),
        ("36000/h", 10),
        ("5 / second", 5),
        ("1/MIN", 1 / 60),
    ],
)
def test_rate(written: object, per_second: float) -> None:
    """A rate is a number per second, or names its unit of time."""
    assert read(Rate, written) == pytest.approx(per_second)


@pytest.mark.parametrize(
    "written", [0, -1, "0/s", "10/m", "10/day", "fast", "/s", "10/", True, None, [], math.inf, "1/s/s"]
)
def test_no_rate(written: object) -> None:
    """Anything else is refused; `10/m` too, which may mean a minute or a month."""
    with pytest.raises(ValidationError, match='"600/min"'):
        read(Rate, written)


@pytest.mark.parametrize(
    ("written", "origin"),
    [
        ("https://control.msg91.com", "https://control.msg91.com"),
        ("https://control.msg91.com/", "https://control.msg91.com"),
        (" HTTP://LocalHost:9191 ", "http://localhost:9191"),
        ("http://[::1]:80", "http://[::1]:80"),
    ],
)
def test_origin(written: str, origin: str) -> None:
    """An origin is scheme, host and perhaps a port; a slash at its end does not matter."""
    assert read(Origin, written) == origin


@pytest.mark.parametrize(
    "written",
    [
        "control.msg91.com",
        "ftp://control.msg91.com",
        "https://control.msg91.com/api",
        "https://control.msg91.com?x=1",
        "https://control.msg91.com/?",
        "https://control.msg91.com#x",
        "https://user:secret@control.msg91.com",
        "https://secret@control.msg91.com",
        "https://",
        "https://:80",
        "https://host:port",
        "https://host:99999",
        "https://host:0",
        "https://ho st",
        "https://[::1",
        "javascript:alert(1)",
        "",
        7,
        None,
        [],
    ],
)
def test_no_origin(written: object) -> None:
    """A path, query, fragment, credentials or another scheme is refused, and a password in it is not repeated."""
    with pytest.raises(ValidationError, match="expected an origin like https://control") as caught:
        read(Origin, written)
    assert "secret" not in str([error["msg"] for error in caught.value.errors()])


@pytest.mark.parametrize(
    "written",
    [
        "redis://localhost:6379/0",
        "redis://:pw@host",
        "rediss://host:6380/1?ssl_cert_reqs=none",
        "unix:///run/valkey.sock?db=1",
    ],
)
def test_redis_url(written: str) -> None:
    """The three notations of redis-py are taken as they are."""
    assert read(RedisUrl, written) == written


@pytest.mark.parametrize(
    "written",
    [
        "localhost:6379",
        "http://localhost",
        "redis://",
        "redis://host:port",
        "redis://host/name",
        "unix://",
        "",
        "amqp://h",
        1,
    ],
)
def test_no_redis_url(written: object) -> None:
    """Anything else is refused, with the notations."""
    with pytest.raises(ValidationError, match="redis://host:6379/0"):
        read(RedisUrl, written)


@pytest.mark.parametrize(
    ("written", "text"), [("x", "x"), (" x ", "x"), (7, "7"), ("007", "007"), (10**18, "1" + "0" * 18)]
)
def test_identifier(written: object, text: str) -> None:
    """An identifier of digits alone may stand without quotes."""
    assert read(Identifier, written) == text


@pytest.mark.parametrize("written", ["", "  ", 1.5, True, None, [], {}])
def test_no_identifier(written: object) -> None:
    """What is no text, or empty, is refused."""
    with pytest.raises(ValidationError, match="expected text"):
        read(Identifier, written)


@pytest.mark.parametrize(
    ("url", "masked"),
    [
        ("redis://:secret@host:6379/0", "redis://***@host:6379/0"),
        ("redis://host:6379/0", "redis://host:6379/0"),
        ("amqp://user:sec@ret@host//", "amqp://***@host//"),
        ("rediss://host/0?password=secret", "rediss://host/0"),
        ("secret", "***"),
    ],
)
def test_masked_url(url: str, masked: str) -> None:
    """An address that is shown keeps its host and loses whatever may be a password."""
    assert mask_url(url) == masked


@given(st.one_of(st.text(max_size=40), st.floats(), st.integers(), st.booleans(), st.none()))
def test_readers_answer_or_refuse(value: object) -> None:
    """No value makes a reader fail in another way than by refusing it; what is read is usable."""
    for kind in (Seconds, Rate, Identifier, Origin, RedisUrl):
        try:
            answer = read(kind, value)
        except ValidationError:
            continue
        assert answer or kind is Seconds
        assert not isinstance(answer, float) or (math.isfinite(answer) and answer >= 0)
