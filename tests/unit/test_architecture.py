"""Who may import whom: the table in `docs/architecture.md`, held against the source of every module.

The imports are read from the syntax tree, so that none hides in a function.
"""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DOCUMENT = ROOT / "docs" / "architecture.md"

#: Rooms that import nothing of ours at all.
ALONE = ("mappings", "worker.msg91", "worker.delivery", "worker.sandbox", "worker.supervisor")

#: Who may import a library (or anything below these names), and why nobody else.
ONLY: dict[str, tuple[str, ...]] = {
    # Requests to MSG91 are made in one place.
    "httpx": ("worker.msg91",),
    "httpcore": ("worker.msg91",),
    # The store is spoken to by its owner, by whoever starts one, and where something that is not our store is read.
    "redis": (
        "worker.delivery",
        "worker.embedded",
        "worker.queueing",
        "worker.intake.stream",
        "worker.intake.stream_reader",
        "worker.operations.doctor",
    ),
    # Celery stays at the edge: what a task does can be done without it.
    "celery": (
        "worker.app",
        "worker.tasks",
        "worker.celery_worker",
        "worker.consuming",
        "worker.queueing",
        "worker.intake.producer",
        "worker.intake.server",
        "worker.operations.doctor",
        "worker.demo",
        "worker.cli",
    ),
    "kombu": (
        "worker.acknowledging",
        "worker.app",
        "worker.intake.producer",
        "worker.queueing",
        "worker.redis_channels",
    ),
    "typer": ("worker.cli",),
    "rich": ("worker.cli", "worker.demo"),
    "starlette": ("worker.intake",),
    "uvicorn": ("worker.intake",),
    "phonenumbers": ("worker.msg91", "worker.configuration"),
}
#: Modules that do no I/O and look at no clock, so that what they decide depends on what they are given alone.
PURE = (
    "worker.events",
    "worker.pipeline",
    "worker.outcomes",
    "worker.delivery.states",
    "worker.delivery.records",
    "worker.delivery.backoff",
    "worker.intake.splitting",
    "worker.msg91.text",
    "worker.msg91.codes",
    "worker.actions",
)
#: Libraries that do I/O, look at a clock, or throw dice.
IMPURE = (
    *("asyncio", "celery", "http", "httpx", "io", "kombu", "os", "pathlib", "random", "redis", "requests", "secrets"),
    *("select", "shutil", "signal", "socket", "ssl", "subprocess", "tempfile", "threading", "time", "urllib.request"),
)
#: The modules of `mappings` that load mapping files, and the one that bounds the time a template takes.
MAPPINGS_MAY = {
    "mappings.mapping": {"pathlib"},
    "mappings.reload": {"pathlib", "time"},
    "mappings.liquid": {"time"},
}


@dataclass(frozen=True)
class Module:
    """One module of ours and what it imports: full names of modules."""

    name: str
    imports: frozenset[str]

    @property
    def room(self) -> str:
        """The package or top-level module it belongs to."""
        return room_of(self.name)


def room_of(module: str) -> str:
    """``mappings``, or ``worker.`` and one more name."""
    parts = module.split(".")
    return parts[0] if parts[0] != "worker" else ".".join(parts[:2])


@cache
def modules() -> tuple[Module, ...]:
    """Every module of the product."""
    found = []
    for package in ("worker", "mappings"):
        for path in sorted((ROOT / package).rglob("*.py")):
            name = ".".join(path.relative_to(ROOT).with_suffix("").parts)
            is_package = name.endswith(".__init__")
            name = name.removesuffix(".__init__")
            tree = ast.parse(path.read_text(encoding="utf-8"))
            base = name if is_package else name.rpartition(".")[0]
            found.append(Module(name, frozenset(_imports(tree, base))))
    return tuple(found)


def _imports(tree: ast.AST, package: str) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            module = node.module or ""
            if node.level:
                above = package.split(".")[: len(package.split(".")) - node.level + 1]
                module = ".".join([*above, module] if module else above)
            # `from worker import process` imports a module, `from worker import __version__` does not.
            names.update(
                f"worker.{alias.name}" for alias in node.names if module == "worker" and alias.name != "__version__"
            )
            names.add(module)
    return names - {"worker", "__future__"}


def is_within(module: str, places: tuple[str, ...]) -> bool:
    """Whether a module is one of these, or below one of them."""
    return any(module == place or module.startswith(f"{place}.") for place in places)


@cache
def floors() -> dict[str, int]:
    """The floor of every room, as the table of the document says: ground floor 1."""
    found: dict[str, int] = {}
    floor = 0
    rows = re.findall(r"^\| ?(\d*) \| `([\w/]+)(?:\.py)?/?` \|", DOCUMENT.read_text(encoding="utf-8"), re.MULTILINE)
    for number, room in rows:
        floor = int(number or floor)
        name = room.rstrip("/").replace("/", ".")
        assert name not in found, f"{name} stands in the table twice"
        found[name] = floor
    return found


def floor_of(room: str) -> int:
    """The floor of a room."""
    assert room in floors(), f"{room} has no place in the table of {DOCUMENT.name}: give it one"
    return floors()[room]


def test_every_room_has_its_place() -> None:
    """The map for newcomers names every room there is, and none that is gone."""
    assert {module.room for module in modules()} - {"worker"} == set(floors())


def test_arrows_run_down() -> None:
    """A room imports only rooms on lower floors."""
    upward = [
        f"{module.name} imports {name}"
        for module in modules()
        if module.room != "worker"
        for name in module.imports
        if name.startswith(("worker.", "mappings"))
        and room_of(name) != module.room
        and floor_of(room_of(name)) >= floor_of(module.room)
    ]
    assert upward == []


@pytest.mark.parametrize("room", ALONE)
def test_foundations_stand_alone(room: str) -> None:
    """The mapping language, the MSG91 API, the delivery core and the stand-in know nothing of each other."""
    others = [
        f"{module.name} imports {name}"
        for module in modules()
        if module.room == room
        for name in module.imports
        if name.startswith(("worker", "mappings")) and room_of(name) != room
    ]
    assert others == []


@pytest.mark.parametrize("library", ONLY)
def test_a_library_stays_in_its_rooms(library: str) -> None:
    """A library with consequences is imported only where it belongs."""
    strangers = [
        module.name
        for module in modules()
        if any(is_within(name, (library,)) for name in module.imports) and not is_within(module.name, ONLY[library])
    ]
    assert strangers == []


def test_the_rules_name_no_room_in_vain() -> None:
    """Every exception that the rules make is in use: one that is not goes."""
    unused = [
        f"{place} may import {library}"
        for library, places in ONLY.items()
        for place in places
        if not any(
            is_within(module.name, (place,)) and any(is_within(name, (library,)) for name in module.imports)
            for module in modules()
        )
    ]
    assert unused == []


def test_the_mapping_language_is_pure() -> None:
    """`mappings` imports nothing that does I/O; only the modules that load mapping files know of paths."""
    found = {
        module.name: {name for name in module.imports if is_within(name, IMPURE)}
        for module in modules()
        if module.room == "mappings"
    }
    assert {name: libraries for name, libraries in found.items() if libraries} == MAPPINGS_MAY


def test_decisions_are_pure() -> None:
    """What decides about deliveries is given its time and its randomness, and does no I/O."""
    impure = {
        module.name: sorted(name for name in module.imports if is_within(name, IMPURE))
        for module in modules()
        if is_within(module.name, PURE)
    }
    assert {name: found for name, found in impure.items() if found} == {}
