"""The filters of `@liquid`: those of LiquidJS 10 that Segment allows, with LiquidJS's answers.

Pure functions of plain values. Every one takes time and memory in proportion to what it is given and makes: the text
that a filter would make is measured before it is made.
"""

from __future__ import annotations

import base64
import math
import operator
import re
import unicodedata
from collections.abc import Callable
from decimal import Decimal
from typing import Any, Final
from urllib.parse import quote, unquote_plus

from mappings.liquid_dates import DEFAULT_FORMAT, format_date, parse_date
from mappings.liquid_numbers import (
    FilterError,
    Number,
    arithmetic,
    decimal,
    divided_by,
    modulo,
    number,
    plain_number,
    rounded,
    to_integer,
)
from mappings.values import MISSING, json_text, number_text, utf16_length

__all__ = ["DISABLED_FILTERS", "FILTERS", "MAX_TEXT", "FilterError", "liquid_text"]

#: Characters of text that one template may make.
MAX_TEXT: Final = 1_000_000

#: Filters of LiquidJS that Segment turns off, and `sample`, which would make a mapping give another text each time.
DISABLED_FILTERS: Final = frozenset({
    "array_to_sentence_string", "concat", "find", "find_exp", "find_index", "find_index_exp", "group_by",
    "group_by_exp", "has", "has_exp", "map", "newline_to_br", "reject", "reject_exp", "reverse", "sample", "sort",
    "sort_natural", "type", "uniq", "where_exp",
})  # fmt: skip


def liquid_text(value: Any) -> str:
    """A value as Liquid prints it: lists without a separator, objects as JSON, nothing for nil."""
    if isinstance(value, str):
        return value
    if value is None or value is MISSING:
        return ""
    if isinstance(value, list):
        return "".join([liquid_text(item) for item in value])
    if isinstance(value, bool):
        return "true" if value else "false"
    return number_text(value) if isinstance(value, int | float) else json_text(value)


def _measured(length: int) -> None:
    if length > MAX_TEXT:
        raise FilterError(f"it makes more than {MAX_TEXT} characters of text")


# Text


def _append(value: Any, end: Any = None) -> str:
    return liquid_text(value) + liquid_text(end)


def _prepend(value: Any, start: Any = None) -> str:
    return liquid_text(start) + liquid_text(value)


def _strip(method: Callable[[str, str | None], str]) -> Callable[..., str]:
    return lambda value, characters=None: method(liquid_text(value), liquid_text(characters) or None)


def _replace(value: Any, old: Any = None, new: Any = "") -> str:
    words, old, new = liquid_text(value), liquid_text(old), liquid_text(new)
    _measured(len(words) + (words.count(old) * max(0, len(new) - len(old)) if old else len(words) * len(new)))
    # JavaScript splits by empty text between characters alone, not at both ends.
    return words.replace(old, new) if old else new.join(words)


def _replace_first(value: Any, old: Any = None, new: Any = "") -> str:
    return liquid_text(value).replace(liquid_text(old), liquid_text(new), 1)


def _replace_last(value: Any, old: Any = None, new: Any = "") -> str:
    words, old = liquid_text(value), liquid_text(old)
    found = words.rfind(old)
    return words if found < 0 else words[:found] + liquid_text(new) + words[found + len(old) :]


def _split(value: Any, separator: Any = None) -> list[str]:
    words, separator = liquid_text(value), liquid_text(separator)
    parts = words.split(separator) if separator else list(words)
    while parts and parts[-1] == "":
        parts.pop()
    return parts


def _slice(value: Any, begin: Any = 0, length: Any = 1) -> Any:
    if value is None:
        return []
    items = value if isinstance(value, list) else liquid_text(value)
    start, count = int(number(begin)), int(number(length))
    start = start + len(items) if start < 0 else start
    return items[start : start + count]


def _truncate(value: Any, length: Any = 50, ellipsis: Any = "...") -> str:
    words, end, limit = liquid_text(value), liquid_text(ellipsis), int(number(length))
    return words if len(words) <= limit else words[: max(0, limit - len(end))] + end


def _truncate_words(value: Any, count: Any = 15, ellipsis: Any = "...") -> str:
    words, limit = liquid_text(value).split(), max(1, int(number(count)))
    return " ".join(words[:limit]) + (liquid_text(ellipsis) if len(words) > limit else "")


_CJK = re.compile("[\u4e00-\u9fff\uf900-\ufaff\u3400-\u4dbf\u3040-\u309f\u30a0-\u30ff\uac00-\ud7af]")


def _number_of_words(value: Any, mode: Any = None) -> int:
    words = liquid_text(value)
    if liquid_text(mode) in {"cjk", "auto"} and _CJK.search(words):
        return len(_CJK.findall(words)) + len(_CJK.sub(" ", words).split())
    return len(words.split())


# HTML and URLs

_ENTITIES: Final = {"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&#34;", "'": "&#39;"}
_CHARACTERS: Final = {entity: character for character, entity in _ENTITIES.items()}
_RAW_BLOCKS: Final = (("<script", "</script>"), ("<style", "</style>"), ("<!--", "-->"))
_UNRESERVED: Final = "-_.!~*'()"


def _escape(value: Any) -> str:
    return re.sub("[&<>\"']", lambda found: _ENTITIES[found[0]], liquid_text(value))


def _escape_once(value: Any) -> str:
    return _escape(re.sub("&(?:amp|lt|gt|#34|#39);", lambda found: _CHARACTERS[found[0]], liquid_text(value)))


def _strip_html(value: Any) -> str:
    """Text without tags, comments, scripts and styles, in one pass: each closer is looked for once."""
    words = liquid_text(value)
    kept: list[str] = []
    closed: dict[str, int] = {}
    position = 0
    while (opening := words.find("<", position)) >= 0:
        closers = [closer for opener, closer in _RAW_BLOCKS if words.startswith(opener, opening)]
        end = -1
        for closer in (*closers, ">"):
            if -1 < closed.get(closer, 0) <= opening:
                closed[closer] = words.find(closer, opening + 1)
            if closed[closer] >= 0:
                end = closed[closer] + len(closer)
                break
        if end < 0:
            break
        kept.append(words[position:opening])
        position = end
    return "".join([*kept, words[position:]])


def _url_encode(value: Any) -> str:
    return quote(liquid_text(value), safe=_UNRESERVED).replace("%20", "+")


def _cgi_escape(value: Any) -> str:
    return quote(liquid_text(value), safe="-_.~").replace("%20", "+")


def _uri_escape(value: Any) -> str:
    return quote(liquid_text(value), safe=f";,/?:@&=+$#[]{_UNRESERVED}")


_SLUG_KEPT: Final = {"pretty": "._~!$&'()+,;=@"}


def _slugify(value: Any, mode: Any = "default", cased: Any = None) -> str:
    words, mode = liquid_text(value), liquid_text(mode)
    if mode == "none":
        kept = words
    elif mode == "raw":
        kept = re.sub(r"\s+", "-", words)
    else:
        if mode == "latin":
            words = "".join([each for each in unicodedata.normalize("NFD", words) if not unicodedata.combining(each)])
        ascii_only, more = mode in {"ascii", "latin"}, _SLUG_KEPT.get(mode, "")
        marked = [each if _in_slug(each, more, ascii_only=ascii_only) else "\0" for each in words]
        kept = re.sub("\0+", "-", "".join(marked)).strip("-")
    return kept if cased else kept.lower()


def _in_slug(character: str, more: str, *, ascii_only: bool) -> bool:
    if character.isascii() or ascii_only:
        return character.isascii() and (character.isalnum() or character in more)
    return unicodedata.category(character)[0] in "LM" or unicodedata.category(character) == "Nd"


# Lists


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [] if value is None else [value]


def _join(value: Any, separator: Any = " ") -> str:
    words, between = [liquid_text(item) for item in _list(value)], liquid_text(separator)
    _measured(sum(map(len, words)) + len(words) * len(between))
    return between.join(words)


def _size(value: Any) -> int:
    return utf16_length(value) if isinstance(value, str) else len(value) if isinstance(value, list) else 0


def _member(item: Any, path: Any) -> Any:
    for key in liquid_text(path).split("."):
        item = item.get(key) if isinstance(item, dict) else None
    return item


def _where(value: Any, path: Any = None, expected: Any = MISSING) -> list[Any]:
    if expected is MISSING:
        return [item for item in _list(value) if _member(item, path) not in (None, False)]
    return [item for item in _list(value) if _equal(_member(item, path), expected)]


def _equal(one: Any, other: Any) -> bool:
    return isinstance(one, bool) == isinstance(other, bool) and bool(one == other)


def _sum(value: Any, path: Any = None) -> Number:
    items = _list(value) if path is None else [_member(item, path) for item in _list(value)]
    return plain_number(sum(map(decimal, items), Decimal(0)))


def _bounded_list(items: list[Any]) -> list[Any]:
    """The list, unless lists within lists make it huge: pushing a list into itself doubles it each time."""
    budget = MAX_TEXT
    waiting: list[Any] = [items]
    while waiting:
        each = waiting.pop()
        if isinstance(each, list):
            budget -= len(each)
            if budget < 0:
                raise FilterError(f"it makes a list of more than {MAX_TEXT} values")
            waiting += each
    return items


def _end(index: int) -> Callable[[Any], Any]:
    return lambda value: value[index] if isinstance(value, list | str) and value else None


# The rest


def _default(value: Any, other: Any = "", *, allow_false: Any = False) -> Any:
    if value is False:
        return value if allow_false else other
    return other if value is None or value in ("", []) else value


def _date(value: Any, template: Any = None, zone: Any = None) -> Any:
    moment = parse_date(value, zone)
    if moment is None:
        return value
    return format_date(moment, DEFAULT_FORMAT if template is None else liquid_text(template))


def _written_date(month: str) -> Callable[..., Any]:
    def write(value: Any, style: Any = None, country: Any = None) -> Any:
        if style == "ordinal":
            return _date(value, f"{month} %-d%q, %Y" if country == "US" else f"%-d%q {month} %Y")
        return _date(value, f"%d {month} %Y")

    return write


def _json(value: Any, _space: Any = None) -> str | None:
    return json_text(value)


_NO_BASE64 = re.compile(r"[^A-Za-z0-9+/]|(?<==).*", re.DOTALL)


def _base64_decode(value: Any) -> str:
    """As Node.js does it: both alphabets, what is no base64 is passed over, what is left over is dropped."""
    words = _NO_BASE64.sub("", liquid_text(value).translate(str.maketrans("-_", "+/")))
    words = words[: len(words) - (len(words) % 4 == 1)]
    return base64.b64decode(words + "=" * (-len(words) % 4)).decode("utf-8", "replace")


FILTERS: Final[dict[str, Callable[..., Any]]] = {
    "abs": lambda value: abs(number(value)),
    "append": _append,
    "at_least": lambda value, least=0: max(number(value), number(least)),
    "at_most": lambda value, most=0: min(number(value), number(most)),
    "base64_decode": _base64_decode,
    "base64_encode": lambda value: base64.b64encode(liquid_text(value).encode()).decode("ascii"),
    "capitalize": lambda value: liquid_text(value)[:1].upper() + liquid_text(value)[1:].lower(),
    "ceil": lambda value: math.ceil(number(value)),
    "cgi_escape": _cgi_escape,
    "compact": lambda value: [item for item in _list(value) if item is not None],
    "date": _date,
    "date_to_long_string": _written_date("%B"),
    "date_to_rfc822": lambda value: _date(value, "%a, %d %b %Y %H:%M:%S %z"),
    "date_to_string": _written_date("%b"),
    "date_to_xmlschema": lambda value: _date(value, "%Y-%m-%dT%H:%M:%S%:z"),
    "default": _default,
    "divided_by": divided_by,
    "downcase": lambda value: liquid_text(value).lower(),
    "escape": _escape,
    "escape_once": _escape_once,
    "first": _end(0),
    "floor": lambda value: math.floor(number(value)),
    "inspect": _json,
    "join": _join,
    "json": _json,
    "jsonify": _json,
    "last": _end(-1),
    "lstrip": _strip(str.lstrip),
    "minus": arithmetic(operator.sub),
    "modulo": modulo,
    "normalize_whitespace": lambda value: re.sub(r"\s+", " ", liquid_text(value)),
    "number_of_words": _number_of_words,
    "plus": arithmetic(operator.add),
    "pop": lambda value: _list(value)[:-1],
    "prepend": _prepend,
    "push": lambda value, item=None: _bounded_list([*_list(value), item]),
    "raw": lambda value: value,
    "remove": lambda value, words="": liquid_text(value).replace(liquid_text(words), ""),
    "remove_first": _replace_first,
    "remove_last": _replace_last,
    "replace": _replace,
    "replace_first": _replace_first,
    "replace_last": _replace_last,
    "round": rounded,
    "rstrip": _strip(str.rstrip),
    "shift": lambda value: _list(value)[1:],
    "size": _size,
    "slice": _slice,
    "slugify": _slugify,
    "split": _split,
    "strip": _strip(str.strip),
    "strip_html": _strip_html,
    "strip_newlines": lambda value: re.sub(r"\r?\n", "", liquid_text(value)),
    "sum": _sum,
    "times": arithmetic(operator.mul),
    "to_integer": to_integer,
    "truncate": _truncate,
    "truncatewords": _truncate_words,
    "unshift": lambda value, item=None: _bounded_list([item, *_list(value)]),
    "upcase": lambda value: liquid_text(value).upper(),
    "uri_escape": _uri_escape,
    "url_decode": lambda value: unquote_plus(liquid_text(value)),
    "url_encode": _url_encode,
    "where": _where,
    "xml_escape": _escape,
}
