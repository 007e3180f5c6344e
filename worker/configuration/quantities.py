"""Values of the configuration that people write in their own units: times, rates, addresses, identifiers.

Every reader raises `PydanticCustomError` with what was expected, never with the value itself.
"""

import math
import re
from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import BeforeValidator, GetCoreSchemaHandler, GetJsonSchemaHandler, WithJsonSchema
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from worker.configuration.errors import kind_of

__all__ = [
    "AsText",
    "BrokerUrl",
    "Identifier",
    "Origin",
    "Rate",
    "RedisUrl",
    "Seconds",
    "Whole",
    "mask_url",
    "read_identifier",
]

_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0, "d": 86400.0}
_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|min|m|h|d)\s*", re.IGNORECASE)
_PER = {"s": 1.0, "sec": 1.0, "second": 1.0, "min": 60.0, "minute": 60.0, "h": 3600.0, "hour": 3600.0}
_RATE = re.compile(r"(\d+(?:\.\d+)?)(?:\s*/\s*([a-z]+))?", re.IGNORECASE)
_HOST = re.compile(r"[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\]")
_STORE_SCHEMES = ("redis", "rediss", "unix")
_TEXT_PATTERN_DURATION = r"^\s*\d+(\.\d+)?\s*((ms|s|min|m|h|d)\s*(\d+(\.\d+)?\s*(ms|s|min|m|h|d)\s*)*)?$"


def _fail(kind: str, expected: str) -> PydanticCustomError:
    # The text is a literal of this package; braces in it would be read as a template by pydantic.
    return PydanticCustomError(kind, "{expected}", {"expected": expected})


def _number(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if math.isfinite(value) else math.nan


def read_seconds(value: Any) -> float:
    """Read a length of time: seconds, or ``500ms``, ``90s``, ``10m``, ``2h``, ``1h 30m``, ``7d``."""
    expected = 'expected a length of time: a number of seconds, or text like "90s", "10m", "2h", "7d"'
    number = _number(value)
    if number is None:
        if not isinstance(value, str):
            raise _fail("duration_type", f"{expected}; got {kind_of(value)}")
        text = value.strip()
        if re.fullmatch(r"\d+(\.\d+)?", text):
            number = float(text)
        else:
            parts = _DURATION.findall(text)
            if not parts or _DURATION.sub("", text):
                raise _fail("duration", expected)
            number = sum(float(amount) * _SECONDS[unit.lower()] for amount, unit in parts)
    if not math.isfinite(number) or number < 0:
        raise _fail("duration", expected)
    return number


def read_rate(value: Any) -> float:
    """Read a rate per second: a number, or ``10/s``, ``600/min``, ``36000/h``."""
    expected = 'expected a rate above 0: a number per second, or text like "10/s", "600/min", "36000/h"'
    number = _number(value)
    if number is None:
        if not isinstance(value, str):
            raise _fail("rate_type", f"{expected}; got {kind_of(value)}")
        match = _RATE.fullmatch(value.strip())
        per = _PER.get((match[2] or "s").lower()) if match else None
        if match is None or per is None:
            raise _fail("rate", expected)
        number = float(match[1]) / per
    if not math.isfinite(number) or number <= 0:
        raise _fail("rate", expected)
    return number


def read_identifier(value: Any) -> str:
    """Read text that may consist of digits alone, which YAML takes for an integer."""
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    if not isinstance(value, str):
        raise _fail("identifier_type", f"expected text; got {kind_of(value)}")
    if not value.strip():
        raise _fail("identifier_empty", "expected text that is not empty")
    return value.strip()


def read_whole(value: Any) -> Any:
    """Refuse what pydantic would take for an integer although it is none: true and false."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise _fail("count_type", f"expected a whole number; got {kind_of(value)}")
    return value


def read_origin(value: Any) -> str:
    """Read the origin of an HTTP API: scheme, host and perhaps a port, nothing else."""
    expected = "expected an origin like https://control.msg91.com"
    if not isinstance(value, str):
        raise _fail("origin_type", f"{expected}; got {kind_of(value)}")
    try:
        url = urlsplit(value.strip())
        port = url.port
    except ValueError:
        raise _fail("origin", f"{expected}; this is not a URL") from None
    if url.scheme.lower() not in {"http", "https"}:
        raise _fail("origin_scheme", f"{expected}; the scheme must be https or http")
    if url.username is not None or url.password is not None:
        raise _fail("origin_credentials", f"{expected}, without user name and password")
    if url.path not in {"", "/"} or url.query or url.fragment or "?" in value or "#" in value:
        raise _fail("origin_path", f"{expected}, without path, query and fragment (/api/… is added to it)")
    host = f"[{url.hostname}]" if url.hostname and ":" in url.hostname else url.hostname
    if not host or not _HOST.fullmatch(host) or port == 0:
        raise _fail("origin_host", f"{expected}; the host or port is not valid")
    return f"{url.scheme.lower()}://{host}" + (f":{port}" if port else "")


def read_redis_url(value: Any) -> str:
    """Read the address of a Redis or Valkey server: redis://, rediss:// or unix://."""
    expected = "expected the address of a Redis or Valkey server: redis://host:6379/0, rediss://… (TLS) or unix:///path"
    if not isinstance(value, str):
        raise _fail("redis_url_type", f"{expected}; got {kind_of(value)}")
    try:
        url = urlsplit(value.strip())
        _ = url.port
    except ValueError:
        raise _fail("redis_url", f"{expected}; the host or port is not valid") from None
    if url.scheme not in _STORE_SCHEMES:
        raise _fail("redis_url_scheme", f"{expected}; the scheme is not one of these")
    if url.scheme == "unix":
        if not url.path.strip("/"):
            raise _fail("redis_url_path", f"{expected}; the path of the socket is missing")
    elif not url.hostname:
        raise _fail("redis_url_host", f"{expected}; the host is missing")
    elif not re.fullmatch(r"/?\d*", url.path):
        raise _fail("redis_url_database", f"{expected}; the path must be a database number")
    return value.strip()


def read_broker_url(value: Any) -> str:
    """Read the address of a Celery broker; which ones there are, Celery knows."""
    expected = "expected the address of a Celery broker, like redis://host:6379/1 or amqp://user:pass@host//"
    if not isinstance(value, str) or not re.fullmatch(r"[a-z][a-z0-9+.-]*://\S+", value.strip()):
        raise _fail("broker_url", expected)
    return value.strip()


def mask_url(url: str) -> str:
    """Return an address without its user name and password, for people and logs."""
    scheme, separator, rest = url.partition("://")
    if not separator:
        return "***"
    authority, slash, path = rest.partition("/")
    host = authority.rpartition("@")[2]
    return f"{scheme}://{'***@' if '@' in authority else ''}{host}{slash}{path.partition('?')[0]}"


class AsText:
    """Marks text that may consist of digits alone: reads it by `read_identifier`, and says so in a JSON Schema.

    Stands behind the constraints of the text, so that it reads the value first.
    """

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_before_validator_function(read_identifier, handler(source))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        return {"anyOf": [handler(schema), {"type": "integer", "minimum": 0}]}


#: Marks a whole number; digits as text are taken too, as they come out of an environment variable.
Whole = BeforeValidator(read_whole)

#: Seconds, not negative.
Seconds = Annotated[
    float,
    BeforeValidator(read_seconds),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "number", "minimum": 0},
                {"type": "string", "pattern": _TEXT_PATTERN_DURATION},
            ],
            "description": 'Seconds, or text like "90s", "10m", "2h", "7d".',
        }
    ),
]
#: Per second, above 0.
Rate = Annotated[
    float,
    BeforeValidator(read_rate),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "number", "exclusiveMinimum": 0},
                {
                    "type": "string",
                    "pattern": r"^\s*\d+(\.\d+)?(\s*/\s*(s|sec|second|min|minute|h|hour))?\s*$",
                },
            ],
            "description": 'Per second, or text like "10/s", "600/min", "36000/h".',
        }
    ),
]
#: Text that may be written as a number.
Identifier = Annotated[str, AsText()]
#: Scheme, host and port of an HTTP API.
Origin = Annotated[
    str,
    BeforeValidator(read_origin),
    WithJsonSchema({"type": "string", "pattern": r"^(https?://[^/?#@\s]+/?|.*\$\{.*)$"}),
]
#: The address of a Celery broker.
BrokerUrl = Annotated[str, BeforeValidator(read_broker_url)]
#: The address of a Redis or Valkey server.
RedisUrl = Annotated[str, BeforeValidator(read_redis_url)]
