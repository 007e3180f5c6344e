"""docs/configuration.md says what the code does: every key, default and sentence, and its examples load."""

import re
import typing
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel
from pydantic.fields import FieldInfo

import mappings
from worker.actions import ACTIONS
from worker.configuration.model import (
    FAMILIES,
    ActionModel,
    AutoReplyModel,
    CallbackFieldsModel,
    CallbackModel,
    CallbacksModel,
    ClevertapModel,
    DestinationModel,
    DestinationsFile,
    LaneModel,
    LanesModel,
    OnwardModel,
    OtpModel,
    SegmentoModel,
    TrackingModel,
    WebhooksModel,
    WhatsAppModel,
)
from worker.destinations import load_destinations
from worker.settings import Settings, variable_of

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs" / "configuration.md").read_text(encoding="utf-8")
ENVIRON = {"MSG91_AUTHKEY": "k" * 24, "MSG91_STAGING_AUTHKEY": "k" * 24, "STAGING_WRITE_KEY": "w" * 24}

SECTIONS: dict[str, type[BaseModel]] = {
    "A destination": DestinationModel,
    "Webhooks": WebhooksModel,
    "Callbacks": CallbacksModel,
    "Fields of callbacks": CallbackFieldsModel,
    "A lane": LaneModel,
    "An action": ActionModel,
    "One-time passwords": OtpModel,
    "Segmento": SegmentoModel,
    "WhatsApp": WhatsAppModel,
    "CleverTap": ClevertapModel,
    "Onward": OnwardModel,
    "A tracking API": TrackingModel,
    "Onward callbacks": CallbackModel,
    "Automatic answers": AutoReplyModel,
}


def written(value: Any, *, seconds: bool) -> str:
    """Write a default as the page does."""
    if value is None:
        return "\N{EN DASH}"
    if isinstance(value, BaseModel) or value == {}:
        return "see below"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if seconds:
        for unit, length in (("d", 86400), ("h", 3600), ("m", 60)):
            if value % length == 0 and value >= (7 if unit == "d" else 1) * length:
                return f"`{value / length:g}{unit}`"
        return f"`{value:g}s`"
    if isinstance(value, list):
        return f"`{', '.join(value)}`" if value else "`[]`"
    return f"`{value}`"


def is_time(field: FieldInfo) -> bool:
    """Tell whether a field is a length of time."""
    return "seconds" in str(field.metadata) + str(typing.get_args(field.annotation))


def rows(model: type[BaseModel], name_of: Any = lambda name: name) -> list[str]:
    """Write the rows of a table from the code."""
    return [
        f"| `{name_of(name)}` | {'needed' if field.is_required() else written(field.default, seconds=is_time(field))} "
        f"| {field.description} |"
        for name, field in model.model_fields.items()
    ]


def section(title: str) -> str:
    """Return a section of the page."""
    match = re.search(rf"^##+ {re.escape(title)}\n(.*?)(?=^##|\Z)", PAGE, re.DOTALL | re.MULTILINE)
    assert match, f"the page has no section {title}"
    return match[1]


def table(text: str) -> list[str]:
    """Return the rows of a table that name something."""
    return re.findall(r"^\| `.*\|$", text, re.MULTILINE)


@pytest.mark.parametrize("title", SECTIONS)
def test_keys_are_those_of_the_code(title: str) -> None:
    """The table of a section has every key of the code, in its order, with its default and meaning."""
    assert table(section(title)) == rows(SECTIONS[title])


def test_variables_are_those_of_the_code() -> None:
    """The table of environment variables has every setting with its default and meaning."""
    assert table(section("Environment variables")) == rows(Settings, variable_of)


def test_families_are_those_of_the_code() -> None:
    """The page names every family that has a lane, and what uses it."""
    assert tuple(LanesModel.model_fields) == FAMILIES
    for family, field in LanesModel.model_fields.items():
        assert f"`{family}`: {field.description}" in section("A lane")


def test_actions_and_presets_are_those_of_the_code() -> None:
    """The page names every action and every preset."""
    for name in ACTIONS:
        assert f"`{name}`" in section("An action")
    for name in mappings.presets():
        assert f"`{name}`" in PAGE


def test_file_has_one_key() -> None:
    """The page describes the whole file: there is nothing beside the destinations."""
    assert list(DestinationsFile.model_fields) == ["destinations"]


def examples() -> list[str]:
    """Return the examples of the page that are whole files."""
    return [block for block in re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL) if block.startswith("destinations:")]


def test_page_has_examples() -> None:
    """The page shows whole files."""
    assert len(examples()) >= 2


@pytest.mark.parametrize("number", range(len(examples())))
def test_examples_load(number: int, tmp_path: Path) -> None:
    """Every example is a file that works as it stands."""
    (tmp_path / "destinations.yaml").write_text(examples()[number])
    (tmp_path / "orders.yaml").write_text("mappings: []\n")
    assert load_destinations(tmp_path / "destinations.yaml", ENVIRON).warnings == ()


def test_example_file_loads() -> None:
    """The example file of the repository works as it stands, without a warning."""
    found = load_destinations(ROOT / "destinations.example.yaml", ENVIRON)
    assert found.names == ("shop", "shop-staging", "profiles")
    assert found.warnings == ()


def test_error_transcript_is_true(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The errors that the page shows are those that the file above them gives."""
    match = re.search(r"```yaml\n(# wrong\n.*?)```.*?```text\n(.*?)```", PAGE, re.DOTALL)
    assert match
    (tmp_path / "destinations.yaml").write_text(match[1])
    monkeypatch.chdir(tmp_path)
    with pytest.raises(Exception, match="destinations") as caught:
        load_destinations(Path("destinations.yaml"), {})
    assert [f"error: {line}" for line in str(caught.value).splitlines()] == match[2].splitlines()
