"""What MSG91's numeric codes, texts and HTTP statuses mean, as tables.

The numeric codes are those of MSG91's own list (its copy in the wild dates from 2017) plus the ones seen
since; `docs/msg91.md` says how sure each fact is.
"""

import re
from dataclasses import dataclass
from enum import StrEnum


class AnswerClass(StrEnum):
    """What an answer means for what was sent."""

    ACCEPTED = "accepted"
    """MSG91 took it (which is not yet a delivery)."""
    RETRY = "retry"
    """Surely not taken; may be sent again."""
    THROTTLED = "throttled"
    """Surely not taken, because too much was sent; may be sent again after `retry_after`."""
    RECIPIENT = "recipient"
    """Refused for good because of this recipient."""
    REQUEST = "request"
    """Refused for good because of what the request says."""
    ACCOUNT = "account"
    """Refused because the account or the configuration is broken: every other request would be, too."""
    DUPLICATE = "duplicate"
    """The same request came twice within ten seconds; the first one was taken."""
    UNKNOWN = "unknown"
    """May have been taken, and nothing says so."""


@dataclass(frozen=True, slots=True)
class Code:
    """One entry of a table.

    Attributes:
        code: the code as MSG91 writes it, three digits.
        klass: what it means for what was sent.
        meaning: what it means, for people.
        retry_after: seconds to wait before the next attempt, where the meaning implies it.
    """

    code: str
    klass: AnswerClass
    meaning: str
    retry_after: float | None = None


_A, _Q, _P, _R = AnswerClass.ACCOUNT, AnswerClass.REQUEST, AnswerClass.RECIPIENT, AnswerClass.RETRY

#: Closed hours and daily caps end within hours: ask again every hour.
CLOSED_HOURS_RETRY_AFTER = 3600.0
#: MSG91 calls a request a duplicate when the same one came within this many seconds.
DUPLICATE_WINDOW = 10.0

CODES: dict[str, Code] = {
    entry.code: entry
    for entry in (
        Code("001", _R, "MSG91 could not reach its database"),
        Code("002", _R, "MSG91 could not select its database"),
        Code("101", _Q, "the request names no mobile number"),
        Code("102", _Q, "the request has no message"),
        Code("103", _Q, "the request has no sender id"),
        Code("104", _Q, "the request has no username"),
        Code("105", _Q, "the request has no password"),
        Code("106", _A, "the request has no authkey"),
        Code("107", _Q, "the request has no route"),
        Code("201", _A, "the authkey is missing or not valid"),
        Code("202", _P, "the mobile number is not valid"),
        Code("203", _Q, "the sender id is not valid (it must be six letters)"),
        Code("205", _Q, "this route takes at least 20 numbers a request"),
        Code("207", _A, "the authkey is not valid"),
        Code("208", _A, "this server's IP address is blacklisted"),
        Code("209", _A, "the account has no route in its default dial plan"),
        Code("210", _A, "MSG91 could not determine a route for the account"),
        Code("211", _Q, "the template id is missing or not valid (a DLT template id is not MSG91's own)"),
        Code("301", _A, "the balance is not sufficient"),
        Code("302", _A, "the account has expired"),
        Code("303", _A, "the account is banned"),
        Code("304", _A, "the account cannot send (MSG91 does not say why)"),
        Code("306", _R, "this route is closed at this time of day", CLOSED_HOURS_RETRY_AFTER),
        Code("307", _Q, "the schedule time is not valid"),
        Code("308", _Q, "the campaign name is longer than 32 characters"),
        Code("309", _Q, "the group does not belong to the account"),
        Code("310", _Q, "the message is too long"),
        Code("311", AnswerClass.DUPLICATE, "the same request came within ten seconds", DUPLICATE_WINDOW),
        Code("418", _A, "this server's IP address is not whitelisted for the authkey"),
        Code("505", _A, "the account is a demo account"),
        Code("506", _R, "the daily limit of small campaigns is reached", CLOSED_HOURS_RETRY_AFTER),
        Code("601", _R, "internal error at MSG91"),
    )
}

#: Codes that only repeat an HTTP status. A text in the same body says more, so they are asked last.
STATUS_LIKE_CODES: dict[str, Code] = {
    entry.code: entry
    for entry in (
        Code("400", _Q, "MSG91 refused the request"),
        Code("401", _A, "MSG91 refused the authkey"),
        Code("403", _A, "the account may not do this"),
        Code("404", _A, "MSG91 knows no such address"),
        Code("429", AnswerClass.THROTTLED, "too many requests"),
        Code("500", _R, "internal error at MSG91"),
        Code("502", _R, "internal error at MSG91"),
        Code("503", _R, "MSG91 is not available"),
        Code("504", _R, "internal error at MSG91"),
    )
}

#: Known texts of error bodies, searched in order in the text with its white space collapsed and its case
#: folded.
TEXTS: tuple[tuple[re.Pattern[str], Code], ...] = tuple(
    (re.compile(pattern), code)
    for pattern, code in (
        (r"\binvalid auth ?key\b", CODES["201"]),
        (r"\bauth ?key (is )?missing\b", CODES["201"]),
        (r"^authentication ?failure\b", CODES["201"]),
        (r"^unauthorized\b", CODES["201"]),
        (r"\buser not authorized\b", STATUS_LIKE_CODES["403"]),
        (r"\bip (address )?(is )?not white ?listed\b", CODES["418"]),
        (r"\bip is blocked\b", CODES["208"]),
        (r"\binsufficient balance\b", CODES["301"]),
        (r"\baccount (is |has )?expired\b", CODES["302"]),
        (r"\baccount (is |has been )?banned\b", CODES["303"]),
        (r"^route (missing|not found)\b", STATUS_LIKE_CODES["404"]),
        (r"\bflow id or template id is invalid\b", CODES["211"]),
        (r"\btemplate id missing\b|\binvalid template\b|\bflow id missing\b|\binvalid flow\b", CODES["211"]),
        (r"^please enter at ?least one number to send sms\b", CODES["101"]),
        (r"^mobile (no\.?|number) empty or not numeric\b", CODES["202"]),
        (r"^message don.?t contains? otp\b", CODES["102"]),
        (r"^too many (attempts|requests)\b", STATUS_LIKE_CODES["429"]),
        (r"^internal server error\b", CODES["601"]),
        (r"^something went wrong\b", CODES["601"]),
        (r"^invalid campaign\b", Code("campaign", _Q, "there is no such campaign")),
        (
            r"\bcampaign is paused\b|^no start node for campaign\b|^no actions found\b|^incomplete campaign\b",
            Code("campaign", _Q, "the campaign cannot run as it stands in the panel"),
        ),
    )
)

#: What an HTTP status says when the body says nothing. Statuses that are not here are judged by `of_status`.
STATUSES: dict[int, tuple[AnswerClass, str]] = {
    301: (_A, "the base URL is not right: MSG91's host redirects"),
    302: (_A, "the base URL is not right: MSG91's host redirects"),
    307: (_A, "the base URL is not right: MSG91's host redirects"),
    308: (_A, "the base URL is not right: MSG91's host redirects"),
    401: (_A, "the authkey was refused"),
    402: (_A, "the account must be paid for"),
    403: (_A, "the account may not do this"),
    # A wrong path is a wrong setting: each request would meet it, so messages are better kept than refused.
    404: (_A, "there is no such address: the base URL or a path setting is not right"),
    405: (_A, "there is no such address: the base URL or a path setting is not right"),
    407: (_A, "the proxy wants other credentials"),
    408: (_R, "the server did not get the request in time"),
    418: (_A, "this server's IP address is not whitelisted for the authkey"),
    421: (_R, "the server is not the one for this host"),
    425: (_R, "the server wants the request again"),
    429: (AnswerClass.THROTTLED, "too many requests"),
    503: (_R, "the service is not available"),
}


def of_status(status: int) -> tuple[AnswerClass, str]:
    """Say what an HTTP status means when the body says nothing."""
    known = STATUSES.get(status)
    if known is not None:
        return known
    if 400 <= status < 500:
        return _Q, f"the request was refused with HTTP {status}"
    # 2xx without a known body, 500, 502, 504 and everything unheard of: a gateway may have passed the
    # request on.
    return AnswerClass.UNKNOWN, f"HTTP {status} without an answer that MSG91 wrote"


def find_text(text: str) -> Code | None:
    """Find the entry for an error text of MSG91; case and white space do not matter."""
    folded = " ".join(text.split()).casefold()
    for pattern, code in TEXTS:
        if pattern.search(folded):
            return code
    return None
