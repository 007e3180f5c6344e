"""The JSON Schema that editors use: it takes what the loader takes, and refuses what people mistype."""

from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator

from worker.configuration.model import DestinationsFile
from worker.configuration.schema import json_schema

VALIDATOR = Draft202012Validator(json_schema())


def document(keys: str) -> Any:
    """Make a document with one destination."""
    return yaml.safe_load("destinations:\n  - name: a\n    authkey: ${KEY}\n" + keys)


def test_schema_is_a_schema() -> None:
    """The schema itself is a valid one of draft 2020-12."""
    Draft202012Validator.check_schema(json_schema())
    assert json_schema()["$schema"] == "https://json-schema.org/draft/2020-12/schema"


@pytest.mark.parametrize(
    "keys",
    [
        "",
        "    base_url: https://control.msg91.com\n",
        "    base_url: ${URL}\n",
        "    write_keys: abcdef\n",
        "    write_keys: [abcdef, 123]\n",
        "    default_country: 91\n",
        "    mappings: segment-msg91\n",
        "    mappings: [segment-msg91, my/orders.yaml]\n",
        "    mode: allow-list\n    allow_list: [918818888758, '+91 88188 88758']\n",
        "    mode: ${MODE}\n",
        "    dlt_template_id: 1107161234567890123\n",
        "    lanes: {sms: {rate: 10, concurrency: 30, recipients: 100}}\n",
        "    lanes: {sms: {rate: 600/min, cost: parts, burst: 5, adaptive: false}}\n",
        "    lanes: {sms: {rate: '${RATE}', concurrency: '${N}', adaptive: '${A}'}}\n",
        "    actions: {send_sms: {time_to_live: 10m, in_doubt: drop, attempts: 3}}\n",
        "    segmento: {phonebook_id: 7}\n",
    ],
)
def test_good_documents(keys: str) -> None:
    """What the loader takes has no squiggle in the editor."""
    assert [error.message for error in VALIDATOR.iter_errors(document(keys))] == []
    DestinationsFile.model_validate(_filled(document(keys)))


def _filled(value: Any) -> Any:
    """Fill variables in, as the reader does."""
    known = {"${KEY}": "k", "${URL}": "http://h", "${MODE}": "dry", "${RATE}": "1/s", "${N}": "3", "${A}": "true"}
    if isinstance(value, dict):
        return {key: _filled(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_filled(item) for item in value]
    return known.get(value, value) if isinstance(value, str) else value


@pytest.mark.parametrize(
    ("keys", "place"),
    [
        ("    nme: x\n", []),
        ("    mode: allowlist\n", ["mode"]),
        ("    base_url: ftp://x\n", ["base_url"]),
        ("    base_url: https://x/api\n", ["base_url"]),
        ("    mappings: []\n", ["mappings"]),
        ("    lanes: {mms: {}}\n", ["lanes"]),
        ("    lanes: {sms: {rate: fast}}\n", ["lanes", "sms", "rate"]),
        ("    lanes: {sms: {rate: 0}}\n", ["lanes", "sms", "rate"]),
        ("    lanes: {sms: {concurrency: 1001}}\n", ["lanes", "sms", "concurrency"]),
        ("    lanes: {sms: {concurrency: 0}}\n", ["lanes", "sms", "concurrency"]),
        ("    lanes: {sms: {adaptive: maybe}}\n", ["lanes", "sms", "adaptive"]),
        ("    actions: {send_sms: {time_to_live: 10 days}}\n", ["actions", "send_sms", "time_to_live"]),
        ("    actions: {send_sms: {in_doubt: resent}}\n", ["actions", "send_sms", "in_doubt"]),
        ("    segmento: {phonebook_id: a b}\n", ["segmento", "phonebook_id"]),
        ("    default_sender: a-b\n", ["default_sender"]),
    ],
)
def test_bad_documents(keys: str, place: list[str]) -> None:
    """A mistake is marked at its place, and the loader refuses it too."""
    (error,) = VALIDATOR.iter_errors(document(keys))
    assert list(error.absolute_path) == ["destinations", 0, *place]
    with pytest.raises(ValueError, match="validation error"):
        DestinationsFile.model_validate(_filled(document(keys)))


@pytest.mark.parametrize(
    "text", ["{}", "destinations: []", "destinations: [{name: a}]", "[]", "destinations: [{name: a b, authkey: k}]"]
)
def test_bad_frames(text: str) -> None:
    """A document without destinations, or a destination without its two keys, is marked."""
    assert not VALIDATOR.is_valid(yaml.safe_load(text))


def test_every_key_is_described() -> None:
    """Whoever points at a key reads what it is for."""

    def undescribed(node: dict[str, Any], place: str = "") -> list[str]:
        missing = []
        for name, item in node.get("properties", {}).items():
            missing += [] if "description" in item else [f"{place}{name}"]
        for name, item in node.get("$defs", {}).items():
            missing += undescribed(item, f"{name}.")
        return missing

    assert undescribed(json_schema()) == []
