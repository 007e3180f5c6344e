"""What the HTTP door refuses, and the answer its sender sees.

| status | code | what it means for the sender |
| --- | --- | --- |
| 400 | the reason | can never be read; sending it again changes nothing |
| 401 | ``unauthorized`` | no destination has this key, token or signature |
| 403 | ``origin_not_allowed`` | a browser's page that may not send |
| 404, 405 | ``not_found``, ``method_not_allowed`` | no such address |
| 408 | ``too_slow`` | the request did not arrive in time |
| 413 | ``too_large``, ``event_too_large``, ``too_many_events``, ``too_many_reports`` | over a limit |
| 415 | ``encoding_unknown``, ``type_unknown`` | a content encoding or type that is not read here |
| 429 | ``queue_full``, ``store_away``, ``broker_away``, ``busy`` | come back after ``Retry-After`` seconds |
| 503 | ``store_away``, ``busy``, ``not_taken`` | the same, to MSG91's callbacks |

The clients of Segment retry 429 after ``Retry-After`` and ignore that header on 503; so what passes by itself is a 429
to them. How MSG91 repeats its callbacks is not known; what repeats a webhook at all repeats it after a 503.
"""

from __future__ import annotations


class Refused(Exception):
    """A request that is not accepted.

    Attributes:
        status: The HTTP status.
        code: A short code for programs.
        message: What is wrong and what to do, for people; shows nothing of what was sent.
        retry_after: Seconds after which sending again makes sense; None when it never does.
    """

    def __init__(self, status: int, code: str, message: str, *, retry_after: int | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.retry_after = retry_after


def unreadable(code: str, message: str) -> Refused:
    """What can never be read."""
    return Refused(400, code, message)


def unauthorized(message: str) -> Refused:
    """No destination has this key, token or signature."""
    return Refused(401, "unauthorized", message)


def later(code: str, message: str, seconds: int) -> Refused:
    """What cannot be taken now."""
    return Refused(429, code, message, retry_after=seconds)
