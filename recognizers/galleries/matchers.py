"""The matchers of a service: its embedding networks, each with the gallery that the service was given."""

import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from recognizers.checkpoints.loading import (
    Loaded,
    LoadedModels,
    LoadedRecognizer,
    OnRefused,
    head_to_device,
    load_models,
)
from recognizers.checkpoints.model_card import card_path
from recognizers.device import PreparedDevice
from recognizers.errors import GalleryError
from recognizers.extraction import Extraction, FindFace
from recognizers.galleries.embedding_cache import EmbeddingCache, usual_folder
from recognizers.galleries.enrolment import (
    Decode,
    EmbeddingNetwork,
    Enrolled,
    Enroller,
    NotEnrolled,
    embed_face,
)
from recognizers.galleries.folder import read_photo_folder
from recognizers.galleries.self_test import warn_of_failure
from recognizers.galleries.thresholds import GIVEN, Target, Threshold, calibrated, given
from recognizers.networks.gallery import DEFAULT_TEMPLATES, EmbeddedGallery, Gallery, Templates
from recognizers.networks.gallery_head import GalleryHead
from recognizers.networks.recognizer import NeuralRecognizer
from recognizers.precision import Precision

FEATURES = "-features"  # after the name of a network that is trained as a classifier
LOG_EVERY_SECONDS = 2.0
AUTO, OFF, ALL = "auto", "off", "all"

logger = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class Matcher:
    """An embedding network that compares faces with a gallery's templates."""

    recognizer: NeuralRecognizer
    head: GalleryHead  # the recognizer's
    checkpoint_sha256: str
    thresholds: tuple[Threshold, ...] = ()  # by name in ascending order

    @property
    def gallery(self) -> Gallery:
        return self.head.embedded.gallery

    @property
    def input_size(self) -> int:
        return self.recognizer.input_size

    @property
    def extraction(self) -> Extraction:
        return self.recognizer.extraction

    def embed(self, face: NDArray[np.uint8]) -> Tensor:
        """See `FaceEmbedder.embed`: what the templates of the gallery were made of, for a face of another."""
        return embed_face(self.recognizer, face, device=self.head.places.device)

    def head_of(self, embedded: EmbeddedGallery) -> GalleryHead:
        """The head for another gallery, on the device of its own."""
        return head_to_device(GalleryHead(embedded), self.head.places.device)

    @property
    def in_words(self) -> str:
        """How it makes its templates and compares with them."""
        return self.head.in_words


@dataclass(frozen=True)
class Calibration:
    """What thresholds a service's matchers have."""

    impostors: Path | None = None  # a folder of people who are not enrolled
    targets: tuple[Target, ...] = ()  # that need impostors
    given: Mapping[str, Mapping[str, float]] = field(default_factory=dict)  # scores by matcher and threshold's name


@dataclass(frozen=True)
class GalleryFolder:
    """The people that a service is given to compare with, and how."""

    folder: Path  # DIR/IDENTITY/PHOTO
    templates: Templates | None = None  # None suits each network's distance
    features_of: tuple[str, ...] = ()  # names of classifiers whose features are compared too, or "all" alone
    cache: Path | None = None  # a folder for embeddings

    @classmethod
    def named(
        cls, folder: Path | None, templates: str, *, features_of: tuple[str, ...], cache: str
    ) -> "GalleryFolder | None":
        """As settings name it: without a folder there is none, and "auto" leaves the templates to each network.

        `cache` is a folder, "auto" for the user's, or "off".
        """
        if folder is None:
            return None
        caches = {AUTO: usual_folder(), OFF: None}
        return cls(
            folder,
            None if templates == AUTO else Templates(templates),
            features_of,
            caches[cache] if cache in caches else Path(cache).expanduser(),
        )


def load_with_matchers(
    checkpoints: Path | None,
    gallery: GalleryFolder | None,
    prepared: PreparedDevice,
    *,
    precision: Precision,
    decode: Decode,
    find_face: FindFace,
    calibration: Calibration = Calibration(),
    on_refused: OnRefused = lambda *_: None,
    gradients: bool = True,
) -> tuple[Mapping[str, LoadedRecognizer], Mapping[str, Matcher]]:
    """The classifiers of a checkpoint folder, and with a gallery its matchers, ready to serve.

    Args:
        checkpoints: the folder; None for that of the embedded recognizers.
        gallery: None: no matchers.
        prepared: where networks run.
        precision: what they compute in.
        decode: reads a photo.
        find_face: finds its face.
        calibration: of thresholds.
        on_refused: see `load_models`.
        gradients: see `load_models`.

    Raises:
        RecognizerError: the checkpoints, the gallery or the impostors cannot be used.
    """
    models = load_models(
        checkpoints,
        prepared.device,
        precision=precision,
        on_refused=on_refused,
        embedders=gallery is not None,
        gradients=gradients,
    )
    loaded: list[Loaded[Any]] = [*models.recognizers.values(), *models.embedders.values()]
    for each in loaded:
        warn_of_failure(each.recognizer, card_path(each.path), device=prepared.device, decode=decode, find_face=find_face)
    if gallery is None:
        return models.recognizers, {}
    networks = embedding_networks(models, gallery.features_of, device=prepared.device, precision=precision)
    enroller = Enroller(networks, decode, find_face, EmbeddingCache(gallery.cache), workers=prepared.workers)
    return models.recognizers, make_matchers(gallery.folder, enroller, templates=gallery.templates, calibration=calibration)


def embedding_networks(
    models: LoadedModels, features_of: Sequence[str], *, device: torch.device, precision: Precision
) -> dict[str, EmbeddingNetwork]:
    """The networks that compare faces with a gallery, by the names of their matchers.

    Args:
        models: of a checkpoint folder.
        features_of: names of classifiers whose features are compared too, or "all" of them.
        device: where the networks are.
        precision: what they compute in.

    Raises:
        GalleryError: there is no such classifier, or not one network.
    """
    if tuple(features_of) == (ALL,):
        features_of = [name for name in models.recognizers if name not in models.embedders]
    unknown = [name for name in features_of if name not in models.recognizers and name not in models.embedders]
    if unknown:
        known = ", ".join(models.recognizers) or "which has none"
        raise GalleryError(f"--matchers: expected classifiers of the checkpoint folder ({known}), got {unknown[0]}")
    named: dict[str, Loaded[Any]] = {
        each.recognizer.name + (FEATURES if each.recognizer.network.head_name else ""): each
        for each in models.embedders.values()
    }
    for name in (each for each in features_of if each in models.recognizers):  # the others are embedders anyway
        if named.setdefault(f"{name}{FEATURES}", models.recognizers[name]) is not models.recognizers[name]:
            raise GalleryError(
                f"--matchers: {name}: the checkpoint folder has its network without a classifier too; keep one"
            )
    if not named:
        raise GalleryError("--gallery: expected an embedding network, or classifiers in --matchers; got neither")
    return {
        name: EmbeddingNetwork(each.recognizer, each.checkpoint_sha256, precision, device) for name, each in named.items()
    }


def make_matchers(
    folder: Path, enroller: Enroller, *, templates: Templates | None = None, calibration: Calibration = Calibration()
) -> dict[str, Matcher]:
    """Enrols a folder, and makes the matchers and their thresholds.

    Args:
        folder: DIR/IDENTITY/PHOTO.
        enroller: with the embedding networks.
        templates: how templates are made; None suits each network's distance.
        calibration: of thresholds.

    Raises:
        GalleryError: the folder, or that of the impostors, cannot be used.
    """
    enrolled = _enrol(folder, enroller, option="--gallery", event="gallery")
    gallery = Gallery(enrolled.photos)
    matchers = {}
    for name, network in enroller.networks.items():
        distance = network.embedder.network.distance
        embedded = EmbeddedGallery(gallery, enrolled.embeddings[name], distance, templates or DEFAULT_TEMPLATES[distance])
        head = head_to_device(GalleryHead(embedded), network.device)
        matchers[name] = Matcher(
            NeuralRecognizer(network.embedder.network, head, name=name), head, network.checkpoint_sha256
        )
    return _with_thresholds(matchers, enroller, calibration)


def _with_thresholds(matchers: Mapping[str, Matcher], enroller: Enroller, calibration: Calibration) -> dict[str, Matcher]:
    unknown = [name for name in calibration.given if name not in matchers]
    if unknown:
        raise GalleryError(f"--given-thresholds: expected matchers ({', '.join(matchers)}), got {unknown[0]}")
    impostors = _impostors(matchers, enroller, calibration)
    with_thresholds = {}
    for name, matcher in matchers.items():
        usual = matcher.recognizer.network.usual_threshold
        scores = ({} if usual is None else {GIVEN: usual}) | dict(calibration.given.get(name, {}))
        thresholds = [given(score, matcher.head, name=each) for each, score in scores.items()]
        if impostors is not None:
            with torch.inference_mode():
                logits = matcher.head(impostors.embeddings[name].to(matcher.head.places.device)).cpu()
            thresholds += [calibrated(target, logits) for target in calibration.targets]
        for each in thresholds:
            if each.comparisons and not each.false_positives:
                logger.warning(
                    "threshold above all impostors",
                    extra={"model": name, "threshold": each.name, "reason": f"{each.comparisons} comparisons are too few"},
                )
        ordered = tuple(sorted(thresholds, key=lambda threshold: threshold.name))
        with_thresholds[name] = Matcher(matcher.recognizer, matcher.head, matcher.checkpoint_sha256, ordered)
    return with_thresholds


def _impostors(matchers: Mapping[str, Matcher], enroller: Enroller, calibration: Calibration) -> Enrolled | None:
    """The embedded photos of people who are not enrolled."""
    if calibration.impostors is None:
        return None
    impostors = _enrol(calibration.impostors, enroller, option="--impostors", event="impostors")
    gallery = next(iter(matchers.values())).gallery
    photos = {photo.sha256: photo for photo in gallery.photos}
    for photo in impostors.photos:
        if photo.identity in gallery.label_set or photo.sha256 in photos:
            twin = photos.get(photo.sha256, photo).identity
            raise GalleryError(
                f"--impostors: expected people who are not enrolled, got {photo.identity}, whom --gallery has as {twin}"
            )
    return impostors


def _enrol(folder: Path, enroller: Enroller, *, option: str, event: str) -> Enrolled:
    last = time.monotonic()

    def on_progress(done: int, of: int) -> None:
        nonlocal last
        if done == of or time.monotonic() - last >= LOG_EVERY_SECONDS:
            last = time.monotonic()
            logger.info(event, extra={"done": done, "of": of})

    def on_not_enrolled(each: NotEnrolled) -> None:
        photo = "" if each.photo is None else str(each.photo)
        logger.warning("not enrolled", extra={"identity": each.identity, "photo": photo, "reason": each.reason})

    photos = read_photo_folder(folder, option=option)
    return enroller.enrol(photos, option=option, on_progress=on_progress, on_not_enrolled=on_not_enrolled)
