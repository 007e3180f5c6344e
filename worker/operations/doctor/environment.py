"""Whether this machine can run it: Python, packages, the embedded Valkey."""

from __future__ import annotations

import platform
import sys
from collections.abc import Iterator
from importlib import metadata

from packaging.requirements import InvalidRequirement, Requirement

from worker.configuration import EmbeddedValkeyError
from worker.embedded import EmbeddedValkey
from worker.operations.doctor.findings import Finding, ok, problem, warning

DISTRIBUTION = "msg91-destination"
MINIMUM_PYTHON = (3, 11)
#: Packages whose versions are worth a line when something is wrong.
NAMED = ("celery", "kombu", "redis", "httpx", "pydantic", "phonenumbers")


def examine() -> Iterator[Finding]:
    """Check Python and the packages."""
    version = platform.python_version()
    if sys.version_info >= MINIMUM_PYTHON:
        yield ok("python", f"{version} ({platform.python_implementation()}, {platform.system()})")
    else:
        needed = ".".join(map(str, MINIMUM_PYTHON))
        yield problem("python", f"{version}; {needed} or newer is needed", f"Install Python {needed} and set up again")
    yield from _packages()


def examine_embedded() -> Finding:
    """Start an embedded Valkey for a moment: the only proof that it runs here."""
    try:
        with EmbeddedValkey():
            return ok("embedded Valkey", "starts and answers")
    except EmbeddedValkeyError as error:
        cure = error.problems[0].suggestion or "Set REDIS_URL to a Redis or Valkey server"
        return problem("embedded Valkey", error.problems[0].message, cure)


def _packages() -> Iterator[Finding]:
    try:
        wanted = metadata.requires(DISTRIBUTION) or []
    except metadata.PackageNotFoundError:
        yield warning("packages", f"{DISTRIBUTION} runs from its source, not installed", "Install it: pip install .")
        return
    wrong = [sentence for text in wanted if (sentence := _unmet(text))]
    for sentence in wrong:
        yield problem("packages", sentence, f"Install {DISTRIBUTION} again: pip install --upgrade {DISTRIBUTION}")
    if not wrong:
        found = ", ".join(f"{name} {metadata.version(name)}" for name in NAMED if _is_installed(name))
        yield ok("packages", f"{DISTRIBUTION} {metadata.version(DISTRIBUTION)}; {found}")


def _unmet(text: str) -> str | None:
    try:
        requirement = Requirement(text)
    except InvalidRequirement:
        return None
    if requirement.marker is not None and not requirement.marker.evaluate({"extra": ""}):
        return None
    try:
        found = metadata.version(requirement.name)
    except metadata.PackageNotFoundError:
        return f"{requirement.name} is not installed"
    if not requirement.specifier.contains(found, prereleases=True):
        return f"{requirement.name} {found} is installed, {requirement.specifier} is needed"
    return None


def _is_installed(name: str) -> bool:
    try:
        metadata.version(name)
    except metadata.PackageNotFoundError:
        return False
    return True
