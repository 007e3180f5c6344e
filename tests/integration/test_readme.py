"""The README's examples, run: each Python block against a whole system."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.system import System, sends_by_text, wait_until

pytestmark = pytest.mark.integration

README = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"^```python\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("example", EXAMPLES, ids=["celery", "producer"])
def test_a_python_example_sends_its_event(example: str) -> None:
    """Copied as it stands, but for the address, the example makes one SMS."""
    with System() as system:
        assert "redis://127.0.0.1:6379/0" in example
        program = example.replace("redis://127.0.0.1:6379/0", system.valkey.url)
        done = subprocess.run(
            [sys.executable, "-c", program],
            env=system.environ,
            cwd=system.folder,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        wait_until(lambda: system.reconcile().counts.created, what="the event has come in")
        assert system.wait_settled() == {"accepted": 1}
        ((number, _),) = sends_by_text(system.sandbox.requests())
        assert number == "919876543210"
