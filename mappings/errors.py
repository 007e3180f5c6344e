"""What can be wrong with a mapping, a trigger or a mapping file.

::

    MappingsError
    ├── MappingError      a mapping or a mapping file (at load), or one event (at run time): `.problems`
    ├── TriggerError      the text of a trigger: `.position`
    └── FieldSpecError    the field definitions of an action (a mistake in code, not in configuration)
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches

__all__ = ["FieldSpecError", "MappingError", "MappingsError", "Problem", "TriggerError", "nearest"]


class MappingsError(Exception):
    """Base of everything this package raises."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong, and where.

    Attributes:
        path: Place inside the mapping, written like `/phone/@path`; `/` is the mapping itself.
        message: One sentence without the path and without the values of an event.
        line: 1-based line in the file, when the mapping came from one.
        column: 1-based column in the file.
        file: Name of the file or preset.
        suggestion: What to write instead, when a name is nearly right.
    """

    path: str
    message: str
    line: int | None = None
    column: int | None = None
    file: str | None = None
    suggestion: str | None = None

    def __str__(self) -> str:
        place = [str(part) for part in (self.file, self.line, self.column) if part is not None]
        text = f"{self.path} {self.message}" if self.path else self.message
        if self.suggestion:
            text += f" {self.suggestion}"
        return f"{':'.join(place)}: {text}" if place else text


class MappingError(MappingsError):
    """A mapping that cannot be used, or an event that a mapping cannot resolve.

    Attributes:
        problems: Everything that is wrong, in the order of the file; never empty.
    """

    def __init__(self, problems: Iterable[Problem] | str) -> None:
        if isinstance(problems, str):
            problems = [Problem("", problems)]
        self.problems: list[Problem] = list(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))

    def __reduce__(self) -> tuple[type[MappingError], tuple[list[Problem]]]:
        return type(self), (self.problems,)


class TriggerError(MappingsError):
    """A trigger that cannot be read.

    Attributes:
        text: The trigger.
        position: 0-based index into `text` of the first character that cannot be read.
        reason: The sentence, without the picture of the place.
        suggestion: What to write instead, when that is clear.
    """

    def __init__(self, text: str, position: int, reason: str, suggestion: str | None = None) -> None:
        self.text = text
        self.position = position
        self.reason = reason
        self.suggestion = suggestion
        start = text.rfind("\n", 0, position) + 1
        end = text.find("\n", position)
        line = text[start:] if end < 0 else text[start:end]
        cure = f" {suggestion}" if suggestion else ""
        super().__init__(f"{reason}{cure}\n  {line}\n  {' ' * (position - start)}^")

    def __reduce__(self) -> tuple[type[TriggerError], tuple[str, int, str, str | None]]:
        return type(self), (self.text, self.position, self.reason, self.suggestion)


class FieldSpecError(MappingsError, ValueError):
    """Field definitions that make no sense: an unknown type, format or option."""


def nearest(word: str, known: Sequence[str] | Iterable[str]) -> str | None:
    """The known word that `word` was most likely meant to be, or None."""
    words = list(known)
    folded = {candidate.casefold(): candidate for candidate in reversed(words)}
    matches = get_close_matches(word.casefold(), folded, n=1, cutoff=0.7)
    return folded[matches[0]] if matches else None
