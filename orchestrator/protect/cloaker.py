"""Has a protector find faces in photos, and make cloaks."""

from collections.abc import Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass

from orchestrator.errors import CallError, InputError, NoFaceError, PhotoRefusedError, UnusableServiceError
from orchestrator.experiment.cloak import Cloak, PhotoBox
from orchestrator.experiment.grid import CONTROL
from orchestrator.experiment.placement import Placement
from orchestrator.protect.photo_files import UserPhoto, reduced
from orchestrator.services.galleries import LastingGallery, SealedGallery
from orchestrator.services.protector import ProtectorClient
from orchestrator.services.retries import RetryPolicy
from rpc.images.decoding import encode_jpeg

MAX_OTHER_FACES = 10  # in one photo, that are named
SMALLEST_SIDE = 512  # pixels: below it, a photo that is refused is not made smaller any more
HIDDEN_QUALITY = 95  # of a photo in which faces are painted over, to look for others


@dataclass(frozen=True)
class Located:
    """A photo as it is cloaked, and where faces are in it."""

    photo: UserPhoto
    box: PhotoBox  # of the face that the rule chooses
    others: tuple[PhotoBox, ...]  # that wear no cloak


@dataclass(frozen=True)
class Cloaker:
    """Asks a protector."""

    protector: ProtectorClient
    retries: RetryPolicy
    seed: int

    async def can_craft(self, photo: UserPhoto, source_model: str) -> bool:
        """Whether a source model makes cloaks in whole photos."""
        try:
            await self._box(photo, photo.encoded, source_model)
        except (NoFaceError, PhotoRefusedError):
            return True
        except CallError as error:
            if error.transient:
                raise
            return False
        return True

    async def locate(self, photo: UserPhoto, source_model: str) -> Located:
        """Finds the faces in a photo; one that the protector refuses as too large is made smaller.

        Raises:
            InputError: it shows no face, or is refused whatever its size.
            OrchestratorError: the protector failed.
        """
        while True:
            try:
                box = await self._box(photo, photo.encoded, source_model)
                return Located(photo, box, await self._others(photo, box, source_model))
            except NoFaceError as error:
                raise InputError(f"{photo.path}: {error}; choose a photo in which the face is larger or clearer") from error
            except PhotoRefusedError as error:
                side = max(photo.width, photo.height) * 7 // 10
                if side < SMALLEST_SIDE:
                    raise InputError(f"{photo.path}: {error}") from error
                photo = reduced(photo, side)

    async def _others(self, photo: UserPhoto, box: PhotoBox, source_model: str) -> tuple[PhotoBox, ...]:
        """Further faces: each face that was found is painted over, and the protector is asked again."""
        pixels, found = photo.pixels().copy(), [box]
        while len(found) <= MAX_OTHER_FACES:
            region = pixels[found[-1].top :, found[-1].left :][: found[-1].height, : found[-1].width]
            region[:] = region.mean(axis=(0, 1))
            try:
                found.append(await self._box(photo, encode_jpeg(pixels, quality=HIDDEN_QUALITY), source_model))
            except (NoFaceError, PhotoRefusedError):
                break
            if found[-1] in found[:-1]:  # a face in a face that was painted over: nothing is to be learned
                found.pop()
                break
        return tuple(found[1:])

    async def _box(self, photo: UserPhoto, encoded: bytes, source_model: str) -> PhotoBox:
        cloaks = await self._crafted(
            photo, encoded, source_model, methods=(CONTROL,), epsilons=(), identity="", gallery=None
        )
        box = cloaks[0].record.box
        assert box is not None
        return box

    async def cloaks(
        self,
        photo: UserPhoto,
        *,
        source_model: str,
        method: str,
        budgets: Sequence[int],
        identity: str,
        gallery: LastingGallery,
    ) -> Mapping[int, Cloak]:
        """The cloaks of a photo against what is known of a person in a gallery, by budget, of one call.

        Raises:
            OrchestratorError: they cannot be had.
        """
        return await self._crafted(
            photo, photo.encoded, source_model, methods=(method,), epsilons=budgets, identity=identity, gallery=gallery
        )

    async def _crafted(
        self,
        photo: UserPhoto,
        encoded: bytes,
        source_model: str,
        *,
        methods: Sequence[str],
        epsilons: Sequence[int],
        identity: str,
        gallery: LastingGallery | None,
    ) -> Mapping[int, Cloak]:
        expected = frozenset(epsilons or (0,))

        async def craft(sealed: SealedGallery | None) -> dict[int, Cloak]:
            row = self.protector.craft(
                encoded,
                probe=photo.name,
                identity=identity,
                source_model=source_model,
                methods=methods,
                epsilons=epsilons,
                seed=self.seed,
                placement=Placement.PHOTO,
                gallery=sealed,
            )
            async with aclosing(row):
                cloaks = {cloak.record.key.epsilon: cloak async for cloak in row}
            if cloaks.keys() != expected:
                came = ", ".join(map(str, sorted(cloaks))) or "none"
                wanted = ", ".join(map(str, sorted(expected)))
                raise UnusableServiceError(f"{self.protector.name}: {photo.name}: expected cloaks of {wanted}, got {came}")
            return cloaks

        if gallery is None:
            return await self.retries.call(lambda: craft(None))
        return await self.retries.call(lambda: gallery.use(craft))
