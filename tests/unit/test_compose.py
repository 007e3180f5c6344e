"""`docker-compose.yml` and `Dockerfile`: valid, and as closed as they claim. No engine is needed."""

from __future__ import annotations

import copy
import importlib.util
import json
import re
import subprocess
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import redis
import yaml

from tests.system import wait_until
from worker.cli.main import COMMANDS
from worker.destinations import load_destinations
from worker.embedded.server import _binary, _free_port
from worker.sandbox.settings import DEFAULT_AUTHKEY
from worker.settings import Settings, load_settings
from worker.supervisor import KILL_AFTER

ROOT = Path(__file__).parents[2]
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))
SERVICES: dict[str, Any] = COMPOSE["services"]
OURS = [name for name, service in SERVICES.items() if "build" in service]
DOCKERFILE = (ROOT / "Dockerfile").read_text(encoding="utf-8")
SCHEMA = json.loads((ROOT / "tests/data/compose-spec.json").read_text(encoding="utf-8"))
each_service = pytest.mark.parametrize("name", list(SERVICES))


def complaints(document: Any) -> list[str]:
    """What the schema of the Compose Specification says against a document."""
    validator = jsonschema.validators.validator_for(SCHEMA)
    validator.check_schema(SCHEMA)
    return [f"{error.json_path}: {error.message}" for error in validator(SCHEMA).iter_errors(document)]


def seconds(duration: str) -> float:
    """A duration as Compose writes it (``50s``, ``1m30s``)."""
    return sum(
        float(number) * {"s": 1, "m": 60, "h": 3600}[unit] for number, unit in re.findall(r"(\d+)([smh])", duration)
    )


def test_it_fits_the_compose_specification() -> None:
    """The file is valid by the specification's own JSON Schema."""
    assert complaints(COMPOSE) == []


@pytest.mark.parametrize(("key", "value"), [("port", ["6379"]), ("read_only", [1]), ("depends_on", {"valkey": {}})])
def test_the_schema_would_tell(key: str, value: object) -> None:
    """A misspelt key, a wrong type and a missing condition do not pass the schema."""
    broken = copy.deepcopy(COMPOSE)
    broken["services"]["worker"][key] = value
    assert complaints(broken)


def test_it_has_a_store_workers_and_a_sandbox_that_is_asked_for() -> None:
    """Store, workers and the HTTP door come up by themselves; the sandbox only with its profile."""
    assert {name for name, service in SERVICES.items() if "profiles" not in service} == {"valkey", "worker", "intake"}
    assert SERVICES["sandbox"]["profiles"] == ["sandbox"]


@each_service
def test_ports_are_open_on_loopback_only(name: str) -> None:
    """Nothing is reachable from another machine."""
    for port in SERVICES[name].get("ports", []):
        assert port.startswith("127.0.0.1:"), port
    assert "network_mode" not in SERVICES[name]


@each_service
def test_containers_are_closed(name: str) -> None:
    """No container runs as root, writes to its root file system, has a capability or can gain one."""
    service = SERVICES[name]
    user, _, group = service["user"].partition(":")
    assert int(user) > 0
    assert int(group) > 0
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert not {"privileged", "cap_add", "devices", "pid", "ipc"} & service.keys()
    assert not any("docker.sock" in volume for volume in service.get("volumes", []))


@each_service
def test_images_name_their_version(name: str) -> None:
    """Every image has a tag, and none is `latest`."""
    _, _, tag = SERVICES[name]["image"].partition(":")
    assert re.match(r"\d", tag)


def test_the_store_keeps_what_it_was_given() -> None:
    """The store's data is in a volume, and the workers wait until it has loaded its append-only file."""
    assert SERVICES["valkey"]["volumes"] == ["valkey-data:/data"]
    assert "valkey-data" in COMPOSE["volumes"]
    assert "healthcheck" in SERVICES["valkey"]
    for name in ("worker", "intake"):
        assert SERVICES[name]["depends_on"] == {"valkey": {"condition": "service_healthy"}}


@pytest.mark.integration
def test_the_stores_command_gives_an_append_only_file_and_no_eviction(tmp_path: Path) -> None:
    """A real Valkey, started as the file says, appends to its file, saves no snapshots and never evicts."""
    port = _free_port()
    command = [str(_binary()), *SERVICES["valkey"]["command"][1:], "--port", str(port), "--bind", "127.0.0.1"]
    process = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.DEVNULL)
    try:
        client = redis.Redis(port=port)

        def answers() -> bool:
            try:
                return bool(client.ping())
            except redis.ConnectionError:
                return False

        wait_until(answers, seconds=10, what="Valkey answers")
        found = {
            name: client.config_get(name)[name] for name in ("appendonly", "appendfsync", "save", "maxmemory-policy")
        }
        client.close()
    finally:
        process.kill()
        process.wait()
    assert found == {"appendonly": "yes", "appendfsync": "everysec", "save": "", "maxmemory-policy": "noeviction"}


@pytest.mark.parametrize("name", OURS)
def test_our_services_run_commands_that_exist(name: str) -> None:
    """The command of each container of ours is one of the command line's."""
    assert SERVICES[name]["command"][0] in COMMANDS


def test_the_environment_is_one_that_we_read() -> None:
    """What the file sets for workers are settings of ours, and good ones; with the sandbox's values too."""
    variables = dict(SERVICES["worker"]["environment"])
    assert load_settings({**variables, "MSG91_AUTHKEY": "", "MSG91_BASE_URL": ""}).redis_url == "redis://valkey:6379/0"
    text = (ROOT / "docker-compose.yml").read_text(encoding="utf-8")
    sandbox = dict(
        re.findall(r"(MSG91_\w+)=(\S+)", text.partition("Without an account:")[2].partition("docker compose")[0])
    )
    assert sandbox["MSG91_AUTHKEY"] == DEFAULT_AUTHKEY
    (destination,) = load_destinations(None, {**variables, **sandbox}, settings=load_settings({**variables, **sandbox}))
    assert destination.base_url == "http://sandbox:9191"


@pytest.mark.parametrize("name", ["worker", "intake"])
def test_containers_get_the_time_that_a_shutdown_takes(name: str) -> None:
    """The engine waits longer than a worker needs to finish what is in flight and hand back the rest."""
    assert seconds(SERVICES[name]["stop_grace_period"]) > Settings().shutdown_grace + KILL_AFTER


def test_the_image_is_small_and_unprivileged() -> None:
    """Two stages of one slim Python with a version, no build tools and no embedded store in the last, and no root."""
    stages = re.findall(r"^FROM (\S+)", DOCKERFILE, re.MULTILINE)
    assert len(stages) == 2
    assert all(re.fullmatch(r"python:3\.\d+-slim", stage) for stage in stages)
    last = DOCKERFILE[DOCKERFILE.rindex("FROM ") :]
    users = re.findall(r"^USER (\S+)", last, re.MULTILINE)
    assert users == [SERVICES["worker"]["user"]]
    assert "pip" not in last
    assert "[embedded]" not in DOCKERFILE
    assert "ADD " not in DOCKERFILE


def test_the_image_has_a_health_check_that_exists() -> None:
    """The module that the health check runs is there."""
    (module,) = re.findall(r"HEALTHCHECK .*python\", \"-m\", \"([\w.]+)\"", DOCKERFILE)
    assert importlib.util.find_spec(module) is not None


def test_the_build_sees_nothing_but_the_product() -> None:
    """Everything is ignored but what the image is made of: no environment file, no data, no history can slip in."""
    lines = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    rules = [line for line in lines if line and not line.startswith("#")]
    assert rules[0] == "*"
    allowed = {rule[1:] for rule in rules if rule.startswith("!")}
    assert allowed == {"pyproject.toml", "README.md", "LICENSE", "mappings", "worker"}
    copied = {
        path for line in re.findall(r"^COPY (?!--from)(.+)", DOCKERFILE, re.MULTILINE) for path in line.split()[:-1]
    }
    assert copied == allowed
