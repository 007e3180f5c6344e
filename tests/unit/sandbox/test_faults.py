"""How faults are written, and what the reader says to what it cannot read."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from worker.sandbox.errors import FaultError
from worker.sandbox.faults import KINDS, Fault, read_fault


@pytest.mark.parametrize("text", [word for kind in KINDS.values() for word in kind.example.split()])
def test_every_example_can_be_read(text: str) -> None:
    """What the help shows is what the reader takes."""
    assert read_fault(text).text == text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("429", Fault("429", "status", status=429, retry_after=1)),
        ("429,retry-after=none", Fault("429,retry-after=none", "status", status=429)),
        (
            "503,retry-after-date=5,p=0.25,seed=7",
            Fault(
                "503,retry-after-date=5,p=0.25,seed=7",
                "status",
                status=503,
                retry_after=5,
                retry_after_is_date=True,
                probability=0.25,
                seed=7,
            ),
        ),
        ("500,taken=yes,body=json", Fault("500,taken=yes,body=json", "status", status=500, takes=True, body="json")),
        ("code=1", Fault("code=1", "code", code="001")),
        ("invalid-json,taken=no", Fault("invalid-json,taken=no", "invalid-json", takes=False)),
        ("hang-after=0.5", Fault("hang-after=0.5", "hang-after", seconds=(0.5, 0.5), takes=True)),
        ("slow=50-200", Fault("slow=50-200", "slow", seconds=(0.05, 0.2))),
        ("close-after,reset", Fault("close-after,reset", "close-after", takes=True, reset=True)),
        (
            " close-before , count=3 , path=/api/v5/* ",
            Fault("close-before , count=3 , path=/api/v5/*", "close-before", count=3, path="/api/v5/*"),
        ),
        ("rate=120/min", Fault("rate=120/min", "rate", status=429, rate=(120, 60.0))),
        ("redirect=/x", Fault("redirect=/x", "redirect", status=302, location="/x")),
        ("503,probability=0.5", Fault("503,probability=0.5", "status", status=503, probability=0.5)),
    ],
)
def test_a_fault_is_read_with_its_options(text: str, expected: Fault) -> None:
    """Each option sets what it says."""
    assert read_fault(text) == expected


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", ["is no fault", "429"]),
        ("cloze-after", ["'cloze-after'", "did you mean 'close-after'"]),
        ("status=429", ["is no fault"]),
        ("199", ["200 to 599"]),
        ("600", ["200 to 599"]),
        ("429=5", ["takes no value"]),
        ("code", ["code=301"]),
        ("code=abc", ["code=301"]),
        ("close-after=3", ["takes no value"]),
        ("rate=50", ["rate=50/s"]),
        ("rate=0/s", ["rate=50/s"]),
        ("rate=5/s,p=0.1", ["no option 'p'", "path"]),
        ("slow=fast", ["milliseconds", "50-200"]),
        ("slow=200-50", ["milliseconds"]),
        ("slow=nan", ["milliseconds"]),
        ("hang-after=-1", ["seconds"]),
        ("hang-after=99999", ["an hour"]),
        ("503,p=2", ["from 0 to 1"]),
        ("503,p=often", ["from 0 to 1"]),
        ("503,p", ["p needs a value", "p=0.1"]),
        ("503,count=0", ["at least 1"]),
        ("503,path=api", ["begin with /"]),
        ("503,body=xml", ["html, json, none, success"]),
        ("503,taken=maybe", ["yes or no"]),
        ("503,retry_after=5", ["did you mean 'retry-after'"]),
        ("503,reset", ["no option 'reset'"]),
        ("close-after,taken=no", ["no option 'taken'"]),
        ("redirect=/a b", ["plain address"]),
    ],
)
def test_what_cannot_be_read_is_named_and_explained(text: str, words: list[str]) -> None:
    """The error shows the fault as written, the part that is wrong, and what may stand there."""
    with pytest.raises(FaultError) as caught:
        read_fault(text)
    assert repr(text) in str(caught.value)
    for word in words:
        assert word in str(caught.value)


@given(st.text(max_size=40) | st.from_regex(r"[a-z0-9=/.,-]{0,30}", fullmatch=True))
@example("²")
@example("slow=1e400")
@example("code=٣")
def test_any_text_is_a_fault_or_an_error_that_says_so(text: str) -> None:
    """No text makes the reader fail in another way."""
    try:
        said = read_fault(text).kind
    except FaultError as wrong:
        said = str(wrong).partition(" ")[0]
    assert said in {*KINDS, "fault"}
