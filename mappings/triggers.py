"""`type = "track" and event = "Order Shipped"` → a compiled predicate that can explain itself."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from mappings.errors import TriggerError
from mappings.paths import compile_keys, explain_keys
from mappings.trigger_parser import Clause, parse_trigger
from mappings.values import MISSING, type_name

__all__ = ["ClauseVerdict", "CompiledTrigger", "compile_trigger"]

#: Characters a trigger may have.
MAX_LENGTH: Final = 20_000


@dataclass(frozen=True, slots=True)
class ClauseVerdict:
    """What one clause of a trigger said about an event.

    Attributes:
        clause: The text of the clause, as it stands in the trigger.
        holds: Whether it is true for the event.
        depth: How many groups it stands in.
        reason: What was found, without showing values; empty for groups.
        value: What was found; None for groups, `MISSING` for nothing.
    """

    clause: str
    holds: bool
    depth: int
    reason: str
    value: Any = None


class CompiledTrigger:
    """A trigger: call it with an event to learn whether the event is meant.

    Attributes:
        text: The trigger as it was written.
        matches: The bare predicate behind the call, for hot loops.
        fields: What it looks at in an event, each as its keys; what it says depends on nothing else.
    """

    __slots__ = ("_root", "fields", "matches", "text")

    def __init__(self, text: str, root: Clause) -> None:
        self.text = text
        self.matches = root.test
        self.fields = frozenset(_fields(root))
        self._root = root

    def __call__(self, event: dict[str, Any]) -> bool:
        """Whether the event is meant."""
        return self.matches(event)

    def __repr__(self) -> str:
        return f"CompiledTrigger({self.text!r})"

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return compile_trigger, (self.text,)

    @property
    def mixes_words(self) -> bool:
        """Whether `and` stands beside `or` without parentheses, which not every language reads the same way."""
        return _mixes_words(self._root, self.text)

    def explain(self, event: dict[str, Any]) -> list[ClauseVerdict]:
        """What each clause says about the event, in the order they are written."""
        verdicts: list[ClauseVerdict] = []
        self._explain(self._root, event, 0, verdicts)
        return verdicts

    def _explain(self, node: Clause, event: dict[str, Any], depth: int, verdicts: list[ClauseVerdict]) -> None:
        reason, value = "", None
        if node.keys:
            value = compile_keys(node.keys)(event)
            why = explain_keys(node.keys, event) if value is MISSING else None
            reason = why or f"{'.'.join(node.keys)} is {type_name(value)}"
        verdicts.append(ClauseVerdict(self.text[node.start : node.end], node.test(event), depth, reason, value))
        for child in node.children:
            self._explain(child, event, depth + 1, verdicts)


def _fields(clause: Clause) -> Iterator[tuple[str, ...]]:
    if clause.keys:
        yield clause.keys
    for child in clause.children:
        yield from _fields(child)


def _mixes_words(clause: Clause, text: str) -> bool:
    """A joined clause within a joined clause, and no parenthesis around it."""
    return any(
        (child.children and not text.startswith(("(", "!"), child.start)) or _mixes_words(child, text)
        for child in clause.children
    )


def compile_trigger(text: str) -> CompiledTrigger:
    """Read a trigger and compile it.

    Raises:
        TriggerError: With the place in the text, and what to write instead when that is clear.
    """
    if not isinstance(text, str):
        raise TriggerError("", 0, f"A trigger should be text, but it is {type_name(text)}.")
    if len(text) > MAX_LENGTH:
        raise TriggerError(text[:80], 0, f"A trigger should be at most {MAX_LENGTH} characters long.")
    return CompiledTrigger(text, parse_trigger(text))
