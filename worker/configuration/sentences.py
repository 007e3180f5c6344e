"""The errors of pydantic in our words; none shows the value."""

import difflib

from pydantic_core import ErrorDetails

from worker.configuration.errors import kind_of

__all__ = ["sentence", "suggestion"]

_EXPECTED = {
    "bool_parsing": "expected true or false",
    "bool_type": "expected true or false",
    "dict_type": "expected a mapping (key: value)",
    "int_from_float": "expected a whole number",
    "int_parsing": "expected a whole number",
    "int_parsing_size": "expected a smaller number",
    "int_type": "expected a whole number",
    "list_type": "expected a list",
    "model_type": "expected a mapping (key: value)",
    "string_type": "expected text",
    "greater_than": "expected more than {gt:.10g}",
    "greater_than_equal": "expected at least {ge:.10g}",
    "less_than_equal": "expected at most {le:.10g}",
}


_GOT = {
    "bool_parsing": "something else",
    "int_from_float": "a fraction",
    "int_parsing": "text",
    "int_parsing_size": "a huge one",
    "greater_than": "less",
    "greater_than_equal": "less",
    "less_than_equal": "more",
}


def sentence(details: ErrorDetails) -> str:
    """Say what was expected and what kind of thing was there instead."""
    kind, context = details["type"], details.get("ctx", {})
    got = kind_of(details["input"])
    match kind:
        case "missing":
            return "this key is missing"
        case "too_short":
            return "expected at least one entry; the list is empty"
        case "literal_error":
            other = "other text" if isinstance(details["input"], str) else got
            return f"expected {context['expected'].replace(chr(39), '')}; got {other}"
        case "string_pattern_mismatch":
            return f"expected text of the form {context['pattern'].strip('^$')}"
    if kind in _EXPECTED:
        return f"{_EXPECTED[kind].format(**context)}; got {_GOT.get(kind, got)}"
    return details["msg"]


def suggestion(details: ErrorDetails) -> str | None:
    """Say what to do, where that is clear."""
    match details["type"]:
        case "missing" if details["loc"][-1] == "authkey":
            return "Add authkey: ${MSG91_AUTHKEY}, and set that environment variable"
        case "missing" if details["loc"][-1] == "destinations":
            return "The file starts with: destinations:"
        case "missing":
            return f"Add {details['loc'][-1]}: …"
        case "literal_error" if isinstance(details["input"], str):
            possible = [word.strip("' ") for word in details["ctx"]["expected"].replace(" or ", ",").split(",")]
            close = difflib.get_close_matches(details["input"].lower(), possible, 1, 0.5)
            return f"Did you mean {close[0]}?" if close else None
    return None
