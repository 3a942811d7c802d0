"""Checks a Craft request before anything is computed for it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from deid.protector.v1 import protector_pb2
from numpy.typing import NDArray

from gallery_service.sealed import SealedGallery
from protector_service.methods.method import Method
from protector_service.source_model import SourceModel
from recognizers.errors import UnknownIdentityError
from recognizers.extraction import Extraction
from rpc.errors import invalid_argument, not_found, quoted
from rpc.images.decoding import encode_jpeg, encode_png
from rpc.lookup import distinct, look_up

MAX_EPSILON = 255  # levels
ENSEMBLE = "+"  # between the names of its members
PLACEMENTS = (protector_pb2.PLACEMENT_CROP, protector_pb2.PLACEMENT_PHOTO)

Encoder = Callable[[NDArray[np.uint8]], bytes]


@dataclass(frozen=True)
class CraftOrder:
    """A Craft request, understood."""

    source_models: tuple[str, ...]  # several are an ensemble
    side: int  # at which the source models see the probe, in pixels; of an ensemble the largest
    extraction: Extraction  # how the probe is cut out
    y_true: int | None  # None: of a client's gallery, of which the class is known once it is to be compared with
    methods: tuple[Method, ...]  # the controls first
    epsilons: tuple[int, ...]
    encode: Encoder
    seed: int
    in_photo: bool = False  # the probe is the photo's own box, and not a crop of `side` pixels

    @property
    def cloaks(self) -> int:
        return sum(len(method.budgets(self.epsilons)) for method in self.methods)


def parse_craft_request(
    request: protector_pb2.CraftRequest,
    *,
    methods: Mapping[str, Method],
    source_models: Mapping[str, SourceModel],
    gallery: SealedGallery | None = None,
) -> CraftOrder:
    """Checks all but the photo.

    Args:
        request: as it came.
        methods: those of the service, by name.
        source_models: likewise.
        gallery: a client's, with which the source models compare; None for the service's own.

    Raises:
        ServiceError: INVALID_ARGUMENT or NOT_FOUND, with the field at fault.
    """
    chosen = distinct("methods", request.methods, partial(look_up, known=methods))
    if not chosen:
        raise invalid_argument("methods", expected="at least one method", actual="none")
    epsilons = epsilons_of(request.epsilons)
    if not epsilons and not all(method.budgets(()) for method in chosen):
        raise invalid_argument("epsilons", expected="at least one budget", actual="none")
    in_photo = _is_in_photo(request.placement)
    encode = _encoder(request.storage, in_photo=in_photo)
    members = _members(request.source_model, known=source_models)
    needing = [method.name for method in chosen if method.needs_label_set]
    if gallery is not None:
        _check_matchers(members)
    elif needing and len(members) > 1:
        _check_label_sets(members, needing)
    if gallery is None:
        _check_candidates(members, [method.name for method in chosen if method.needs_candidates])
    extraction = _extraction(members)
    if in_photo and extraction is not Extraction.SQUARE:
        expected = f"PLACEMENT_CROP of {request.source_model}, whose faces are aligned"
        raise invalid_argument("placement", expected=expected, actual="PLACEMENT_PHOTO")
    return CraftOrder(
        source_models=tuple(members),
        side=max(member.recognizer.input_size for member in members.values()),
        extraction=extraction,
        y_true=_y_true(request.identity, members, gallery) if needing or request.identity else 0,
        methods=tuple(sorted(chosen, key=lambda method: not method.control)),
        epsilons=epsilons,
        encode=encode,
        seed=request.seed,
        in_photo=in_photo,
    )


def epsilons_of(asked: Sequence[int]) -> tuple[int, ...]:
    """The budgets of a request.

    Raises:
        ServiceError: INVALID_ARGUMENT: one is none, or comes twice.
    """
    return distinct("epsilons", asked, _epsilon)


def _epsilon(field: str, epsilon: int) -> int:
    if not 0 <= epsilon <= MAX_EPSILON:
        raise invalid_argument(field, expected=f"0..{MAX_EPSILON} levels", actual=str(epsilon))
    return epsilon


def _members(name: str, *, known: Mapping[str, SourceModel]) -> dict[str, SourceModel]:
    """The source models that a name stands for, by name."""
    if ENSEMBLE not in name:
        return {name: look_up("source_model", name, known=known)}
    names = name.split(ENSEMBLE, len(known))
    members = {each: look_up("source_model", each, known=known) for each in names}
    if names != sorted(members):
        raise invalid_argument(
            "source_model",
            expected=f"the members of an ensemble in ascending order, each once: {ENSEMBLE.join(sorted(members))}",
            actual=quoted(name),
        )
    return members


def _extraction(members: Mapping[str, SourceModel]) -> Extraction:
    """The rule by which the members' faces are cut out: one probe is for all of them."""
    rules = {name: member.recognizer.extraction for name, member in members.items()}
    if len(set(rules.values())) > 1:
        raise invalid_argument(
            "source_model",
            expected="members whose faces are cut out by the same rule, as an ensemble has one probe",
            actual=", ".join(f"{name} with {rule.name.lower()} faces" for name, rule in rules.items()),
        )
    return next(iter(rules.values()))


def _check_label_sets(members: Mapping[str, SourceModel], needing: Sequence[str]) -> None:
    label_sets = {name: member.recognizer.label_set for name, member in members.items()}
    if len({label_set.sha256 for label_set in label_sets.values()}) > 1:
        raise invalid_argument(
            "source_model",
            expected=f"members with the same label set, as {', '.join(needing)} need{'s' * (len(needing) == 1)} one",
            actual=", ".join(
                f"{name} with {len(label_set)} identities (SHA-256 {label_set.sha256[:8]}…)"
                for name, label_set in label_sets.items()
            ),
        )


def _check_candidates(members: Mapping[str, SourceModel], needing: Sequence[str]) -> None:
    first, *others = (member.recognizer.label_set for member in members.values())
    if needing and not any(all(identity in other for other in others) for identity in first.identities):
        raise invalid_argument(
            "source_model",
            expected=f"members that know somebody in common, as {', '.join(needing)} need{'s' * (len(needing) == 1)}",
            actual=f"{', '.join(members)}, which do not",
        )


def _check_matchers(members: Mapping[str, SourceModel]) -> None:
    for name, member in members.items():
        if member.matcher is None:
            raise invalid_argument(
                "source_model", expected="matchers, as `gallery` is given", actual=f"the classifier {name}"
            )


def _y_true(identity: str, members: Mapping[str, SourceModel], gallery: SealedGallery | None) -> int | None:
    if gallery is not None:
        if identity not in gallery:
            raise not_found("identity", identity)
        return None
    first = next(iter(members.values()))
    try:
        return first.recognizer.label_set.index(identity)
    except UnknownIdentityError:
        raise not_found("identity", identity) from None


def _is_in_photo(placement: int) -> bool:
    if placement not in (protector_pb2.PLACEMENT_UNSPECIFIED, *PLACEMENTS):
        names = ", ".join(map(protector_pb2.Placement.Name, PLACEMENTS))
        raise invalid_argument("placement", expected=names, actual=str(placement))
    return placement == protector_pb2.PLACEMENT_PHOTO


def _encoder(storage: protector_pb2.Storage, *, in_photo: bool) -> Encoder:
    chosen = storage.WhichOneof("format")
    if chosen == "png":
        return encode_png
    if chosen == "jpeg" and in_photo:
        raise invalid_argument(
            "storage", expected="png with PLACEMENT_PHOTO, as it is the whole photo that is stored as JPEG", actual="jpeg"
        )
    if chosen == "jpeg":
        quality = storage.jpeg.quality
        if not 1 <= quality <= 100:
            raise invalid_argument("storage.jpeg.quality", expected="1..100", actual=str(quality))
        return lambda pixels: encode_jpeg(pixels, quality=quality)
    raise invalid_argument("storage", expected="jpeg or png", actual="neither")
