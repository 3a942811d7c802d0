"""What came of a person's question, as the page shows it, without any service: drawn faces and signs for cloaks."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from orchestrator.experiment.carrier import Carrier
from orchestrator.experiment.cloak import CloakRecord, PhotoBox
from orchestrator.experiment.condition import PAPERS
from orchestrator.experiment.grid import CloakKey
from orchestrator.pictures.conditions import under_condition
from orchestrator.protect.photo_files import UserPhoto
from orchestrator.protect.result import Effort, ProtectedPhoto, Protection, Republished, SettledCase
from orchestrator.protect.verdict import Setting, Strangers
from rpc.images.decoding import encode_png
from tests.support.drawn_faces import draw_face
from tests.support.protect_cases import case_of

SIDE = 480
SETTING = Setting(Strangers(300, synthetic=True), enrolled=3)
FOUND, NOT_FOUND = {"dlib": "Y Y Yn n"}, {"dlib": "Y Y Y Y"}
SILENT = {"facenet-features": "Y n", "senet50-features": "Y n"}


def drawn_photo(name: str, *, faces: int = 1) -> UserPhoto:
    """A photo of drawn faces side by side."""
    pixels = np.concatenate([draw_face(number, side=SIDE) for number in range(faces)], axis=1)
    height, width, _ = pixels.shape
    return UserPhoto(Path(name), name, encode_png(pixels), width, height)


def with_signs(pixels: NDArray[np.uint8], box: PhotoBox, epsilon: int) -> NDArray[np.uint8]:
    """A photo in whose box each sample is changed by epsilon levels."""
    signs = np.random.default_rng(0).integers(0, 2, (box.height, box.width, 3)) * 2 - 1
    changed = pixels.astype(np.int16)
    changed[box.top : box.top + box.height, box.left : box.left + box.width] += (epsilon * signs).astype(np.int16)
    return np.clip(changed, 0, 255).astype(np.uint8)


def protected_photo(name: str, epsilon: int | None, *, faces: int = 1) -> ProtectedPhoto:
    """A photo with a cloak of so many levels, or none."""
    photo = drawn_photo(name, faces=faces)
    box = PhotoBox(60, 40, 360, 360, photo.width, photo.height)
    others = tuple(box._replace(left=60 + SIDE * number) for number in range(1, faces))
    if epsilon is None:
        return ProtectedPhoto(photo, box, others)
    file = under_condition(with_signs(photo.pixels(), box, epsilon), PAPERS)
    key = CloakKey("dlib", "ti-di-mi", epsilon)
    record = CloakRecord(name, key, epsilon + 1, epsilon + 1, 0, epsilon, 0.0, "0" * 64, "1" * 64, box=box)
    republished = tuple(
        Republished(condition, photo.width, photo.height, len(file)) for condition in case_of(FOUND).conditions
    )
    return ProtectedPhoto(photo, box, others, record, file, republished)


def settled(
    name: str,
    asked: Mapping[str, str] = FOUND,
    held_out: Mapping[str, str] = SILENT,
    *,
    faces: int = 1,
) -> SettledCase:
    """A case of one photo."""
    case = case_of(asked, held_out, photos=(name,))
    setting = Setting(SETTING.strangers, SETTING.enrolled, other_faces=faces - 1)
    return SettledCase(case, setting, (protected_photo(name, case.found, faces=faces),))


def settled_gallery(names: Sequence[str], asked: Mapping[str, str] = FOUND) -> SettledCase:
    """A case of enrolled cloaks."""
    letters = {
        name: " ".join(each * 2 if len(each) > 1 else each for each in words.split()) for name, words in asked.items()
    }
    case = case_of(letters, SILENT, carrier=Carrier.GALLERY, photos=tuple(names), searched=("a.jpg", "b.jpg"))
    return SettledCase(case, SETTING, tuple(protected_photo(name, case.found) for name in names))


def protection_of(*cases: SettledCase, remarks: tuple[str, ...] = ()) -> Protection:
    """What came of it, of these cases."""
    searches: dict[str, int] = {}
    for settled_case in cases:
        for answer in settled_case.case.answers:
            searches[answer.recognizer] = searches.get(answer.recognizer, 0) + 1
    return Protection(
        cases=cases,
        stored=PAPERS,
        method="ti-di-mi",
        seed=0,
        services=("protector at 127.0.0.1:1", "invader at 127.0.0.1:2"),
        remarks=remarks,
        effort=Effort(sum(searches.values()), searches, 12),
    )
