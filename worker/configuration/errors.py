"""What is wrong with a configuration, said so that the reader can mend it.

    ConfigurationError            the configuration cannot be used; says where, why and what to do
    ├── EmbeddedValkeyError       the embedded Valkey cannot be used here
    │   └── DataDirectoryInUse    another process runs the server of this data directory
    └── (everything else)         destinations file, environment

No error shows a secret: a value is described by its type, never by its text.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

__all__ = ["ConfigurationError", "DataDirectoryInUse", "EmbeddedValkeyError", "Problem", "kind_of"]


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong.

    Attributes:
        message: What is wrong and what was expected, without the value.
        path: The key, for example ``destinations[1].lanes.sms.rate``; or the name of an environment variable.
        file: The file it stands in, as the user named it.
        line: Line, counted from 1.
        column: Column, counted from 1.
        suggestion: What to do.
    """

    message: str
    path: str = ""
    file: str | None = None
    line: int | None = None
    column: int | None = None
    suggestion: str | None = None

    def __str__(self) -> str:
        place = ":".join(str(part) for part in (self.file, self.line, self.column) if part is not None)
        head = ": ".join(part for part in (place, self.path, self.message.rstrip(".")) if part)
        return f"{head}. {self.suggestion}" if self.suggestion else head

    def as_dict(self) -> dict[str, Any]:
        """Return the problem as JSON-able data."""
        return {
            "file": self.file,
            "line": self.line,
            "column": self.column,
            "key": self.path or None,
            "message": self.message,
            "suggestion": self.suggestion,
        }


class ConfigurationError(Exception):
    """The configuration cannot be used.

    Attributes:
        problems: Everything that is wrong, in the order of the file; at least one.
    """

    def __init__(self, message: str | Iterable[Problem], *, suggestion: str | None = None) -> None:
        self.problems: tuple[Problem, ...] = (
            (Problem(message, suggestion=suggestion),) if isinstance(message, str) else tuple(message)
        )
        super().__init__("\n".join(str(problem) for problem in self.problems))


class EmbeddedValkeyError(ConfigurationError):
    """The embedded Valkey is not installed, cannot start, or cannot use its data directory."""


class DataDirectoryInUse(EmbeddedValkeyError):
    """Another process runs the embedded Valkey of this data directory."""


_KINDS: dict[type, str] = {
    type(None): "nothing",
    bool: "a boolean",
    int: "an integer",
    float: "a number",
    str: "text",
    list: "a list",
    dict: "a mapping",
}


def kind_of(value: object) -> str:
    """Name the type of a value from YAML in words, for example ``a list``."""
    return _KINDS.get(type(value), f"a value of type {type(value).__name__}")
