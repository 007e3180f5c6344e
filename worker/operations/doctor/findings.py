"""What a check finds."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Verdict(StrEnum):
    """How bad it is."""

    OK = "ok"
    WARNING = "warning"  #: it works, and something about it will hurt one day
    PROBLEM = "problem"  #: it does not work


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was checked.

    Attributes:
        check: What was checked.
        verdict: How it stands.
        detail: What was found.
        cure: What to do; empty when nothing.
    """

    check: str
    verdict: Verdict
    detail: str
    cure: str = ""

    def as_json(self) -> dict[str, str]:
        """The form for programs."""
        return {"check": self.check, "verdict": self.verdict.value, "detail": self.detail, "cure": self.cure}


def ok(check: str, detail: str) -> Finding:
    """It is as it should be."""
    return Finding(check, Verdict.OK, detail)


def warning(check: str, detail: str, cure: str) -> Finding:
    """It works, and something about it will hurt one day."""
    return Finding(check, Verdict.WARNING, detail, cure)


def problem(check: str, detail: str, cure: str) -> Finding:
    """It does not work."""
    return Finding(check, Verdict.PROBLEM, detail, cure)
