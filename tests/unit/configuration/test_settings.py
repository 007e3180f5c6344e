"""The settings of a process, from environment variables."""

import pytest

from worker.configuration import ConfigurationError
from worker.delivery import Retention
from worker.sending import Timing
from worker.settings import Settings, load_settings, variable_of


def test_nothing_set_gives_the_defaults(monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty environment gives the defaults, and `Settings()` reads no environment at all."""
    monkeypatch.setenv("REDIS_URL", "redis://elsewhere")
    monkeypatch.setenv("MSG91_DESTINATION_NAMESPACE", "other")
    assert load_settings({}) == Settings()
    assert Settings().redis_url is None


def test_process_environment_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a mapping the variables of the process count."""
    monkeypatch.setenv("REDIS_URL", "redis://elsewhere")
    monkeypatch.setenv("MSG91_DESTINATION_NAMESPACE", "other")
    settings = load_settings()
    assert (settings.redis_url, settings.namespace) == ("redis://elsewhere", "other")


def test_values_are_read_in_the_units_of_people() -> None:
    """Times may have units, and case does not matter for words."""
    settings = load_settings(
        {
            "MSG91_DESTINATION_RECORD_TTL": "4d",
            "MSG91_DESTINATION_REQUEST_DEADLINE": "500ms",
            "MSG91_DESTINATION_LOG_LEVEL": "WARNING",
            "MSG91_DESTINATION_PROCESSES": "2",
            "MSG91_AUTHKEY": "not-a-real-key",
        }
    )
    assert (settings.record_ttl, settings.request_deadline) == (345600, 0.5)
    assert (settings.log_level, settings.processes) == ("warning", 2)
    assert settings.msg91_authkey is not None


@pytest.mark.parametrize(("broker", "expected"), [("", "redis://store"), ("amqp://rabbit//", "amqp://rabbit//")])
def test_broker_is_the_store_by_default(broker: str, expected: str) -> None:
    """Without CELERY_BROKER_URL, or with an empty one, the store is the broker too."""
    assert load_settings({"CELERY_BROKER_URL": broker}).broker_url("redis://store") == expected


@pytest.mark.parametrize(
    ("variable", "value", "expected"),
    [
        ("REDIS_URL", "localhost:6379", "expected the address of a Redis or Valkey server"),
        ("REDIS_URL", "http://localhost", "the scheme is not one of these"),
        ("CELERY_BROKER_URL", "rabbit", "expected the address of a Celery broker"),
        ("MSG91_BASE_URL", "https://control.msg91.com/api", "without path"),
        ("MSG91_DESTINATION_NAMESPACE", "a{b}", "expected text of the form"),
        ("MSG91_DESTINATION_RECORD_TTL", "soon", 'like "90s", "10m"'),
        ("MSG91_DESTINATION_RECORD_TTL", "0", "expected more than 0"),
        ("MSG91_DESTINATION_INDEX_TTL", "6d", "expected at least 604800"),
        ("MSG91_DESTINATION_JOURNAL_LENGTH", "1", "expected at least 100"),
        ("MSG91_DESTINATION_BATCH_LEASE", "61", "expected at most 60"),
        ("MSG91_DESTINATION_CONCURRENCY", "many", "expected a whole number"),
        ("MSG91_DESTINATION_RECOVERY", "wait", "expected hold or resume"),
        ("MSG91_DESTINATION_LOG_LEVEL", "loud", "expected debug, info, warning or error"),
    ],
)
def test_unusable_value_is_named_by_its_variable(variable: str, value: str, expected: str) -> None:
    """An error names the variable and what was expected."""
    with pytest.raises(ConfigurationError) as caught:
        load_settings({variable: value})
    (problem,) = caught.value.problems
    assert problem.path == variable
    assert expected in problem.message


def test_all_problems_come_at_once_without_values() -> None:
    """Several wrong variables give several problems, none of which shows a value."""
    with pytest.raises(ConfigurationError) as caught:
        load_settings({"REDIS_URL": "TOPSECRET", "CELERY_BROKER_URL": "TOPSECRET", "MSG91_BASE_URL": "TOPSECRET"})
    assert len(caught.value.problems) == 3
    assert "TOPSECRET" not in f"{caught.value} {caught.value.problems!r}"


@pytest.mark.parametrize(
    ("variable", "expected"),
    [
        ("MSG91_DESTINATION_RECORDTTL", "Did you mean MSG91_DESTINATION_RECORD_TTL?"),
        ("MSG91_DESTINATION_COLOUR", "docs/configuration.md lists them all"),
    ],
)
def test_unknown_variable_with_our_prefix_is_an_error(variable: str, expected: str) -> None:
    """A misspelt variable does not go unnoticed."""
    with pytest.raises(ConfigurationError, match="there is no setting of this name") as caught:
        load_settings({variable: "1"})
    assert expected in str(caught.value)


@pytest.mark.parametrize(
    ("environ", "variable"),
    [
        ({"MSG91_DESTINATION_REPORT_WINDOW": "72h"}, "MSG91_DESTINATION_REPORT_WINDOW"),
        ({"MSG91_DESTINATION_RECORD_TTL": "8d"}, "MSG91_DESTINATION_INDEX_TTL"),
        ({"MSG91_DESTINATION_CLAIM_LEASE": "29"}, "MSG91_DESTINATION_CLAIM_LEASE"),
        ({"MSG91_DESTINATION_BATCH_LEASE": "50"}, "MSG91_DESTINATION_CLAIM_LEASE"),
    ],
)
def test_times_that_contradict_each_other(environ: dict[str, str], variable: str) -> None:
    """Times that would lose a report or let a request outlive its claim are refused together with a cure."""
    with pytest.raises(ConfigurationError) as caught:
        load_settings(environ)
    (problem,) = caught.value.problems
    assert problem.path == variable
    assert problem.suggestion


def test_no_secret_is_shown() -> None:
    """Neither repr nor the masked view shows a password or the authkey."""
    settings = load_settings(
        {
            "REDIS_URL": "redis://:TOPSECRET1@host/0",
            "CELERY_BROKER_URL": "amqp://u:TOPSECRET2@host//",
            "MSG91_AUTHKEY": "TOPSECRET3",
        }
    )
    shown = f"{settings!r} {settings} {settings.masked()}"
    assert "TOPSECRET" not in shown
    assert settings.masked()["REDIS_URL"] == "redis://***@host/0"


def test_defaults_are_those_of_the_parts_that_use_them() -> None:
    """No default is written down twice with different values."""
    settings, retention, timing = Settings(), Retention(), Timing()
    assert (settings.record_ttl, settings.dead_letter_ttl) == (retention.record, retention.dead_letter)
    assert (settings.index_ttl, settings.journal_length) == (retention.index, retention.journal)
    assert (settings.request_deadline, settings.claim_lease) == (timing.deadline, timing.lease)


def test_variables_are_named_by_rule() -> None:
    """Five variables have names of their own; all others have our prefix."""
    names = {variable_of(name) for name in Settings.model_fields}
    fixed = {"DESTINATIONS_FILE", "REDIS_URL", "CELERY_BROKER_URL", "MSG91_AUTHKEY", "MSG91_BASE_URL"}
    assert fixed < names
    assert all(name.startswith("MSG91_DESTINATION_") for name in names - fixed)
