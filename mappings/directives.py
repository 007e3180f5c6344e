"""The directives `@path` to `@excludeWhenNull`: each is checked and turned into a function once, at load.

The behaviour is Segment's (mapping-kit of @segment/actions-core 3.170), with the deliberate differences that
docs/mappings.md lists. `@liquid` has a module of its own.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any, Final

import orjson

from mappings.compiler import Builder, Compiler, Option, Resolver, constant, is_directive, is_path
from mappings.errors import MappingError, Problem
from mappings.paths import parse_path, step
from mappings.places import Place
from mappings.replacing import compile_replace
from mappings.templates import compile_template
from mappings.values import MISSING, json_text, text, type_name

__all__ = ["DIRECTIVES", "ROOT_DIRECTIVE", "root_mapping"]

#: A mapping may wrap all its fields into one directive under this key.
ROOT_DIRECTIVE: Final = "__segment_internal_directive"

#: Digits that a number of orjson may lose.
_LONG_NUMBER: Final = re.compile(r"\d{17}", re.ASCII)
#: Characters (UTF-16 units) that each text of `@replace` may have.
_MOST: Final = 10


def _path(compiler: Compiler, path: Any, place: Place) -> Resolver:
    if isinstance(path, str):
        return compiler.written_path(path, place)
    if not compiler.check(path, "text or directive", place):
        return constant(MISSING)
    compiler.reads += 1
    computed = compiler.value(path, place)
    observer = compiler.observer

    def resolve(payload: Any) -> Any:
        wanted = computed(payload)
        if not isinstance(wanted, str):
            raise MappingError([Problem(str(place), f"should give a path as text, but it gives {type_name(wanted)}.")])
        if observer is not None:
            return compiler.path(wanted)(payload)
        value = payload
        for key in parse_path(wanted):
            value = step(value, key)
        return value

    return resolve


def _template(compiler: Compiler, template: Any, place: Place) -> Resolver:
    if not compiler.check(template, "text or directive", place):
        return constant(MISSING)
    return _computed_template(compiler, template, place)


def _written_template(compiler: Compiler, template: str, place: Place) -> Resolver:
    if is_path(template):
        compiler.warning(
            place, "has no {{ }}, so it is plain text.", f"Write {{{{{template}}}}}, or @path for @template."
        )
    try:
        return compile_template(template, compiler.path)
    except ValueError as error:
        return compiler.problem(place, str(error))


def _computed_template(compiler: Compiler, template: Any, place: Place) -> Resolver:
    """A template given by a directive: text written in the mapping is a template, text from the event never is."""
    if isinstance(template, str):
        return _written_template(compiler, template, place)
    if is_directive(template) and len(template) == 1:
        name, options = next(iter(template.items()))
        if name == "@literal":
            return _computed_template(compiler, options, place.at(name))
        if name == "@if" and isinstance(options, dict):
            return _if(compiler, options, place.at(name), branch=_computed_template)
    reads, warnings = compiler.reads, len(compiler.warnings)
    computed = compiler.value(template, place)
    if compiler.reads == reads and not compiler.problems:
        written = computed({})
        if isinstance(written, str):
            del compiler.warnings[warnings:]  # what was taken for plain text is a template
            return _written_template(compiler, written, place)

    def resolve(payload: Any) -> str:
        value = computed(payload)
        if not isinstance(value, str):
            raise MappingError([Problem(str(place), f"should give text, but it gives {type_name(value)}.")])
        return value

    return resolve


def _literal(compiler: Compiler, value: Any, place: Place) -> Resolver:
    return constant(value) if isinstance(value, str) else compiler.value(value, place)


def _if(
    compiler: Compiler, options: Any, place: Place, branch: Callable[[Compiler, Any, Place], Resolver] = Compiler.value
) -> Resolver:
    checked = compiler.options(options, place, Option("exists"), Option("blank"), Option("then"), Option("else"))
    if checked is None:
        return constant(MISSING)
    resolvers = {key: compiler.value(checked[key], place.at(key)) for key in ("exists", "blank") if key in checked}
    then, otherwise = (
        branch(compiler, checked[key], place.at(key)) if key in checked else constant(MISSING)
        for key in ("then", "else")
    )
    if not resolvers:
        return compiler.problem(place, "should have the option 'exists' or 'blank', but it has neither.")
    if "exists" in resolvers:
        exists = resolvers["exists"]

        def resolve_exists(payload: Any) -> Any:
            value = exists(payload)
            return (otherwise if value is MISSING or value is None else then)(payload)

        return resolve_exists

    filled = resolvers["blank"]

    def resolve_blank(payload: Any) -> Any:
        return (otherwise if is_blank(filled(payload)) else then)(payload)

    return resolve_blank


def is_blank(value: Any) -> bool:
    """Missing, null, empty text, or a list that reads as empty text. Zero, false and objects are never blank."""
    return value is MISSING or value is None or value == "" or (isinstance(value, list) and text(value) == "")


def _case(compiler: Compiler, options: Any, place: Place) -> Resolver:
    checked = compiler.options(
        options,
        place,
        Option("operator", "text", required=True, words=("lower", "upper")),
        Option("value", "text or directive"),
    )
    if checked is None:
        return constant(MISSING)
    inner = compiler.value(checked["value"], place.at("value")) if "value" in checked else constant(MISSING)
    change = str.lower if checked["operator"] == "lower" else str.upper

    def resolve(payload: Any) -> Any:
        value = inner(payload)
        return change(value) if isinstance(value, str) else value

    return resolve


def _replace(compiler: Compiler, options: Any, place: Place) -> Resolver:
    checked = compiler.options(
        options,
        place,
        Option("pattern", "text", required=True, lengths=(1, _MOST)),
        Option("replacement", "text", lengths=(0, _MOST)),
        Option("value", "text or directive", required=True),
        Option("ignorecase", "boolean"),
        Option("global", "boolean"),
        Option("pattern2", "text or nothing", lengths=(0, _MOST)),
        Option("replacement2", "text or nothing", lengths=(0, _MOST)),
    )
    if checked is None:
        return constant(MISSING)
    inner = compiler.value(checked["value"], place.at("value"))
    pairs = [(checked["pattern"], checked.get("replacement", ""))]
    if checked.get("pattern2"):
        pairs.append((checked["pattern2"], checked.get("replacement2") or ""))
    replace = compile_replace(
        pairs, ignorecase=checked.get("ignorecase", False), everywhere=checked.get("global", True)
    )

    def resolve(payload: Any) -> str:
        value = inner(payload)
        if type(value) is str:
            return replace(value)
        return replace(text(value)) if isinstance(value, int | float | str) else ""

    return resolve


def _array_path(compiler: Compiler, options: Any, place: Place) -> Resolver:
    if not compiler.check(options, "list", place):
        return constant(MISSING)
    root = options[0] if options else None
    if not compiler.check(root, "text or directive", place.within(0)):
        return constant(MISSING)
    items = (
        compiler.written_path(root, place.within(0)) if isinstance(root, str) else compiler.value(root, place.within(0))
    )
    if len(options) > 2:
        compiler.warning(place, "takes a path and a shape; what follows is ignored.")
    shape = options[1] if len(options) > 1 else None
    if not isinstance(shape, dict):
        if shape is not None:
            compiler.warning(place.within(1), f"has a shape that is {type_name(shape)}, not an object; it is ignored.")
        return items
    if not shape:
        return items
    label = f"{compiler.scope}.{'.'.join(parse_path(root))}[]" if isinstance(root, str) else "item"
    item = compiler.scoped(shape, place.within(1), label)
    compiler.holes = compiler.holes or is_directive(shape)

    def resolve(payload: Any) -> Any:
        values = items(payload)
        if isinstance(values, list):
            return [item(value) for value in values]
        return [item(values)] if isinstance(values, dict) else values

    return resolve


def _flatten(compiler: Compiler, options: Any, place: Place) -> Resolver:
    checked = compiler.options(
        options,
        place,
        Option("value", required=True),
        Option("separator", "text", required=True, lengths=(1, None)),
        Option("omitArrays", "boolean"),
    )
    if checked is None:
        return constant(MISSING)
    inner = compiler.value(checked["value"], place.at("value"))
    separator = checked["separator"]
    containers = dict if checked.get("omitArrays") else (dict, list)

    def flatten(value: Any, prefix: str, result: dict[str, Any]) -> None:
        if not isinstance(value, containers):
            if value is not MISSING:
                result[prefix] = value
            return
        for key, member in value.items() if isinstance(value, dict) else enumerate(value):
            flatten(member, f"{prefix}{separator}{key}" if prefix else str(key), result)

    def resolve(payload: Any) -> dict[str, Any]:
        result: dict[str, Any] = {}
        flatten(inner(payload), "", result)
        return result

    return resolve


def _json(compiler: Compiler, options: Any, place: Place) -> Resolver:
    checked = compiler.options(
        options,
        place,
        Option("value", required=True),
        Option("mode", "text", required=True, words=("encode", "decode"), any_case=True),
    )
    if checked is None:
        return constant(MISSING)
    inner = compiler.value(checked["value"], place.at("value"))

    def encode(payload: Any) -> Any:
        value = inner(payload)
        return MISSING if value is MISSING else json_text(value)

    def decode(payload: Any) -> Any:
        value = inner(payload)
        if not isinstance(value, str):
            return value
        try:
            decoded = orjson.loads(value)
        except orjson.JSONDecodeError:
            return value
        return json.loads(value) if _LONG_NUMBER.search(value) else decoded

    return encode if checked["mode"].lower() == "encode" else decode


def _merge(compiler: Compiler, options: Any, place: Place) -> Resolver:
    checked = compiler.options(
        options,
        place,
        Option("objects", "list of objects", required=True),
        Option("direction", "text", required=True, words=("left", "right"), any_case=True),
    )
    if checked is None:
        return constant(MISSING)
    here = place.at("objects")
    inner = [compiler.value(item, here.at(index)) for index, item in enumerate(checked["objects"])]
    if checked["direction"].lower() == "left":
        inner.reverse()

    def resolve(payload: Any) -> dict[str, Any]:
        result: dict[str, Any] = {}
        for item in inner:
            value = item(payload)
            if isinstance(value, dict):
                result.update(value)
        return result

    return resolve


def _transform(compiler: Compiler, options: Any, place: Place) -> Resolver:
    checked = compiler.options(
        options,
        place,
        Option("apply", "object or directive", required=True),
        Option("mapping", "object or directive", required=True),
    )
    if checked is None:
        return constant(MISSING)
    apply = root_mapping(compiler, checked["apply"], place.at("apply"))
    mapping = compiler.scoped(checked["mapping"], place.at("mapping"), "@transform")

    def resolve(payload: Any) -> Any:
        if payload is not MISSING and not isinstance(payload, dict):
            raise MappingError([Problem(str(place), f"needs an object to work on, but it is {type_name(payload)}.")])
        return mapping(apply(payload))

    return resolve


def _exclude_when_null(compiler: Compiler, value: Any, place: Place) -> Resolver:
    inner = compiler.value(value, place)

    def resolve(payload: Any) -> Any:
        resolved = inner(payload)
        return MISSING if resolved is None else _without_nulls(resolved)

    return resolve


def _without_nulls(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    return {key: _without_nulls(member) for key, member in value.items() if member is not None}


def _liquid(compiler: Compiler, template: Any, place: Place) -> Resolver:
    from mappings.liquid import build_liquid  # noqa: PLC0415 -- slow to import, and few mappings use it

    return build_liquid(compiler, template, place)


def root_mapping(compiler: Compiler, mapping: Any, place: Place) -> Resolver:
    """Compile a whole mapping, whose fields may be wrapped into one directive under `ROOT_DIRECTIVE`."""
    if not isinstance(mapping, dict) or ROOT_DIRECTIVE not in mapping:
        return compiler.value(mapping, place)
    wrapper = mapping[ROOT_DIRECTIVE]
    here = place.at(ROOT_DIRECTIVE)
    if not is_directive(wrapper) or len(wrapper) != 1:
        return compiler.problem(here, "should be one single directive.")
    name, options = next(iter(wrapper.items()))
    if not isinstance(options, dict):
        return compiler.problem(here.at(name), f"should be an object of options, but it is {type_name(options)}.")
    fields = {key: value for key, value in mapping.items() if key != ROOT_DIRECTIVE}
    return compiler.value({name: options | {"mapping": fields}}, here)


DIRECTIVES: Final[dict[str, Builder]] = {
    "@path": _path,
    "@template": _template,
    "@if": _if,
    "@case": _case,
    "@replace": _replace,
    "@arrayPath": _array_path,
    "@literal": _literal,
    "@flatten": _flatten,
    "@json": _json,
    "@merge": _merge,
    "@transform": _transform,
    "@excludeWhenNull": _exclude_when_null,
    "@liquid": _liquid,
}
