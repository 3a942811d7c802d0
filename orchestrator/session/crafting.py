"""Has cloaks crafted that a run lacks, and keeps them."""

from collections.abc import Callable, Collection
from contextlib import aclosing
from functools import partial

from orchestrator.cloaks.source import CloakSource
from orchestrator.errors import CallError, UnusableServiceError
from orchestrator.experiment.cloak import Cloak
from orchestrator.experiment.grid import CloakKey
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
            self._run.tally.craft_calls += 1
            methods = list(dict.fromkeys(key.method for key in missing))
            epsilons = sorted({key.epsilon for key in missing if key.epsilon})
            row = self._source.craft(
                photo.encoded,
                probe=photo.name,
                identity=photo.identity,
                source_model=source_model,
                methods=methods,
                epsilons=epsilons,
                seed=self._run.plan.seed,
                placement=self._run.plan.placement,
            )
            async with aclosing(row):
                async for cloak in row:
                    if cloak.record.key in missing:  # a row that is asked for again may overlap what came
                        del missing[cloak.record.key]
                        await self._keep(cloak)
                        show(cloak)
            self._check_complete(missing)

        if missing:
            try:
                await self._retries.call(craft_missing, missing=lambda: len(missing))
            except (CallError, UnusableServiceError) as error:
                await self._run.give_up(photo.name, f"craft with {source_model}", error)

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
