"""A service meets the suite."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from conformance.catalogue import INVADER_CHECKS, KNOWN, PROTECTOR_CHECKS
from conformance.check import Check, Failed, Outcome, ServiceStopped, Verdict, as_evidence
from conformance.invader import service as invader
from conformance.invader.budget import budget_spent, left_at_first
from conformance.invader.service import Invader
from conformance.protector import service as protector
from conformance.protector.service import Protector
from conformance.suite import chosen, run_checks
from conformance.wire import CALL_SECONDS, Wire
from orchestrator.errors import InputError, UnusableServiceError
from orchestrator.faces.data_set import DataSet
from orchestrator.services.connection import Connection
from rpc.diagnosis import diagnose
from rpc.tls import TlsMaterial

Note = Callable[[str], None]


@dataclass(frozen=True)
class Choice:
    """Which checks are to run, and on what."""

    faces: DataSet
    only: Sequence[str] = ()
    skip: Sequence[str] = ()
    may_spend: bool = False  # the invader's budget, to its last query
    seconds: float = CALL_SECONDS  # deadline of a call that computes


def check_choice(choice: Choice, *, protector: str | None, invader: str | None) -> None:
    """Makes sure that there is something to check.

    Raises:
        InputError: no service is given, a check is unknown, or none is chosen of the services that are given.
    """
    if protector is None and invader is None:
        raise InputError("--protector, --invader: expected the address of at least one running service, host:port, got none")
    if not number_of_checks(choice, protector=protector, invader=invader):
        raise InputError("--only, --skip: expected checks of the services that are given, got none")


def number_of_checks(choice: Choice, *, protector: str | None, invader: str | None) -> int:
    """How many checks are chosen of the services that are given; see `chosen`."""
    of_protector = chosen(PROTECTOR_CHECKS, known=KNOWN, only=choice.only, skip=choice.skip)
    of_invader = chosen(INVADER_CHECKS, known=KNOWN, only=choice.only, skip=choice.skip)
    return len(of_protector) * (protector is not None) + len(of_invader) * (invader is not None)


async def examine_protector(
    address: str, tls: TlsMaterial | None, choice: Choice, *, on_done: Callable[[Outcome], None]
) -> list[Outcome]:
    """What becomes of the chosen checks at a protector.

    Raises:
        InputError: a check is unknown, or the faces are none of the protector's.
        UnusableServiceError: it does not answer, or not so that it could be checked.
    """
    checks = chosen(PROTECTOR_CHECKS, known=KNOWN, only=choice.only, skip=choice.skip)
    connection = Connection("protector", address, tls, retries=False)
    try:
        wire = Wire(connection.channel, protector.SERVICE, seconds=choice.seconds)
        try:
            met = await Protector.met(wire, choice.faces)
        except (Failed, ServiceStopped) as failed:
            raise await _unusable(connection.name, address, tls, failed) from failed
        return await run_checks(met, checks, on_done=on_done)
    finally:
        await connection.close()


async def examine_invader(
    address: str, tls: TlsMaterial | None, choice: Choice, *, on_done: Callable[[Outcome], None], note: Note
) -> list[Outcome]:
    """What becomes of the chosen checks at an invader.

    Raises:
        InputError: a check is unknown, or the invader's budget does not suffice.
        UnusableServiceError: it does not answer, or not so that it could be checked.
    """
    checks = chosen(INVADER_CHECKS, known=KNOWN, only=choice.only, skip=choice.skip)
    connection = Connection("invader", address, tls, retries=False)
    try:
        wire = Wire(connection.channel, invader.SERVICE, seconds=choice.seconds)
        try:
            met = await Invader.met(wire, choice.faces, may_spend=choice.may_spend)
        except (Failed, ServiceStopped) as failed:
            raise await _unusable(connection.name, address, tls, failed) from failed
        _compare(left_at_first(met.listed), sum(check.queries for check in checks), note)
        if choice.may_spend and budget_spent in checks:
            note(f"{budget_spent.id} then asks until none of our budget is left")
        return await run_checks(met, checks, on_done=on_done)
    finally:
        await connection.close()


def _compare(left: int | None, most: int, note: Note) -> None:
    """Says what the checks cost.

    Raises:
        InputError: more than is left.
    """
    if left is not None and left < most:
        raise InputError(
            f"--invader: these checks ask up to {most} queries, and {left} are left of our budget there: raise it, or "
            "choose fewer by --only or --skip"
        )
    note(
        f"the checks of the invader ask up to {most} queries; {'it sets no budget' if left is None else f'{left} are left'}"
    )


async def _unusable(
    name: str, address: str, tls: TlsMaterial | None, failed: Failed | ServiceStopped
) -> UnusableServiceError:
    if isinstance(failed, ServiceStopped):
        why = await asyncio.to_thread(diagnose, address, tls)
        return UnusableServiceError(as_evidence(f"the {name} does not answer: {why or failed}"))
    return UnusableServiceError(as_evidence(f"the {name} cannot be checked: {failed}"))


def unusable_outcomes(service: str, choice: Choice, error: UnusableServiceError) -> list[Outcome]:
    """What becomes of the chosen checks of a service, "protector" or "invader", that cannot be checked."""
    checks: Sequence[Check[Any]] = PROTECTOR_CHECKS if service == "protector" else INVADER_CHECKS
    demands, why = "The service answers, and lists what it has.", "Nothing else of it can be looked at."
    first = Outcome(f"{service}.answers", demands, why, Verdict.ERROR, as_evidence(str(error)), 0)
    left = chosen(checks, known=KNOWN, only=choice.only, skip=choice.skip)
    return [
        first,
        *(Outcome(each.id, each.demands, each.why, Verdict.NOT_RUN, f"see {first.id}", 0) for each in left),
    ]
