"""The HTTP door, from a request to MSG91's answer, with a real store, broker, worker and sandbox."""

from __future__ import annotations

import gzip
import hmac
import os
import signal
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import orjson
import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.intake import WRITE_KEY, Intake, basic
from tests.system import System, sms, wait_until

pytestmark = pytest.mark.integration

NUMBER = 919000000000
TOKEN = "token-of-the-door-in-tests"
HOOK = "token-of-the-webhook-in-tests"
SECRET = "secret-of-segment-in-tests"
DESTINATION = {"write_keys": [WRITE_KEY], "webhooks": {"token": HOOK, "segment_secret": SECRET}}


@pytest.fixture(scope="module")
def system() -> Iterator[System]:
    """A system with one worker."""
    with System(workers=1, destination=DESTINATION) as found:
        yield found


@pytest.fixture(scope="module")
def door(system: System) -> Iterator[Intake]:
    """The door of that system."""
    settings = {
        "MSG91_DESTINATION_INTAKE_TOKEN": TOKEN,
        "MSG91_DESTINATION_INTAKE_ALLOWED_ORIGINS": "https://shop.example",
        "MSG91_DESTINATION_LOG_LEVEL": "debug",
        "MSG91_DESTINATION_LOG_FORMAT": "json",
    }
    with Intake(system, settings) as found:
        yield found


def texts(system: System) -> list[str]:
    """The texts that MSG91 has taken."""
    return [str(message["text"]) for one in system.sandbox.requests() for message in one.get("messages", ())]


def deliveries(door: Intake, message_id: str) -> list[dict[str, Any]]:
    """What the door says of an event, once it says anything."""

    def ask() -> Any:
        answer = door.http.get(f"/v1/deliveries/{message_id}", headers={"authorization": basic(WRITE_KEY)})
        found = answer.json().get("deliveries") if answer.status_code == 200 else None
        return found if found and all(one["final"] for one in found) else None

    found: list[dict[str, Any]] = wait_until(ask, what=f"the deliveries of {message_id} are final")
    return found


@pytest.mark.parametrize(
    ("path", "event"),
    [
        ("/v1/track", {"event": "x"}),
        ("/v1/t", {"event": "x", "type": "track"}),
        ("/v1/page", {}),
        ("/v1/p", {}),
        ("/v1/screen", {}),
        ("/v1/s", {}),
        ("/api/s/track", {"event": "x"}),
        ("/api/s/s2s/page", {"type": "page"}),
    ],
)
def test_single_calls_become_messages(path: str, event: dict[str, Any], system: System, door: Intake) -> None:
    """Every call that carries one event is answered as Segment does, and MSG91 gets its message."""
    text = f"single {path}"
    properties = {"phone": NUMBER + 1, "message": text, "senderID": "MSGIND"}
    answer = door.post(path, {**event, "messageId": text, "properties": properties})
    assert (answer.status_code, answer.content) == (200, b'{"success":true}')
    assert answer.headers["content-type"] == "application/json"
    (found,) = deliveries(door, text)
    assert found["state"] == "accepted"
    assert found["requestId"]
    assert text in texts(system)


def test_identify_reads_traits(system: System, door: Intake) -> None:
    """An identify call carries its fields in its traits."""
    traits = {"phone": NUMBER + 2, "message": "from traits", "senderID": "MSGIND"}
    assert door.post("/v1/i", {"userId": "u", "messageId": "traits", "traits": traits}).status_code == 200
    assert deliveries(door, "traits")[0]["state"] == "accepted"
    assert "from traits" in texts(system)


def test_group_and_alias_are_taken(system: System, door: Intake) -> None:
    """Calls that no mapping takes are accepted and counted as filtered."""
    before = system.reconcile().counts.events["filtered"]
    for path in ("/v1/group", "/v1/alias", "/v1/g", "/v1/a"):
        assert door.post(path, {"userId": "u", "groupId": "g", "previousId": "p"}).status_code == 200
    wait_until(lambda: system.reconcile().counts.events["filtered"] == before + 4, what="they are filtered")


@pytest.mark.parametrize("path", ["/v1/batch", "/v1/import", "/v1/b"])
@pytest.mark.parametrize("form", ["header", "body", "gzip", "text/plain"])
def test_batches_become_messages(path: str, form: str, system: System, door: Intake) -> None:
    """Batches come by key in header or body, plain or compressed, as JSON or as a browser's text."""
    name = f"{path} {form}"
    document: dict[str, Any] = {"batch": [sms(NUMBER + n, f"{name} {n}", f"{name} {n}") for n in range(3)]}
    headers = {}
    key: str | None = WRITE_KEY
    if form in ("body", "text/plain"):
        key, document["writeKey"] = None, WRITE_KEY
    body = orjson.dumps(document)
    if form == "gzip":
        body, headers["content_encoding"] = gzip.compress(body), "gzip"
    if form == "text/plain":
        headers["content_type"] = "text/plain"
    answer = door.post(path, body, key=key, **headers)
    assert (answer.status_code, answer.json()) == (200, {"success": True})
    for n in range(3):
        assert deliveries(door, f"{name} {n}")[0]["state"] == "accepted"
        assert f"{name} {n}" in texts(system)


def test_metrics_of_the_browser_client_are_thrown_away(system: System, door: Intake) -> None:
    """They are answered with success and are no events."""
    before = system.reconcile().counts.events["received"]
    answer = door.post("/v1/m", {"series": [{"type": "Counter"}]}, key=None)
    assert (answer.status_code, answer.json()) == (200, {"success": True})
    assert system.reconcile().counts.events["received"] == before


def test_malformed_events_are_recorded(system: System, door: Intake) -> None:
    """A bad event in a batch is named in the answer, counted and kept with its reason; the good one is sent."""
    before = system.reconcile().counts.events["malformed"]
    answer = door.post("/v1/batch", {"batch": [{"type": "track"}, sms(NUMBER + 3, "good neighbour")]})
    assert answer.json()["malformed"] == [
        {"position": 0, "code": "event_not_defined", "message": "event: a track call needs the event's name, a string"}
    ]
    assert deliveries(door, "good neighbour")[0]["state"] == "accepted"
    assert wait_until(lambda: system.reconcile().counts.events["malformed"] == before + 1)
    store = system.core.store
    recorded = orjson.loads(store.client.xrevrange(store.keys.malformed, count=1)[0][1][b"event"])
    assert recorded["code"] == "event_not_defined"


def test_same_event_again_is_sent_once(system: System, door: Intake) -> None:
    """A client that sends an event again, because it did not hear the answer, causes no second message."""
    for _ in range(3):
        assert door.post("/v1/track", sms(NUMBER + 4, "again", "only once")).status_code == 200
    deliveries(door, "again")
    system.wait_settled()
    assert texts(system).count("only once") == 1


def test_events_without_id_stay_apart(system: System, door: Intake) -> None:
    """Two equal events without ids are two events."""
    event = {key: value for key, value in sms(NUMBER + 5, "", "twice meant").items() if key != "messageId"}
    for _ in range(2):
        assert door.post("/v1/track", event).status_code == 200
    wait_until(lambda: texts(system).count("twice meant") == 2, what="both are sent")


def test_requests_that_arrive_together_share_batches(system: System, door: Intake) -> None:
    """A hundred requests at once become far fewer batches, and every one is answered once its event is in the store."""
    before = system.core.store.client.info("commandstats")["cmdstat_lpush"]["calls"]
    client = httpx.Client(base_url=door.url, trust_env=False, limits=httpx.Limits(max_connections=100))
    headers = {"authorization": basic(WRITE_KEY)}
    with client, ThreadPoolExecutor(50) as pool:
        answers = list(
            pool.map(
                lambda n: client.post("/v1/track", json=sms(NUMBER + n, f"together {n}"), headers=headers), range(100)
            )
        )
    assert {answer.status_code for answer in answers} == {200}
    system.wait_settled()
    assert deliveries(door, "together 99")[0]["state"] == "accepted"
    assert system.core.store.client.info("commandstats")["cmdstat_lpush"]["calls"] - before < 100


def test_segment_webhooks_are_taken_with_their_signature(system: System, door: Intake) -> None:
    """Segment's two ways to sign are known; one body is refused with the signature of another."""
    first = orjson.dumps(sms(NUMBER + 6, "hook 1", "hook 1"))
    several = b"[" + first + b", " + orjson.dumps(sms(NUMBER + 7, "hook 2", "hook 2")) + b"]"
    signature = hmac.new(SECRET.encode(), first, "sha1").hexdigest()
    path = "/v1/webhooks/segment/msg91"
    for body in (first, several):
        assert door.post(path, body, key=None, x_signature=signature).status_code == 200
    assert door.post(path, first + b" ", key=None, x_signature=signature).status_code == 401
    assert door.post(path, first, key=None).status_code == 401
    for number in (1, 2):
        assert deliveries(door, f"hook {number}")[0]["state"] == "accepted"


@pytest.mark.parametrize("source", ["rudderstack", "jitsu", "json", "segment"])
def test_webhooks_are_taken_with_the_token(source: str, system: System, door: Intake) -> None:
    """Every source may send with the token of the destination."""
    event = sms(NUMBER + 8, f"token {source}", f"token {source}")
    path = f"/v1/webhooks/{source}/msg91"
    assert door.post(path, event, key=None, authorization=f"Bearer {HOOK}").status_code == 200
    assert door.post(path, event, key=None, authorization="Bearer wrong").status_code == 401
    assert door.post(f"/v1/webhooks/{source}/other", event, key=None, authorization=f"Bearer {HOOK}").status_code == 401
    assert deliveries(door, f"token {source}")[0]["state"] == "accepted"


def test_unknown_webhooks_are_not_found(door: Intake) -> None:
    """A source that is not known has no address."""
    answer = door.post("/v1/webhooks/other/msg91", {}, key=None, authorization=f"Bearer {HOOK}")
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


def test_rejected_delivery_says_why(door: Intake) -> None:
    """Who asks for an event with a bad number learns which field is wrong, and does not see the number."""
    door.post("/v1/track", sms("12", "bad number"))
    (found,) = deliveries(door, "bad number")
    assert found["state"] == "rejected"
    assert found["errors"][0]["field"] == "phone"


def test_deliveries_are_shown_to_who_may_see_them(door: Intake) -> None:
    """A write key shows its destinations, the door's token all, a wrong one nothing; what is unknown is not found."""
    door.post("/v1/track", sms(NUMBER + 9, "whose"))
    deliveries(door, "whose")
    path = "/v1/deliveries/whose"
    assert door.http.get(path, headers={"authorization": f"Bearer {TOKEN}"}).status_code == 200
    assert door.http.get(path, headers={"authorization": basic("wrong")}).status_code == 401
    assert door.http.get(path).status_code == 401
    assert door.http.get("/v1/deliveries/nobody", headers={"authorization": f"Bearer {TOKEN}"}).status_code == 404


@pytest.mark.parametrize("path", ["/", "/v1", "/v1/track/", "/v1/webhooks/json", "/v1/deliveries/a%0Ab", "/%00"])
def test_addresses_that_are_none(path: str, door: Intake) -> None:
    """Any other address is answered like everything else, in JSON."""
    answer = door.http.get(path)
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


def test_health_and_readiness(system: System, door: Intake) -> None:
    """The process says that it lives, and what store, broker and lanes do."""
    assert door.http.get("/healthz").json() == {"status": "ok"}
    door.post("/v1/track", sms(NUMBER + 9, "opens a lane"))
    deliveries(door, "opens a lane")
    found = door.http.get("/readyz")
    assert found.status_code == 200
    assert found.json()["status"] == "ready"
    assert found.json()["lanes"] == {"msg91:sms": "open"}
    system.core.lanes.pause("msg91:sms", "by a test")
    try:
        assert door.http.get("/readyz").json()["lanes"] == {"msg91:sms": "held"}
    finally:
        system.core.lanes.resume("msg91:sms")


def test_metrics_are_true(system: System, door: Intake) -> None:
    """What Prometheus reads adds up with the store's own counts, and only the operator may read it."""
    assert door.http.get("/metrics").status_code == 401
    door.post("/v1/track", sms(NUMBER + 9, "measured"))
    deliveries(door, "measured")
    door.post("/v1/track", {"event": 5})
    system.wait_settled()
    headers = {"authorization": f"Bearer {TOKEN}"}

    def read() -> dict[tuple[str, ...], float]:
        answer = door.http.get("/metrics", headers=headers)
        assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
        return {
            (sample.name, *sorted(sample.labels.values())): sample.value
            for family in text_string_to_metric_families(answer.text)
            for sample in family.samples
        }

    counts = system.reconcile().counts
    latency = ("msg91_delivery_latency_seconds_count", "msg91", "send_sms")
    entered = ("msg91_deliveries_total", "accepted", "msg91", "send_sms")
    wait_until(lambda: (found := read()).get(latency) == found.get(entered), what="all latencies are written")
    found = read()
    for name in ("received", "parsed", "malformed", "filtered", "duplicate", "parent"):
        assert found["msg91_events_total", name] == counts.events[name]
    doors = sum(value for name, value in found.items() if name[0] == "msg91_door_events_total" and "received" in name)
    assert doors == counts.events["received"]
    for name in ("parsed", "malformed", "filtered", "duplicate", "parent"):
        by_door = [value for key, value in found.items() if key[0] == "msg91_door_events_total" and name in key]
        assert sum(by_door) == counts.events[name]
    assert found["msg91_events_queued",] == 0
    assert found["msg91_broker_up",] == 1
    wait_until(lambda: read().get(("msg91_door_refused_total", "event_not_string", "http"), 0) >= 1)
    wait_until(lambda: read().get(("msg91_process_cpu_seconds_total", "worker"), 0) > 0)
    assert found["msg91_lane_pause_seconds", "msg91:sms"] == 0


def test_pages_of_allowed_origins_may_send(door: Intake) -> None:
    """A browser's question is answered for the origins of the setting; pages of others are refused."""
    question = {"access-control-request-method": "POST", "access-control-request-headers": "authorization"}
    asked = door.http.options("/v1/t", headers={"origin": "https://shop.example", **question})
    assert asked.status_code == 200
    assert asked.headers["access-control-allow-origin"] == "https://shop.example"
    sent = door.post("/v1/t", sms(NUMBER, "browser"), origin="https://shop.example", content_type="text/plain")
    assert sent.status_code == 200
    assert sent.headers["access-control-allow-origin"] == "https://shop.example"
    other = door.post("/v1/t", sms(NUMBER, "browser 2"), origin="https://other.example")
    assert (other.status_code, other.json()["code"]) == (403, "origin_not_allowed")
    assert "access-control-allow-origin" not in other.headers


def test_request_is_followed_through_the_logs(door: Intake) -> None:
    """A request keeps the id that it came with; the line of its batch carries the batch's id, and no phone number."""
    answer = door.post("/v1/track", sms(NUMBER + 77, "followed"), x_request_id="request-of-the-test-1")
    assert answer.headers["x-request-id"] == "request-of-the-test-1"
    found = deliveries(door, "followed")[0]
    lines = [orjson.loads(line) for line in door.log.splitlines() if line.startswith("{")]
    (line,) = [one for one in lines if "request-of-the-test-1" in one["message"]]
    assert line["arrival"].startswith(found["arrival"])
    assert str(NUMBER + 77) not in door.log


def test_request_id_that_is_passed_on_names_no_events(door: Intake, system: System) -> None:
    """Two requests under one X-Request-Id, as a backend passes it on, keep their events apart: both are sent."""
    both = {"first under one id", "second under one id"}
    for text in both:
        event = sms(NUMBER + 78, "", text)
        del event["messageId"]
        assert door.post("/v1/track", event, x_request_id="passed-on-from-call-to-call").status_code == 200
    wait_until(lambda: both <= set(texts(system)), what="both are sent")


def test_arrival_id_is_in_the_workers_lines() -> None:
    """The id under which an event was accepted is in every line of the worker about it, also after a retry."""
    settings = {"MSG91_DESTINATION_LOG_LEVEL": "debug", "MSG91_DESTINATION_LOG_FORMAT": "json"}
    with (
        System(
            workers=1,
            destination={**DESTINATION, "actions": {"send_sms": {"backoff_base": 0.1, "backoff_cap": 0.1}}},
            settings=settings,
            sandbox={"faults": ["503,count=1"]},
        ) as system,
        Intake(system) as intake,
    ):
        assert intake.post("/v1/track", sms(NUMBER, "retried")).status_code == 200
        found = deliveries(intake, "retried")[0]
        assert found["attempts"] == 2

        def lines() -> list[dict[str, Any]]:
            logged = [orjson.loads(line) for line in system.log.splitlines() if line.startswith("{")]
            return [one for one in logged if one["logger"] == "worker.sending" and "1 deliveries" in one["message"]]

        both = wait_until(lambda: found if len(found := lines()) == 2 else None, what="both attempts are logged")
        assert len({one["arrival"] for one in both}) == 1
        assert both[0]["arrival"].startswith(deliveries(intake, "retried")[0]["arrival"])


def test_nothing_is_accepted_while_the_store_is_away() -> None:
    """With the store away senders are told to come back; once it is back the door takes events again by itself."""
    with System(workers=1, destination=DESTINATION) as system, Intake(system) as intake:
        assert intake.post("/v1/track", sms(NUMBER, "before")).status_code == 200
        system.wait_settled()
        system.valkey.kill()
        answer = intake.post("/v1/track", sms(NUMBER, "during"))
        assert (answer.status_code, answer.json()["code"]) == (429, "store_away")
        assert 1 <= int(answer.headers["retry-after"]) <= 300
        ready = wait_until(lambda: a if (a := intake.http.get("/readyz")).status_code == 503 else None)
        assert ready.json()["store"] == "away"
        assert intake.http.get("/healthz").status_code == 200
        assert intake.http.get("/metrics").status_code == 429
        system.valkey.start()
        wait_until(lambda: intake.post("/v1/track", sms(NUMBER + 1, "after")).status_code == 200)
        system.wait_settled()
        assert deliveries(intake, "after")[0]["state"] == "accepted"


def test_senders_wait_while_the_broker_is_away() -> None:
    """What was accepted goes on by the schedule, and senders are told to come back."""
    with System(workers=0, destination=DESTINATION) as system:
        settings = {"CELERY_BROKER_URL": "redis://127.0.0.1:1/0"}
        with Intake(system, settings) as intake:
            answer = intake.post("/v1/track", sms(NUMBER, "no broker"))
            assert (answer.status_code, answer.json()["code"]) == (429, "broker_away")
            ready = intake.http.get("/readyz")
            assert (ready.status_code, ready.json()["broker"]) == (503, "away")
            assert system.reconcile().counts.events["received"] == 0


def test_senders_wait_while_too_much_is_queued() -> None:
    """Beyond the limit of the queue senders are told to come back, until a worker has worked it off."""
    settings = {"MSG91_DESTINATION_INTAKE_QUEUE_LIMIT": "10"}
    with System(workers=0, destination=DESTINATION) as system:  # noqa: SIM117 - the door needs the system
        with Intake(system, settings) as intake:
            batch = {"batch": [sms(NUMBER + n, f"queued {n}") for n in range(20)]}
            assert intake.post("/v1/batch", batch).status_code == 200
            full = wait_until(lambda: a if (a := intake.post("/v1/batch", batch)).status_code != 200 else None)
            assert (full.status_code, full.json()["code"], full.headers["retry-after"]) == (429, "queue_full", "10")
            system.start_worker()
            wait_until(lambda: intake.post("/v1/track", sms(NUMBER, "free again")).status_code == 200)
            system.wait_settled()


def test_destinations_are_told_apart_by_write_key() -> None:
    """An event goes to the destinations of its key alone, to several when they share it; a new file takes effect."""
    with System(workers=1, destination=DESTINATION) as system:
        file = system.folder / "destinations.yaml"
        text = file.read_text()
        second = text.replace("name: msg91", "name: second").replace(WRITE_KEY, "second-key-of-the-tests")
        both = text + second.removeprefix("destinations:\n")
        both = both.replace(f"  - {WRITE_KEY}\n", f"  - {WRITE_KEY}\n  - shared-key-of-the-tests\n")
        both = both.replace("  - second-key", "  - shared-key-of-the-tests\n  - second-key")
        with Intake(system, {"MSG91_DESTINATION_INTAKE_TOKEN": TOKEN}) as intake:
            assert intake.post("/v1/track", sms(NUMBER, "x"), key="second-key-of-the-tests").status_code == 401
            wait_until(lambda: " ready." in system.log, what="the worker has read the first file")
            file.write_text(both)
            keys = {"one": WRITE_KEY, "two": "second-key-of-the-tests", "both": "shared-key-of-the-tests"}
            wait_until(lambda: intake.post("/v1/page", {}, key=keys["two"]).status_code == 200, what="the new file")
            wait_until(lambda: "configuration loaded again" in system.log, what="the worker has it too")
            for name, key in keys.items():
                assert intake.post("/v1/track", sms(NUMBER, name), key=key).status_code == 200
            system.wait_settled()
            headers = {"authorization": f"Bearer {TOKEN}"}
            reached = {
                name: {one["destination"] for one in found.json()["deliveries"]}
                for name in keys
                if (found := intake.http.get(f"/v1/deliveries/{name}", headers=headers))
            }
            assert reached == {"one": {"msg91"}, "two": {"second"}, "both": {"msg91", "second"}}
            assert system.reconcile().counts.events["received"] == 4


def test_stop_answers_what_it_has_taken() -> None:
    """TERM while requests come in: every answered event is in the store, and the process ends in good order."""
    with System(workers=0, destination=DESTINATION) as system, Intake(system) as intake:
        accepted: list[str] = []
        stopped = threading.Event()

        def send(number: int) -> None:
            # The socket stays open when the door has gone: whoever connects to it then waits in vain.
            with httpx.Client(base_url=intake.url, trust_env=False, timeout=2) as client:
                count = 0
                while not stopped.is_set():
                    name = f"stop {number} {count}"
                    try:
                        answer = client.post("/v1/track", json={**sms(NUMBER, name), "writeKey": WRITE_KEY})
                    except httpx.HTTPError:
                        return
                    assert answer.status_code == 200
                    accepted.append(name)
                    count += 1

        with ThreadPoolExecutor(8) as pool:
            senders = [pool.submit(send, number) for number in range(8)]
            wait_until(lambda: len(accepted) > 100)
            assert intake.stop() == 0
            stopped.set()
            for sender in senders:
                sender.result()
        assert system.reconcile().counts.events["received"] >= len(accepted)
        stored = b"".join(
            system.core.store.client.hget(name, "body") or b""
            for name in system.core.store.client.scan_iter(f"{system.core.store.keys.batch_prefix}*")
        )
        assert all(f'"{name}"'.encode() in stored for name in accepted)


def test_store_that_hangs_does_not_hold_up_senders() -> None:
    """While the store does not answer at all, senders are told to come back: at once, as soon as that is known."""
    with System(workers=1, destination=DESTINATION) as system, Intake(system) as intake:
        assert intake.post("/v1/track", sms(NUMBER, "before it hangs")).status_code == 200
        pid = int(system.core.store.client.info("server")["process_id"])
        os.kill(pid, signal.SIGSTOP)
        try:
            answer = intake.post("/v1/track", sms(NUMBER, "while it hangs"))
            assert (answer.status_code, answer.json()["code"]) == (429, "store_away")
            assert answer.elapsed.total_seconds() < 10
            answer = intake.post("/v1/track", sms(NUMBER, "while it hangs"))
            assert (answer.status_code, answer.json()["code"]) == (429, "store_away")
            assert answer.elapsed.total_seconds() < 5
            assert intake.http.get("/healthz").status_code == 200
            assert intake.http.get("/readyz").status_code == 503
        finally:
            os.kill(pid, signal.SIGCONT)
        wait_until(lambda: intake.post("/v1/track", sms(NUMBER, "after it hung")).status_code == 200)
        system.wait_settled()
        assert deliveries(intake, "after it hung")[0]["state"] == "accepted"


def test_broker_that_hangs_does_not_hold_up_senders() -> None:
    """A broker that takes connections and never answers delays nobody; what was accepted goes on by the schedule."""
    with socket.create_server(("127.0.0.1", 0)) as silent, System(workers=0, destination=DESTINATION) as system:
        broker = f"redis://127.0.0.1:{silent.getsockname()[1]}/0"
        with Intake(system, {"CELERY_BROKER_URL": broker}) as intake:
            for number in range(30):
                answer = intake.post("/v1/track", sms(NUMBER + number, f"silent {number}"))
                assert answer.elapsed.total_seconds() < 5
                assert answer.status_code in (200, 429)
