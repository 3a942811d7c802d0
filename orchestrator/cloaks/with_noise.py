"""A protector's cloaks, and beside them the noise controls of its methods with budgets of their own.

No protector makes these: noise is matched to a cloak in SSIM once this has come. See `matched_noise`.
"""

import asyncio
from collections.abc import AsyncGenerator, Collection, Mapping, Sequence
from contextlib import aclosing
from dataclasses import replace

from orchestrator.cloaks.made import decoded_picture, record_of
from orchestrator.cloaks.noise import matched_noise
from orchestrator.cloaks.source import CloakSource
from orchestrator.errors import UnusableServiceError
from orchestrator.experiment.cloak import Cloak
from orchestrator.experiment.grid import CONTROL, CloakKey, noise_of
from orchestrator.experiment.method import Method
from orchestrator.experiment.model import Model
from orchestrator.experiment.placement import Placement
from rpc.images.bare_image import BadImageError
from rpc.images.decoding import encode_png


class WithMatchedNoise:
    """A `CloakSource` of another, to which it adds noise."""

    def __init__(self, source: CloakSource) -> None:
        self.name = source.name
        self.source = source  # what it adds noise to
        self._made_for: dict[str, str] = {}  # by noise control, the method

    @property
    def placements(self) -> Collection[Placement]:
        return self.source.placements

    @property
    def enrols(self) -> bool:
        return self.source.enrols

    async def models(self) -> dict[str, Model]:
        return await self.source.models()

    async def methods(self, epsilons: Sequence[int]) -> dict[str, Method]:
        methods = await self.source.methods(epsilons)
        self._made_for = {noise_of(name): name for name, method in methods.items() if method.own_budget is not None}
        return methods

    async def identities(self, model: Model) -> tuple[str, ...] | None:
        return await self.source.identities(model)

    async def check_unchanged(self, models: Mapping[str, Model]) -> None:
        await self.source.check_unchanged(models)

    async def close(self) -> None:
        await self.source.close()

    async def craft(
        self,
        photo: bytes,
        *,
        probe: str,
        identity: str,
        source_model: str,
        methods: Sequence[str],
        epsilons: Sequence[int],
        seed: int,
        placement: Placement = Placement.CROP,
        gallery: Mapping[str, Sequence[bytes]] | None = None,
    ) -> AsyncGenerator[Cloak, None]:
        """See `CloakSource.craft`. For noise, the source is asked for the control and the cloak, too."""
        noises = {self._made_for[method]: method for method in methods if method in self._made_for}
        needed = [CONTROL, *noises] if noises else []
        row = self.source.craft(
            photo,
            probe=probe,
            identity=identity,
            source_model=source_model,
            methods=list(dict.fromkeys([*needed, *(method for method in methods if method not in self._made_for)])),
            epsilons=epsilons,
            seed=seed,
            placement=placement,
            gallery=gallery,
        )
        came: dict[str, Cloak] = {}
        async with aclosing(row):
            async for cloak in row:
                method = cloak.record.key.method
                if method in methods:
                    yield cloak
                if method in needed:
                    came[method] = cloak
                for ready in [each for each in noises if each in came] if CONTROL in came else []:
                    key = CloakKey(source_model, noises.pop(ready), 0)
                    drawn_by = f"{seed}\n{ready}\n{probe}".encode(errors="surrogateescape")
                    yield await asyncio.to_thread(self._noise, key, came[CONTROL], came.pop(ready), drawn_by)

    def _noise(self, key: CloakKey, control: Cloak, cloak: Cloak, drawn_by: bytes) -> Cloak:
        try:
            clean, pixels = decoded_picture(control.encoded), decoded_picture(cloak.encoded)
        except BadImageError as error:
            raise UnusableServiceError(f"{self.name}: the cloak {cloak.record.key}: {error}") from error
        if clean.shape != pixels.shape:
            raise UnusableServiceError(
                f"{self.name}: the cloak {cloak.record.key}: expected the control's size, {clean.shape[1]} x "
                f"{clean.shape[0]}, got {pixels.shape[1]} x {pixels.shape[0]}"
            )
        noise = matched_noise(clean, pixels, key=drawn_by)
        encoded = encode_png(noise)
        record = record_of(key, cloak.record.probe, clean, noise, encoded)
        return Cloak(replace(record, box=cloak.record.box), encoded)
