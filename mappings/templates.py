"""`Hi {{properties.firstName}}` → a compiled function to text.

`{{path}}` and `{{{path}}}` mean the same: nothing is escaped. The text of a template is split once, when the mapping
is loaded; what an event carries is put in as it is and never looked at for placeholders.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from mappings.paths import Getter
from mappings.values import text

__all__ = ["compile_template"]

_TRIPLE = re.compile(r"\{\{\{([^}]+)\}\}\}")
_DOUBLE = re.compile(r"\{\{([^}]+)\}\}")


def compile_template(template: str, path: Callable[[str], Getter]) -> Callable[[Any], str]:
    """A function from a payload to the filled-in text.

    Args:
        template: Text with placeholders.
        path: Compiles the path of a placeholder.

    Raises:
        ValueError: A placeholder is blank; the message is the sentence to show.
    """
    parts: list[str | Getter] = []
    # re.split with one group alternates text and placeholder. Triple braces are found first, as Segment does.
    for index, piece in enumerate(_TRIPLE.split(template)):
        if index % 2:
            parts.append(_placeholder(piece, path))
            continue
        for inner, word in enumerate(_DOUBLE.split(piece)):
            if inner % 2:
                parts.append(_placeholder(word, path))
            elif word:
                parts.append(word)
    if not parts:
        return lambda _: ""
    if len(parts) == 1:
        return _single(parts[0])
    return _joined(parts)


def _placeholder(words: str, path: Callable[[str], Getter]) -> Getter:
    if not words.strip():
        # Segment puts the whole event here: nobody means to send that.
        raise ValueError("has a placeholder without a path: {{ }}. Name what belongs there, such as {{userId}}.")
    return path(words.strip())


def _single(part: str | Getter) -> Callable[[Any], str]:
    if isinstance(part, str):
        return lambda _: part

    def render(payload: Any) -> str:
        value = part(payload)
        return value if type(value) is str else text(value)

    return render


def _joined(parts: list[str | Getter]) -> Callable[[Any], str]:
    frame = [part if isinstance(part, str) else "" for part in parts]
    holes = [(index, part) for index, part in enumerate(parts) if not isinstance(part, str)]

    def render(payload: Any) -> str:
        pieces = frame.copy()
        for index, get in holes:
            value = get(payload)
            pieces[index] = value if type(value) is str else text(value)
        return "".join(pieces)

    return render
