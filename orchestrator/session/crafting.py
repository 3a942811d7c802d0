"""Has cloaks and lossless controls crafted that a run lacks, and keeps them."""

from collections.abc import AsyncGenerator, Callable, Collection, Sequence
from contextlib import aclosing
from functools import partial

from orchestrator.errors import CallError, NoFaceError, PhotoRefusedError, UnusableServiceError
from orchestrator.experiment.cloak import Cloak
from orchestrator.experiment.grid import CONTROL, CloakKey
from orchestrator.experiment.storage import LOSSLESS, Storage
from orchestrator.services.protector import ProtectorClient
from orchestrator.services.retries import RetryPolicy
from orchestrator.session.context import RunContext
from orchestrator.session.photos import EncodedPhoto
from orchestrator.store.changes import record_cloak, record_lossless_control

Show = Callable[[Cloak], None]  # takes a cloak that is kept


class Crafter:
    """Asks a protector."""

    def __init__(self, run: RunContext, protector: ProtectorClient, retries: RetryPolicy) -> None:
        self._run = run
        self._protector = protector
        self._retries = retries

    async def craft(self, photo: EncodedPhoto, source_model: str, keys: Collection[CloakKey], show: Show) -> bool:
        """Has one source model craft cloaks of a photo, and shows each as soon as it is recorded.

        Returns:
            Whether all cloaks were crafted; a failure is recorded.

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
            epsilons = sorted({key.epsilon for key in missing if key.method != CONTROL})
            async with aclosing(self._row(photo, source_model, methods, epsilons, self._run.plan.storage)) as row:
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
        return not missing

    async def keep_lossless_control(self, photo: EncodedPhoto, source_model: str) -> None:
        """Keeps the probe as it was before storage, with which stored cloaks are compared; no target model sees it.

        A failure is recorded, and hinders no observation.

        Raises:
            OrchestratorError: the protector failed, or the control cannot be kept.
        """
        if await self._has_lossless_control(photo, source_model):
            return

        async def craft_control() -> Cloak:
            self._run.tally.lossless_control_calls += 1
            row = self._row(photo, source_model, [CONTROL], [], LOSSLESS)
            controls = [control async for control in row if control.record.key.method == CONTROL]
            self._check_complete([] if controls else [CloakKey(source_model, CONTROL, 0)])
            return controls[0]

        try:
            control = await self._retries.call(craft_control)
        except (
            CallError,
            UnusableServiceError,
            NoFaceError,
            PhotoRefusedError,
        ) as error:  # the protector took the photo before
            await self._run.give_up(photo.name, f"lossless control of {source_model}", error)
            return
        await self._keep_lossless_control(control)

    def _row(
        self, photo: EncodedPhoto, source_model: str, methods: Sequence[str], epsilons: Sequence[int], storage: Storage
    ) -> AsyncGenerator[Cloak, None]:
        return self._protector.craft(
            photo.encoded,
            probe=photo.name,
            identity=photo.identity,
            source_model=source_model,
            methods=methods,
            epsilons=epsilons,
            storage=storage,
            seed=self._run.plan.seed,
        )

    def _check_complete(self, missing: Collection[CloakKey]) -> None:
        if missing:
            named = ", ".join(f"{key.method} at {key.epsilon}" for key in missing)
            source_model = next(iter(missing)).source_model
            raise CallError(f"{self._protector.name}: {source_model}: ended without {named}", transient=True)

    async def _kept(self, photo: EncodedPhoto, keys: Collection[CloakKey]) -> list[Cloak]:
        """The cloaks among these that an earlier session crafted, recorded and kept."""
        kept = []
        for record in await self._run.journal.run(partial(self._run.store.cloaks, probe=photo.name)):
            if record.key in keys:
                encoded = self._run.folder.kept_cloak(record.sha256, self._run.plan.storage.suffix)
                if encoded is not None:
                    kept.append(Cloak(record, encoded))
        return kept

    async def _keep(self, cloak: Cloak) -> None:
        if self._run.keep_cloaks:
            self._run.folder.keep_cloak(cloak.record.sha256, self._run.plan.storage.suffix, cloak.encoded)
        await self._run.journal.write(record_cloak(cloak.record))

    async def _has_lossless_control(self, photo: EncodedPhoto, source_model: str) -> bool:
        """Whether it is kept; where cloaks are stored without loss, the control among them is one."""
        controls = await self._run.journal.run(partial(self._run.store.lossless_controls, probe=photo.name))
        recorded = controls.get((photo.name, source_model))
        if recorded is not None and self._run.folder.kept_lossless_control(recorded.sha256) is not None:
            return True
        if self._run.plan.storage != LOSSLESS:
            return False
        for control in await self._kept(photo, [CloakKey(source_model, CONTROL, 0)]):
            await self._keep_lossless_control(control)
            return True
        return False

    async def _keep_lossless_control(self, control: Cloak) -> None:
        self._run.folder.keep_lossless_control(control.record.sha256, control.encoded)
        await self._run.journal.write(record_lossless_control(control.record))
