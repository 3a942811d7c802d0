"""What an examination finds."""

from dataclasses import dataclass
from enum import Enum


class Verdict(Enum):
    """Of one thing that should hold."""

    GOOD = "good"
    WRONG = "wrong"
    UNKNOWN = "not known"  # it could not be looked at from here


@dataclass(frozen=True)
class Finding:
    """One thing that should hold, and whether it does."""

    subject: str  # a service, or what lies between two
    demand: str
    verdict: Verdict
    seen: str = ""
    mend: str = ""


def judged(subject: str, demand: str, *, good: bool, seen: str, mend: str) -> Finding:
    """A finding on something that was looked at."""
    return Finding(subject, demand, Verdict.GOOD if good else Verdict.WRONG, seen, "" if good else mend)
