"""The write key of a machine whose configuration has none: made once, kept beside its data."""

from __future__ import annotations

import os
import secrets
from pathlib import Path
from typing import Final

from worker.configuration import ConfigurationError

FILE: Final = "write-key"


def kept_write_key(data_dir: Path) -> tuple[str, Path]:
    """The write key that is kept in a data directory, and its file; made at first use, readable by its owner alone.

    Raises:
        ConfigurationError: it can be neither read nor written.
    """
    path = data_dir / FILE
    try:
        data_dir.mkdir(parents=True, exist_ok=True)
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError:
            key = path.read_text(encoding="ascii").strip()
            if not key:
                msg = f"{path} is empty: remove it, and a new write key is made"
                raise ConfigurationError(msg) from None
            return key, path
        key = secrets.token_hex(16)
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(key + "\n")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no text"
        msg = f"the write key in {path} can be neither read nor written: {reason}"
        raise ConfigurationError(msg) from None
    return key, path
