"""The settings of a process, from environment variables; what goes where stands in the destinations file."""

import difflib
import os
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, SecretStr, StringConstraints, ValidationError
from pydantic_settings import (
    BaseSettings,
    EnvSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from worker.configuration import ConfigurationError, Problem
from worker.configuration.quantities import BrokerUrl, Origin, RedisUrl, Seconds, Whole, mask_url
from worker.configuration.sentences import sentence, suggestion

__all__ = ["DEFAULT_BASE_URL", "ENVIRONMENT_PREFIX", "Settings", "load_settings", "variable_of"]

ENVIRONMENT_PREFIX = "MSG91_DESTINATION_"
DEFAULT_BASE_URL = "https://control.msg91.com"
#: Seconds between the end of a request and the end of its claim, at least.
LEASE_MARGIN = 10.0
_HOUR, _DAY = 3600.0, 86400.0

Positive = Annotated[Seconds, Field(gt=0)]
Lower = BeforeValidator(lambda value: value.strip().lower() if isinstance(value, str) else value)


class Settings(BaseSettings):
    """Settings of a process; times in seconds.

    `Settings()` gives the defaults and reads nothing; `load_settings` reads the environment.
    """

    model_config = SettingsConfigDict(
        frozen=True,
        extra="forbid",
        env_prefix=ENVIRONMENT_PREFIX,
        case_sensitive=True,
        populate_by_name=True,
        hide_input_in_errors=True,
        validate_default=False,
    )

    # The fixed names.
    destinations_file: Path | None = Field(
        default=None,
        validation_alias="DESTINATIONS_FILE",
        description="The destinations file. Without it: `destinations.yaml` here, if there is one.",
    )
    redis_url: RedisUrl | None = Field(
        default=None,
        validation_alias="REDIS_URL",
        repr=False,
        description="The store: `redis://`, `rediss://` or `unix://`. Without it: the embedded Valkey.",
    )
    celery_broker_url: BrokerUrl | None = Field(
        default=None,
        validation_alias="CELERY_BROKER_URL",
        repr=False,
        description="The broker, in Celery's notation. Without it: the store.",
    )
    msg91_authkey: SecretStr | None = Field(
        default=None,
        validation_alias="MSG91_AUTHKEY",
        description="The authkey of the destination `msg91`, when there is no destinations file.",
    )
    msg91_base_url: Origin = Field(
        default=DEFAULT_BASE_URL,
        validation_alias="MSG91_BASE_URL",
        description="The origin of the MSG91 API for every destination that names none itself.",
    )

    # Where things are.
    data_dir: Path = Field(default=Path("data"), description="The directory of the embedded Valkey.")
    data_fsync: Annotated[Literal["everysec", "always"], Lower] = Field(
        default="everysec",
        description="When the embedded Valkey syncs its file: `everysec`; or `always`, before each answer: "
        "then neither a kill nor a power cut loses anything, and everything is slower.",
    )
    namespace: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_.-]{1,32}$")] = Field(
        default="msg91", description="The first part of every key in the store; one for each installation."
    )

    # How long things are kept.
    record_ttl: Positive = Field(
        default=72 * _HOUR,
        description="How long a delivery is remembered after its final state; no repeat of it is sent.",
    )
    index_ttl: Annotated[Seconds, Field(ge=7 * _DAY)] = Field(
        default=7 * _DAY, description="How long a delivery report can find its delivery; at least 7 days."
    )
    dead_letter_ttl: Positive = Field(
        default=30 * _DAY, description="How long dead and rejected deliveries are kept with their payload."
    )
    report_window: Positive = Field(
        default=48 * _HOUR, description="How long a delivery report is waited for; shorter than `record_ttl`."
    )
    journal_length: Annotated[int, Field(ge=100), Whole] = Field(
        default=2_000, description="Entries in the journal, one for each request; the oldest go first."
    )

    # How a delivery is made safe.
    request_deadline: Annotated[Seconds, Field(gt=0, le=45)] = Field(
        default=20.0, description="The total time a request to MSG91 may take."
    )
    claim_lease: Positive = Field(
        default=60.0, description="How long a delivery may be `sending` before it is in doubt."
    )
    batch_lease: Annotated[Seconds, Field(gt=0, le=60)] = Field(
        default=60.0, description="How long a worker may be silent before its batch is taken up by another."
    )
    recovery: Annotated[Literal["hold", "resume"], Lower] = Field(
        default="hold",
        description="After a start that may have lost claims: `hold` sends nothing until confirmed; or `resume`.",
    )

    otp_key: Annotated[SecretStr, Field(min_length=16)] | None = Field(
        default=None,
        description="A secret that one-time passwords in the store are encrypted with, besides a key that lies there; "
        "at least 16 characters, the same in every process.",
    )

    # The schedule.
    promote_interval: Annotated[Seconds, Field(gt=0, le=30)] = Field(
        default=1.0, description="How often what is due is looked for."
    )
    promote_limit: Annotated[int, Field(ge=1, le=100_000), Whole] = Field(
        default=1_000, description="Batches that go from the schedule to the broker at a time."
    )
    promote_queue_limit: Annotated[int, Field(ge=1), Whole] = Field(
        default=200, description="Nothing is promoted to a queue of the broker that is longer than this."
    )

    # The HTTP door.
    write_key: SecretStr | None = Field(
        default=None, description="The write key of the destination `msg91`, when there is no destinations file."
    )
    callback_secret: SecretStr | None = Field(
        default=None,
        description="The secret of MSG91's callbacks for the destination `msg91`, when there is no destinations file.",
    )
    intake_host: Annotated[str, StringConstraints(min_length=1, max_length=255)] = Field(
        default="127.0.0.1", description="The address that the HTTP door listens on; loopback unless changed."
    )
    intake_port: Annotated[int, Field(ge=0, le=65_535), Whole] = Field(
        default=8080, description="Its port; 0 takes a free one."
    )
    intake_processes: Annotated[int, Field(ge=1, le=64), Whole] = Field(default=1, description="Its processes.")
    intake_token: SecretStr | None = Field(
        default=None,
        description="The bearer token for `/v1/deliveries` of every destination; `/metrics` asks for it too, once set.",
    )
    intake_allowed_origins: str | None = Field(
        default=None,
        description="Origins of browser pages that may send, joined by commas, or `*`. Without it: none.",
    )
    intake_event_bytes: Annotated[int, Field(ge=1_024, le=1_048_576), Whole] = Field(
        default=32_768, description="Bytes that one event may have over HTTP."
    )
    intake_batch_bytes: Annotated[int, Field(ge=1_024, le=16_777_216), Whole] = Field(
        default=512_000, description="Bytes that the body of a request may have, inflated."
    )
    intake_batch_events: Annotated[int, Field(ge=1, le=10_000), Whole] = Field(
        default=2_500, description="Events that a request may have."
    )
    intake_linger: Annotated[Seconds, Field(ge=0, le=1)] = Field(
        default=0.005, description="How long requests that arrive together wait for each other; none when idle."
    )
    intake_queue_limit: Annotated[int, Field(ge=1), Whole] = Field(
        default=500_000, description="Nothing is accepted over HTTP while more events than this wait."
    )
    intake_timeout: Annotated[Seconds, Field(ge=1, le=300)] = Field(
        default=15.0, description="How long a client may take to send one request."
    )

    # The stream.
    stream: bool = Field(default=True, description="Whether the workers take events from the stream.")
    stream_name: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_.-]{1,64}$")] = Field(
        default="events", description="Its key is `{<namespace>}:stream:<name>`."
    )
    stream_batch: Annotated[int, Field(ge=1, le=2_500), Whole] = Field(
        default=500, description="Entries that are taken at a time."
    )
    stream_linger: Annotated[Seconds, Field(ge=0, le=5)] = Field(
        default=0.05, description="How long events that come singly may gather after one has gone."
    )
    stream_claim_after: Annotated[Seconds, Field(ge=1, le=600)] = Field(
        default=15.0, description="How long a worker may hold entries before another one takes them over."
    )
    stream_queue_limit: Annotated[int, Field(ge=1), Whole] = Field(
        default=20_000, description="Entries stay in the stream while more events than this wait for a worker."
    )

    # The worker.
    concurrency: Annotated[int, Field(ge=1, le=1_000), Whole] = Field(
        default=16, description="Threads of a worker process."
    )
    processes: Annotated[int, Field(ge=1, le=256), Whole] = Field(default=1, description="Worker processes.")
    shutdown_grace: Annotated[Seconds, Field(ge=0, le=600)] = Field(
        default=30.0, description="How long a worker that is asked to stop may finish what is in flight."
    )
    log_level: Annotated[Literal["debug", "info", "warning", "error"], Lower] = Field(
        default="info", description="`debug`, `info`, `warning` or `error`."
    )
    log_format: Annotated[Literal["text", "json"], Lower] = Field(default="text", description="`text` or `json`.")

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],  # noqa: ARG003 - the signature is pydantic's
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Read nothing behind the caller's back: `load_settings` names the environment."""
        return (init_settings,)

    def sealing_secret(self) -> str:
        """The secret that one-time passwords are encrypted with; empty when none is set."""
        return "" if self.otp_key is None else self.otp_key.get_secret_value()

    def masked(self) -> dict[str, object]:
        """Return every setting by its environment variable, credentials masked, for people to read."""
        return {variable_of(name): _shown(name, getattr(self, name)) for name in type(self).model_fields}

    def broker_url(self, store_url: str) -> str:
        """Return the address of the broker: ``CELERY_BROKER_URL`` if it is set, else the store."""
        return self.celery_broker_url or store_url


def load_settings(environ: Mapping[str, str] | None = None) -> Settings:
    """Read the settings from environment variables; an empty variable counts as not set.

    Args:
        environ: The variables; None means those of the process.

    Raises:
        ConfigurationError: Values that cannot be used, and unknown names with our prefix; all at once.
    """
    variables = {name: value for name, value in (os.environ if environ is None else environ).items() if value.strip()}
    problems = list(_unknown(variables))
    source = EnvSettingsSource(Settings, case_sensitive=False)
    source.env_vars = {name.lower(): value for name, value in variables.items() if name in _known()}
    settings: Settings | None = None
    try:
        settings = Settings(**source())
    except ValidationError as error:
        problems.extend(
            Problem(sentence(details), _variable_at(str(details["loc"][0])), suggestion=suggestion(details))
            for details in error.errors(include_url=False)
        )
    if settings is not None:
        problems.extend(_contradictions(settings))
    if problems or settings is None:
        raise ConfigurationError(problems)
    return settings


def variable_of(field_name: str) -> str:
    """Return the environment variable of a setting."""
    alias = Settings.model_fields[field_name].validation_alias
    return alias if isinstance(alias, str) else ENVIRONMENT_PREFIX + field_name.upper()


def _shown(name: str, value: object) -> object:
    if value is None or isinstance(value, int | float):
        return value
    return mask_url(str(value)) if name in {"redis_url", "celery_broker_url"} else str(value)


def _variable_at(location: str) -> str:
    # Where a field has an alias, pydantic already reports that.
    return variable_of(location) if location in Settings.model_fields else location


@cache
def _known() -> tuple[str, ...]:
    return tuple(variable_of(name) for name in Settings.model_fields)


def _unknown(variables: Mapping[str, str]) -> Iterator[Problem]:
    for name in sorted(variables):
        if name.startswith(ENVIRONMENT_PREFIX) and name not in _known():
            ours = {one.removeprefix(ENVIRONMENT_PREFIX): one for one in _known()}
            close = difflib.get_close_matches(name.removeprefix(ENVIRONMENT_PREFIX), ours, 1, 0.75)
            yield Problem(
                "there is no setting of this name",
                path=name,
                suggestion=f"Did you mean {ours[close[0]]}?" if close else "docs/configuration.md lists them all",
            )


def _contradictions(settings: Settings) -> Iterator[Problem]:
    """Check what no setting can show alone."""
    if settings.report_window >= settings.record_ttl:
        yield Problem(
            f"{settings.report_window:.10g} s is not shorter than record_ttl ({settings.record_ttl:.10g} s): "
            "a report could come when the delivery is forgotten",
            path=variable_of("report_window"),
            suggestion=f"Shorten it, or lengthen {variable_of('record_ttl')}",
        )
    if settings.index_ttl < settings.record_ttl:
        yield Problem(
            f"{settings.index_ttl:.10g} s is shorter than record_ttl ({settings.record_ttl:.10g} s): "
            "a delivery could not be found by its report",
            path=variable_of("index_ttl"),
            suggestion=f"Lengthen it, or shorten {variable_of('record_ttl')}",
        )
    if settings.claim_lease < settings.request_deadline + LEASE_MARGIN:
        yield Problem(
            f"{settings.claim_lease:.10g} s must be at least {LEASE_MARGIN:g} s longer than request_deadline "
            f"({settings.request_deadline:.10g} s): a request could outlive its claim",
            path=variable_of("claim_lease"),
            suggestion=f"Lengthen it, or shorten {variable_of('request_deadline')}",
        )
    if settings.claim_lease > settings.batch_lease:
        yield Problem(
            f"{settings.claim_lease:.10g} s must not be longer than batch_lease ({settings.batch_lease:.10g} s)",
            path=variable_of("claim_lease"),
            suggestion=f"Shorten it, or lengthen {variable_of('batch_lease')}",
        )
