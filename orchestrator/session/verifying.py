"""Compares the probes of pairs with galleries of one identity each: their own, and that of whom they are to pass for."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace

from orchestrator.errors import CallError, UnusableServiceError
from orchestrator.experiment.cloak import Cloak
from orchestrator.experiment.condition import Condition
from orchestrator.experiment.grid import CloakKey
from orchestrator.faces.data_set import Photo, canonical
from orchestrator.services.galleries import NOBODY, LastingGallery, SealedGallery
from orchestrator.session.classifying import Answers, Classifier, Query
from orchestrator.session.context import RunContext
from orchestrator.session.photos import EncodedPhoto


@dataclass(frozen=True)
class _Claim:
    """A gallery of one identity."""

    identity: str  # in Unicode's normal form C
    gallery: LastingGallery


class PairVerifier:
    """Compares the cloaks of one pair's probe, while the galleries of the pair last."""

    def __init__(self, run: RunContext, classifier: Classifier, *, own: _Claim, target: _Claim | None) -> None:
        self._run = run
        self._classifier = classifier
        self._own = own
        self._target = target

    async def show(self, photo: EncodedPhoto, cloak: Cloak, unseen: Mapping[Condition, Sequence[str]]) -> None:
        """Compares a cloak under conditions by the target models that have not seen it so, and records what became of it.

        Raises:
            UnusableServiceError: the invader failed, or named somebody who is not enrolled.
            StoreError: an answer cannot be recorded.
        """
        await self._classifier.show(photo, cloak, unseen, ask=self._compare)

    async def _compare(self, photo: EncodedPhoto, key: CloakKey, query: Query) -> None:
        claim = self._target if query.condition.claims_target else self._own
        assert claim is not None, "a plan compares with targets where its pairs have some"

        async def search(gallery: SealedGallery) -> tuple[SealedGallery, Answers]:
            is_enrolled = claim.identity not in gallery.not_enrolled
            return gallery, await self._classifier.search(query, gallery) if is_enrolled else None

        async with self._classifier.slot():
            try:
                gallery, answers = await self._classifier.retried(lambda: claim.gallery.use(search))
            except (CallError, UnusableServiceError) as error:
                await self._run.give_up(photo.name, f"compare {key} under {query.condition}", error)
                return
            claimed = replace(photo, identity=claim.identity)
            await self._classifier.record(claimed, key, query, answers, gallery=gallery)


class Verifier:
    """Makes the galleries of pairs."""

    def __init__(self, run: RunContext, classifier: Classifier) -> None:
        self._run = run
        self._classifier = classifier

    @asynccontextmanager
    async def pair(self, probe: EncodedPhoto) -> AsyncIterator[PairVerifier]:
        """What compares the cloaks of a pair's probe while the context lasts.

        Raises:
            InputError: a picture of the pair cannot be read any more, or has changed.
        """
        assert self._run.plan.pairs is not None, "a plan of pairs is verified"
        pairs = self._run.plan.pairs.pairs
        pair = pairs.by_identity[canonical(probe.identity)]
        async with AsyncExitStack() as galleries:

            async def claim(photo: Photo) -> _Claim:
                identity = canonical(photo.identity)
                enrolled = {identity: [await asyncio.to_thread(pairs.read, photo)]}
                gallery = LastingGallery(self._classifier.galleries, enrolled, beginning=NOBODY)
                return _Claim(identity, await galleries.enter_async_context(gallery))

            own = await claim(pair.reference)
            target = None if pair.target is None else await claim(pair.target)
            yield PairVerifier(self._run, self._classifier, own=own, target=target)
