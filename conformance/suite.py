"""Runs checks on a service, one after another."""

import time
from collections.abc import Callable, Sequence
from fnmatch import fnmatchcase
from typing import TypeVar

from conformance.check import (
    Check,
    Failed,
    NotApplicable,
    Outcome,
    ServiceStopped,
    Unanswered,
    Verdict,
    as_evidence,
)
from orchestrator.errors import InputError

Service = TypeVar("Service")
OnDone = Callable[[Outcome], None]

MAX_UNANSWERED = 3  # checks that a call was not answered in, until the service counts as stopped


async def run_checks(service: Service, checks: Sequence[Check[Service]], *, on_done: OnDone) -> list[Outcome]:
    """What becomes of each check; one that breaks is an outcome of its own kind, and keeps no other from running.

    Once the service has stopped answering, the rest is not run.
    """
    outcomes: list[Outcome] = []
    unanswered = 0

    def ended(check: Check[Service], verdict: Verdict, evidence: str, *, seconds: float) -> None:
        outcome = Outcome(check.id, check.demands, check.why, verdict, as_evidence(evidence), seconds)
        on_done(outcome)
        outcomes.append(outcome)

    for place, check in enumerate(checks):
        began = time.monotonic()
        stopped = False
        try:
            verdict, evidence = await _ran(service, check)
        except Unanswered as failed:
            unanswered += 1
            verdict, evidence, stopped = Verdict.FAILED, str(failed), unanswered == MAX_UNANSWERED
        except ServiceStopped as reason:
            verdict, evidence, stopped = Verdict.FAILED, f"the service stopped answering: {reason}", True
        ended(check, verdict, evidence, seconds=time.monotonic() - began)
        if stopped:
            for left in checks[place + 1 :]:
                ended(left, Verdict.NOT_RUN, f"the service stopped answering at {check.id}", seconds=0)
            break
    return outcomes


async def _ran(service: Service, check: Check[Service]) -> tuple[Verdict, str]:
    try:
        await check.run(service)
    except (Unanswered, ServiceStopped):
        raise
    except Failed as failed:
        return Verdict.FAILED, str(failed)
    except NotApplicable as reason:
        return Verdict.NOT_APPLICABLE, str(reason)
    except Exception as error:  # noqa: BLE001 - a fault of the check's: it says nothing of the service
        return Verdict.ERROR, f"the check itself broke: {type(error).__name__}: {error}"
    return Verdict.PASSED, ""


def chosen(
    checks: Sequence[Check[Service]], *, known: Sequence[str], only: Sequence[str], skip: Sequence[str]
) -> list[Check[Service]]:
    """The checks that are to run, in their order.

    Args:
        checks: of one service.
        known: the ids of all checks, whatever service they are for.
        only: ids, beginnings of ids up to a dot, or patterns with * and ?; empty means all.
        skip: likewise, to be left out.

    Raises:
        InputError: one of them means no check.
    """
    for option, patterns in (("--only", only), ("--skip", skip)):
        for pattern in patterns:
            if not any(_means(pattern, each) for each in known):
                raise InputError(
                    f"{option}: expected checks, their beginnings or patterns, got {pattern}; there are {', '.join(known)}"
                )
    return [
        check
        for check in checks
        if (not only or any(_means(pattern, check.id) for pattern in only))
        and not any(_means(pattern, check.id) for pattern in skip)
    ]


def _means(pattern: str, id: str) -> bool:  # noqa: A002 - the word that reports use
    return fnmatchcase(id, pattern) or id.startswith(f"{pattern}.")
