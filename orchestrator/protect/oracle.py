"""The recognizers as an oracle that is shown one picture at a time; each question is counted."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from orchestrator.experiment.condition import Condition
from orchestrator.protect.case import Answer, Finding
from orchestrator.services.galleries import LastingGallery, SealedGallery
from orchestrator.services.invader import Classification, InvaderClient
from orchestrator.services.retries import RetryPolicy

GIVEN = "given"  # a threshold that is the network's own, and not calibrated for one gallery


@dataclass
class Count:
    """What the recognizers were asked, by who they were."""

    searches: dict[str, int] = field(default_factory=dict)  # answers of each recognizer
    queries: int = 0  # pictures that were shown, to one or several at a time: what an invader's budget counts

    def add(self, recognizers: Sequence[str]) -> None:
        """Counts one picture."""
        self.queries += 1
        for name in recognizers:
            self.searches[name] = self.searches.get(name, 0) + 1


@dataclass(frozen=True)
class Oracle:
    """Asks an invader."""

    invader: InvaderClient
    retries: RetryPolicy
    count: Count = field(default_factory=Count)

    async def search(
        self, picture: bytes, recognizers: Sequence[str], gallery: LastingGallery, *, k: int
    ) -> Mapping[str, Classification] | None:
        """What each recognizer answers about a picture; None where no face is found in it.

        Raises:
            OrchestratorError: no answer can be had.
        """

        async def ask(sealed: SealedGallery) -> dict[str, Classification] | None:
            self.count.add(recognizers)
            return await self.invader.classify(picture, target_models=recognizers, k=k, gallery=sealed)

        return await self.retries.call(lambda: gallery.use(ask))

    async def without_face(self, gallery: LastingGallery) -> frozenset[str]:
        """Of the identities that were to be enrolled, those of whom no picture shows a face."""

        async def ask(sealed: SealedGallery) -> frozenset[str]:
            return sealed.not_enrolled

        return await self.retries.call(lambda: gallery.use(ask))


def answers_of(
    found: Mapping[str, Classification] | None,
    recognizers: Sequence[str],
    *,
    person: str,
    condition: Condition,
    budget: int,
    searched: str,
) -> tuple[Answer, ...]:
    """What answers about one picture mean for a person; `found` is None where no face was found in it."""
    if found is None:
        return tuple(Answer(name, condition, budget, searched, Finding.NO_FACE) for name in recognizers)
    return tuple(
        Answer(
            name,
            condition,
            budget,
            searched,
            Finding.NAMED if person in each.candidates else Finding.NOT_NAMED,
            first=each.candidates[0],
            reaches=_reaches(each, person),
        )
        for name, each in ((name, found[name]) for name in recognizers)
    )


def _reaches(answer: Classification, person: str) -> bool | None:
    """Whether a person who is named is near enough for the network's own threshold; None without one."""
    if GIVEN not in answer.reached or person not in answer.candidates:
        return None
    return answer.candidates.index(person) < answer.reached[GIVEN]
