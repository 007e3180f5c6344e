"""Rules for sender ids, template ids, and times, which MSG91 states or enforces."""

import re
from datetime import UTC, datetime
from typing import Final

_MSG91_TEMPLATE: Final = re.compile(r"[0-9a-fA-F]{24}")
_DLT_TEMPLATE: Final = re.compile(r"[0-9]{17,21}")
_TEMPLATE: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")
_PROMOTIONAL_DIGITS: Final = re.compile(r"[0-9]{3,6}")
_ALPHANUMERIC: Final = re.compile(r"[A-Za-z0-9]+")
_LONG_NUMBER: Final = re.compile(r"[0-9]{1,15}")
_WALL_CLOCK: Final = re.compile(r"(\d{4})([-/])(\d{2})\2(\d{2}) (\d{2}):(\d{2}):(\d{2})", re.ASCII)
_UNIX_SECONDS: Final = re.compile(r"[0-9]{9,11}")

PROMOTIONAL_ROUTE: Final = "1"
HALF_CHARACTER: Final = "expected text, but it has half a surrogate pair in it, which is no character"


def sender_problem(sender: str, recipient: str, route: str, max_length: int) -> str | None:
    """Say which rule a sender id breaks, or None.

    Args:
        sender: the sender id.
        recipient: digits with country code.
        route: ``1`` is promotional.
        max_length: longest alphanumeric sender id outside India.
    """
    if recipient.startswith("91"):
        if len(sender) == 6 and sender.isascii() and sender.isalpha():
            return None
        if route == PROMOTIONAL_ROUTE:
            if _PROMOTIONAL_DIGITS.fullmatch(sender):
                return None
            return f"for promotions to India it must be six letters or 3 to 6 digits, {_described(sender)}"
        return f"for messages to India it must be exactly six letters, {_described(sender)}"
    if _LONG_NUMBER.fullmatch(sender):
        return None
    if not _ALPHANUMERIC.fullmatch(sender):
        return f"it must be letters A-Z and digits only, without spaces or punctuation, {_described(sender)}"
    if len(sender) > max_length:
        return f"it must be {max_length} characters or fewer, {_described(sender)}"
    return None


def _described(sender: str) -> str:
    if not sender.isascii():
        return "but it has characters beyond A-Z and 0-9"
    kind = "letters" if sender.isalpha() else "digits" if sender.isdigit() else "characters"
    return f"but it was {len(sender)} {kind}"


def template_problem(template_id: str) -> str | None:
    """Say why a text is no template id of MSG91's own, or None."""
    if _MSG91_TEMPLATE.fullmatch(template_id):
        return None
    if _DLT_TEMPLATE.fullmatch(template_id):
        return (
            f"a DLT template id ({len(template_id)} digits) was given, but this call needs MSG91's own "
            "template id: 24 hexadecimal characters, shown beside the template in MSG91's panel"
        )
    if template_id.isdigit() or not _TEMPLATE.fullmatch(template_id):
        return "expected MSG91's template id: 24 hexadecimal characters"
    return None


def dlt_problem(dlt_template_id: str) -> str | None:
    """Say why a text is no DLT template id, or None."""
    if _DLT_TEMPLATE.fullmatch(dlt_template_id):
        return None
    if _MSG91_TEMPLATE.fullmatch(dlt_template_id):
        return (
            "MSG91's own template id (24 hexadecimal characters) was given, but this field needs the DLT "
            "template id: 19 digits, from the operator's DLT portal"
        )
    return f"expected a DLT template id of 19 digits, but it was {len(dlt_template_id)} characters"


def schedule_time(text: str) -> str | None:
    """Bring a time to one of the forms that MSG91 takes, or None when it is no time.

    ``YYYY-MM-DD HH:MM:SS``, ``YYYY/MM/DD HH:MM:SS`` (in the account's own zone) and Unix seconds pass as
    they are; an ISO 8601 time with a zone becomes Unix seconds, which mean the same everywhere.
    """
    text = text.strip()
    if _UNIX_SECONDS.fullmatch(text):
        return text
    if match := _WALL_CLOCK.fullmatch(text):
        try:
            datetime(
                int(match[1]),
                int(match[3]),
                int(match[4]),
                int(match[5]),
                int(match[6]),
                int(match[7]),
                tzinfo=UTC,
            )
        except ValueError:
            return None
        return text
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    if "T" not in text.upper():
        return None
    if moment.tzinfo is None:
        return moment.strftime("%Y-%m-%d %H:%M:%S")
    return str(int(moment.timestamp()))


def well_formed(text: str) -> bool:
    """Tell whether a text can be written as UTF-8 (half a surrogate pair cannot)."""
    if text.isascii():
        return True
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
