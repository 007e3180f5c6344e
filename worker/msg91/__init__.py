"""The MSG91 HTTP API: client, answers, phone numbers, message text. Knows nothing of what uses it.

The names are loaded when they are first used: a command that masks a number has no need of an HTTP library.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from worker.msg91.answers import Answer, mask_numbers, read_answer
    from worker.msg91.client import Fetched, Msg91Client, Request
    from worker.msg91.codes import CODES, AnswerClass, Code
    from worker.msg91.errors import ClientSettingError, InvalidNumber, Msg91Error
    from worker.msg91.numbers import PhoneNumbers, mask
    from worker.msg91.text import TextSize, measure

__all__ = [
    "CODES",
    "Answer",
    "AnswerClass",
    "ClientSettingError",
    "Code",
    "Fetched",
    "InvalidNumber",
    "Msg91Client",
    "Msg91Error",
    "PhoneNumbers",
    "Request",
    "TextSize",
    "mask",
    "mask_numbers",
    "measure",
    "read_answer",
]

_MODULES: Final = {
    "answers": ("Answer", "mask_numbers", "read_answer"),
    "client": ("Fetched", "Msg91Client", "Request"),
    "codes": ("CODES", "AnswerClass", "Code"),
    "errors": ("ClientSettingError", "InvalidNumber", "Msg91Error"),
    "numbers": ("PhoneNumbers", "mask"),
    "text": ("TextSize", "measure"),
}
_HOMES: Final = {name: module for module, names in _MODULES.items() for name in names}


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(f"{__name__}.{home}"), name)
    return value
