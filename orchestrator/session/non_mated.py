"""Searches for people who are not enrolled: their photos go through the conditions to matchers, never to the protector."""

import asyncio
from collections.abc import Collection, Mapping, Sequence
from functools import partial
from hashlib import sha256

from orchestrator.errors import CallError, UnusableServiceError
from orchestrator.experiment.condition import Condition
from orchestrator.faces.data_set import drawn_photos
from orchestrator.metrics.non_mated import NonMatedSearch
from orchestrator.pictures.conditions import under_conditions
from orchestrator.session.classifying import Classifier
from orchestrator.session.context import RunContext
from orchestrator.session.photos import EncodedPhoto, read_photo, skip
from orchestrator.store.changes import record_non_mated
from rpc.images.bare_image import BadImageError
from rpc.images.decoding import decoded_image
from rpc.images.limits import ImageLimits

K = 1  # a false positive is a first candidate that reaches the threshold
PEOPLE_AT_ONCE = 4  # whose photos are in memory under all conditions


class NonMatedSearcher:
    """Searches for those people of a run."""

    def __init__(self, run: RunContext, classifier: Classifier) -> None:
        self._run = run
        self._classifier = classifier
        self._people = asyncio.Semaphore(PEOPLE_AT_ONCE)

    async def search(self) -> None:
        """Makes the searches that are not recorded yet.

        Raises:
            OrchestratorError: see `Classifier.classify`; what was answered before is recorded.
        """
        async with asyncio.TaskGroup() as people:
            for identity in self._run.resolved.non_mated:
                people.create_task(self._search(identity))

    async def _search(self, identity: str) -> None:
        """Searches for an identity by the first of its photos that can be used."""
        async with self._people:
            resolved = self._run.resolved
            assert resolved.split is not None
            for photo in drawn_photos(resolved.split.faces, identity, seed=resolved.plan.seed):
                encoded = read_photo(self._run, photo)
                if encoded is None:
                    continue
                unseen = await self._unseen(encoded.name)
                try:
                    pictures = await asyncio.to_thread(_pictures, encoded.encoded, unseen)
                except BadImageError as error:
                    skip(self._run, encoded.name, error)
                    continue
                async with asyncio.TaskGroup() as queries:
                    for condition, picture in pictures.items():
                        queries.create_task(self._show(encoded, condition, picture, unseen[condition]))
                return
            self._run.progress.note(f"{identity}: none of its photos can be used; it is not searched")

    async def _unseen(self, photo: str) -> dict[Condition, list[str]]:
        """By condition, the target models of which not all answers about a photo are recorded."""
        resolved = self._run.resolved
        found = await self._run.journal.run(partial(self._run.store.non_mated, photo=photo))
        known = {(each.condition, each.target_model, each.threshold) for each in found}
        unseen: dict[Condition, list[str]] = {}
        for condition in resolved.searching_conditions:
            for name in resolved.searching_models:
                thresholds = resolved.plan.target_models[name].thresholds
                if any((condition, name, threshold.name) not in known for threshold in thresholds):
                    unseen.setdefault(condition, []).append(name)
        return unseen

    async def _show(self, photo: EncodedPhoto, condition: Condition, picture: bytes, targets: Sequence[str]) -> None:
        async with self._classifier.slot():
            try:
                answers = await self._classifier.classify(picture, targets=targets, k=K, region=condition.region)
            except (CallError, UnusableServiceError) as error:
                await self._run.give_up(photo.name, f"search, under {condition}", error)
                return
            self._classifier.check_known(answers)
            searches = [
                NonMatedSearch(
                    photo=photo.name,
                    condition=condition,
                    target_model=name,
                    threshold=threshold.name,
                    face_found=answers is not None,
                    reached=0 if answers is None else answers[name].reached[threshold.name],
                )
                for name in targets
                for threshold in self._run.plan.target_models[name].thresholds
            ]
            named: Mapping[str, str] = {} if answers is None else {name: answers[name].candidates[0] for name in targets}
            digest = sha256(picture).hexdigest()
            await self._run.journal.write(
                record_non_mated(photo.name, condition, searches, picture_sha256=digest, answers=named)
            )
            self._run.progress.observed(len(targets))


def _pictures(photo: bytes, conditions: Collection[Condition]) -> dict[Condition, bytes]:
    """A photo under conditions.

    Raises:
        BadImageError: it is no picture, or too large a one.
    """
    if conditions:
        decoded_image(photo, limits=ImageLimits())  # where a condition leaves files as they are, nothing else would tell
    return under_conditions(photo, conditions)
