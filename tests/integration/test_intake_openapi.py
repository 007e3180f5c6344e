"""The HTTP door keeps to its OpenAPI description, whatever is sent to it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, settings

from tests.intake import WRITE_KEY, Intake, basic
from tests.system import System
from worker.intake.openapi import description

pytestmark = pytest.mark.integration

TOKEN = "token-of-the-door-in-tests"
HOOK = "token-of-the-webhook-in-tests"
CALLBACK = "secret-of-callbacks-in-tests"


@pytest.fixture(scope="module")
def door() -> Iterator[Intake]:
    """The door beside a system without workers: what it accepts stays in the queue."""
    destination = {"write_keys": [WRITE_KEY], "webhooks": {"token": HOOK}, "callbacks": {"secrets": [CALLBACK]}}
    settings = {"MSG91_DESTINATION_INTAKE_TOKEN": TOKEN}
    with System(workers=0, destination=destination) as system, Intake(system, settings) as intake:
        yield intake


def without_security() -> dict[str, Any]:
    """The description, for requests that carry the right key and go to the one destination that there is."""
    found = description()
    del found["components"]["securitySchemes"]
    for operations in found["paths"].values():
        for operation in operations.values():
            del operation["security"]
            for parameter in operation.get("parameters", ()):
                if parameter["name"] == "destination":
                    parameter["schema"] = {"enum": ["msg91"]}
            # A form is described by its one field; what JSON it must hold cannot be said there.
            operation.get("requestBody", {}).get("content", {}).pop("application/x-www-form-urlencoded", None)
    return found


schema = schemathesis.openapi.from_dict(without_security())


@schema.parametrize()
@settings(
    max_examples=15,
    deadline=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
def test_keeps_to_description(case: Any, door: Intake) -> None:
    """Valid requests are taken, invalid ones refused, every answer is one that the description has."""
    headers = {"authorization": basic(WRITE_KEY)}
    if "webhooks" in case.path:
        headers = {"authorization": f"Bearer {HOOK}"}
    elif "callbacks" in case.path:
        headers = {"authorization": f"Bearer {CALLBACK}"}
    elif case.path == "/metrics":
        headers = {"authorization": f"Bearer {TOKEN}"}
    elif "/api/s" in case.path:
        headers = {"x-write-key": WRITE_KEY}
    case.call_and_validate(base_url=door.url, headers=headers)


SECURED = [
    (method, path)
    for path, operations in description()["paths"].items()
    for method, operation in operations.items()
    if operation["security"] and {} not in operation["security"]
]


@pytest.mark.parametrize(("method", "path"), [*SECURED, ("get", "/metrics")])
@pytest.mark.parametrize("headers", [{}, {"authorization": basic("wrong-key")}, {"authorization": "Bearer wrong"}])
def test_asks_who_it_is(method: str, path: str, headers: dict[str, str], door: Intake) -> None:
    """Every address that is described as secured refuses who has no key, and who has a wrong one."""
    path = path.format(call="track", source="segment", destination="msg91", messageId="m1")
    body = b'{"type": "track", "event": "x"}' if method == "post" else None
    answer = door.http.request(method, path, content=body, headers=headers)
    assert answer.status_code == 401
    assert answer.json()["code"] == "unauthorized"


def test_description_in_docs_is_that_of_the_code() -> None:
    """docs/openapi.json is what `msg91-destination intake --openapi` prints."""
    file = Path(__file__).parents[2] / "docs" / "openapi.json"
    assert orjson.loads(file.read_bytes()) == description()
