"""`@liquid`: python-liquid with Segment's tags, filters and limits, and LiquidJS's idea of text and of order.

A template is parsed when the mapping is loaded. What an event carries is data to it, never template text.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from itertools import chain
from time import monotonic
from typing import Any, Final, TextIO

from liquid import Environment, Mode, RenderContext
from liquid.ast import Node
from liquid.builtin.expressions import parse_identifier, tokenize
from liquid.builtin.output import Output, OutputNode
from liquid.builtin.tags.assign_tag import AssignNode, AssignTag
from liquid.builtin.tags.echo_tag import EchoNode, EchoTag
from liquid.builtin.tags.if_tag import IfTag
from liquid.builtin.tags.unless_tag import UnlessTag
from liquid.exceptions import LiquidError, LiquidSyntaxError, OutputStreamLimitError
from liquid.expression import Expression
from liquid.stream import TokenStream
from liquid.tag import Tag
from liquid.template import BoundTemplate
from liquid.token import TOKEN_ASSIGN, TOKEN_EXPRESSION, TOKEN_OUTPUT, TOKEN_TAG, Token
from liquid.utils import ReadOnlyChainMap

from mappings.compiler import Compiler, Resolver, constant
from mappings.errors import MappingError, Problem, nearest
from mappings.liquid_conditions import parse_value, plain, tolerant
from mappings.liquid_filters import DISABLED_FILTERS, FILTERS, MAX_TEXT, FilterError, liquid_text
from mappings.paths import step
from mappings.places import Place
from mappings.values import MISSING, utf16_length

__all__ = ["DISABLED_TAGS", "MAX_SECONDS", "MAX_TEMPLATE", "build_liquid"]

#: Characters of a template, seconds of one rendering: Segment's limits. MAX_TEXT bounds the text that is made.
MAX_TEMPLATE: Final = 1000
MAX_SECONDS: Final = 0.5

DISABLED_TAGS: Final = ("case", "for", "include", "layout", "render", "tablerow")
#: Tags of python-liquid that LiquidJS does not have.
_FOREIGN_TAGS: Final = ("break", "continue", "doc", "ifchanged")


class _TooSlow(FilterError):
    pass


def _bounded(function: Callable[..., Any]) -> Callable[..., Any]:
    """A filter that takes what it has no use for, as in JavaScript, and whose text is bounded."""
    parameters = inspect.signature(function).parameters.values()
    places = sum(parameter.kind is not parameter.KEYWORD_ONLY for parameter in parameters) - 1
    names = {parameter.name for parameter in parameters if parameter.kind is parameter.KEYWORD_ONLY}

    def call(value: Any, *arguments: Any, **options: Any) -> Any:
        known = {name: plain(option) for name, option in options.items() if name in names}
        result = function(plain(value), *map(plain, arguments[:places]), **known)
        if isinstance(result, str) and len(result) > MAX_TEXT:
            raise FilterError(f"it makes more than {MAX_TEXT} characters of text")
        return result

    return call


_BOUNDED: Final = {name: _bounded(function) for name, function in FILTERS.items()}


#: What Liquid calls items and the length of a list, and how a path calls them.
_NAMES: Final = {"first": "0", "last": "-1", "size": "length"}


class _Context(RenderContext):
    """Looks at the clock before each filter and output; knows nothing but the event and the template's own names."""

    __slots__ = ("deadline",)

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.deadline = monotonic() + MAX_SECONDS
        self.scope = ReadOnlyChainMap(self.locals, self.globals, self.counters)

    def check_time(self) -> None:
        if monotonic() > self.deadline:
            raise _TooSlow(f"it takes longer than {MAX_SECONDS} seconds")

    def filter(self, name: str, token: Token | None) -> Callable[..., object]:  # noqa: ARG002 -- the base class's
        self.check_time()
        return _BOUNDED.get(name, _unchanged)

    def get_item(self, obj: Any, key: Any) -> Any:
        """A member of an object, an item of a list, or `size`, `first` and `last`.

        Raises:
            KeyError: There is none.
        """
        obj, name = plain(obj), liquid_text(plain(key))
        if isinstance(obj, dict):
            return len(obj) if name == "size" and name not in obj else obj[name]
        found = step(obj, _NAMES.get(name, name))
        if found is MISSING:
            raise KeyError(name)
        return found


def _unchanged(value: Any, *_: Any, **__: Any) -> Any:
    return value


class _Template(BoundTemplate):
    context_class = _Context


def _write(expression: Expression, context: Any, buffer: TextIO) -> int:
    context.check_time()
    return buffer.write(liquid_text(plain(expression.evaluate(context))))


class _OutputNode(OutputNode):
    def render_to_output(self, context: RenderContext, buffer: TextIO) -> int:
        return _write(self.expression, context, buffer)


class _Output(Output):
    node_class = _OutputNode

    def parse(self, stream: TokenStream) -> OutputNode:
        token = stream.eat(TOKEN_OUTPUT)
        inner = stream.expect(TOKEN_EXPRESSION)
        return _OutputNode(token, parse_value(self.env, TokenStream(tokenize(inner.value, inner))))


class _EchoNode(EchoNode):
    def render_to_output(self, context: RenderContext, buffer: TextIO) -> int:
        return _write(self.expression, context, buffer)


class _EchoTag(EchoTag):
    def parse(self, stream: TokenStream) -> Node:
        token = stream.eat(TOKEN_TAG)
        return _EchoNode(token, parse_value(self.env, stream.into_inner(tag=token, eat=False)))


class _AssignTag(AssignTag):
    def parse(self, stream: TokenStream) -> AssignNode:
        token = stream.eat(TOKEN_TAG)
        tokens = stream.into_inner(tag=token, eat=False)
        name = parse_identifier(self.env, tokens, allow_trailing_question_mark=False)
        tokens.eat(TOKEN_ASSIGN)
        return AssignNode(token, name=name, expression=parse_value(self.env, tokens))


def _tolerant_conditions(node: Any) -> Node:
    node.condition = tolerant(node.condition)
    for alternative in node.alternatives:
        alternative.expression = tolerant(alternative.expression)
    return node  # type: ignore[no-any-return]


class _IfTag(IfTag):
    def parse(self, stream: TokenStream) -> Node:
        return _tolerant_conditions(super().parse(stream))


class _UnlessTag(UnlessTag):
    def parse(self, stream: TokenStream) -> Node:
        return _tolerant_conditions(super().parse(stream))


class _DisabledTag(Tag):
    block = False

    def parse(self, stream: TokenStream) -> Node:
        raise LiquidSyntaxError(f"the tag {stream.current.value!r} is turned off", token=stream.current)


class _Environment(Environment):
    template_class = _Template
    output_stream_limit = MAX_TEXT
    suppress_blank_control_flow_blocks = False
    shorthand_indexes = True
    logical_not_operator = True

    def setup_tags_and_filters(self, *, extra: bool = False) -> None:
        super().setup_tags_and_filters(extra=extra)
        for tag in (_Output, _AssignTag, _EchoTag, _IfTag, _UnlessTag):
            self.add_tag(tag)
        for name in _FOREIGN_TAGS:
            del self.tags[name]
        for name in DISABLED_TAGS:
            self.tags[name] = _DisabledTag(self)
        self.filters = dict(_BOUNDED)


_ENVIRONMENT: Final = _Environment(tolerance=Mode.STRICT, strict_filters=False)


def build_liquid(compiler: Compiler, template: Any, place: Place) -> Resolver:
    """Compile the option of `@liquid`."""
    compiler.reads += 1
    if not compiler.check(template, "text", place):
        return constant(MISSING)
    if utf16_length(template) > MAX_TEMPLATE:
        return compiler.problem(place, f"should be at most {MAX_TEMPLATE} characters long, but it is longer.")
    try:
        compiled = _ENVIRONMENT.from_string(template)
        analysis = compiled.analyze()
    except LiquidError as error:
        return compiler.problem(place, f"is not a Liquid template: {_where(error)}{error.message}.")
    except RecursionError:
        return compiler.problem(place, "is not a Liquid template: it is nested too deeply.")
    disabled = [name for name in analysis.filters if name in DISABLED_FILTERS]
    for name in disabled:
        compiler.problem(place, f"uses the filter {name!r}, which is turned off.")
    for name in analysis.filters:
        if name not in FILTERS and name not in DISABLED_FILTERS:
            meant = nearest(name, FILTERS)
            cure = f"Did you mean {meant!r}?" if meant else None
            compiler.warning(place, f"uses the filter {name!r}, which does not exist and is ignored.", cure)
    if disabled:
        return constant(MISSING)
    names = list(dict.fromkeys(map(str, chain.from_iterable(analysis.globals.values()))))
    return _renderer(compiler, compiled, place, names)


def _where(error: LiquidError) -> str:
    place = error.context()
    return f"line {place[0]}, column {place[1] + 1}: " if place else ""


def _renderer(compiler: Compiler, template: BoundTemplate, place: Place, names: list[str]) -> Resolver:
    observer = compiler.observer
    watched = [compiler.path(name) for name in names] if observer is not None else []

    def resolve(payload: Any) -> str:
        for look in watched:
            look(payload)
        try:
            return template.render(payload if isinstance(payload, dict) else {})
        except FilterError as error:
            reason = str(error)
        except OutputStreamLimitError:
            reason = f"it makes more than {MAX_TEXT} bytes of text"
        except MappingError as error:
            reason = error.problems[0].message.rstrip(".")
        except Exception as error:  # noqa: BLE001 -- whatever an event brings about in a library is this event's failure
            reason = type(error).__name__
        raise MappingError([Problem(str(place), f"cannot be rendered for this event: {reason}.")])

    return resolve
