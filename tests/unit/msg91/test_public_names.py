"""What `worker.msg91` offers to the rest."""

import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

import worker.msg91

ROOT = Path(__file__).parents[3]


def test_every_public_name_exists() -> None:
    """`__all__` is what can be loaded, and each name is that of the package's own thing."""
    assert sorted(worker.msg91._HOMES) == sorted(worker.msg91.__all__)
    for name in worker.msg91.__all__:
        value = getattr(worker.msg91, name)
        assert not isinstance(value, ModuleType)
        assert getattr(value, "__name__", name) == name
        assert getattr(value, "__module__", "worker.msg91").startswith("worker.msg91")
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = worker.msg91.nothing


def test_the_rest_uses_public_names_only() -> None:
    """Whatever other packages import from this one is among its public names."""
    used: set[str] = set()
    for path in (ROOT / "worker").rglob("*.py"):
        if (ROOT / "worker" / "msg91") not in path.parents:
            text = path.read_text(encoding="utf-8")
            for names in re.findall(r"^\s*from worker\.msg91[.\w]* import (\([^)]*\)|[^\n#]*)", text, re.MULTILINE):
                used |= set(re.findall(r"\w+", re.sub(r"\bas \w+", "", names)))
    assert used
    assert used <= set(worker.msg91.__all__)


def test_names_are_loaded_when_used() -> None:
    """Answers and errors come without an HTTP library; the client brings it."""
    program = (
        "import sys, worker.msg91 as m\n"
        "m.AnswerClass, m.Answer, m.Msg91Error\n"
        "assert 'httpx' not in sys.modules and 'phonenumbers' not in sys.modules\n"
        "m.Msg91Client\n"
        "assert 'httpx' in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True, cwd=ROOT)
