"""Runs the chosen checks on a service, one after another."""

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from conformance.catalogue import ALL_CHECKS, CHECKS
from conformance.check import (
    Check,
    Failed,
    NotApplicable,
    Outcome,
    ServiceStopped,
    Unanswered,
    Verdict,
    evidence_of,
    printable,
)
from conformance.client import CALL_SECONDS, Client
from conformance.invader.service import Invader
from conformance.protector.service import MAX_COST, Protector
from conformance.service import Service
from orchestrator.errors import InputError, UnusableServiceError
from orchestrator.faces.data_set import DataSet
from rpc.addresses import AddressError
from rpc.channel import open_channel
from rpc.diagnosis import diagnose
from rpc.errors import PlainTextError
from rpc.tls import TlsMaterial

OnDone = Callable[[Outcome], None]
Note = Callable[[str], None]

MAX_UNANSWERED = 3  # checks with an unanswered call, after which the service counts as stopped


@dataclass(frozen=True)
class Choice:
    """Which checks are to run, and on what."""

    faces: DataSet
    only: Sequence[str] = ()  # ids, beginnings of ids up to a dot, or patterns with * and ?; empty means all
    skip: Sequence[str] = ()  # likewise, to be left out
    may_spend: bool = False  # the invader's budget, to its last query
    seconds: float = CALL_SECONDS  # deadline of a call that computes

    def checks(self, kind: type[Service]) -> list[Check[Any]]:
        """The chosen checks of a kind of service, in their order.

        Raises:
            InputError: an entry of `only` or `skip` matches no check of any service.
        """
        known = [check.id for check in ALL_CHECKS]
        for option, patterns in (("--only", self.only), ("--skip", self.skip)):
            for pattern in patterns:
                if not any(_matches(pattern, each) for each in known):
                    way_out = f"there are {', '.join(known)}"
                    raise InputError(f"{option}: expected checks, their beginnings or patterns, got {pattern}; {way_out}")
        return [
            check
            for check in CHECKS[kind]
            if (not self.only or any(_matches(pattern, check.id) for pattern in self.only))
            and not any(_matches(pattern, check.id) for pattern in self.skip)
        ]


def _matches(pattern: str, id: str) -> bool:  # noqa: A002 - the word that reports use
    return fnmatchcase(id, pattern) or id.startswith(f"{pattern}.")


async def examine(
    kind: type[Service],
    address: str,
    tls: TlsMaterial | None,
    choice: Choice,
    *,
    on_done: OnDone,
    note: Note,
    tls_name: str | None = None,
) -> list[Outcome]:
    """The outcomes of the chosen checks of a service.

    Args:
        kind: of the service.
        address: `host:port`, or `dns:///host:port`.
        tls: None speaks in plain text, to loopback.
        choice: of checks, and their parameters.
        on_done: is called with each outcome as it is known.
        note: is called with what the checks may cost, and what they leave out as too costly.
        tls_name: that the certificate is for, if that is not the host.

    Raises:
        InputError: a check is unknown, the address is invalid, no face is known to the service, or the budget is too small.
        UnusableServiceError: the service does not answer, or cannot be checked.
    """
    checks = choice.checks(kind)
    try:
        channel = open_channel(address, tls=tls, tls_name=tls_name, caller="conformance")
    except AddressError as error:
        raise InputError(f"--{kind.role}: {error}") from error
    except PlainTextError as error:
        raise InputError(f"--{kind.role}: {error}: give --tls-certificate, --tls-key and --tls-authority") from error
    async with channel:
        client = Client(channel, kind.schema, seconds=choice.seconds)
        try:
            service = await kind.discover(client, choice.faces)
        except ServiceStopped as stopped:
            why = await asyncio.to_thread(diagnose, address, tls, tls_name=tls_name)
            text = f"the {kind.role} at {address} does not answer: {why or stopped}"
            raise UnusableServiceError(printable(text)) from stopped
        except Failed as failed:
            raise UnusableServiceError(printable(f"the {kind.role} at {address} cannot be checked: {failed}")) from failed
        service.may_spend = choice.may_spend
        if isinstance(service, Invader):
            _compare_with_budget(service, checks, note)
        if isinstance(service, Protector) and (left_out := [name for name, once in service.costly.items() if not once]):
            note(
                f"no cloak of {', '.join(left_out)} is requested: one takes more than {MAX_COST} gradients or forward passes"
            )
        return await run_checks(service, checks, on_done=on_done)


def _compare_with_budget(invader: Invader, checks: Sequence[Check[Any]], note: Note) -> None:
    """Notes what the checks may cost.

    Raises:
        InputError: they may cost more than is left.
    """
    left = invader.listed.queries_left if invader.listed.HasField("queries_left") else None
    most = sum(check.queries for check in checks)
    if left is not None and left < most:
        raise InputError(
            f"--invader: these checks ask up to {most} queries, and {left} are left of our budget there: raise it, or "
            "choose fewer by --only or --skip"
        )
    budget = "it sets no budget" if left is None else f"{left} are left"
    note(f"the checks of the invader ask up to {most} queries; {budget}")
    if invader.may_spend and any(check.id == "invader.budget-spent" for check in checks):
        note("invader.budget-spent then asks until none of our budget is left")


def unusable_outcomes(kind: type[Service], choice: Choice, error: UnusableServiceError) -> list[Outcome]:
    """The outcomes of the chosen checks of a service that cannot be checked."""
    demands, why = "The service answers, and lists what it has.", "Nothing else can be checked otherwise."
    first = Outcome(f"{kind.role}.answers", demands, why, Verdict.ERROR, printable(str(error)), 0)
    left = (_outcome(check, Verdict.NOT_RUN, f"see {first.id}") for check in choice.checks(kind))
    return [first, *left]


async def run_checks(service: Any, checks: Sequence[Check[Any]], *, on_done: OnDone) -> list[Outcome]:
    """The outcome of each check; one that breaks is an ERROR, and the others run all the same.

    Once the service has stopped answering, the remaining checks do not run.
    """
    outcomes: list[Outcome] = []
    unanswered = 0
    stopped_at: str | None = None
    for check in checks:
        began = time.monotonic()
        if stopped_at is not None:
            verdict, evidence = Verdict.NOT_RUN, f"the service stopped answering at {stopped_at}"
        else:
            try:
                problems = [problem async for problem in check.problems(service)]
                verdict, evidence = (Verdict.FAILED, evidence_of(problems)) if problems else (Verdict.PASSED, "")
            except Unanswered as failed:
                unanswered += 1
                verdict, evidence = Verdict.FAILED, str(failed)
                stopped_at = check.id if unanswered == MAX_UNANSWERED else None
            except ServiceStopped as reason:
                verdict, evidence = Verdict.FAILED, f"the service stopped answering: {reason}"
                stopped_at = check.id
            except Failed as failed:
                verdict, evidence = Verdict.FAILED, str(failed)
            except NotApplicable as reason:
                verdict, evidence = Verdict.NOT_APPLICABLE, str(reason)
            except Exception as error:  # noqa: BLE001 - a bug of the check says nothing about the service
                verdict, evidence = Verdict.ERROR, f"the check itself broke: {type(error).__name__}: {error}"
        outcomes.append(_outcome(check, verdict, evidence, seconds=time.monotonic() - began))
        on_done(outcomes[-1])
    return outcomes


def _outcome(check: Check[Any], verdict: Verdict, evidence: str, *, seconds: float = 0) -> Outcome:
    return Outcome(check.id, check.demands, check.why, verdict, printable(evidence), seconds)
