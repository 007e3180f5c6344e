"""The package knows nothing of providers, stores and queues."""

from __future__ import annotations

import ast
import pickle
import subprocess
import sys
from pathlib import Path

import mappings

PACKAGE = Path(mappings.__file__).parent
FORBIDDEN = {"worker", "redis", "httpx", "celery", "kombu", "asyncio", "socket", "threading", "subprocess"}
#: The only modules that look at files.
READS_FILES = {"mapping.py", "reload.py"}


def imports(file: Path) -> set[str]:
    """The modules a file imports, by their first name."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module.split(".")[0])
    return names


def test_no_module_imports_what_is_above_it() -> None:
    """Nothing of the worker, and nothing that talks to the outside."""
    for file in PACKAGE.glob("*.py"):
        assert not imports(file) & FORBIDDEN, file.name


def test_only_two_modules_read_files() -> None:
    """Reading files is kept at the edge."""
    readers = {file.name for file in PACKAGE.glob("*.py") if "pathlib" in imports(file)}

    assert readers == READS_FILES


def test_nothing_is_evaluated() -> None:
    """No eval, no exec, no compile of text as code, anywhere in the package."""
    for file in PACKAGE.glob("*.py"):
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                assert node.func.id not in {"eval", "exec", "compile", "__import__"}, file.name


def test_importing_the_package_brings_no_server_library() -> None:
    """Whoever only wants mappings pays for mappings."""
    code = "import sys, mappings; print(*sorted({'celery', 'redis', 'httpx', 'worker'} & set(sys.modules)))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert result.stdout.split() == []


def test_every_public_name_is_there() -> None:
    """What the package promises to export, it exports, and nothing is promised twice."""
    assert sorted(mappings.__all__) == sorted(set(mappings.__all__))
    assert all(hasattr(mappings, name) for name in mappings.__all__)
    assert pickle.loads(pickle.dumps(mappings.MISSING)) is mappings.MISSING


def test_presets_and_types_belong_to_the_package() -> None:
    """The presets lie where `presets` looks, and the package says that it is typed."""
    assert (PACKAGE / "py.typed").exists()
    assert mappings.presets() == (
        "clevertap-whatsapp",
        "segment-msg91",
        "segment-msg91-flow",
        "segment-msg91-otp",
        "segment-whatsapp",
        "segmento-user-events",
    )
