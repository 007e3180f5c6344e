"""What `@liquid` compares and how: LiquidJS's operators, which take any two values.

python-liquid parses; its tree is then rebuilt with these operators, so that comparing unlike values is false and not
an error. An event may hold anything.
"""

from __future__ import annotations

from typing import Any, Final

from liquid import Environment, RenderContext
from liquid.builtin.expressions import BooleanExpression, FilteredExpression
from liquid.builtin.expressions.filtered import Filter
from liquid.builtin.expressions.logical import (
    ContainsExpression,
    EqExpression,
    GeExpression,
    GtExpression,
    LeExpression,
    LogicalAndExpression,
    LogicalNotExpression,
    LogicalOrExpression,
    LtExpression,
    NeExpression,
    parse_boolean_primitive,
)
from liquid.builtin.expressions.primitive import Blank, Empty
from liquid.expression import Expression
from liquid.stream import TokenStream
from liquid.token import TOKEN_EOF, TOKEN_PIPE
from liquid.undefined import Undefined

from mappings.liquid_filters import MAX_TEXT, FilterError, liquid_text
from mappings.values import javascript_number

__all__ = ["parse_value", "plain", "tolerant"]


def plain(value: Any) -> Any:
    """A value of python-liquid as one of an event: nothing is None, a range is a list, `blank` and `empty` are no text.

    Raises:
        FilterError: A range of more than `MAX_TEXT` numbers.
    """
    if isinstance(value, Undefined):
        return None
    if isinstance(value, range):
        if len(value) > MAX_TEXT:
            raise FilterError(f"it makes a list of more than {MAX_TEXT} values")
        return list(value)
    return "" if isinstance(value, Blank | Empty) else value


def _is_blank(value: Any) -> bool:
    if value is None or value is False or isinstance(value, Undefined | Blank):
        return True
    return isinstance(value, str | list | dict) and (not value or (isinstance(value, str) and value.isspace()))


def _alike(left: Any, right: Any) -> bool:
    """Equality: of the same type, numbers by value, `blank` and `empty` by what they stand for."""
    if isinstance(left, Blank) or isinstance(right, Blank):
        return _is_blank(right if isinstance(left, Blank) else left)
    if isinstance(left, Empty) or isinstance(right, Empty):
        return bool(left == right)
    left, right = plain(left), plain(right)
    if isinstance(left, bool) or isinstance(right, bool):
        return left is right
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(map(_alike, left, right))
    return bool(left == right)


def _ordered(left: Any, right: Any) -> tuple[Any, Any] | None:
    """Two values that can be compared by order, as JavaScript does: two texts, or two numbers."""
    if isinstance(left, str) and isinstance(right, str):
        return left, right
    try:
        return _as_number(left), _as_number(right)
    except ValueError:
        return None


def _as_number(value: Any) -> int | float:
    if isinstance(value, bool):
        return int(value)
    if isinstance(value, int | float):
        return value
    if isinstance(value, str):
        return javascript_number(value)
    raise ValueError("not a number")


class _Equal(EqExpression):
    def evaluate(self, context: RenderContext) -> object:
        return _alike(self.left.evaluate(context), self.right.evaluate(context))


class _Unequal(NeExpression):
    def evaluate(self, context: RenderContext) -> object:
        return not _alike(self.left.evaluate(context), self.right.evaluate(context))


class _Less(LtExpression):
    def evaluate(self, context: RenderContext) -> object:
        pair = _ordered(self.left.evaluate(context), self.right.evaluate(context))
        return pair is not None and pair[0] < pair[1]


class _AtMost(LeExpression):
    def evaluate(self, context: RenderContext) -> object:
        pair = _ordered(self.left.evaluate(context), self.right.evaluate(context))
        return pair is not None and pair[0] <= pair[1]


class _More(GtExpression):
    def evaluate(self, context: RenderContext) -> object:
        pair = _ordered(self.left.evaluate(context), self.right.evaluate(context))
        return pair is not None and pair[0] > pair[1]


class _AtLeast(GeExpression):
    def evaluate(self, context: RenderContext) -> object:
        pair = _ordered(self.left.evaluate(context), self.right.evaluate(context))
        return pair is not None and pair[0] >= pair[1]


class _Contains(ContainsExpression):
    def evaluate(self, context: RenderContext) -> object:
        whole, part = plain(self.left.evaluate(context)), plain(self.right.evaluate(context))
        if isinstance(whole, str):
            return part is not None and liquid_text(part) in whole
        return isinstance(whole, list) and any(_alike(item, part) for item in whole)


_TOLERANT: Final[dict[type[Expression], type[Any]]] = {
    EqExpression: _Equal,
    NeExpression: _Unequal,
    LtExpression: _Less,
    LeExpression: _AtMost,
    GtExpression: _More,
    GeExpression: _AtLeast,
    ContainsExpression: _Contains,
}


def tolerant(expression: Any) -> Any:
    """The same expression with LiquidJS's operators."""
    if isinstance(expression, BooleanExpression):
        expression.expression = tolerant(expression.expression)
        return expression
    for side in ("left", "right"):
        if hasattr(expression, side):
            setattr(expression, side, tolerant(getattr(expression, side)))
    if isinstance(expression, LogicalNotExpression):
        return _negated(expression)
    made = _TOLERANT.get(type(expression))
    return expression if made is None else made(expression.token, expression.left, expression.right)


def _negated(expression: LogicalNotExpression) -> Expression:
    """`not a and b` is `(not a) and b`: python-liquid reads `not (a and b)`."""
    inner = expression.right
    if isinstance(inner, LogicalAndExpression | LogicalOrExpression):
        first = LogicalNotExpression(expression.token, inner.left)
        return type(inner)(inner.token, first, inner.right)
    return expression


def parse_value(environment: Environment, tokens: TokenStream) -> FilteredExpression:
    """What stands in an output or behind `assign`: a value or a condition, then filters."""
    left = tolerant(parse_boolean_primitive(environment, tokens))
    filters = Filter.parse(environment, tokens, delim=(TOKEN_PIPE,))
    tokens.eat(TOKEN_EOF)
    return FilteredExpression(left.token, left, filters)
