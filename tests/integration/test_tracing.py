"""OpenTelemetry traces: one from the request that brings an event to the request that takes it to MSG91."""

from __future__ import annotations

import http.server
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import orjson
import pytest

from tests.intake import WRITE_KEY, Intake
from tests.system import System, sms, wait_until

pytestmark = pytest.mark.integration

NUMBER = 919000000000
PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def spans(log: str) -> list[dict[str, Any]]:
    """The spans that a process has written."""
    return [orjson.loads(line.removeprefix("span ")) for line in log.splitlines() if line.startswith("span {")]


def test_one_trace_leads_from_door_to_msg91() -> None:
    """The sender's trace goes on at the door, in the worker's batch and in the request to MSG91; no number is in it."""
    pytest.importorskip("opentelemetry.sdk")
    settings = {"OTEL_TRACES_EXPORTER": "console"}
    with (
        System(workers=1, destination={"write_keys": [WRITE_KEY]}, settings=settings) as system,
        Intake(system) as intake,
    ):
        assert intake.post("/v1/track", sms(NUMBER, "traced"), traceparent=PARENT).status_code == 200
        system.wait_settled()
        wait_until(lambda: len(spans(system.log)) >= 2, what="the worker has written its spans")
        (door,) = spans(intake.log)
        found = {one["name"]: one for one in spans(system.log)}
        assert {door["context"]["trace_id"], *(one["context"]["trace_id"] for one in found.values())} == {
            "0x0af7651916cd43dd8448eb211c80319c"
        }
        assert door["parent_id"] == "0xb7ad6b7169203331"
        assert found["batch"]["parent_id"] == door["context"]["span_id"]
        assert found["send_sms"]["parent_id"] == found["batch"]["context"]["span_id"]
        assert found["send_sms"]["attributes"]["answer"] == "accepted"
        assert str(NUMBER) not in intake.log + system.log


def test_without_exporter_nothing_is_traced() -> None:
    """Nobody who asks for no traces gets any."""
    with System(workers=1, destination={"write_keys": [WRITE_KEY]}) as system, Intake(system) as intake:
        assert intake.post("/v1/track", sms(NUMBER, "untraced"), traceparent=PARENT).status_code == 200
        system.wait_settled()
        assert spans(intake.log + system.log) == []


@contextmanager
def collector() -> Iterator[tuple[str, list[str]]]:
    """Something that takes OTLP over HTTP: its address, and the paths it was sent to."""
    paths: list[str] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["content-length"]))
            paths.append(self.path)
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", paths
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_spans_go_to_the_collector() -> None:
    """With an endpoint configured the spans go there."""
    pytest.importorskip("opentelemetry.exporter.otlp.proto.http")
    with collector() as (url, paths), System(workers=0, destination={"write_keys": [WRITE_KEY]}) as system:
        settings = {"OTEL_EXPORTER_OTLP_ENDPOINT": url, "OTEL_BSP_SCHEDULE_DELAY": "200", "NO_PROXY": "*"}
        with Intake(system, settings) as intake:
            assert intake.post("/v1/track", sms(NUMBER, "collected")).status_code == 200
            wait_until(lambda: paths, what="the spans are sent")
    assert set(paths) == {"/v1/traces"}
