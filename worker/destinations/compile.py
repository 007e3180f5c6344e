"""From one checked model to a destination: mapping files, lanes, policies, what its actions may know."""

import difflib
from collections.abc import Iterator
from pathlib import Path
from types import MappingProxyType

import mappings
from worker.actions import ACTIONS, Action, ActionContext, WhatsAppContext
from worker.configuration import Problem
from worker.configuration.files import FileState
from worker.configuration.model import FAMILIES, ActionModel, DestinationModel, LaneModel, WhatsAppModel
from worker.configuration.source import Key, Source
from worker.delivery import LaneLimits, RetryPolicy
from worker.destinations.model import ActionPolicy, Destination, InDoubt, LaneSettings
from worker.destinations.receivers import receivers_of
from worker.msg91.errors import InvalidNumber
from worker.msg91.numbers import PhoneNumbers
from worker.settings import Settings

__all__ = ["Compiler"]

#: Seconds that a delivery report is waited for before a delivery in doubt is sent again or dropped.
DEFAULT_GRACE = 600.0

_FIELDS = {name: action.fields for name, action in ACTIONS.items()}


class Compiler:
    """Compiles the destinations of one file; a mapping file that several of them use is read once.

    Attributes:
        files: The mapping files that were read, or could not be, by their path.
    """

    def __init__(self, folder: Path, settings: Settings) -> None:
        self.files: dict[Path, FileState] = {}
        self._folder = folder
        self._settings = settings
        self._loaded: dict[str, mappings.MappingFile | tuple[Problem, ...]] = {}

    def compile(self, model: DestinationModel, source: Source, place: Key) -> tuple[Destination | None, list[Problem]]:
        """Compile one destination; None when something is wrong.

        Args:
            model: The destination.
            source: The file it stands in.
            place: Its place there.
        """
        problems: list[Problem] = []
        files = list(self._mapping_files(model, source, place, problems))
        enabled = _enabled(files, source, place, problems)
        numbers = PhoneNumbers(model.default_country, prefer=model.bare_numbers)
        allowed = _allow_list(model, numbers, source, place, problems)
        context = _context(model, numbers)
        for action in dict.fromkeys(ACTIONS[mapping.action] for mapping in enabled):
            problems.extend(
                source.problem(place, f"the mappings use {action.name}, but {sentence}")
                for sentence in action.problems(context)
            )
        problems.extend(_unknown_actions(model, source, place))
        problems.extend(_unheard_mappings(model, enabled, source, place))
        if problems:
            return None, problems
        destination = Destination(
            name=model.name,
            authkey=model.authkey,
            base_url=model.base_url or self._settings.msg91_base_url,
            write_keys=tuple(model.write_keys),
            mode=model.mode,
            allow_list=allowed,
            files=tuple(files),
            mappings=tuple(enabled),
            context=context,
            lanes=MappingProxyType({name: _lane(model.name, name, getattr(model.lanes, name)) for name in FAMILIES}),
            policies=MappingProxyType(
                {
                    name: _policy(
                        action, model.actions.get(name, ActionModel()), _report_window(action, model, self._settings)
                    )
                    for name, action in ACTIONS.items()
                }
            ),
            configuration=model,
        )
        return destination, []

    def warnings(self) -> Iterator[Problem]:
        """Find what works in the mapping files but is hardly meant, once for each file."""
        for loaded in self._loaded.values():
            if isinstance(loaded, mappings.MappingFile):
                yield from (_ours(one, loaded.name) for one in loaded.warnings)

    def _mapping_files(
        self, model: DestinationModel, source: Source, place: Key, problems: list[Problem]
    ) -> Iterator[mappings.MappingFile]:
        for number, name in enumerate(model.mappings):
            loaded = self._load(name)
            if isinstance(loaded, mappings.MappingFile):
                yield loaded
            elif loaded:
                problems.extend(loaded)
            else:
                problems.append(_no_such_mappings(name, source, (*place, "mappings", number)))

    def _load(self, name: str) -> mappings.MappingFile | tuple[Problem, ...]:
        """Load a preset or a file; nothing when there is no such thing, problems when it cannot be used."""
        if name not in self._loaded:
            self._loaded[name] = self._load_anew(name)
        return self._loaded[name]

    def _load_anew(self, name: str) -> mappings.MappingFile | tuple[Problem, ...]:
        target: str | Path = name
        if name not in mappings.presets():
            target = self._folder / Path(name).expanduser()
            self.files[target] = FileState.of(target)
            if not target.exists():
                return ()
        try:
            return mappings.load(target, actions=_FIELDS)
        except mappings.MappingError as error:
            return tuple(_ours(one, str(target)) for one in error.problems)
        except mappings.MappingsError as error:
            return (Problem(str(error), file=str(target)),)


def _ours(problem: mappings.Problem, file: str) -> Problem:
    return Problem(
        problem.message, problem.path, problem.file or file, problem.line, problem.column, problem.suggestion
    )


def _no_such_mappings(name: str, source: Source, key: Key) -> Problem:
    presets = sorted(mappings.presets())
    close = difflib.get_close_matches(name, presets, 1, 0.6)
    return source.problem(
        key,
        "there is no such preset, and no such file beside this one",
        f"Did you mean {close[0]}?" if close else f"The presets are {', '.join(presets)}",
    )


def _enabled(
    files: list[mappings.MappingFile], source: Source, place: Key, problems: list[Problem]
) -> list[mappings.Mapping]:
    enabled: dict[str, mappings.Mapping] = {}
    for mapping in (one for file in files for one in file.mappings if one.enabled):
        if mapping.name in enabled:
            problems.append(
                source.problem(
                    (*place, "mappings"),
                    f"two of these files have a mapping {mapping.name!r}",
                    "The name is part of the identity of a delivery: rename one of them",
                )
            )
        enabled.setdefault(mapping.name, mapping)
    return list(enabled.values())


def _allow_list(
    model: DestinationModel, numbers: PhoneNumbers, source: Source, place: Key, problems: list[Problem]
) -> frozenset[str]:
    allowed = set()
    for position, number in enumerate(model.allow_list):
        try:
            allowed.add(numbers.read(number))
        except InvalidNumber as error:
            problems.append(source.problem((*place, "allow_list", position), str(error), "Write it like +918818888758"))
    return frozenset(allowed)


def _unknown_actions(model: DestinationModel, source: Source, place: Key) -> Iterator[Problem]:
    for name in model.actions:
        if name not in ACTIONS:
            close = difflib.get_close_matches(name, ACTIONS, 1, 0.6)
            yield source.problem(
                (*place, "actions", name),
                "there is no such action",
                f"Did you mean {close[0]}?" if close else f"The actions are {', '.join(ACTIONS)}",
                at_key=True,
            )


def _unheard_mappings(
    model: DestinationModel, enabled: list[mappings.Mapping], source: Source, place: Key
) -> Iterator[Problem]:
    """Find names in the lists of receivers by which no message ever comes."""
    known = [*(one.name for one in enabled), *ACTIONS]
    lists = (("tracking", model.onward.tracking), ("callbacks", model.onward.callbacks))
    for key, receivers in lists:
        for number, receiver in enumerate(receivers):
            for position, name in enumerate(receiver.mappings):
                if name not in known:
                    close = difflib.get_close_matches(name, known, 1, 0.6)
                    yield source.problem(
                        (*place, "onward", key, number, "mappings", position),
                        "the destination has no such mapping, and there is no such action",
                        f"Did you mean {close[0]}?" if close else "Take the name of one of its mappings",
                    )


def _context(model: DestinationModel, numbers: PhoneNumbers) -> ActionContext:
    return ActionContext(
        destination=model.name,
        numbers=numbers,
        default_sender=model.default_sender,
        default_template_id=model.default_template_id,
        default_route=model.default_route,
        sms_country=model.sms_country,
        dlt_template_id=model.dlt_template_id,
        phonebook_id=model.segmento.phonebook_id,
        events_path=model.segmento.events_path,
        contacts_path=model.segmento.contacts_path,
        event_timezone=model.segmento.event_timezone,
        max_parts=model.max_parts,
        max_sender_length=model.max_sender_length,
        whatsapp=_whatsapp(model.whatsapp),
        otp_template_id=model.otp.template_id,
        otp_expiry=model.otp.expiry,
        otp_length=model.otp.length,
        otp_parameters=model.otp.parameters,
        otp_resend=model.otp.resend,
        receivers=receivers_of(model.onward),
    )


def _whatsapp(model: WhatsAppModel) -> WhatsAppContext:
    numbers = tuple(dict.fromkeys([*model.numbers, *([model.default_number] if model.default_number else [])]))
    return WhatsAppContext(
        numbers=numbers,
        default_number=model.default_number or (numbers[0] if numbers else None),
        namespace=model.namespace,
        language=model.language,
        single=model.templates_by == "single",
        attached_media=model.media == "attachment",
        correlates=model.correlation,
    )


def _lane(destination: str, family: str, model: LaneModel) -> LaneSettings:
    burst = model.burst if model.burst is not None else max(1.0, (model.rate or 0.0) / 10)
    limits = LaneLimits(
        rate=model.rate,
        burst=float(burst),
        concurrency=model.concurrency,
        adaptive=model.adaptive,
        floor=model.floor,
        breaker_failures=model.breaker_failures,
    )
    return LaneSettings(f"{destination}:{family}", limits, model.cost, model.recipients, model.treat_503_as_in_doubt)


def _report_window(action: Action, model: DestinationModel, settings: Settings) -> float | None:
    """Seconds within which the reports of an action's deliveries are expected; None when they are not."""
    given = model.actions[action.name].report_window if action.name in model.actions else None
    if given is None:
        correlates = action.correlates and (action.family != "whatsapp" or model.whatsapp.correlation)
        given = settings.report_window if model.callbacks.secrets and correlates else None
    return given or None


def _policy(action: Action, model: ActionModel, report_window: float | None) -> ActionPolicy:
    default: InDoubt = "resend" if action.repeatable or action.resends else "hold"
    # A one-time password is of no use in ten minutes.
    grace = (0.0 if action.urgent else DEFAULT_GRACE) if model.in_doubt_grace is None else model.in_doubt_grace
    return ActionPolicy(
        retry=RetryPolicy(
            attempts=model.attempts, base=model.backoff_base, cap=model.backoff_cap, horizon=model.horizon
        ),
        time_to_live=model.time_to_live,
        in_doubt=model.in_doubt or default,
        in_doubt_grace=grace,
        report_window=report_window,
    )
