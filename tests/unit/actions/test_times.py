"""Times of user events."""

from typing import Any

import pytest

from worker.actions.segmento import wall_clock


@pytest.mark.parametrize(
    ("value", "sent"),
    [
        ("2024-05-01T10:00:00Z", "2024-05-01 10:00:00"),
        (" 2024-05-01 10:00:00 ", "2024-05-01 10:00:00"),
        ("1714557600.9", "2024-05-01 10:00:00"),
        (1714557600, "2024-05-01 10:00:00"),
        (1714557600123.0, "2024-05-01 10:00:00"),
        (-1, "1969-12-31 23:59:59"),
        ("soon", None),
        ("", None),
        ("20245", None),
        (True, None),
        (None, None),
        ({}, None),
        (1e30, None),
        (float("nan"), None),
        ("2024-05-01T25:00:00Z", None),
    ],
)
def test_wall_clock(value: Any, sent: str | None) -> None:
    """A time in any of the forms events use is read, and everything else is no time."""
    assert wall_clock(value, "UTC") == sent
