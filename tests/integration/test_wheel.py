"""The wheel: everything that the product needs at run time is in it, and it works where nothing else of ours is."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import zipfile
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.commands import clean_environ

pytestmark = pytest.mark.integration

ROOT = Path(__file__).parents[2]
PACKAGES = ("worker", "mappings")


@dataclass
class Installed:
    """The wheel, unpacked into an environment of its own."""

    names: set[str]
    python: Path
    folder: Path

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run its Python, away from the sources."""
        return subprocess.run(
            [str(self.python), *arguments],
            cwd=self.folder,
            env=clean_environ(PYTHONSAFEPATH="1"),
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Installed:
    """Build the wheel and install it into a fresh environment that borrows only its dependencies from this one."""
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True, timeout=100)
    (wheel,) = folder.glob("*.whl")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder / "venv"], check=True, timeout=100)
    python = folder / "venv" / "bin" / "python"
    (packages,) = (folder / "venv").glob("lib/python*/site-packages")
    # A path file appends: our own packages come from the wheel, and the editable install here stays out.
    (packages / "dependencies.pth").write_text(sysconfig.get_path("purelib") + os.linesep, encoding="utf-8")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(packages)
        return Installed(set(archive.namelist()), python, folder)


def test_every_file_of_the_packages_is_in_it(installed: Installed) -> None:
    """Modules, scripts for the store, presets, the launcher and the type markers are all there."""
    expected = {
        str(path.relative_to(ROOT))
        for package in PACKAGES
        for path in (ROOT / package).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert expected <= installed.names
    kinds = {Path(name).suffix or Path(name).name for name in expected}
    assert {".py", ".lua", ".yaml", ".sh", ".typed"} <= kinds


def test_nothing_else_is_in_it(installed: Installed) -> None:
    """It brings two packages and what describes them; no tests, no data of anybody."""
    tops = {name.partition("/")[0] for name in installed.names}
    assert {top for top in tops if not top.endswith(".dist-info")} == set(PACKAGES)
    assert any(name.endswith(".dist-info/licenses/LICENSE") for name in installed.names)


def test_its_command_runs(installed: Installed) -> None:
    """The script that it installs shows its help."""
    (entry_points,) = (installed.python.parents[1]).glob("lib/python*/site-packages/*.dist-info/entry_points.txt")
    assert "msg91-destination = worker.cli.main:run" in entry_points.read_text(encoding="utf-8")
    shown = installed.run(
        "-c", "import sys; sys.argv = ['msg91-destination', '--help']; import worker.cli.main as m; m.run()"
    )
    assert shown.returncode == 0, shown.stderr
    assert "demo" in shown.stdout


def test_it_works_away_from_the_sources(installed: Installed) -> None:
    """The embedded store starts, the scripts of the store load, and every preset compiles, all from the wheel."""
    program = """
import mappings, worker
from worker.embedded import EmbeddedValkey
from worker.runtime import open_core
from worker.settings import Settings
for name in mappings.presets():
    mappings.load(name)
with EmbeddedValkey() as valkey:
    core = open_core(Settings(), valkey.url)
    print(core.schedule.depth(), worker.__file__, mappings.__file__)
"""
    done = installed.run("-c", program)
    assert done.returncode == 0, done.stderr
    depth, *files = done.stdout.split()
    assert depth == "0"
    assert all(str(installed.folder) in file for file in files)
