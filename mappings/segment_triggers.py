"""Where a trigger means something else here than at Segment: what an import has to tell."""

from __future__ import annotations

from itertools import pairwise
from typing import Final

from mappings.trigger_tokens import Token, field_keys, tokenize, unquoted

__all__ = ["other_meanings"]

#: Fields that Segment's triggers look at; conditions on others, and functions on `type`, are left out there.
_FIELDS: Final = frozenset({"type", "event", "name", "userId", "properties", "traits", "context"})
_COMPARISONS: Final = frozenset({"=", "!=", "<", "<=", ">", ">="})


def other_meanings(trigger: str) -> list[str]:
    """One sentence for each kind of thing in a trigger that Segment reads in another way; each is said once.

    Raises:
        TriggerError: The trigger cannot be read.
    """
    tokens = tokenize(trigger)
    found: list[str] = []
    for token, following in pairwise(tokens):
        if token.kind == "text" and token.spelled.startswith("'"):
            found.append("its trigger has text in single quotes: at Segment the quotes belong to the text.")
        if token.kind == "operator" and token.spelled == "!" and following.spelled == "(":
            found.append("its trigger has ! before a group: at Segment that changes nothing.")
        if token.kind == "path" and following.spelled in _COMPARISONS:
            found += _dropped(token, functions=False)
    for index, token in enumerate(tokens[:-3]):
        _, field, comma, value = tokens[index : index + 4]
        if token.spelled == "(" and tokens[index - 1].spelled in {"contains", "match"} and comma.spelled == ",":
            found += _dropped(field, functions=True)
            if tokens[index - 1].spelled == "match" and value.kind == "text" and not _one_star(unquoted(value.spelled)):
                found.append("its trigger has a pattern that is not a star at one end: here it is a whole glob.")
        if field.spelled in {"event", "type"} and comma.spelled in {"=", "!="} and value.spelled == "null":
            found.append(f"its trigger asks whether {field.spelled} is null: at Segment null is a text there.")
    return list(dict.fromkeys(found))


def _dropped(field: Token, *, functions: bool) -> list[str]:
    name = field_keys(field.spelled)[0]
    if name in _FIELDS and not (functions and name == "type"):
        return []
    return [f"its trigger has a condition on {name}: here it counts, at Segment it is left out."]


def _one_star(pattern: str) -> bool:
    """Whether a pattern means the same to Segment: a star at one end, and no other wildcard."""
    inner = pattern[:-1] if pattern.endswith("*") else pattern[1:]
    return "*" in {pattern[:1], pattern[-1:]} and not set(inner) & set("*?[\\")
