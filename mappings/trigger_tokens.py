"""The words of a trigger: text → tokens, each with its place."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from mappings.errors import TriggerError

__all__ = ["OTHER_SPELLINGS", "Token", "escaped", "field_keys", "tokenize", "unescaped", "unquoted"]


@dataclass(frozen=True, slots=True)
class Token:
    """One word of a trigger, and where it stands."""

    kind: str  # "path", "number", "text", "operator", "mark" or "end"
    spelled: str
    start: int
    end: int


_NAME = r"(?:[\w-]|\\.)+"
_TOKEN = re.compile(
    rf"""(?P<number>[+-]?(?:\d+(?:\.\d+)?|\.\d+)(?:[eE][+-]?\d+)?(?![\w.+-]))
       | (?P<path>{_NAME}(?:\.{_NAME})*)
       | (?P<text>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')
       | (?P<operator>!=|<=|>=|=|<|>|!)
       | (?P<mark>[,()\[\]])
    """,
    re.VERBOSE | re.ASCII | re.DOTALL,
)
_SPACE = re.compile(r"[ \t\n]*")
_ESCAPED_INDEX = re.compile(r"\\\[(\d+)\\\]", re.ASCII)
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)
#: A dot without a name in front of it or behind it.
_LONE_DOT = re.compile(r"(?<![\w\\.\]-])\.|\.(?=\s|\.|\Z)", re.ASCII)
#: What other languages write, and what to write here.
OTHER_SPELLINGS: Final = {
    "==": "=",
    "===": "=",
    "<>": "!=",
    "!==": "!=",
    "=!": "!=",
    "=<": "<=",
    "=>": ">=",
    "&&": "and",
    "||": "or",
}


def tokenize(text: str) -> list[Token]:
    """The tokens of a trigger; the last has the kind "end".

    Raises:
        TriggerError: A character that cannot stand where it does, or a quote that is never closed.
    """
    tokens: list[Token] = []
    position = _SPACE.match(text, 0).end()  # type: ignore[union-attr]  # it matches the empty text too
    while position < len(text):
        found = _TOKEN.match(text, position)
        if found is None:
            raise _unreadable(text, position)
        tokens.append(Token(found.lastgroup or "", found[0], position, found.end()))
        position = _SPACE.match(text, found.end()).end()  # type: ignore[union-attr]
    tokens.append(Token("end", "", len(text), len(text)))
    return tokens


def _unreadable(text: str, position: int) -> TriggerError:
    if _LONE_DOT.match(text, position):
        return TriggerError(text, position, "A dot cannot stand here: it joins two names.")
    if text[position] == ".":
        position += 1  # the dot is fine, what follows it is no name
    character = text[position]
    if character in "\"'":
        return TriggerError(text, position, "The quote is never closed.")
    if character in "\u201c\u201d\u2018\u2019":
        return TriggerError(text, position, f"{character} is not a quote of triggers.", "Write \" or '.")
    if text.startswith("$.", position):
        return TriggerError(
            text, position, "Fields of triggers start without $.", "Write properties.total, not $.properties.total."
        )
    if text[position : position + 2] in OTHER_SPELLINGS:
        cure = OTHER_SPELLINGS[text[position : position + 2]]
        return TriggerError(text, position, f"{text[position : position + 2]} is not an operator.", f"Write {cure}.")
    cure = "In the name of a field, put a backslash before it; elsewhere, put quotes around the text."
    if character == "\r":
        return TriggerError(text, position, "A carriage return cannot stand here.", "End lines with a line feed alone.")
    return TriggerError(text, position, f"The character {character!r} cannot stand here.", cure)


def field_keys(spelled: str) -> tuple[str, ...]:
    r"""The keys of a field: `properties.products\[0\].a\.b` → properties, products, 0, a.b."""
    dotted = _ESCAPED_INDEX.sub(r".\1", spelled)
    names = re.findall(r"(?:[^.\\]|\\.)+", dotted, re.DOTALL)
    return tuple(_ESCAPE.sub(r"\1", name) for name in names)


def escaped(key: str) -> str:
    """A key as it is written in the name of a field."""
    return re.sub(r"([^\w-])", r"\\\1", key, flags=re.ASCII)


def unescaped(spelled: str) -> str:
    """A word without its backslashes."""
    return _ESCAPE.sub(r"\1", spelled)


def unquoted(spelled: str) -> str:
    """The text between quotes."""
    quote, body = spelled[0], spelled[1:-1]
    if "\\" not in body:
        return body
    # Backslashes count only in front of a quote: an odd one takes the quote into the text, each pair is one backslash.
    return re.sub(rf"(\\+)({quote}|\Z)", lambda found: "\\" * (len(found[1]) // 2) + found[2], body)
