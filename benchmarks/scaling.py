"""Time of the embedded default's grid against subjects, budgets and subjects in flight."""

import asyncio
import time
from collections.abc import Sequence

from benchmarks.protocol import EMBEDDED
from benchmarks.results import report
from benchmarks.services import both_services, classify_all, craft_all, photos
from orchestrator.experiment.grid import EPSILONS, KS

SUBJECTS, IN_FLIGHT = 8, 4


async def _crafted(*, subjects: int, epsilons: Sequence[int], in_flight: int) -> tuple[float, float]:
    """Seconds to craft, and then to classify."""
    people = photos(subjects)
    async with both_services(precision="float32") as services:
        await craft_all(services.protector, people[:1], EMBEDDED, epsilons=(4,), in_flight=1)  # warm
        started = time.perf_counter()
        cloaks = await craft_all(services.protector, people, EMBEDDED, epsilons=epsilons, in_flight=in_flight)
        crafted = time.perf_counter()
        await classify_all(services.invader, cloaks, EMBEDDED, k=max(KS))
        return crafted - started, time.perf_counter() - crafted


def run() -> None:
    """Varies one thing at a time."""
    settings = [
        *((subjects, EPSILONS, IN_FLIGHT) for subjects in (2, 4, 8)),
        *((SUBJECTS, EPSILONS[-count:], IN_FLIGHT) for count in (1, 3)),
        *((SUBJECTS, EPSILONS, in_flight) for in_flight in (1, 2, 8)),
    ]
    rows, raw = [], []
    for subjects, epsilons, in_flight in settings:
        crafting, classifying = asyncio.run(_crafted(subjects=subjects, epsilons=epsilons, in_flight=in_flight))
        budgets = ", ".join(map(str, epsilons))
        each = f"{crafting / subjects:.2f}", f"{classifying / subjects:.2f}"
        rows.append((str(subjects), budgets, str(in_flight), f"{crafting:.1f}", f"{classifying:.1f}", *each))
        raw.append({"subjects": subjects, "epsilons": epsilons, "in_flight": in_flight, "s": [crafting, classifying]})
    columns = (
        *("subjects", "budgets", "subjects in flight", "crafting, s", "classifying, s"),
        *("crafting a subject, s", "classifying a subject, s"),
    )
    report("scaling", "the embedded default", columns, rows, {"measured": raw})
