"""Mappings that are nothing but paths, by far the most common: one function, and no call inside it for plain events."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from mappings.paths import parse_path, step
from mappings.values import MISSING

__all__ = ["compile_path_object", "only_paths"]

#: First key of the parent (None: the event itself), the keys that follow, the first child (field, key), and all of them
#: where there are several.
_Row = tuple[str | None, tuple[str, ...], str, str, list[tuple[str, str]]]


def only_paths(mapping: dict[str, Any]) -> list[tuple[str, tuple[str, ...]]] | None:
    """Field and keys of each member of a mapping that was checked; None when one of them is more than a raw `@path`."""
    found: list[tuple[str, tuple[str, ...]]] = []
    for name, member in mapping.items():
        path = member.get("@path") if isinstance(member, dict) and len(member) == 1 else None
        keys = tuple(parse_path(path)) if isinstance(path, str) else ()
        if not keys or name.startswith("@"):
            return None
        found.append((name, keys))
    return found or None


def compile_path_object(
    members: list[tuple[str, tuple[str, ...]]], otherwise: Callable[[Any], Any]
) -> Callable[[Any], Any]:
    """A function from an event to the object of what the paths lead to; neighbours under one parent go to it once.

    Args:
        members: As `only_paths` gives them.
        otherwise: Asked about what is not a plain dict.
    """
    rows = _rows(members)

    def resolve(event: Any) -> Any:
        if type(event) is not dict:
            return otherwise(event)
        result = {}
        for first, rest, name, child, several in rows:
            parent = event if first is None else event.get(first)
            if rest:
                for key in rest:
                    parent = parent.get(key) if type(parent) is dict else step(parent, key)
            if type(parent) is not dict:
                for field, last in several or [(name, child)]:
                    value = step(parent, last)
                    if value is not MISSING:
                        result[field] = value
            elif several:
                for field, last in several:
                    if last in parent:
                        result[field] = parent[last]
            elif child in parent:
                result[name] = parent[child]
        return result

    return resolve


def _rows(members: list[tuple[str, tuple[str, ...]]]) -> list[_Row]:
    groups: list[tuple[tuple[str, ...], list[tuple[str, str]]]] = []
    for name, (*parents, child) in members:
        if groups and groups[-1][0] == tuple(parents):
            groups[-1][1].append((name, child))
        else:
            groups.append((tuple(parents), [(name, child)]))
    return [
        (parents[0] if parents else None, parents[1:], *children[0], children if len(children) > 1 else [])
        for parents, children in groups
    ]
