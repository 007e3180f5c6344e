"""What a destination is once its configuration is checked and compiled."""

import hmac
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal

from pydantic import SecretStr

import mappings
from worker.actions import Action, ActionContext
from worker.configuration import Problem
from worker.configuration.files import FileState
from worker.configuration.model import DestinationModel
from worker.delivery import LaneLimits, RetryPolicy

__all__ = ["INTEGRATION", "ActionPolicy", "Destination", "Destinations", "InDoubt", "LaneSettings", "Mode"]

#: The name that an integrations object has for every destination of ours.
INTEGRATION = "MSG91"

Mode = Literal["live", "allow-list", "dry"]
InDoubt = Literal["hold", "resend", "drop"]


@dataclass(frozen=True, slots=True)
class LaneSettings:
    """The lane of one family of endpoints.

    Attributes:
        name: ``<destination>:<family>``, as `worker.delivery.Lanes` knows it.
        limits: What the lane allows.
        cost: What the rate counts.
        recipients: Deliveries in a request, at most, where the endpoint takes several.
        treat_503_as_in_doubt: Whether a 503 may mean that the request went through.
    """

    name: str
    limits: LaneLimits
    cost: Literal["requests", "parts"]
    recipients: int
    treat_503_as_in_doubt: bool


@dataclass(frozen=True, slots=True)
class ActionPolicy:
    """How hard an action tries; times in seconds.

    Attributes:
        retry: Attempts, waits and horizon.
        time_to_live: Age of an event at which its delivery expires; None for never.
        in_doubt: What becomes of a delivery that may have been sent.
        in_doubt_grace: How long a delivery report is waited for before that.
        report_window: How long after its request the reports of a delivery should have come; None when none are
            expected.
    """

    retry: RetryPolicy
    time_to_live: float | None
    in_doubt: InDoubt
    in_doubt_grace: float
    report_window: float | None = None


@dataclass(frozen=True, slots=True)
class Destination:
    """One MSG91 account, and what is sent through it.

    Attributes:
        name: Its name.
        authkey: The key of the account.
        base_url: Origin of the API.
        write_keys: Keys by which senders reach it.
        mode: Whether it sends to everybody, to `allow_list` alone, or to nobody.
        allow_list: Numbers, as digits with country code.
        files: The mapping files.
        mappings: The enabled mappings of all files, in order; their names are unique.
        context: What its actions may know.
        lanes: By family.
        policies: By action.
        configuration: The keys it was made of.
    """

    name: str
    authkey: SecretStr
    base_url: str
    write_keys: tuple[SecretStr, ...]
    mode: Mode
    allow_list: frozenset[str]
    files: tuple[mappings.MappingFile, ...]
    mappings: tuple[mappings.Mapping, ...]
    context: ActionContext
    lanes: Mapping[str, LaneSettings]
    policies: Mapping[str, ActionPolicy]
    configuration: DestinationModel = field(repr=False)

    @property
    def publishes(self) -> bool:
        """Whether anybody is told of what MSG91 reports."""
        return bool(self.configuration.onward.tracking or self.configuration.onward.callbacks)

    def allows(self, recipient: str) -> bool:
        """Tell whether a number (digits with country code) is on the allow list."""
        return recipient in self.allow_list

    def lane(self, family: str) -> LaneLimits:
        """Return the limits of the lane of a family."""
        return self.lanes[family].limits

    def policy(self, action: str) -> ActionPolicy:
        """Return the policy of an action."""
        return self.policies[action]

    def recipients(self, action: Action) -> int:
        """Return how many deliveries of an action may share a request."""
        return 1 if action.max_recipients == 1 else self.lanes[action.family].recipients


@dataclass(frozen=True, slots=True)
class Destinations:
    """All destinations. Immutable: loading again gives a new one.

    Attributes:
        origin: Where they come from, for people: the file's name, or ``environment``.
        all: In the order of the file.
        warnings: What works but is likely a mistake.
        files: The files they were made of.
    """

    origin: str
    all: tuple[Destination, ...]
    warnings: tuple[Problem, ...] = ()
    files: tuple[FileState, ...] = ()

    def __iter__(self) -> Iterator[Destination]:
        return iter(self.all)

    def __len__(self) -> int:
        return len(self.all)

    @property
    def names(self) -> tuple[str, ...]:
        """The names, in order."""
        return tuple(destination.name for destination in self.all)

    def get(self, name: str) -> Destination | None:
        """Return the destination of a name, or None."""
        return next((destination for destination in self.all if destination.name == name), None)

    def by_write_key(self, key: str) -> tuple[Destination, ...]:
        """Return the destinations that a write key reaches; a source may feed several.

        Takes the same time whether and where the key is found.
        """
        given = key.encode("utf-8", "surrogatepass")
        found = []
        for destination in self.all:
            hit = False
            for known in destination.write_keys:
                hit |= hmac.compare_digest(given, known.get_secret_value().encode())
            if hit:
                found.append(destination)
        return tuple(found)

    def sharing_account(self, destination: Destination) -> frozenset[str]:
        """Return the names of the destinations that send through the same account, its own among them."""
        account = destination.base_url, destination.authkey
        return frozenset(one.name for one in self.all if (one.base_url, one.authkey) == account)

    @property
    def fingerprint(self) -> str:
        """A short hash over the content of all files; equal content gives an equal one."""
        return FileState.combine(self.files)

    def changed(self) -> bool:
        """Tell whether a file has other content than when it was read, is gone, or has appeared."""
        return any(file.changed() for file in self.files)
