"""The health check of the image, against real stores and workers."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.commands import clean_environ
from tests.system import System, wait_until

pytestmark = pytest.mark.integration


def check(environ: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """Run the health check."""
    return subprocess.run(
        [sys.executable, "-m", "worker.health"], env=environ, capture_output=True, text=True, timeout=30, check=False
    )


def test_it_is_well_with_a_store_and_a_worker() -> None:
    """It exits 0 while the store answers and a worker runs, and 1 with a reason when the store is gone."""
    with System() as system:
        wait_until(lambda: " ready." in system.log, what="the worker is ready")
        well = check(system.environ)
        assert well.returncode == 0, well.stderr
        system.valkey.kill()
        ill = check(system.environ)
        assert ill.returncode == 1
        assert ill.stderr.strip()
        assert "Traceback" not in ill.stderr


def test_without_a_store_it_says_so() -> None:
    """A container without REDIS_URL is not well, and says why."""
    ill = check(clean_environ())
    assert (ill.returncode, ill.stderr) == (1, "REDIS_URL is not set\n")
