"""Where something stands: in a mapping, in its file, and in the event that it reads."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from mappings.errors import Problem

__all__ = ["Location", "Origin", "Place", "Read"]

Location = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Place:
    """A place in the mapping: as Segment names it in errors, and as the file is nested (the two differ in lists)."""

    path: tuple[str, ...] = ()
    location: Location = ()

    def at(self, key: str | int) -> Place:
        """The place of a member."""
        return Place((*self.path, str(key)), (*self.location, key))

    def within(self, key: str | int) -> Place:
        """The place of a member that errors name like its parent."""
        return replace(self, location=(*self.location, key))

    def __str__(self) -> str:
        return f"/{'/'.join(self.path)}"


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a mapping comes from: gives problems their file, line and column."""

    file: str | None = None
    locate: Callable[[Location], tuple[int, int] | None] = lambda _: None
    base: Location = ()

    def problem(self, place: Place, message: str, suggestion: str | None = None) -> Problem:
        """A problem with its position filled in."""
        line, column = self.locate((*self.base, *place.location)) or (None, None)
        path = "/".join(map(str, (*self.base, *place.path)))
        return Problem(f"/{path}", message, line, column, self.file, suggestion)


@dataclass(frozen=True, slots=True)
class Read:
    """One look into an event, for explanations."""

    path: str
    value: Any
    why_missing: str | None = None
