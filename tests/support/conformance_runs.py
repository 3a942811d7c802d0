"""Runs of the conformance suite on services of tests, and how they ended."""

from collections.abc import Sequence
from pathlib import Path

from conformance.both import galleries
from conformance.catalogue import CHECKS
from conformance.check import Outcome, Verdict
from conformance.invader import galleries as invader_galleries
from conformance.invader.service import Invader
from conformance.protector import galleries as protector_galleries
from conformance.protector.service import Protector
from conformance.service import Service
from conformance.suite import Choice, examine
from rpc.tls import TlsMaterial
from tests.support.conforming import IDENTITIES, Conforming, ConformingProtector
from tests.support.drawn_faces import draw_face, jpeg

LONG = ("*.limits", "*.large-image", "protector.cancellation", "protector.deadline")


def write_faces(root: Path) -> None:
    """A photo each of some people whom the services of tests know."""
    for number, identity in enumerate(IDENTITIES[:5]):
        (root / identity).mkdir(parents=True)
        (root / identity / "a.jpg").write_bytes(jpeg(draw_face(number, side=64)))


def kind_of(service: Conforming) -> type[Service]:
    """What the suite takes a service for."""
    return Protector if isinstance(service, ConformingProtector) else Invader


def gallery_checks(kind: type[Service]) -> list[str]:
    """The ids of the checks that apply to services that enrol clients' galleries, and to no others."""
    modules = (galleries, invader_galleries, protector_galleries)
    demands = {getattr(each, "demands", None) for module in modules for each in vars(module).values()}
    return [check.id for check in CHECKS[kind] if check.demands in demands]


async def outcomes_at(address: str, kind: type[Service], choice: Choice, tls: TlsMaterial | None = None) -> list[Outcome]:
    """What becomes of the chosen checks at an address."""
    return await examine(kind, address, tls, choice, on_done=lambda outcome: None, note=lambda message: None)


async def outcomes_of(service: Conforming, choice: Choice) -> list[Outcome]:
    """What becomes of the chosen checks at a service, which is served meanwhile."""
    async with service.serving() as address:
        return await outcomes_at(address, kind_of(service), choice)


def others(outcomes: Sequence[Outcome], verdict: Verdict = Verdict.PASSED) -> dict[str, str]:
    """Evidence by id of the checks that did not come to a verdict."""
    return {outcome.id: outcome.evidence for outcome in outcomes if outcome.verdict is not verdict}


def ids_with(outcomes: Sequence[Outcome], verdict: Verdict) -> list[str]:
    """The ids of the checks that came to a verdict."""
    return [outcome.id for outcome in outcomes if outcome.verdict is verdict]
