"""`type = "track" and event = "Order Shipped"` → a compiled predicate.

The grammar::

    trigger    = any_of
    any_of     = all_of { "or" all_of }
    all_of     = clause { "and" clause }                      "and" binds tighter than "or"
    clause     = "!" ( group | function ) | group | function | comparison
    group      = "(" any_of ")"
    function   = ( "contains" | "match" ) "(" field "," literal ")"
    comparison = field ( "=" | "!=" | "<" | "<=" | ">" | ">=" ) literal
               | field "in" "[" literal { "," literal } "]"
               | literal "in" field
    field      = name { "." name }                            name: letters, digits, _ and -; any character after \\
    literal    = "text" | 'text' | number | true | false | null | word

Keywords are the same in upper and lower case. Inside quotes, a backslash before a quote makes it part of the text
(and doubles before a quote are one backslash each); every other backslash is itself.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, NoReturn

from mappings.conditions import Literal, Predicate, comparison, containment, pattern, text_field
from mappings.errors import TriggerError, nearest
from mappings.paths import compile_keys, explain_keys
from mappings.values import MISSING, javascript_number, text, type_name

__all__ = ["ClauseVerdict", "CompiledTrigger", "compile_trigger"]

#: Fields of an event by the Segment spec, https://segment.com/docs/connections/spec/common/
FIELDS: Final = (
    "type", "event", "name", "userId", "anonymousId", "messageId", "groupId", "previousId", "category",
    "properties", "traits", "context", "integrations",
    "timestamp", "sentAt", "receivedAt", "originalTimestamp", "channel", "version", "projectId", "writeKey", "options",
)  # fmt: skip
FUNCTIONS: Final = ("contains", "match")

MAX_LENGTH: Final = 20_000
MAX_DEPTH: Final = 50


@dataclass(frozen=True, slots=True)
class ClauseVerdict:
    """What one clause of a trigger said about an event.

    Attributes:
        clause: The text of the clause, as it stands in the trigger.
        holds: Whether it is true for the event.
        depth: How many groups it stands in.
        reason: What was found, without showing values; empty for groups.
    """

    clause: str
    holds: bool
    depth: int
    reason: str


@dataclass(frozen=True, slots=True)
class _Node:
    test: Predicate
    start: int
    end: int
    children: tuple[_Node, ...] = ()
    keys: tuple[str, ...] = ()


class CompiledTrigger:
    """A trigger: call it with an event to learn whether the event is meant.

    Attributes:
        text: The trigger as it was written.
        matches: The bare predicate behind the call, for hot loops.
    """

    __slots__ = ("_root", "matches", "text")

    def __init__(self, text: str, root: _Node) -> None:
        self.text = text
        self.matches = root.test
        self._root = root

    def __call__(self, event: dict[str, Any]) -> bool:
        """Whether the event is meant."""
        return self.matches(event)

    def __repr__(self) -> str:
        return f"CompiledTrigger({self.text!r})"

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return compile_trigger, (self.text,)

    def explain(self, event: dict[str, Any]) -> list[ClauseVerdict]:
        """What each clause says about the event, in the order they are written."""
        verdicts: list[ClauseVerdict] = []
        self._explain(self._root, event, 0, verdicts)
        return verdicts

    def _explain(self, node: _Node, event: dict[str, Any], depth: int, verdicts: list[ClauseVerdict]) -> None:
        reason = ""
        if node.keys:
            value = compile_keys(node.keys)(event)
            why = explain_keys(node.keys, event) if value is MISSING else None
            reason = why or f"{'.'.join(node.keys)} is {type_name(value)}"
        verdicts.append(ClauseVerdict(self.text[node.start : node.end], node.test(event), depth, reason))
        for child in node.children:
            self._explain(child, event, depth + 1, verdicts)


def compile_trigger(text: str) -> CompiledTrigger:
    """Read a trigger and compile it.

    Raises:
        TriggerError: With the place in the text, and what to write instead when that is clear.
    """
    if not isinstance(text, str):
        raise TriggerError("", 0, f"A trigger should be text, but it is {type_name(text)}.")
    if len(text) > MAX_LENGTH:
        raise TriggerError(text[:80], 0, f"A trigger should be at most {MAX_LENGTH} characters long.")
    return CompiledTrigger(text, _Parser(text).trigger())


@dataclass(frozen=True, slots=True)
class _Token:
    kind: str  # "path", "number", "text", "operator", "mark" or "end"
    spelled: str
    start: int
    end: int


_NAME = r"(?:[\w-]|\\.)+"
_TOKEN = re.compile(
    rf"""(?P<number>[+-]?(?:\d+(?:\.\d+)?|\.\d+)(?:[eE][+-]?\d+)?(?![\w.+-]))
       | (?P<path>{_NAME}(?:\.{_NAME})*)
       | (?P<text>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')
       | (?P<operator>!=|<=|>=|=|<|>|!)
       | (?P<mark>[,()\[\]])
    """,
    re.VERBOSE | re.ASCII | re.DOTALL,
)
_SPACE = re.compile(r"[ \t\n]*")
_ESCAPED_INDEX = re.compile(r"\\\[(\d+)\\\]", re.ASCII)
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)
_CONSTANTS: Final[dict[str, Literal]] = {"true": True, "false": False, "null": None}
_WORDS: Final = ("and", "or", "in")
_COMPARISONS: Final = ("=", "!=", "<", "<=", ">", ">=")
#: What other languages write, and what to write here.
_OTHER_SPELLINGS: Final = {
    "==": "=",
    "===": "=",
    "<>": "!=",
    "!==": "!=",
    "=!": "!=",
    "=<": "<=",
    "=>": ">=",
    "&&": "and",
    "||": "or",
}


def _tokens(text: str) -> list[_Token]:
    tokens: list[_Token] = []
    position = _SPACE.match(text, 0).end()  # type: ignore[union-attr]  # it matches the empty text too
    while position < len(text):
        found = _TOKEN.match(text, position)
        if found is None:
            raise _unreadable(text, position)
        tokens.append(_Token(found.lastgroup or "", found[0], position, found.end()))
        position = _SPACE.match(text, found.end()).end()  # type: ignore[union-attr]
    tokens.append(_Token("end", "", len(text), len(text)))
    return tokens


def _unreadable(text: str, position: int) -> TriggerError:
    character = text[position]
    if character in "\"'":
        return TriggerError(text, position, "The quote is never closed.")
    if text[position : position + 2] in _OTHER_SPELLINGS:
        cure = _OTHER_SPELLINGS[text[position : position + 2]]
        return TriggerError(text, position, f"{text[position : position + 2]} is not an operator.", f"Write {cure}.")
    cure = "In the name of a field, put a backslash before it; elsewhere, put quotes around the text."
    if character == "\r":
        return TriggerError(text, position, "A carriage return cannot stand here.", "End lines with a line feed alone.")
    return TriggerError(text, position, f"The character {character!r} cannot stand here.", cure)


class _Parser:
    """Recursive descent over the tokens; every method reads one rule of the grammar."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.tokens = _tokens(text)
        self.index = 0
        self.depth = 0

    @property
    def token(self) -> _Token:
        return self.tokens[self.index]

    def trigger(self) -> _Node:
        if self.token.kind == "end":
            self.fail(self.token, "The trigger is empty.", 'Write for example: type = "track"')
        node = self.any_of()
        if self.token.kind != "end":
            self.fail_after_clause()
        return node

    def any_of(self) -> _Node:
        return self.chain("or", self.all_of, _any_of)

    def all_of(self) -> _Node:
        return self.chain("and", self.clause, _all_of)

    def chain(self, word: str, operand: Callable[[], _Node], combine: Callable[[list[Predicate]], Predicate]) -> _Node:
        nodes = [operand()]
        while self.word(word):
            self.index += 1
            nodes.append(operand())
        if len(nodes) == 1:
            return nodes[0]
        test = combine([node.test for node in nodes])
        return _Node(test, nodes[0].start, nodes[-1].end, tuple(nodes))

    def clause(self) -> _Node:
        token = self.token
        if token.kind == "operator" and token.spelled == "!":
            return self.negation()
        if token.kind == "mark" and token.spelled == "(":
            return self.group()
        if self.function_ahead():
            return self.function(negated=False)
        if token.kind == "end":
            self.fail(token, "A condition is missing at the end.", 'Write for example: event = "Order Shipped"')
        if token.kind not in {"path", "text", "number"} or (token.kind == "path" and self.word(*_WORDS)):
            self.fail(token, f"A condition should start here, not {token.spelled}.")
        following = self.tokens[self.index + 1]
        if self.word("in", at=following) and (token.kind != "path" or token.spelled.lower() in _CONSTANTS):
            return self.containment()
        return self.comparison()

    def negation(self) -> _Node:
        start = self.token.start
        self.index += 1
        if self.function_ahead():
            node = self.function(negated=True)
            return _Node(node.test, start, node.end, keys=node.keys)
        if self.token.spelled != "(" or self.token.kind != "mark":
            self.fail(
                self.token,
                "! stands before contains(…), match(…) or a group.",
                "To negate a comparison write != or put parentheses around it.",
            )
        inner = self.group()
        test = inner.test
        return _Node(lambda event: not test(event), start, inner.end, (inner,))

    def group(self) -> _Node:
        opening = self.token
        self.depth += 1
        if self.depth > MAX_DEPTH:
            self.fail(opening, f"Groups are nested more than {MAX_DEPTH} deep.")
        self.index += 1
        inner = self.any_of()
        if self.token.kind != "mark" or self.token.spelled != ")":
            if self.token.kind == "end":
                self.fail(opening, "The parenthesis is never closed.")
            self.fail_after_clause()
        closing = self.token
        self.index += 1
        self.depth -= 1
        return _Node(inner.test, opening.start, closing.end, inner.children or (inner,))

    def function_ahead(self) -> bool:
        token, following = self.token, self.tokens[min(self.index + 1, len(self.tokens) - 1)]
        if token.kind != "path" or following.kind != "mark" or following.spelled != "(":
            return False
        if token.spelled.lower() in FUNCTIONS:
            return True
        if self.word(*_WORDS):
            return False
        meant = nearest(token.spelled, FUNCTIONS)
        return self.fail(
            token,
            f"{token.spelled}() is not a function of triggers.",
            f"Did you mean {meant}()?" if meant else "Functions are contains(field, text) and match(field, pattern).",
        )

    def function(self, *, negated: bool) -> _Node:
        name = self.token
        function = name.spelled.lower()
        self.index += 1
        self.mark("(", f"{function} needs a parenthesis.")
        keys = self.field(f"{function}(field, text) needs a field first.")
        self.mark(",", f"{function}(field, text) needs a comma after the field.")
        token = self.token
        literal = self.literal()
        end = self.token.end
        self.mark(")", f"{function}( is never closed.")
        try:
            test = pattern(compile_keys(keys), function, literal, negated=negated)
        except ValueError as error:
            self.fail(token, f"The pattern cannot be used: {error}.")
        return _Node(test, name.start, end, keys=keys)

    def comparison(self) -> _Node:
        start = self.token.start
        keys = self.field("A condition starts with a field, such as type, event or properties.total.")
        operator = self.token
        if self.word("in"):
            return self.membership(keys, start)
        if operator.kind != "operator" or operator.spelled not in _COMPARISONS:
            self.fail_operator(operator)
        self.index += 1
        following = self.token
        joined = operator.spelled + following.spelled
        if following.kind == "operator" and operator.end == following.start and joined in _OTHER_SPELLINGS:
            self.fail(operator, f"{joined} is not an operator.", f"Write {_OTHER_SPELLINGS[joined]}.")
        literal = self.literal()
        return _Node(self.compare(keys, operator, literal, following), start, following.end, keys=keys)

    def compare(self, keys: tuple[str, ...], operator: _Token, literal: Literal, at: _Token) -> Predicate:
        if operator.spelled in {"=", "!="}:
            if literal is not None and text_field(keys, literal):
                literal = text(literal)
        elif isinstance(literal, str):
            try:
                literal = javascript_number(literal)
            except ValueError:
                self.fail(
                    at,
                    f"{operator.spelled} compares numbers, and this is not one.",
                    "Order is defined for numbers alone.",
                )
        elif literal is None or isinstance(literal, bool):
            self.fail(
                at, f"{operator.spelled} compares numbers, and this is not one.", "Order is defined for numbers alone."
            )
        return comparison(compile_keys(keys), operator.spelled, literal)

    def membership(self, keys: tuple[str, ...], start: int) -> _Node:
        self.index += 1
        opening = self.token
        self.mark("[", 'in needs a list: field in ["one", "two"].')
        equals = _Token("operator", "=", opening.start, opening.start)
        tests: list[Predicate] = []
        while True:
            token = self.token
            tests.append(self.compare(keys, equals, self.literal(), token))
            if self.token.kind != "mark" or self.token.spelled != ",":
                break
            self.index += 1
        end = self.token.end
        self.mark("]", "The list is never closed.")
        return _Node(_any_of(tests), start, end, keys=keys)

    def containment(self) -> _Node:
        start = self.token.start
        literal = self.literal()
        self.index += 1
        end = self.token.end
        keys = self.field('in needs a list of the event: "blue" in properties.colors.')
        return _Node(containment(compile_keys(keys), literal), start, end, keys=keys)

    def field(self, needed: str) -> tuple[str, ...]:
        token = self.token
        if token.kind == "end":
            self.fail(token, needed)
        if token.kind != "path" or token.spelled.lower() in (*_CONSTANTS, *_WORDS):
            self.fail(token, f"{token.spelled} is not a field.", needed)
        keys = _keys(token.spelled)
        if keys[0] not in FIELDS:
            meant = nearest(keys[0], FIELDS)
            self.fail(
                token,
                f"{keys[0]!r} is not a field of an event.",
                f"Did you mean {meant}?" if meant else f"Did you mean properties.{token.spelled}?",
            )
        self.index += 1
        self.refuse_brackets(token)
        return keys

    def refuse_brackets(self, field: _Token) -> None:
        token = self.token
        if token.kind == "mark" and token.spelled == "[" and token.start == field.end:
            self.fail(token, "Brackets cannot stand here.", f"For an item of a list, write {field.spelled}.0")

    def literal(self) -> Literal:
        token = self.token
        if token.kind == "text":
            value: Literal = _unquoted(token.spelled)
        elif token.kind == "number":
            value = javascript_number(token.spelled)
        elif token.kind == "path" and token.spelled.lower() in _CONSTANTS:
            value = _CONSTANTS[token.spelled.lower()]
        elif (
            token.kind == "path"
            and not self.word(*_WORDS)
            and (token.spelled[0].isalpha() or token.spelled[0] in "_\\")
        ):
            value = _ESCAPE.sub(r"\1", token.spelled)
        elif token.kind == "path" and not self.word(*_WORDS):
            self.fail(token, f"{token.spelled} is not a number.", "Put quotes around text.")
        else:
            self.fail(token, "A value is missing here.", 'A value is "text", a number, true, false or null.')
        self.index += 1
        return value

    def word(self, *words: str, at: _Token | None = None) -> bool:
        token = at or self.token
        return token.kind == "path" and token.spelled.lower() in words

    def mark(self, mark: str, needed: str) -> None:
        if self.token.kind != "mark" or self.token.spelled != mark:
            self.fail(self.token, needed)
        self.index += 1

    def fail_operator(self, token: _Token) -> NoReturn:
        known = "Operators are =, !=, <, <=, >, >= and in."
        if token.kind == "path":
            meant = nearest(token.spelled, FUNCTIONS)
            if meant:
                field = self.tokens[self.index - 1].spelled
                self.fail(token, f"{token.spelled} is a function.", f'Write {meant}({field}, "…").')
        self.fail(token, "An operator is missing here.", known)

    def fail_after_clause(self) -> NoReturn:
        token = self.token
        if token.kind == "mark" and token.spelled == ")":
            self.fail(token, "This parenthesis was never opened.")
        if token.kind == "operator" and self.tokens[self.index - 1].kind != "path":
            self.fail(token, "A condition is complete here, and this does not follow.")
        self.fail(token, "Two conditions need a word between them.", "Write and, or or.")

    def fail(self, token: _Token, reason: str, suggestion: str | None = None) -> NoReturn:
        raise TriggerError(self.text, token.start, reason, suggestion)


def _keys(spelled: str) -> tuple[str, ...]:
    r"""`properties.products\[0\].a\.b` → properties, products, 0, a.b."""
    dotted = _ESCAPED_INDEX.sub(r".\1", spelled)
    names = re.findall(r"(?:[^.\\]|\\.)+", dotted, re.DOTALL)
    return tuple(_ESCAPE.sub(r"\1", name) for name in names)


def _unquoted(spelled: str) -> str:
    quote, body = spelled[0], spelled[1:-1]
    if "\\" not in body:
        return body
    # Backslashes count only in front of a quote: an odd one takes the quote into the text, each pair is one backslash.
    return re.sub(rf"(\\+)({quote}|\Z)", lambda found: "\\" * (len(found[1]) // 2) + found[2], body)


def _all_of(tests: list[Predicate]) -> Predicate:
    if len(tests) == 2:
        first, second = tests
        return lambda event: first(event) and second(event)

    def every(event: dict[str, Any]) -> bool:
        for test in tests:  # noqa: SIM110 -- a loop is twice as fast as all() with a generator
            if not test(event):
                return False
        return True

    return every


def _any_of(tests: list[Predicate]) -> Predicate:
    if len(tests) == 2:
        first, second = tests
        return lambda event: first(event) or second(event)

    def some(event: dict[str, Any]) -> bool:
        for test in tests:  # noqa: SIM110 -- a loop is twice as fast as any() with a generator
            if test(event):
                return True
        return False

    return some
