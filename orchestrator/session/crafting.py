"""Has cloaks crafted that a run lacks, and keeps them."""

import asyncio
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import aclosing
from functools import partial

from orchestrator.cloaks.source import CloakSource
from orchestrator.errors import CallError, UnusableServiceError
from orchestrator.experiment.cloak import Cloak
from orchestrator.experiment.grid import CloakKey
from orchestrator.faces.data_set import canonical
from orchestrator.services.retries import RetryPolicy
from orchestrator.session.context import RunContext
from orchestrator.session.photos import EncodedPhoto
from orchestrator.store.changes import record_cloak

Show = Callable[[Cloak], None]  # takes a cloak that is kept


class Crafter:
    """Asks a source of cloaks."""

    def __init__(self, run: RunContext, source: CloakSource, retries: RetryPolicy) -> None:
        self._run = run
        self._source = source
        self._retries = retries

    async def craft(self, photo: EncodedPhoto, source_model: str, keys: Collection[CloakKey], show: Show) -> None:
        """Has one source model craft cloaks of a photo, and shows each as soon as it is recorded; a failure is recorded.

        Raises:
            NoFaceError: the protector finds no face in the photo.
            PhotoRefusedError: the protector refuses the photo.
            OrchestratorError: the protector failed, or a cloak cannot be kept.
        """
        missing = dict.fromkeys(keys)
        for cloak in await self._kept(photo, keys):
            del missing[cloak.record.key]
            show(cloak)

        async def craft_missing() -> None:
            towards = await self._target(photo, source_model)
            if towards is None:
                await craft_row(missing)
            else:  # methods that need a label set have it from the protector's own gallery
                needing = [key for key in missing if self._needs_label_set(key)]
                await craft_row(needing)
                await craft_row([key for key in missing if not self._needs_label_set(key)], gallery=towards)
            self._check_complete(missing)

        async def craft_row(wanted: Collection[CloakKey], *, gallery: Mapping[str, Sequence[bytes]] | None = None) -> None:
            if not wanted:
                return
            self._run.tally.craft_calls += 1
            row = self._source.craft(
                photo.encoded,
                probe=photo.name,
                identity=photo.identity if gallery is None else "",  # who is not in it
                source_model=source_model,
                methods=list(dict.fromkeys(key.method for key in wanted)),
                epsilons=sorted({key.epsilon for key in wanted if key.epsilon}),
                seed=self._run.plan.seed,
                placement=self._run.plan.placement,
                gallery=gallery,
            )
            async with aclosing(row):
                async for cloak in row:
                    if cloak.record.key in missing:  # a row that is asked for again may overlap what came
                        del missing[cloak.record.key]
                        await self._keep(cloak)
                        show(cloak)

        if missing:
            try:
                await self._retries.call(craft_missing, missing=lambda: len(missing))
            except (CallError, UnusableServiceError) as error:
                await self._run.give_up(photo.name, f"craft with {source_model}", error)

    async def _target(self, photo: EncodedPhoto, source_model: str) -> dict[str, list[bytes]] | None:
        """Towards whom a source model crafts: the target of the photo's pair; None where it is not aimed.

        Raises:
            InputError: the target's picture cannot be read any more, or has changed.
        """
        plan = self._run.plan.pairs
        if plan is None or source_model not in plan.aimed:
            return None
        target = plan.pairs.by_identity[canonical(photo.identity)].target
        assert target is not None, "cloaks are aimed where every pair has a target"
        return {canonical(target.identity): [await asyncio.to_thread(plan.pairs.read, target)]}

    def _needs_label_set(self, key: CloakKey) -> bool:
        method = self._run.plan.crafting.get(key.method)  # a control has none
        return method is not None and method.needs_label_set

    def _check_complete(self, missing: Collection[CloakKey]) -> None:
        if missing:
            named = ", ".join(f"{key.method} at {key.epsilon}" for key in missing)
            source_model = next(iter(missing)).source_model
            raise CallError(f"{self._source.name}: {source_model}: ended without {named}", transient=True)

    async def _kept(self, photo: EncodedPhoto, keys: Collection[CloakKey]) -> list[Cloak]:
        """The cloaks among these that an earlier session crafted, recorded and kept."""
        kept = []
        for record in await self._run.journal.run(partial(self._run.store.cloaks, probe=photo.name)):
            if record.key in keys:
                encoded = self._run.folder.kept_cloak(record.sha256)
                if encoded is not None:
                    kept.append(Cloak(record, encoded))
        return kept

    async def _keep(self, cloak: Cloak) -> None:
        if self._run.keep_cloaks:
            self._run.folder.keep_cloak(cloak.record.sha256, cloak.encoded)
        await self._run.journal.write(record_cloak(cloak.record))
