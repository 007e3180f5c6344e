"""What can be wrong before a request is made.

::

    Msg91Error
    ├── ClientSettingError    ours: the authkey or the base URL cannot be used
    ├── InvalidNumber         ours: a value that is not a phone number
    ├── CallRefused           a question was refused, or nobody answered it
    └── UnexpectedAnswer      theirs: an answer to a question in a shape that nobody has described

Whatever happens once a request is under way is no exception but an `Answer`, because every outcome must be
recorded. Its class says whose fault it is:

::

    ours          REQUEST, RECIPIENT, ACCOUNT, DUPLICATE    refused by MSG91, nothing was taken
    theirs        RETRY, THROTTLED                          surely not taken, may be sent again
    maybe sent    UNKNOWN                                   may have been taken, nothing says so
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from worker.msg91.answers import Answer


class Msg91Error(Exception):
    """Base of every error this package raises."""


class ClientSettingError(Msg91Error, ValueError):
    """A setting of the client cannot be used. The text names the setting and never shows its value."""


class CallRefused(Msg91Error):
    """MSG91 refused a question, or did not answer it.

    Attributes:
        answer: what came back.
    """

    def __init__(self, what: str, answer: Answer) -> None:
        code = f"{answer.code}: " if answer.code else f"HTTP {answer.status}: " if answer.status else ""
        super().__init__(f"{what}: {code}{answer.message}")
        self.answer = answer


class UnexpectedAnswer(Msg91Error):
    """An answer to a question has a shape that nobody has described; the text shows it."""


class InvalidNumber(Msg91Error, ValueError):
    """A value is not a phone number.

    Attributes:
        reason: a short stable code: ``empty``, ``type``, ``letters``, ``extension``, ``scientific``,
            ``too_short``, ``too_long``, ``unknown_country`` or ``not_a_number``.
    """

    def __init__(self, reason: str, sentence: str) -> None:
        super().__init__(sentence)
        self.reason = reason
