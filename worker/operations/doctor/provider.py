"""Whether the configuration can be used, and MSG91 knows the accounts in it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from worker.configuration import ConfigurationError
from worker.destinations import Destination, Destinations, load_destinations
from worker.msg91 import Msg91Error
from worker.msg91.answers import Answer, AnswerClass
from worker.msg91.client import Msg91Client
from worker.operations.doctor.findings import Finding, ok, problem, warning
from worker.outcomes import reason_of
from worker.settings import Settings

#: Seconds a probe may take.
PROBE_TIMEOUT = 10.0

Probe = Callable[[Destination], Answer]


def examine(
    settings: Settings, environ: Mapping[str, str], file: Path | None
) -> tuple[Destinations | None, list[Finding]]:
    """Load the configuration.

    Returns:
        The destinations, ``None`` when they cannot be used; and what was found.
    """
    try:
        destinations = load_destinations(file, environ, settings=settings)
    except ConfigurationError as error:
        return None, [
            problem("configuration", str(one).removesuffix(f". {one.suggestion}"), one.suggestion or "Correct it")
            for one in error.problems
        ]
    findings = [ok("configuration", f"{destinations.origin}: {', '.join(destinations.names)}")]
    findings += [
        warning("configuration", str(one).removesuffix(f". {one.suggestion}"), one.suggestion or "Look at it")
        for one in destinations.warnings
    ]
    findings += _mappings(destinations)
    return destinations, findings


def examine_accounts(destinations: Destinations, *, probe: Probe | None = None) -> Iterator[Finding]:
    """Ask MSG91 about every authkey, once for each account; nothing is sent to anybody.

    Args:
        destinations: The destinations.
        probe: Asks about one; a client of its own unless given.
    """
    probe = probe or _probe
    accounts: dict[tuple[str, str], list[Destination]] = {}
    for one in destinations:
        accounts.setdefault((one.base_url, one.authkey.get_secret_value()), []).append(one)
    for (base_url, _), members in accounts.items():
        name = f"authkey of {', '.join(one.name for one in members)}"
        try:
            answer = probe(members[0])
        except Msg91Error as error:
            yield problem(name, str(error), "Correct the destination")
            continue
        yield _account(name, base_url, answer)


def _account(name: str, base_url: str, answer: Answer) -> Finding:
    if answer.klass is AnswerClass.ACCEPTED:
        return ok(name, f"known to {base_url} ({answer.elapsed * 1000:.0f} ms)")
    if answer.klass is AnswerClass.ACCOUNT:
        return problem(
            name,
            f"{base_url} refuses it: {reason_of(answer)}",
            "Check the authkey, and in MSG91's panel the addresses it may be used from",
        )
    if not answer.sent:
        return problem(name, f"{base_url} cannot be reached: {reason_of(answer)}", "Check the network and base_url")
    return warning(name, f"{base_url} says neither yes nor no: {reason_of(answer)}", "Try again in a while")


def _mappings(destinations: Destinations) -> Iterator[Finding]:
    files = {file.name: file for one in destinations for file in one.files}
    for name, file in files.items():
        enabled = [mapping.name for mapping in file.mappings if mapping.enabled]
        if enabled:
            yield ok("mappings", f"{name}: {', '.join(enabled)}")
        else:
            yield warning("mappings", f"{name}: none is enabled", "Enable one, or leave the file out")
        for one in file.warnings:
            yield warning("mappings", str(one), one.suggestion or "Look at it")


def _probe(destination: Destination) -> Answer:
    client = Msg91Client(
        destination.base_url, destination.authkey.get_secret_value(), total_timeout=PROBE_TIMEOUT, max_connections=1
    )
    try:
        return client.probe()
    finally:
        client.close()
