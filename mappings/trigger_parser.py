r"""The grammar of triggers: tokens → one predicate and the clauses it is made of.

::

    trigger    = any_of
    any_of     = all_of { "or" all_of }
    all_of     = clause { "and" clause }                      "and" binds tighter than "or"
    clause     = "!" ( group | function ) | group | function | comparison
    group      = "(" any_of ")"
    function   = ( "contains" | "match" ) "(" field "," literal ")"
    comparison = field ( "=" | "!=" | "<" | "<=" | ">" | ">=" ) literal
               | field "in" "[" literal { "," literal } "]"
               | literal "in" field
    field      = name { "." name }                            name: letters, digits, _ and -; any character after \
    literal    = "text" | 'text' | number | true | false | null | word

Keywords are the same in upper and lower case. Inside quotes, a backslash before a quote makes it part of the text
(and doubles before a quote are one backslash each); every other backslash is itself.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, NoReturn

from mappings.conditions import Literal, Predicate, all_of, any_of, comparison, containment, pattern, text_field
from mappings.errors import TriggerError, nearest
from mappings.paths import compile_keys
from mappings.trigger_tokens import (
    OTHER_SPELLINGS,
    Token,
    escaped,
    field_keys,
    tokenize,
    unescaped,
    unquoted,
)
from mappings.values import javascript_number, text

__all__ = ["Clause", "parse_trigger"]

#: Fields of an event by the Segment spec, https://segment.com/docs/connections/spec/common/
FIELDS: Final = (
    "type", "event", "name", "userId", "anonymousId", "messageId", "groupId", "previousId", "category",
    "properties", "traits", "context", "integrations",
    "timestamp", "sentAt", "receivedAt", "originalTimestamp", "channel", "version", "projectId", "writeKey", "options",
)  # fmt: skip
FUNCTIONS: Final = ("contains", "match")
#: Segment's names for comparisons with null, by the operator that a trigger writes them with.
PRESENCE: Final = {"exists": "!=", "not_exists": "="}

#: Groups within groups.
MAX_DEPTH: Final = 50

_CONSTANTS: Final[dict[str, Literal]] = {"true": True, "false": False, "null": None}
_WORDS: Final = ("and", "or", "in")
#: Words that other languages have for operators.
_OPERATOR_WORDS: Final = {
    "is": "=", "equals": "=", "eq": "=", "ne": "!=", "lt": "<", "lte": "<=", "gt": ">", "gte": ">=",
}  # fmt: skip
_COMPARISONS: Final = ("=", "!=", "<", "<=", ">", ">=")


@dataclass(frozen=True, slots=True)
class Clause:
    """A part of a trigger that is true or false: a condition, or conditions joined.

    Attributes:
        test: The predicate.
        start: Where it starts in the text.
        end: Where it ends.
        children: The clauses it is made of.
        keys: The field it looks at; empty when it is made of others.
    """

    test: Predicate
    start: int
    end: int
    children: tuple[Clause, ...] = ()
    keys: tuple[str, ...] = ()


def parse_trigger(text: str) -> Clause:
    """Read a trigger whole.

    Raises:
        TriggerError: With the place of the first thing that cannot be read.
    """
    return _Parser(text).trigger()


class _Parser:
    """Recursive descent over the tokens; every method reads one rule of the grammar."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.tokens = tokenize(text)
        self.index = 0
        self.depth = 0

    @property
    def token(self) -> Token:
        return self.tokens[self.index]

    def trigger(self) -> Clause:
        if self.token.kind == "end":
            self.fail(self.token, "The trigger is empty.", 'Write for example: type = "track"')
        node = self.any_of()
        if self.token.kind != "end":
            self.fail_after_clause()
        return node

    def any_of(self) -> Clause:
        return self.chain("or", self.all_of, any_of)

    def all_of(self) -> Clause:
        return self.chain("and", self.clause, all_of)

    def chain(
        self, word: str, operand: Callable[[], Clause], combine: Callable[[list[Predicate]], Predicate]
    ) -> Clause:
        nodes = [operand()]
        while self.word(word):
            self.index += 1
            nodes.append(operand())
        if len(nodes) == 1:
            return nodes[0]
        test = combine([node.test for node in nodes])
        return Clause(test, nodes[0].start, nodes[-1].end, tuple(nodes))

    def clause(self) -> Clause:
        token = self.token
        if token.kind == "operator" and token.spelled == "!":
            return self.negation()
        if token.kind == "mark" and token.spelled == "(":
            return self.group()
        if self.function_ahead():
            return self.function(negated=False)
        self.refuse_not(token)
        if token.kind == "end":
            self.fail(token, "A condition is missing at the end.", 'Write for example: event = "Order Shipped"')
        if token.kind not in {"path", "text", "number"} or (token.kind == "path" and self.word(*_WORDS)):
            self.fail(token, f"A condition should start here, not {token.spelled}.")
        following = self.tokens[self.index + 1]
        if self.word("in", at=following) and (token.kind != "path" or token.spelled.lower() in _CONSTANTS):
            return self.containment()
        return self.comparison()

    def negation(self) -> Clause:
        start = self.token.start
        self.index += 1
        if self.function_ahead():
            node = self.function(negated=True)
            return Clause(node.test, start, node.end, keys=node.keys)
        if self.token.spelled != "(" or self.token.kind != "mark":
            self.fail(
                self.token,
                "! stands before contains(…), match(…) or a group.",
                "To negate a comparison write != or put parentheses around it.",
            )
        inner = self.group()
        test = inner.test
        return Clause(lambda event: not test(event), start, inner.end, (inner,))

    def group(self) -> Clause:
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
        return Clause(inner.test, opening.start, closing.end, inner.children or (inner,))

    def function_ahead(self) -> bool:
        token, following = self.token, self.tokens[min(self.index + 1, len(self.tokens) - 1)]
        if token.kind != "path" or following.kind != "mark" or following.spelled != "(":
            return False
        if token.spelled.lower() in FUNCTIONS:
            return True
        if self.word(*_WORDS):
            return False
        self.refuse_not(token)
        self.fail_presence(token, "field")
        meant = nearest(token.spelled, FUNCTIONS)
        return self.fail(
            token,
            f"{token.spelled}() is not a function of triggers.",
            f"Did you mean {meant}()?" if meant else "Functions are contains(field, text) and match(field, pattern).",
        )

    def function(self, *, negated: bool) -> Clause:
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
        return Clause(test, name.start, end, keys=keys)

    def comparison(self) -> Clause:
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
        if following.kind == "operator" and operator.end == following.start and joined in OTHER_SPELLINGS:
            self.fail(operator, f"{joined} is not an operator.", f"Write {OTHER_SPELLINGS[joined]}.")
        if operator.spelled == "=" and following.kind == "end":
            # Segment takes this for a whole trigger, of a field that equals nothing.
            return Clause(lambda _event: False, start, operator.end, keys=keys)
        literal = self.literal()
        return Clause(self.compare(keys, operator, literal, following), start, following.end, keys=keys)

    def compare(self, keys: tuple[str, ...], operator: Token, literal: Literal, at: Token) -> Predicate:
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

    def membership(self, keys: tuple[str, ...], start: int) -> Clause:
        self.index += 1
        opening = self.token
        self.mark("[", 'in needs a list: field in ["one", "two"].')
        equals = Token("operator", "=", opening.start, opening.start)
        tests: list[Predicate] = []
        while True:
            token = self.token
            tests.append(self.compare(keys, equals, self.literal(), token))
            if self.token.kind != "mark" or self.token.spelled != ",":
                break
            self.index += 1
        end = self.token.end
        self.mark("]", "The list is never closed.")
        return Clause(any_of(tests), start, end, keys=keys)

    def containment(self) -> Clause:
        start = self.token.start
        literal = self.literal()
        self.index += 1
        end = self.token.end
        keys = self.field('in needs a list of the event: "blue" in properties.colors.')
        return Clause(containment(compile_keys(keys), literal), start, end, keys=keys)

    def field(self, needed: str) -> tuple[str, ...]:
        token = self.token
        if token.kind == "end":
            self.fail(token, needed)
        if token.kind != "path" or token.spelled.lower() in (*_CONSTANTS, *_WORDS):
            self.fail(token, f"{token.spelled} is not a field.", needed)
        keys = field_keys(token.spelled)
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

    def refuse_brackets(self, field: Token) -> None:
        token = self.token
        if token.kind == "mark" and token.spelled == "[" and token.start == field.end:
            following = self.tokens[self.index + 1]
            key = escaped(unquoted(following.spelled)) if following.kind == "text" else following.spelled
            path = f"{field.spelled}.{key if following.kind in {'text', 'number', 'path'} else 0}"
            self.fail(token, "Brackets cannot stand here.", f"For what is in them, write {path}")

    def refuse_not(self, token: Token) -> None:
        if self.word("not", at=token):
            cure = "Write !(…), !contains(…) or !match(…); for one comparison, !=."
            self.fail(token, f"{token.spelled} is written ! in triggers.", cure)

    def literal(self) -> Literal:
        token = self.token
        if token.kind == "text":
            value: Literal = unquoted(token.spelled)
        elif token.kind == "number":
            value = javascript_number(token.spelled)
        elif token.kind == "path" and token.spelled.lower() in _CONSTANTS:
            value = _CONSTANTS[token.spelled.lower()]
        elif (
            token.kind == "path"
            and not self.word(*_WORDS)
            and (token.spelled[0].isalpha() or token.spelled[0] in "_\\")
        ):
            value = unescaped(token.spelled)
        elif token.kind == "path" and not self.word(*_WORDS):
            self.fail(token, f"{token.spelled} is not a number.", "Put quotes around text.")
        else:
            self.fail(token, "A value is missing here.", 'A value is "text", a number, true, false or null.')
        self.index += 1
        return value

    def word(self, *words: str, at: Token | None = None) -> bool:
        token = at or self.token
        return token.kind == "path" and token.spelled.lower() in words

    def mark(self, mark: str, needed: str) -> None:
        if self.token.kind != "mark" or self.token.spelled != mark:
            self.fail(self.token, needed)
        self.index += 1

    def fail_presence(self, token: Token, field: str) -> None:
        operator = PRESENCE.get(token.spelled.lower())
        if operator:
            self.fail(token, f"{token.spelled} is written with null in triggers.", f"Write {field} {operator} null.")

    def fail_operator(self, token: Token) -> NoReturn:
        known = "Operators are =, !=, <, <=, >, >= and in."
        if token.kind == "path":
            field = self.tokens[self.index - 1].spelled
            self.fail_presence(token, field)
            word = token.spelled.lower()
            if word in _OPERATOR_WORDS:
                self.fail(token, f"{token.spelled} is not an operator.", f"Write {_OPERATOR_WORDS[word]}.")
            if word in {"not", "like", "matches"}:
                cure = f"Write !({field} in […])." if word == "not" else f'Write match({field}, "…*").'
                self.fail(token, f"{token.spelled} is not an operator.", cure)
            meant = nearest(token.spelled, FUNCTIONS)
            if meant:
                self.fail(token, f"{token.spelled} is a function.", f'Write {meant}({field}, "…").')
        self.fail(token, "An operator is missing here.", known)

    def fail_after_clause(self) -> NoReturn:
        token = self.token
        if token.kind == "mark" and token.spelled == ")":
            self.fail(token, "This parenthesis was never opened.")
        if token.kind == "operator" and self.tokens[self.index - 1].kind != "path":
            self.fail(token, "A condition is complete here, and this does not follow.")
        cure = "Write and, or or."
        if token.kind == self.tokens[self.index - 1].kind == "path":
            cure = "Write and, or or; put quotes around text of several words."
        self.fail(token, "Two conditions need a word between them.", cure)

    def fail(self, token: Token, reason: str, suggestion: str | None = None) -> NoReturn:
        raise TriggerError(self.text, token.start, reason, suggestion)
