"""Loading destinations: from the file, or from the environment when there is none."""

from collections.abc import Mapping
from pathlib import Path

from pydantic import ValidationError

from worker.configuration import ConfigurationError, Problem
from worker.configuration.checks import Finding, errors_of, warnings_of
from worker.configuration.files import FileState
from worker.configuration.model import CallbacksModel, DestinationModel
from worker.configuration.sentences import sentence
from worker.configuration.source import Source, read_source
from worker.configuration.validation import validate
from worker.destinations.compile import Compiler
from worker.destinations.model import Destination, Destinations
from worker.settings import Settings, load_settings, variable_of

__all__ = ["DEFAULT_FILE", "DEFAULT_NAME", "load_destinations"]

#: The file that is read when none is named.
DEFAULT_FILE = "destinations.yaml"
#: The name of the destination that the environment alone makes.
DEFAULT_NAME = "msg91"


def load_destinations(
    path: Path | None, environ: Mapping[str, str], *, settings: Settings | None = None
) -> Destinations:
    """Load, check and compile the destinations.

    Loading again gives new ones; when that fails, those in use remain good.

    Args:
        path: The destinations file. None means ``DESTINATIONS_FILE``, else ``destinations.yaml`` in the
            working directory if there is one, else one destination ``msg91`` from ``MSG91_AUTHKEY``.
        environ: The environment variables.
        settings: The process's settings; None reads them from `environ`.

    Raises:
        ConfigurationError: Everything that is wrong, at once.
    """
    settings = settings or load_settings(environ)
    path = path or settings.destinations_file
    if path is not None:
        return _from_file(path, environ, settings)
    default = Path(DEFAULT_FILE)
    if default.exists():
        return _from_file(default, environ, settings)
    return _from_environment(default, settings)


def _from_file(path: Path, environ: Mapping[str, str], settings: Settings) -> Destinations:
    state = FileState.of(path)
    source = read_source(path, environ)
    models, problems = validate(source)
    problems.extend(_repeated_names(source, models))
    warnings: list[Problem] = []
    destinations: list[Destination] = []
    compiler = Compiler(path.parent, settings)
    for position, model in models.items():
        place = ("destinations", position)

        def located(finding: Finding, place: tuple[str | int, ...] = place) -> Problem:
            return source.problem((*place, *finding.key), finding.message, finding.suggestion)

        problems.extend(map(located, errors_of(model, record_ttl=settings.record_ttl)))
        destination, found = compiler.compile(model, source, place)
        problems.extend(found)
        literal = (*place, "authkey") not in source.variables
        base_url = model.base_url or settings.msg91_base_url
        warnings.extend(map(located, warnings_of(model, base_url=base_url, literal_authkey=literal)))
        if destination is not None:
            destinations.append(destination)
    if problems:
        raise ConfigurationError(sorted(problems, key=lambda one: (one.file != source.name, one.line or 0)))
    warnings.extend(compiler.warnings())
    return Destinations(str(path), tuple(destinations), tuple(warnings), (state, *compiler.files.values()))


def _repeated_names(source: Source, models: Mapping[int, DestinationModel]) -> list[Problem]:
    first: dict[str, int] = {}
    problems = []
    for position, model in models.items():
        if model.name in first:
            problems.append(
                source.problem(
                    ("destinations", position, "name"),
                    f"destinations[{first[model.name]}] has this name already",
                    "Names keep the deliveries of destinations apart: choose another",
                )
            )
        first.setdefault(model.name, position)
    return problems


def _setting_at(location: tuple[int | str, ...]) -> str:
    names = {"write_keys": "write_key", "secrets": "callback_secret", "base_url": "msg91_base_url"}
    return next((names[str(one)] for one in location if one in names), "msg91_authkey")


def _from_environment(default: Path, settings: Settings) -> Destinations:
    if settings.msg91_authkey is None:
        raise ConfigurationError(
            "there is no destination: neither DESTINATIONS_FILE nor MSG91_AUTHKEY is set, "
            f"and there is no {default} here",
            suggestion="Set MSG91_AUTHKEY to the authkey of your MSG91 account, or write a destinations file",
        )
    try:
        model = DestinationModel(
            name=DEFAULT_NAME,
            authkey=settings.msg91_authkey.get_secret_value(),
            write_keys=[settings.write_key.get_secret_value()] if settings.write_key else [],
            callbacks=CallbacksModel(
                secrets=[settings.callback_secret.get_secret_value()] if settings.callback_secret else []
            ),
        )
    except ValidationError as error:
        raise ConfigurationError(
            [
                Problem(sentence(details), variable_of(_setting_at(details["loc"])))
                for details in error.errors(include_url=False)
            ]
        ) from None
    source = Source("environment")
    compiler = Compiler(Path(), settings)
    destination, problems = compiler.compile(model, source, ())
    if destination is None or problems:
        raise ConfigurationError(problems)
    findings = warnings_of(model, base_url=settings.msg91_base_url, literal_authkey=False)
    warnings = [Problem(one.message, variable_of(_setting_at(one.key)), suggestion=one.suggestion) for one in findings]
    # A destinations file that appears later is a change.
    return Destinations("environment", (destination,), tuple(warnings), (FileState.of(default),))
