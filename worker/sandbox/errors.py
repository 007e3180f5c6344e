"""What the sandbox itself can refuse or run into.

::

    SandboxError
    ├── FaultError            a fault that cannot be read; the text says how to write it
    ├── CallbackError         a setting of callbacks, or something asked of them, that cannot be
    ├── SandboxUnreachableError    nothing answers at the sandbox's address, or something else does
    └── SandboxStartError     the sandbox's process ended before it answered
"""

from __future__ import annotations


class SandboxError(Exception):
    """Anything that is wrong with the sandbox or with what was asked of it."""


class FaultError(SandboxError):
    """A fault that cannot be read; the message names the part at fault and what is expected there."""


class CallbackError(SandboxError):
    """A setting of callbacks that cannot be read, or a report that cannot be posted; the message says why."""


class SandboxUnreachableError(SandboxError):
    """A control call found no sandbox, or the sandbox refused it."""


class SandboxStartError(SandboxError):
    """The sandbox's process ended or stayed silent before it answered."""
