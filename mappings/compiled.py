"""`compile_mapping`: a mapping as a callable object that can also explain itself."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any, Self

from mappings.compiler import Compiler, Resolver
from mappings.directives import DIRECTIVES, ROOT_DIRECTIVE, root_mapping
from mappings.errors import MappingError, Problem
from mappings.path_objects import compile_path_object, only_paths
from mappings.places import Origin, Place, Read
from mappings.values import MISSING, type_name, without_missing

__all__ = ["CompiledMapping", "FieldExplanation", "compile_mapping"]


@dataclass(frozen=True, slots=True)
class FieldExplanation:
    """What became of one field of a mapping, for one event.

    Attributes:
        field: The key; empty when the whole mapping is one directive.
        value: The resolved value, or `MISSING`.
        reads: The looks into the event that were made for it, in order.
        why_missing: One sentence, when the value is missing.
        error: One sentence, when the field cannot be resolved.
    """

    field: str
    value: Any
    reads: tuple[Read, ...]
    why_missing: str | None = None
    error: str | None = None


class CompiledMapping(partial[Any]):
    """A mapping, checked and compiled: call it with an event to get the resolved value.

    The result is `MISSING` when there is none, and may share lists and objects with the event: treat both as read-only.
    A `MappingError` is raised by the call when this event cannot be resolved. It is a `functools.partial` of `resolve`
    without arguments, since a call of that costs no more than `resolve` itself.

    Attributes:
        source: The mapping as it was given.
        resolve: The bare function behind the call, for hot loops.
        warnings: What works but is hardly meant.
    """

    source: Any
    resolve: Resolver
    warnings: tuple[Problem, ...]
    _origin: Origin

    def __new__(cls, source: Any, resolve: Resolver, warnings: Iterable[Problem], origin: Origin) -> Self:
        """A compiled mapping; `compile_mapping` makes them."""
        made = super().__new__(cls, resolve)
        made.source = source
        made.resolve = resolve
        made.warnings = tuple(warnings)
        made._origin = origin
        return made

    def __repr__(self) -> str:
        return f"CompiledMapping({self.source!r})"

    def __reduce__(self) -> tuple[Any, tuple[Any]]:
        return compile_mapping, (self.source,)

    def each(self, events: Iterable[dict[str, Any]]) -> list[Any | MappingError]:
        """Resolve many events; an event that fails gives its `MappingError` and leaves its neighbours alone."""
        results: list[Any | MappingError] = []
        for event in events:
            try:
                results.append(self.resolve(event))
            except MappingError as error:
                results.append(error)
        return results

    def explain(self, event: dict[str, Any]) -> list[FieldExplanation]:
        """Each field with its value, where in the event it came from, and why it is missing if it is."""
        fields: dict[str, Any] = {"": self.source}
        if isinstance(self.source, dict) and ROOT_DIRECTIVE not in self.source and not _is_directive(self.source):
            fields = self.source
        return [_explain(name, mapping, event) for name, mapping in fields.items()]


def compile_mapping(mapping: Any, *, origin: Origin | None = None) -> CompiledMapping:
    """Check a mapping whole and compile it.

    Args:
        mapping: Segment's mapping language: an object of raw values and directives.
        origin: The file it comes from, so that problems can name line and column.

    Raises:
        MappingError: With every problem of the mapping, not only the first.
    """
    origin = origin or Origin()
    compiler = Compiler(DIRECTIVES, origin)
    if not isinstance(mapping, dict):
        raise MappingError([origin.problem(Place(), f"should be an object, but it is {type_name(mapping)}.")])
    try:
        inner = root_mapping(compiler, mapping, Place())
    except RecursionError:
        raise MappingError([origin.problem(Place(), "is nested too deeply.")]) from None
    if compiler.problems:
        raise MappingError(compiler.problems)
    resolve = _guarded(inner, holes=compiler.holes)
    paths = only_paths(mapping)
    if paths is not None:
        resolve = compile_path_object(paths, resolve)
    return CompiledMapping(mapping, resolve, compiler.warnings, origin)


def _guarded(inner: Resolver, *, holes: bool) -> Resolver:
    def resolve(event: Any) -> Any:
        if type(event) is not dict and not isinstance(event, dict):
            raise MappingError(f"The event should be an object, but it is {type_name(event)}.")
        try:
            return without_missing(inner(event)) if holes else inner(event)
        except RecursionError:
            raise MappingError("The event is nested too deeply.") from None

    return resolve


def _explain(name: str, mapping: Any, event: dict[str, Any]) -> FieldExplanation:
    reads: list[Read] = []
    compiler = Compiler(DIRECTIVES, observer=reads.append)
    inner = compiler.value(mapping, Place()) if name else root_mapping(compiler, mapping, Place())
    try:
        value = _guarded(inner, holes=True)(event)
    except MappingError as error:
        return FieldExplanation(name, MISSING, tuple(reads), error="; ".join(str(each) for each in error.problems))
    why = None
    if value is MISSING:
        reasons = [read.why_missing for read in reads if read.why_missing]
        null = any(read.value is None for read in reads)
        why = "; ".join(reasons) or (
            "the value is null and @excludeWhenNull drops it" if null else "nothing was chosen"
        )
    return FieldExplanation(name, value, tuple(reads), why_missing=why)


def _is_directive(mapping: dict[str, Any]) -> bool:
    return any(key.startswith("@") for key in mapping)
