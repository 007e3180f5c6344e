"""What many tests share: a store, fake and real."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

from tests.stores import ClockedStore, fake_store, real_store
from worker.configuration import EmbeddedValkeyError
from worker.embedded import EmbeddedValkey

# A busy machine is no reason to fail: how fast something is, benchmarks tell.
settings.register_profile("msg91", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("msg91")


def pytest_xdist_auto_num_workers() -> int:
    """More workers than cores: most tests with real processes wait."""
    return max(4, os.cpu_count() or 1)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A test with real processes is run once more before it counts as failed; any other fails at once."""
    for item in items:
        if item.get_closest_marker("integration"):
            item.add_marker(pytest.mark.flaky(reruns=1))


@pytest.fixture(scope="session")
def valkey_url() -> Iterator[str]:
    """The address of a real Valkey for the whole session; skipped where there is none, except on CI."""
    server = EmbeddedValkey()
    try:
        server.start()
    except EmbeddedValkeyError as error:
        if os.environ.get("CI"):
            raise
        pytest.skip(f"no embedded Valkey here: {error}")
    with server:
        yield server.url


@pytest.fixture(params=["fake", "valkey"])
def store(request: pytest.FixtureRequest) -> ClockedStore:
    """An empty store, opened: every test that takes it runs on the fake one and on a real Valkey."""
    made = fake_store() if request.param == "fake" else real_store(request.getfixturevalue("valkey_url"))
    made.open()
    return made
