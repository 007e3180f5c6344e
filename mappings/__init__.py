"""Segment's mapping language: events in, the fields of actions out.

Everything is checked and compiled once, when it is loaded; per event nothing is parsed. The package is pure: it knows
no provider, no store and no queue, and reads files only in `load` and `MappingFiles`.
"""

from mappings.compiled import CompiledMapping, FieldExplanation, compile_mapping
from mappings.errors import FieldSpecError, MappingError, MappingsError, Problem, TriggerError
from mappings.fields import CompiledFields, FieldError, compile_fields
from mappings.mapping import Mapping, MappingFile, load, presets
from mappings.places import Read
from mappings.triggers import ClauseVerdict, CompiledTrigger, compile_trigger
from mappings.values import MISSING

__all__ = [
    "MISSING",
    "ClauseVerdict",
    "CompiledFields",
    "CompiledMapping",
    "CompiledTrigger",
    "FieldError",
    "FieldExplanation",
    "FieldSpecError",
    "Mapping",
    "MappingError",
    "MappingFile",
    "MappingsError",
    "Problem",
    "Read",
    "TriggerError",
    "compile_fields",
    "compile_mapping",
    "compile_trigger",
    "load",
    "presets",
]
