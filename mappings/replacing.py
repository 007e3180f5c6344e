"""Literal search and replace for `@replace`, with JavaScript's idea of letters that differ only in case."""

from __future__ import annotations

from collections.abc import Callable, Sequence

__all__ = ["compile_replace"]


def compile_replace(pairs: Sequence[tuple[str, str]], *, ignorecase: bool, everywhere: bool) -> Callable[[str], str]:
    """A function that applies (pattern, replacement) pairs one after the other; both are plain text.

    Args:
        pairs: What to look for, never empty, and what to put in its place.
        ignorecase: Let `é` match `É`, as a JavaScript regular expression with the flag `i` does.
        everywhere: Replace every occurrence, not only the first.
    """
    count = -1 if everywhere else 1
    if ignorecase:
        folded = [(_fold(pattern), replacement) for pattern, replacement in pairs]

        def replace_folded(value: str) -> str:
            for pattern, replacement in folded:
                value = _replace_folded(value, pattern, replacement, count)
            return value

        return replace_folded
    if len(pairs) == 1:
        [(only, new)] = pairs
        return lambda value: value.replace(only, new, count)

    def replace(value: str) -> str:
        for pattern, replacement in pairs:
            value = value.replace(pattern, replacement, count)
        return value

    return replace


def _replace_folded(value: str, pattern: str, replacement: str, count: int) -> str:
    haystack = _fold(value)
    found = haystack.find(pattern)
    pieces: list[str] = []
    start = 0
    while found >= 0 and count != 0:
        pieces += (value[start:found], replacement)
        start = found + len(pattern)
        count -= 1
        found = haystack.find(pattern, start)
    return "".join([*pieces, value[start:]])


def _fold(value: str) -> str:
    """One character for each character of `value` (ECMA-262, Canonicalize without the flag `u`)."""
    return value.upper() if value.isascii() else "".join(map(_fold_character, value))


def _fold_character(character: str) -> str:
    upper = character.upper()
    if len(upper) != 1 or character > "\uffff" or (upper.isascii() and not character.isascii()):
        return character
    return upper
