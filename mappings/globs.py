"""Glob patterns for `match(field, pattern)`: `*`, `?`, `[a-z]`, and a backslash before what is meant as it is.

Matching takes time in proportion to text times pattern, whatever the text holds: an event cannot make it slow.
"""

from __future__ import annotations

import re
from collections.abc import Callable

__all__ = ["compile_glob"]


def compile_glob(pattern: str) -> Callable[[str], bool]:
    """A predicate: whether the whole text matches the pattern.

    Raises:
        ValueError: With a sentence about what is wrong with the pattern.
    """
    pieces, plain = _pieces(pattern)
    if plain:
        return _plain_matcher(pieces)
    return _matcher([re.compile(piece, re.DOTALL) for piece in pieces])


def _pieces(pattern: str) -> tuple[list[str], bool]:
    """The pieces between the stars, as plain text or (when one of them has a wildcard) as regular expressions."""
    texts, expressions, plain = [""], [""], True
    index = 0
    while index < len(pattern):
        character = pattern[index]
        index += 1
        if character == "*":
            texts.append("")
            expressions.append("")
        elif character == "?":
            expressions[-1] += "."
            plain = False
        elif character == "[":
            end = pattern.find("]", index + 1)
            if end < 0:
                raise ValueError("a [ is never closed; write \\[ for the character itself")
            expressions[-1] += _character_class(pattern[index:end])
            plain = False
            index = end + 1
        else:
            if character == "\\" and index < len(pattern):
                character = pattern[index]
                index += 1
            texts[-1] += character
            expressions[-1] += re.escape(character)
    return (texts, True) if plain else (expressions, False)


def _character_class(members: str) -> str:
    """`a-z_` as the character class of a regular expression; `^` and `!` in front negate."""
    negated, members = ("^", members[1:]) if members[0] in "^!" and len(members) > 1 else ("", members)
    escaped = re.sub(r"([\\^\[\]&~|])", r"\\\1", members)
    expression = f"[{negated}{escaped}]"
    try:
        re.compile(expression)
    except re.error:
        raise ValueError(f"[{members}] is not a set of characters") from None
    return expression


def _plain_matcher(pieces: list[str]) -> Callable[[str], bool]:
    first, *middle = pieces
    if not middle:
        return lambda text: text == first
    *middle, last = middle
    middle = [piece for piece in middle if piece]
    if not middle:
        if not last:
            return lambda text: text.startswith(first)
        if not first:
            return lambda text: text.endswith(last)
    least = len(first) + len(last)

    def match(text: str) -> bool:
        if len(text) < least or not text.startswith(first) or not text.endswith(last):
            return False
        position, end = len(first), len(text) - len(last)
        for piece in middle:
            found = text.find(piece, position, end)
            if found < 0:
                return False
            position = found + len(piece)
        return True

    return match


def _matcher(pieces: list[re.Pattern[str]]) -> Callable[[str], bool]:
    first, *middle = pieces
    if not middle:
        return lambda text: first.fullmatch(text) is not None
    *middle, last = middle
    # Every piece matches a fixed number of characters, so the first place found is always the right one.
    ending = re.compile(f"(?:{last.pattern})\\Z", re.DOTALL)

    def match(text: str) -> bool:
        found = first.match(text)
        for piece in middle:
            if found is None:
                return False
            found = piece.search(text, found.end())
        return found is not None and ending.search(text, found.end()) is not None

    return match
