"""What a sandbox is told when it starts."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any, Final

import orjson

#: Where the sandbox listens unless told otherwise.
DEFAULT_HOST: Final = "127.0.0.1"
DEFAULT_PORT: Final = 9191
#: The authkey that a sandbox takes unless told otherwise. It is no secret: it opens nothing else.
DEFAULT_AUTHKEY: Final = "sandbox-authkey"
#: Environment variable with the token of the control endpoints (never on a command line, where `ps` shows
#: it).
TOKEN_VARIABLE: Final = "MSG91_SANDBOX_TOKEN"  # noqa: S105 - the name of a variable, not a secret


@dataclass(frozen=True, slots=True)
class Settings:
    """How one sandbox behaves from its start.

    Attributes:
        host: Address to listen on.
        port: Port to listen on; 0 takes a free one.
        record: Path of the NDJSON file that requests are appended to; ``None`` makes one in a temporary
            directory that goes when the sandbox stops.
        authkeys: The keys it takes; any other is answered as MSG91 answers an invalid key.
        templates: The template ids it knows; ``None`` takes every id of 24 hexadecimal digits.
        unknown_templates: Template ids it never knows, whatever ``templates`` says.
        faults: Faults that stand from the start, as `worker.sandbox.faults.read_fault` reads them.
        callbacks: How it calls back, as `worker.sandbox.callbacks.settings.read_callbacks` reads it.
        callback_secret: What its callbacks bring to prove who they are; ``None`` for nothing.
        duplicate_window: Seconds in which an identical request is refused with code 311; 0 switches that off.
        seed: Seed of the faults' dice; ``None`` takes a random one.
        fsync: Force every record to the disk before the answer. Only needed to survive a power cut: what is
            written outlives the process without it.
        control_token: Needed for the control endpoints from anywhere but this machine; ``None`` keeps them to
            it.
        stop_with_stdin: Stop when standard input closes, so that a sandbox never outlives who started it.
    """

    host: str = DEFAULT_HOST
    port: int = DEFAULT_PORT
    record: str | None = None
    authkeys: tuple[str, ...] = (DEFAULT_AUTHKEY,)
    templates: tuple[str, ...] | None = None
    unknown_templates: tuple[str, ...] = ()
    faults: tuple[str, ...] = ()
    callbacks: tuple[str, ...] = ()
    callback_secret: str | None = field(default=None, repr=False)
    duplicate_window: float = 10.0
    seed: int | None = None
    fsync: bool = False
    control_token: str | None = field(default=None, repr=False)
    stop_with_stdin: bool = False

    def to_json(self) -> str:
        """Write the settings as `from_json` reads them, without the control token and the secret of callbacks."""
        values: dict[str, Any] = asdict(self)
        del values["control_token"], values["callback_secret"]
        return orjson.dumps(values).decode()

    @classmethod
    def from_json(cls, text: str, *, control_token: str | None = None, callback_secret: str | None = None) -> Settings:
        """Read settings from one JSON object; what it leaves out keeps its default.

        Raises:
            ValueError: the text is not a JSON object.
            TypeError: it names a setting that does not exist.
        """
        values = orjson.loads(text)
        if not isinstance(values, dict):
            raise TypeError("settings: expected a JSON object")
        for name in ("authkeys", "templates", "unknown_templates", "faults", "callbacks"):
            if values.get(name) is not None:
                values[name] = tuple(values[name])
        return cls(**values, control_token=control_token, callback_secret=callback_secret)
