"""What a check is: its demand, the reason for it, and a generator of what is wrong with a service."""

from collections.abc import AsyncIterator, Callable, Iterable
from dataclasses import dataclass
from enum import Enum
from functools import partial
from typing import Generic, TypeVar

from rpc.errors import shorten

Service = TypeVar("Service")
Problems = AsyncIterator[str]  # what a service does, and what was expected instead

PROBLEMS_SHOWN = 3
MAX_PROBLEM = 400  # characters
MAX_EVIDENCE = 1500


class Failed(Exception):  # noqa: N818 - a check's outcome
    """The service does not do what a check demands; the message is the evidence."""


class NotApplicable(Exception):  # noqa: N818 - a check's outcome
    """The service does not have what a check is about; the message says what is missing."""


class Unanswered(Failed):
    """A call was not answered before its deadline; the message is the evidence."""


class ServiceStopped(Exception):  # noqa: N818 - the end of all checks
    """The service no longer answers; the message says how that was noticed."""


@dataclass(frozen=True)
class Check(Generic[Service]):
    """One demand on a service."""

    id: str  # SERVICE.NAME in a catalogue, else the name alone
    demands: str  # one sentence
    why: str  # one sentence
    queries: int  # Classify calls that it may cost, at most
    problems: Callable[[Service], Problems]  # none: the check passed; may raise Failed or NotApplicable


def check(
    name: str, *, demands: str, why: str, queries: int = 0
) -> Callable[[Callable[[Service], Problems]], Check[Service]]:
    """Makes a check of a generator of problems."""
    return partial(Check, name, demands, why, queries)


def evidence_of(problems: list[str]) -> str:
    """The first problems, and how many more there are."""
    more = f"; and {len(problems) - PROBLEMS_SHOWN} more" if len(problems) > PROBLEMS_SHOWN else ""
    return "; ".join(shorten(each, most=MAX_PROBLEM) for each in problems[:PROBLEMS_SHOWN]) + more


def printable(text: str) -> str:
    """A text that may repeat what a service sent: bounded, and without characters that a terminal or XML acts on."""
    shown = "".join(letter if letter.isprintable() or letter in "\n\t" else "\N{REPLACEMENT CHARACTER}" for letter in text)
    return shorten(shown, most=MAX_EVIDENCE)


class Verdict(Enum):
    """Of one check."""

    PASSED = "passed"
    FAILED = "failed"
    NOT_APPLICABLE = "not applicable"
    ERROR = "error"  # the check itself broke, or the service cannot be checked: nothing is known about it
    NOT_RUN = "not run"  # the service had stopped before


@dataclass(frozen=True)
class Outcome:
    """The result of one check."""

    id: str
    demands: str
    why: str
    verdict: Verdict
    evidence: str  # printable: of a failure or an error; why a check is not applicable, or was not run; else empty
    seconds: float
    at: str = ""  # the replica's address, where several are checked


def none_wrong(outcomes: Iterable[Outcome]) -> bool:
    """Whether no check failed, none broke, and all were run."""
    return all(outcome.verdict in (Verdict.PASSED, Verdict.NOT_APPLICABLE) for outcome in outcomes)
