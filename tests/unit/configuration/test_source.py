"""Reading YAML with places, variables and bounds."""

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.configuration import ConfigurationError
from worker.configuration.source import Source, read_source, show_key


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A path for a file."""
    return tmp_path / "destinations.yaml"


def source(file: Path, text: str, **environ: str) -> Source:
    """Read a text as a file."""
    file.write_text(text, encoding="utf-8")
    return read_source(file, environ)


def test_every_value_knows_its_place(file: Path) -> None:
    """Line and column of every key and value are known, counted from 1."""
    found = source(file, "a:\n  - b: 1\n    c: {d: [x, y]}\n")
    assert found.data == {"a": [{"b": 1, "c": {"d": ["x", "y"]}}]}
    assert found.values[("a", 0, "b")] == (2, 8)
    assert found.keys[("a", 0, "c")] == (3, 5)
    assert found.values[("a", 0, "c", "d", 1)] == (3, 16)


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("no", "no"),
        ("NO", "NO"),
        ("yes", "yes"),
        ("on", "on"),
        ("true", True),
        ("False", False),
        ("null", None),
        ("~", None),
        ("", None),
        ("91", 91),
        ("-1", -1),
        ("+91", "+91"),
        ("0091", "0091"),
        ("0", 0),
        ("1.5", 1.5),
        ("1_000", "1_000"),
        ("12:30", "12:30"),
        ("2026-11-20", "2026-11-20"),
        ("65f0c1d2e3a4b5c6d7e8f901", "65f0c1d2e3a4b5c6d7e8f901"),
        ("612345678901234567890e12", "612345678901234567890e12"),
        ("1107161234567890123", 1107161234567890123),
        ("0x10", "0x10"),
        (".inf", ".inf"),
        ("9" * 5000, "9" * 5000),
        ("'91'", "91"),
    ],
)
def test_scalars_are_read_as_people_mean_them(file: Path, written: str, value: object) -> None:
    """Norway is no boolean, a number with a zero or a plus in front is text, and an id stays what it is."""
    assert source(file, f"a: {written}\n").data == {"a": value}


def test_variables_are_filled_in_anywhere(file: Path) -> None:
    """`${NAME}` stands for an environment variable in every text, quoted or not, whole or in part."""
    found = source(file, 'a: ${A}\nb: ["x-${A}-${B}", $$x, "$${A}", $5]\n', A="one", B="two: [3]")
    assert found.data == {"a": "one", "b": ["x-one-two: [3]", "$x", "${A}", "$5"]}
    assert found.variables[("b", 0)] == ("A", "B")
    assert found.problems == []


@pytest.mark.parametrize(
    ("written", "message"),
    [
        ("${NOT_THERE}", "the environment variable NOT_THERE is not set. Set NOT_THERE and try again"),
        ("${EMPTY}", "the environment variable EMPTY is empty"),
        ("${}", "this is not a variable. Write ${NAME}"),
        ("${A:-x}", "this is not a variable"),
        ("${A", "this is not a variable"),
        ("${A B}", "this is not a variable"),
    ],
)
def test_unusable_variable_is_reported_where_it_stands(file: Path, written: str, message: str) -> None:
    """A variable that is missing, empty or badly written is named with file, line, column and key."""
    found = source(file, f"a:\n  - b: '{written}'\n", EMPTY="", A="x")
    (problem,) = found.problems
    assert str(problem).startswith(f"{file}:2:8: a[0].b: {message}")


def test_duplicate_key_is_an_error(file: Path) -> None:
    """A key that stands twice is reported at its second place, with the line of the first."""
    (problem,) = source(file, "a: 1\nb: 2\na: 3\n").problems
    assert (problem.line, problem.column, problem.path) == (3, 1, "a")
    assert "first in line 1" in problem.message


def test_anchors_and_aliases_work(file: Path) -> None:
    """A part can be written once and used again."""
    assert source(file, "a: &x {b: 1}\nc: *x\n").data == {"a": {"b": 1}, "c": {"b": 1}}


BOMB = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{name}: &{name} [{','.join([f'*{before}'] * 9)}]\n" for before, name in zip("abcdefgh", "bcdefghi", strict=True)
)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "the file is empty. It starts with: destinations:"),
        (b"# nothing\n", "the file is empty"),
        (b"a: [1, 2\n", "this is not YAML: while parsing a flow sequence"),
        (b"a: 1\n\tb: 2\n", "this is not YAML"),
        (b"a: *b\n", "undefined alias"),
        (b"a: 1\n---\nb: 2\n", "but found another document"),
        (b"a: \xff\xfe\n", "the file is not valid UTF-8. Save it as UTF-8"),
        (b"\xff\xfea\x00:\x00", "the file is not valid UTF-8"),
        (b"a: \x00\n", "it holds characters that YAML does not allow"),
        (b"a: &x [*x]\n", "an alias that contains itself"),
        (BOMB.encode(), "more than 50000 values"),
        (b"[" * 5000, "nested too deeply"),
        (b"- " * 5000 + b"1", "nested too deeply"),
        (b"a: '" + b"x" * 1_000_000 + b"'", "larger than 1 MB"),
    ],
)
def test_unreadable_file_is_one_clean_error(file: Path, content: bytes, message: str) -> None:
    """Whatever is in the file, there is one error that names the file and what is wrong with it."""
    file.write_bytes(content)
    with pytest.raises(ConfigurationError) as caught:
        read_source(file, {})
    assert len(caught.value.problems) == 1
    assert message in str(caught.value)
    assert str(file) in str(caught.value)


def test_tags_are_not_obeyed(file: Path) -> None:
    """A tag that asks for an object of Python is reported, and nothing is made of it."""
    found = source(file, "a: !!python/object/apply:os.system ['touch pwned']\nb: !!python/name:os.system x\nc: !x y\n")
    assert len(found.problems) >= 2
    assert "YAML tags are not used here" in found.problems[0].message
    assert not Path("pwned").exists()


def test_missing_file(tmp_path: Path) -> None:
    """A file that is not there is named, with the places to look at."""
    with pytest.raises(ConfigurationError, match=r"nowhere\.yaml: there is no such file.*DESTINATIONS_FILE"):
        read_source(tmp_path / "nowhere.yaml", {})


def test_directory(tmp_path: Path) -> None:
    """A directory is said to be one."""
    with pytest.raises(ConfigurationError, match="this is a directory"):
        read_source(tmp_path, {})


def test_forbidden_file(file: Path) -> None:
    """A file without the right to read it is said to be so."""
    file.write_text("a: 1")
    file.chmod(0)
    user = os.geteuid()
    if user == 0:  # root may read everything: look as somebody else
        os.seteuid(65534)
    try:
        with pytest.raises(ConfigurationError, match="this user may not read the file"):
            read_source(file, {})
    finally:
        os.seteuid(user)


def test_impossible_path() -> None:
    """A path that no file can have is a clean error too."""
    with pytest.raises(ConfigurationError, match="cannot be read"):
        read_source(Path("a\0b"), {})


@pytest.mark.parametrize(
    ("key", "shown"),
    [
        (("destinations", 1, "lanes", "sms", "rate"), "destinations[1].lanes.sms.rate"),
        ((), ""),
        (("a b", "c"), "['a b'].c"),
        (("x" * 100,), f"['{'x' * 40}']"),
    ],
)
def test_place_is_written_for_people(key: tuple[str | int, ...], shown: str) -> None:
    """A place reads like a path, and an odd key cannot spoil it."""
    assert show_key(key) == shown


@given(st.binary(max_size=200) | st.text(alphabet="ab:-[]{}&*!'\"#|>%@`\n ,?$\\", max_size=80).map(str.encode))
def test_any_content_is_read_or_refused(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    """No content makes the reader fail in another way than by a ConfigurationError."""
    file = tmp_path_factory.getbasetemp() / "any.yaml"
    file.write_bytes(content)
    try:
        read_source(file, {})
    except ConfigurationError as error:
        refused = error.problems
    else:
        refused = ()
    assert all(problem.file == str(file) for problem in refused)
