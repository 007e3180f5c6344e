"""`README.md` and `CHANGELOG.md` are true: commands, examples, names, links and versions."""

from __future__ import annotations

import ast
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from worker import __version__
from worker.actions import ACTIONS
from worker.cli.main import COMMANDS, app
from worker.destinations import load_destinations
from worker.settings import Settings, load_settings, variable_of

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
#: Variables that are the user's own, in examples.
EXAMPLES = {"MSG91_STAGING_AUTHKEY"}


def blocks(language: str) -> list[str]:
    """The code blocks of one language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)


def test_it_says_what_it_is_in_five_lines() -> None:
    """The first paragraph is five lines, and the two commands come next."""
    first = README.split("\n\n")[1]
    assert len(first.splitlines()) == 5
    assert README.index("make demo") < README.index("make test") < README.index("## Send for real")


def test_it_leads_to_every_page() -> None:
    """Each page of the documentation is linked from the list to read on."""
    listed = README.partition("## Read on")[2]
    pages = {f"docs/{page.name}" for page in (ROOT / "docs").glob("*.md")}
    assert pages == set(re.findall(r"^- \[[^]]+\]\((docs/[\w-]+\.md)\)", listed, re.MULTILINE))


def test_every_extra_that_is_named_exists() -> None:
    """What pages and hints tell to install, like `msg91-destination[otel]`, is an extra of the package."""
    sources = [ROOT / "README.md", *(ROOT / "docs").glob("*.md"), *(ROOT / "worker").rglob("*.py")]
    named = {
        extra
        for source in sources
        for extra in re.findall(r"msg91-destination\[(\w+)\]", source.read_text(encoding="utf-8"))
    }
    assert named == set(PROJECT["project"]["optional-dependencies"])


def test_its_table_lists_every_command_there_is() -> None:
    """The table of commands is the command tree: none missing, none made up, in the same order."""
    table = README.partition("| command |")[2].partition("\n\n")[0]
    assert re.findall(r"^\| `([\w-]+)` \|", table, re.MULTILINE) == list(COMMANDS)


@pytest.mark.parametrize("command", list(COMMANDS))
def test_every_command_has_help(command: str) -> None:
    """Each command's ``--help`` works and says more than its name."""
    shown = CliRunner().invoke(app, [command, "--help"])
    assert shown.exit_code == 0, shown.output
    assert "Usage:" in shown.output
    assert len(shown.output.split()) > 15


def test_commands_in_examples_exist() -> None:
    """Every `msg91-destination …` and every `make …` that it tells to type exists."""
    used = set(re.findall(r"msg91-destination ([a-z][\w-]*)", README))
    assert used
    assert used <= COMMANDS.keys()
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    assert set(re.findall(r"\bmake ([a-z]+)", README)) <= targets


def test_options_in_examples_exist() -> None:
    """Every option beside a command in the examples is one of that command's."""
    for command, options in re.findall(r"msg91-destination ([a-z][\w-]*)((?: --[\w-]+)+)", README):
        shown = CliRunner().invoke(app, [command, "--help"], env={"COLUMNS": "200"}).output
        for option in options.split():
            assert option in shown, f"{command} {option}"


def test_its_destinations_file_loads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The example of a destinations file is one, without a warning, and means what its comments say."""
    (text,) = blocks("yaml")
    file = tmp_path / "destinations.yaml"
    file.write_text(text, encoding="utf-8")
    environ = {"MSG91_AUTHKEY": "a-key-of-ours", "MSG91_STAGING_AUTHKEY": "another-key"}
    destinations = load_destinations(file, environ, settings=load_settings({}))
    assert destinations.names == ("shop", "staging")
    assert destinations.warnings == ()
    shop, staging = destinations
    assert shop.policies["send_sms"].time_to_live == 6 * 3600
    assert shop.lanes["sms"].limits.rate == 10
    assert staging.allow_list == {"918818888758", "919876543210"}


def test_its_python_examples_are_python() -> None:
    """The Python examples parse, and use task names and modules that exist."""
    from worker.tasks import app as celery

    examples = blocks("python")
    assert len(examples) == 2
    for example in examples:
        ast.parse(example)
    assert set(re.findall(r'"(worker\.\w+)"', README)) <= set(celery.tasks)
    assert "worker.send_sms" in celery.tasks
    assert ACTIONS


def test_variables_that_it_names_are_read() -> None:
    """Every environment variable that it names is a setting."""
    known = {variable_of(name) for name in Settings.model_fields} | EXAMPLES
    assert set(re.findall(r"\b(?:MSG91|REDIS|CELERY)_[A-Z_]+\b", README)) <= known


def test_its_links_lead_somewhere() -> None:
    """Every relative link leads to a file."""
    links = [link for link in re.findall(r"\]\(([^)]+)\)", README) if "://" not in link]
    assert links
    for link in links:
        assert (ROOT / link.partition("#")[0]).exists(), link


def test_the_version_is_one() -> None:
    """The package, the project and the newest entry of the changelog agree on the version."""
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    released = re.findall(r"^## \[(\d+\.\d+\.\d+)\] - \d{4}-\d{2}-\d{2}$", changelog, re.MULTILINE)
    assert PROJECT["project"]["version"] == __version__ == released[0]
    assert "## [Unreleased]" in changelog


def test_the_python_it_asks_for_is_the_one_that_is_needed() -> None:
    """README, project and Makefile ask for the same Python."""
    assert PROJECT["project"]["requires-python"] == ">=3.11"
    assert "Python 3.11 or newer" in README
    assert "(3, 11)" in (ROOT / "Makefile").read_text(encoding="utf-8")
