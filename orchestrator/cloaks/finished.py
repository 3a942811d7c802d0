"""Cloaks that another tool made: a folder of finished pictures beside the clean photos, measured as a protector's are."""

import asyncio
import hashlib
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Self

from orchestrator.cloaks.folder import PhotoKey, read_cloak_folder, read_names
from orchestrator.cloaks.made import decoded_picture, record_of
from orchestrator.cloaks.noise import matched_noise
from orchestrator.errors import CallError, InputError, PhotoRefusedError
from orchestrator.experiment.cloak import Cloak
from orchestrator.experiment.grid import CONTROL, ELSEWHERE, CloakKey, noise_of
from orchestrator.experiment.method import Method
from orchestrator.experiment.model import Model
from orchestrator.experiment.placement import Placement
from orchestrator.faces.data_set import DataSet, Photo, canonical, named, printable
from orchestrator.pictures.similarity import Image
from rpc.images.bare_image import BadImageError
from rpc.images.decoding import encode_png

NAMES_SHOWN = 3
BYTES_OF_NOISE = 3.1  # of a pixel in a PNG, which cannot compress noise


@dataclass(frozen=True)
class FinishedCloak:
    """A file, as it was when the folder was read."""

    path: Path
    sha256: str
    bytes: int
    width: int  # pixels
    height: int


@dataclass(frozen=True)
class PhotosWithCloaks:
    """The photos of a data set of which every method has a cloak."""

    faces: DataSet
    files: Mapping[str, frozenset[str]]  # by identity
    skipped: tuple[str, ...]

    @property
    def synthetic(self) -> bool:
        return self.faces.synthetic

    @property
    def identities(self) -> frozenset[str]:
        return frozenset(self.files)

    def photos(self, identity: str) -> Sequence[Photo]:
        return [photo for photo in self.faces.photos(identity) if photo.file in self.files[identity]]

    def spelt(self, labels: Mapping[str, str]) -> Self:
        files = {labels.get(identity, identity): files for identity, files in self.files.items()}
        return replace(self, faces=self.faces.spelt(labels), files=files)

    def card(self) -> Mapping[str, Any]:
        return self.faces.card()  # which of its photos count, the card of the cloaks decides


class FinishedCloaks:
    """A stand-in for a protector: its methods are the folders of finished cloaks, each with a budget of its own."""

    name = "folder of cloaks"
    placements = (Placement.CROP,)  # which it is not asked for: they are what they are
    enrols = False

    def __init__(
        self,
        faces: DataSet,
        cloaks: Mapping[PhotoKey, Mapping[str, FinishedCloak]],
        clean: Mapping[PhotoKey, FinishedCloak],
        *,
        methods: tuple[str, ...],
        skipped: tuple[str, ...] = (),
        uncloaked: int = 0,
    ) -> None:
        """Takes what was read.

        Args:
            faces: the clean photos.
            cloaks: by photo and method, of the photos of which every method has one.
            clean: these photos.
            methods: that are compared.
            skipped: what is of no use, with the reason.
            uncloaked: the number of photos of which no method has a cloak.
        """
        self.compared = methods
        self._cloaks = cloaks
        self._clean = clean
        self._keys = {(key.identity, printable(key.file)): key for key in cloaks}
        files: dict[str, set[str]] = {}
        for key in cloaks:
            files.setdefault(key.identity, set()).add(key.file)
        self.faces = PhotosWithCloaks(faces, {identity: frozenset(names) for identity, names in files.items()}, skipped)
        resized = {method: [key for key in cloaks if not self._same_size(key, method)] for method in methods}
        self.without_noise = tuple(method for method in methods if resized[method])
        none = [f"cloaks of {uncloaked} photos of --faces: no method has one"] if uncloaked else []
        self.remarks = (*none, *(self._resized(method, resized[method]) for method in self.without_noise))

    def _same_size(self, key: PhotoKey, method: str) -> bool:
        clean, cloak = self._clean[key], self._cloaks[key][method]
        return (clean.width, clean.height) == (cloak.width, cloak.height)

    def _resized(self, method: str, keys: Sequence[PhotoKey]) -> str:
        clean, cloak = self._clean[keys[0]], self._cloaks[keys[0]][method]
        return (
            f"noise control of {method}: {len(keys)} of its {len(self._cloaks)} cloaks have another size than their clean "
            f"photos, such as {printable('/'.join(keys[0]))} ({cloak.width} x {cloak.height} pixels, not {clean.width} x "
            f"{clean.height}): these have no image quality either"
        )

    @property
    def max_cloak_bytes(self) -> int:
        """Of the largest file that a run keeps."""
        files = [*self._clean.values(), *(cloak for of_photo in self._cloaks.values() for cloak in of_photo.values())]
        return max(max(file.bytes, round(BYTES_OF_NOISE * file.width * file.height)) for file in files)

    def sha256(self) -> str:
        """Digest of what is used: method, identity and photo, and the cloak's file."""
        lines = [
            (method, *key, cloak.sha256) for key, of_photo in self._cloaks.items() for method, cloak in of_photo.items()
        ]
        text = "\n".join("\t".join(line) for line in sorted(lines))
        return hashlib.sha256(text.encode(errors="surrogateescape")).hexdigest()

    async def models(self) -> dict[str, Model]:
        card: dict[str, str | int] = {
            "cloaks_sha256": self.sha256(),
            "cloaks": len(self._cloaks) * len(self.compared),
            "extraction": "none: clean files are as they are, and cloaks as the tools left them",
        }
        return {ELSEWHERE: Model(ELSEWHERE, 0, "", None, card)}

    async def methods(self, epsilons: Sequence[int]) -> dict[str, Method]:
        return {method: Method() for method in self.compared}

    async def identities(self, model: Model) -> None:
        return None

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
        key = self._keys.get((canonical(identity), probe.rpartition("/")[2]))
        if key is None:  # a photo that is to be enrolled
            raise PhotoRefusedError(f"{self.name}: expected a cloak of {probe} by every method, got none by some")
        try:
            clean = await asyncio.to_thread(decoded_picture, photo)
        except BadImageError as error:
            raise PhotoRefusedError(f"{self.name}: the clean photo {probe}: {error}") from error
        make = partial(self._picture, key, photo, clean, seed=seed)
        for method in methods:  # in threads: noise takes a while
            encoded, pixels = await asyncio.to_thread(make, method)
            yield Cloak(record_of(CloakKey(source_model, method, 0), probe, clean, pixels, encoded), encoded)

    def _picture(self, key: PhotoKey, photo: bytes, clean: Image, method: str, *, seed: int) -> tuple[bytes, Image]:
        """The file of a cloak or a control, and its pixels."""
        if method == CONTROL:
            return photo, clean
        if method in self.compared:
            encoded = self._file(key, method)
            return encoded, decoded_picture(encoded)
        made_by = next(each for each in self.compared if noise_of(each) == method)
        cloak = decoded_picture(self._file(key, made_by))
        noise = matched_noise(clean, cloak, key=f"{seed}\n{made_by}\n{'/'.join(key)}".encode(errors="surrogateescape"))
        return encode_png(noise), noise

    def _file(self, key: PhotoKey, method: str) -> bytes:
        """A cloak's file, as it was when the run was planned."""
        cloak = self._cloaks[key][method]
        try:
            encoded = cloak.path.read_bytes()
        except OSError as error:
            raise CallError(f"--cloaks: {cloak.path}: can no longer be read: {error.strerror}", transient=False) from error
        if hashlib.sha256(encoded).hexdigest() != cloak.sha256:
            raise CallError(
                f"--cloaks: {cloak.path}: expected the file that the run began with, got another", transient=False
            )
        return encoded

    async def check_unchanged(self, models: Mapping[str, Model]) -> None:
        """A folder is always there; what has changed in it is named by `craft`."""

    async def close(self) -> None:
        """Holds nothing."""


def read_finished_cloaks(
    root: Path, faces: DataSet, *, names: Path | None = None, methods: tuple[str, ...] | None = None
) -> FinishedCloaks:
    """The cloaks of METHOD/IDENTITY/PHOTO in a folder, or those that a table names, each read once.

    `methods`: those that are compared, all by default: on the photos of which each of them has a cloak.

    Raises:
        InputError: there are none such; or see `read_cloak_folder` and `read_names`.
    """
    if names is None:
        found = read_cloak_folder(root, faces, methods=methods)
    else:
        found = read_names(root, names, faces, methods=methods)
    compared = tuple(found.files)
    skipped = list(found.skipped)
    cloaks: dict[PhotoKey, dict[str, FinishedCloak]] = {}
    clean: dict[PhotoKey, FinishedCloak] = {}
    uncloaked = 0
    for key, photo in _photos_of(faces):
        lacking = [method for method in compared if key not in found.files[method]]
        if len(lacking) == len(compared):
            uncloaked += 1
            continue
        if lacking:
            skipped += [printable(f"{method}/{photo.key}") + " (missing)" for method in lacking]
            continue
        paths = {method: found.files[method][key] for method in compared}
        try:
            of_photo = {method: _read(path, path.read_bytes, str(path)) for method, path in paths.items()}
            clean[key] = _read(Path(photo.key), photo.read, f"--faces: {photo.name}")
            cloaks[key] = of_photo
        except _UnusableFileError as error:
            skipped.append(printable(str(error)))
    if not cloaks:
        shown = f": {named(skipped, at_most=NAMES_SHOWN)}" if skipped else ""
        raise InputError(
            f"--cloaks: expected photos of --faces of which {', '.join(compared)} each ha"
            f"{'ve' if len(compared) > 1 else 's'} a cloak, got none in {root}{shown}"
        )
    skipped = [*faces.skipped, *skipped]
    return FinishedCloaks(faces, cloaks, clean, methods=compared, skipped=tuple(skipped), uncloaked=uncloaked)


class _UnusableFileError(Exception):
    """A file cannot be read, or is no picture."""


def _photos_of(faces: DataSet) -> Iterator[tuple[PhotoKey, Photo]]:
    for identity in sorted(faces.identities):
        for photo in faces.photos(identity):
            yield PhotoKey(identity, photo.file), photo


def _read(path: Path, read: Callable[[], bytes], name: str) -> FinishedCloak:
    try:
        encoded = read()
        height, width, _ = decoded_picture(encoded).shape
    except OSError as error:
        raise _UnusableFileError(f"{name} (cannot be read: {error.strerror})") from error
    except BadImageError as error:
        raise _UnusableFileError(f"{name} (cannot be decoded: {error})") from error
    return FinishedCloak(path, hashlib.sha256(encoded).hexdigest(), len(encoded), width, height)
