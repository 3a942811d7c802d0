"""Enrols photos: each is read once, its face is found once, and each network embeds it that did not do so before."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from command_line.errors import OperatorError
from recognizers.errors import GalleryError
from recognizers.extraction import Extraction, FindFace
from recognizers.galleries.embedding_cache import NO_FACE, EmbeddingCache
from recognizers.galleries.folder import FolderPhoto
from recognizers.networks.gallery import EnrolledPhoto
from recognizers.networks.recognizer import Embedder
from recognizers.precision import Precision

KEEP_EVERY = 100  # photos: a start that is interrupted goes on there

Decode = Callable[[bytes], NDArray[np.uint8]]  # a file to an RGB photo (H, W, 3); OperatorError where it is none


class FaceEmbedder(Protocol):
    """Embeds one face at a time: in a batch of another size a network rounds otherwise."""

    @property
    def input_size(self) -> int:
        """Width and height of a face, in pixels."""
        ...

    @property
    def extraction(self) -> Extraction:
        """How a face is cut out for it."""
        ...

    def embed(self, face: NDArray[np.uint8]) -> Tensor:
        """The embedding (F,), float32 on the CPU, of a face (S, S, 3)."""
        ...


def embed_photo(
    photo: NDArray[np.uint8], *, find_face: FindFace, embedders: Mapping[str, FaceEmbedder]
) -> dict[str, Tensor] | None:
    """The embedding (F,) of a photo's face by each of some networks; None where no face is found.

    Args:
        photo: (H, W, 3) RGB.
        find_face: finds its face, once for all networks.
        embedders: the networks, by name.
    """
    box = find_face(photo)
    if box is None:
        return None
    return {name: each.embed(each.extraction.cut_out(photo, box, side=each.input_size)) for name, each in embedders.items()}


def embed_face(embedder: Embedder, face: NDArray[np.uint8], *, device: torch.device) -> Tensor:
    """The embedding (F,), float32 on the CPU, of a face (S, S, 3) by a network on a device."""
    image = torch.tensor(face, device=device).permute(2, 0, 1).float().unsqueeze(0)
    with torch.inference_mode():
        return embedder.features(image)[0].float().cpu().clone()


@dataclass(frozen=True, eq=False)
class EmbeddingNetwork:
    """A network that photos are embedded with, on its device, and what its embeddings depend on."""

    embedder: Embedder
    checkpoint_sha256: str
    precision: Precision
    device: torch.device

    @property
    def made_by(self) -> str:
        """SHA-256 of all that an embedding depends on beside the photo."""
        facts = (
            self.checkpoint_sha256,
            self.embedder.network.name,
            self.precision,
            self.device.type,
            self.embedder.network.computed_by,
            "batches of 1",
            self.extraction.in_words,
        )
        return hashlib.sha256("\n".join(facts).encode()).hexdigest()

    @property
    def input_size(self) -> int:
        return self.embedder.input_size

    @property
    def extraction(self) -> Extraction:
        return self.embedder.extraction

    def embed(self, face: NDArray[np.uint8]) -> Tensor:
        """See `FaceEmbedder.embed`."""
        return embed_face(self.embedder, face, device=self.device)


@dataclass(frozen=True)
class NotEnrolled:
    """A photo from which no template came, or an identity that has no other."""

    identity: str
    photo: Path | None  # None: the identity
    reason: str


@dataclass(frozen=True, eq=False)
class Enrolled:
    """The photos in which faces were found, sorted, and the embeddings (photos, F) that each network gave them."""

    photos: tuple[EnrolledPhoto, ...]
    embeddings: Mapping[str, Tensor]


@dataclass(frozen=True, eq=False)
class Enroller:
    """How photos are read, and what embeds them."""

    networks: Mapping[str, EmbeddingNetwork]
    decode: Decode
    find_face: FindFace
    cache: EmbeddingCache
    workers: int = 1  # photos that are worked on at a time

    def enrol(
        self,
        photos: Sequence[FolderPhoto],
        *,
        option: str,
        on_progress: Callable[[int, int], None] = lambda *_: None,
        on_not_enrolled: Callable[[NotEnrolled], None] = lambda _: None,
    ) -> Enrolled:
        """Embeds photos.

        Args:
            photos: of a folder.
            option: that named the folder, for messages.
            on_progress: is told how many are done, and of how many.
            on_not_enrolled: is told of each photo without a face or that is no photo, and of each identity without another.

        Raises:
            GalleryError: a file cannot be read, or stands with two identities; or not one photo has a face.
        """
        files = _by_digest(photos, option)
        embeddings = {name: self.cache.find(tuple(files), made_by=each.made_by) for name, each in self.networks.items()}
        missing = [sha256 for sha256 in files if not all(sha256 in known for known in embeddings.values())]
        refused: dict[str, str] = {}
        on_progress(len(files) - len(missing), len(files))
        with ThreadPoolExecutor(self.workers, thread_name_prefix="enrol") as pool:
            for first in range(0, len(missing), KEEP_EVERY):
                new: dict[str, dict[str, Tensor]] = {name: {} for name in self.networks}
                some = {pool.submit(self._embed, files[sha256]): sha256 for sha256 in missing[first : first + KEEP_EVERY]}
                for done, future in enumerate(as_completed(some), start=len(files) - len(missing) + first + 1):
                    try:
                        for name, embedding in future.result().items():
                            new[name][some[future]] = embedding
                    except OperatorError as error:
                        refused[some[future]] = str(error)
                    on_progress(done, len(files))
                for name, each in new.items():
                    self.cache.keep(each, made_by=self.networks[name].made_by)
                    embeddings[name] |= each
        return _enrolled(files, embeddings, refused, option, on_not_enrolled)

    def _embed(self, file: FolderPhoto) -> dict[str, Tensor]:
        """The embedding by each network; NO_FACE where none is found. OperatorError where the file is no photo."""
        embedded = embed_photo(self.decode(file.path.read_bytes()), find_face=self.find_face, embedders=self.networks)
        return dict.fromkeys(self.networks, NO_FACE) if embedded is None else embedded


def _by_digest(photos: Sequence[FolderPhoto], option: str) -> dict[str, FolderPhoto]:
    files: dict[str, FolderPhoto] = {}
    for photo in photos:
        try:
            sha256 = hashlib.sha256(photo.path.read_bytes()).hexdigest()
        except OSError as error:
            raise GalleryError(f"{option}: {photo.path}: cannot be read: {error.strerror or error}") from error
        other = files.setdefault(sha256, photo)
        if other.identity != photo.identity:
            raise GalleryError(
                f"{option}: {other.path} and {photo.path} are the same photo, of two identities; keep one of them"
            )
    return files


def _enrolled(
    files: Mapping[str, FolderPhoto],
    embeddings: Mapping[str, Mapping[str, Tensor]],
    refused: Mapping[str, str],
    option: str,
    on_not_enrolled: Callable[[NotEnrolled], None],
) -> Enrolled:
    without_face = {sha256 for known in embeddings.values() for sha256, each in known.items() if not each.numel()}
    for sha256, file in files.items():
        if sha256 in refused:
            on_not_enrolled(NotEnrolled(file.identity, file.path, refused[sha256]))
        elif sha256 in without_face:
            on_not_enrolled(NotEnrolled(file.identity, file.path, "no face was found in it"))
    kept = sorted(
        EnrolledPhoto(file.identity, sha256)
        for sha256, file in files.items()
        if sha256 not in refused and sha256 not in without_face
    )
    for identity in sorted({file.identity for file in files.values()} - {photo.identity for photo in kept}):
        on_not_enrolled(NotEnrolled(identity, None, "none of its photos has a face that is found"))
    if not kept:
        raise GalleryError(f"{option}: expected photos with a face that MTCNN finds, got {len(files)} with none")
    return Enrolled(
        tuple(kept),
        {name: torch.stack([known[photo.sha256] for photo in kept]) for name, known in embeddings.items()},
    )
