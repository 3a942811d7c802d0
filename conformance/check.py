"""What a check is: a head that says what it demands and why, and a generator of what is wrong with a service."""

from collections.abc import AsyncIterator, Callable, Iterable
from dataclasses import dataclass
from enum import Enum
from typing import Generic, TypeVar

from rpc.errors import shorten

Service = TypeVar("Service")
Problems = AsyncIterator[str]  # what a service does, and what was expected instead

PROBLEMS_SHOWN = 3
MAX_PROBLEM = 400  # characters of one
MAX_EVIDENCE = 1500


class Failed(Exception):  # noqa: N818 - a check's outcome
    """The service does not do what a check demands; the message is the evidence."""


class NotApplicable(Exception):  # noqa: N818 - a check's outcome
    """What a check is about is not there at this service; the message says what is missing."""


class Unanswered(Failed):
    """A call that should have been answered was not within its time; the message is the evidence."""


class ServiceStopped(Exception):  # noqa: N818 - the end of all checks
    """The service answers nobody any more; the message says how it was noticed."""


@dataclass(frozen=True)
class Check(Generic[Service]):
    """One demand on a service."""

    id: str  # in a catalogue SERVICE.NAME, else the name alone
    demands: str  # one sentence
    why: str  # one sentence
    problems: Callable[[Service], Problems]  # with none it has passed; may raise Failed or NotApplicable
    queries: int  # Classify calls that it may cost, at most


def check(
    name: str, *, demands: str, why: str, queries: int = 0
) -> Callable[[Callable[[Service], Problems]], Check[Service]]:
    """Makes a check of the function that looks."""

    def with_head(problems: Callable[[Service], Problems]) -> Check[Service]:
        return Check(name, demands, why, problems, queries)

    return with_head


def evidence_of(problems: list[str]) -> str:
    """The first of some problems, and how many more there are."""
    more = f"; and {len(problems) - PROBLEMS_SHOWN} more" if len(problems) > PROBLEMS_SHOWN else ""
    return "; ".join(shorten(each, most=MAX_PROBLEM) for each in problems[:PROBLEMS_SHOWN]) + more


def printable(text: str) -> str:
    """A text that may repeat what a service sent, bounded, and without what a terminal or XML would act on."""
    shown = "".join(letter if letter.isprintable() or letter in "\n\t" else "\N{REPLACEMENT CHARACTER}" for letter in text)
    return shorten(shown, most=MAX_EVIDENCE)


class Verdict(Enum):
    """Of one check."""

    PASSED = "passed"
    FAILED = "failed"
    NOT_APPLICABLE = "not applicable"
    ERROR = "error"  # the check itself broke, or the service cannot be checked: nothing is known of it
    NOT_RUN = "not run"  # the service was gone by then


@dataclass(frozen=True)
class Outcome:
    """What became of one check."""

    id: str
    demands: str
    why: str
    verdict: Verdict
    evidence: str  # printable: of a failure or an error; why a check is not applicable, or was not run; else empty
    seconds: float


def none_wrong(outcomes: Iterable[Outcome]) -> bool:
    """Whether no check failed, none broke, and all were run."""
    return all(outcome.verdict in (Verdict.PASSED, Verdict.NOT_APPLICABLE) for outcome in outcomes)
