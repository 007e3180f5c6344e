"""The pages on performance and scaling: their figures are those of a run, and what they tell to do exists."""

from __future__ import annotations

import importlib
import re
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks import page, report, scenarios

ROOT = Path(__file__).parents[2]
TEXTS = {name: (ROOT / "docs" / name).read_text(encoding="utf-8") for name in page.PAGES}


def test_the_figures_are_those_of_a_run() -> None:
    """Every table between its marks is what the numbers in `docs/measured` give."""
    assert page.differing() == []


@pytest.mark.parametrize("name", page.PAGES)
def test_its_sections_are_filled(name: str) -> None:
    """Each mark has an end, and something between them."""
    marks = re.findall(r"<!-- measured: ([\w ]+) -->\n(.*?)<!-- end -->", TEXTS[name], re.DOTALL)
    assert len(marks) == TEXTS[name].count("<!-- measured:") == TEXTS[name].count("<!-- end -->")
    assert all(text.strip() for _, text in marks)


def test_what_is_measured_is_shown() -> None:
    """Every measurement of `make bench` has its table on the page."""
    shown = re.findall(r"<!-- measured: ([\w ]+) -->", TEXTS["performance.md"])
    assert {"throughput", "latency", "growth", "mappings", "memory", "doors", "profile"} <= set(shown)
    assert len(report.tables(page.results())) == 6


@pytest.mark.parametrize(
    "module", sorted({*re.findall(r"python -m (benchmarks\.\w+)", " ".join(TEXTS.values())), "benchmarks"})
)
def test_its_commands_exist(module: str) -> None:
    """Every benchmark that a page names can be asked for help."""
    assert importlib.util.find_spec(module) is not None
    done = subprocess.run([sys.executable, "-m", module, "--help"], cwd=ROOT, capture_output=True, check=False)
    assert done.returncode == 0


def test_the_quick_run_is_a_part_of_the_full_one() -> None:
    """A quick run makes the same measurements with less of everything."""
    assert scenarios.throughput(scenarios.QUICK).keys() == scenarios.throughput(scenarios.Plan()).keys()
    assert scenarios.steps(scenarios.QUICK) < scenarios.steps(scenarios.Plan())
