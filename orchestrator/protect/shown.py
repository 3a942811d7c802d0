"""What of a case the page shows: its pictures, and its answers as tables."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

from orchestrator.experiment.carrier import Carrier
from orchestrator.experiment.cloak import PhotoBox
from orchestrator.experiment.condition import NAMED_SETS, Condition
from orchestrator.experiment.grid import network_of
from orchestrator.pictures.conditions import Pixels
from orchestrator.pictures.perturbation import magnified_perturbation
from orchestrator.pictures.similarity import MIN_SIDE, psnr, ssim
from orchestrator.protect.case import UNCHANGED, Answer, Case, Finding
from orchestrator.protect.result import ProtectedPhoto, SettledCase
from orchestrator.protect.verdict import levels
from orchestrator.report.cloaks_shown import data_uri
from orchestrator.report.titles import title
from rpc.images.decoding import decoded_image, encode_jpeg
from rpc.images.limits import ImageLimits

FACE_SIDE, PHOTO_SIDE, OTHER_SIDE = 960, 1280, 160  # pixels at most on the page
SHOWN_QUALITY = 95
FILES = "the file that was written"
# What docs/conditions.md says of each; no statement about any site.
STANDS_FOR = dict(
    zip(
        map(str, NAMED_SETS["platforms"]),
        (
            FILES,
            "a site of photos that serves 1080 pixels",
            "a messenger that sends 1600 pixels",
            "a social network that keeps 2048 pixels",
            "a service that keeps 4096 pixels",
        ),
        strict=True,
    )
)


@dataclass(frozen=True)
class Slider:
    """Two pictures of one size, one over the other."""

    name: str  # in ids of the page
    what: str
    before: str  # data URIs
    after: str
    width: int
    height: int
    note: str


@dataclass(frozen=True)
class Shown:
    """A picture with its caption."""

    source: str  # a data URI
    what: str


@dataclass(frozen=True)
class Cell:
    """One cell of a table."""

    text: str
    classes: str = ""
    beside: str = ""


@dataclass(frozen=True)
class Table:
    """A table of the page."""

    name: str
    title: str
    note: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]


@dataclass(frozen=True)
class ShownPhoto:
    """A photo on the page."""

    name: str
    sliders: tuple[Slider, ...]  # none where no cloak was found
    difference: Shown | None
    others: tuple[Shown, ...]  # faces without a cloak
    quality: tuple[tuple[str, str], ...]  # terms and what is measured
    whole: Shown | None  # the photo itself, where there is no slider
    republished: Table | None


def shown_photos(settled: SettledCase, *, number: int) -> tuple[ShownPhoto, ...]:
    """The photos of a case; `number` tells cases of a page apart."""
    return tuple(
        _shown_photo(settled.case, each, name=f"case{number}-{place}") for place, each in enumerate(settled.photos, start=1)
    )


def _shown_photo(case: Case, protected: ProtectedPhoto, *, name: str) -> ShownPhoto:
    before = protected.photo.pixels()
    others = tuple(
        Shown(_uri(_reduced(_cut(before, box), OTHER_SIDE)), f"a face without a cloak, at {box.left}, {box.top}")
        for box in protected.others
    )
    if protected.file is None or protected.cloak is None:
        whole = Shown(_uri(_reduced(before, PHOTO_SIDE)), f"{protected.photo.name}, without a cloak")
        return ShownPhoto(protected.photo.name, (), None, others, (), whole, None)
    after, epsilon = decoded_image(protected.file, limits=ImageLimits()), protected.cloak.key.epsilon
    face, cloaked = _cut(before, protected.box), _cut(after, protected.box)
    difference = magnified_perturbation(face, cloaked, epsilon=epsilon)
    assert difference is not None, "both are of one size"
    return ShownPhoto(
        name=protected.photo.name,
        sliders=(
            _slider(f"{name}-face", "The face", face, cloaked, side=FACE_SIDE),
            _slider(f"{name}-photo", "The whole photo", before, after, side=PHOTO_SIDE),
        ),
        difference=Shown(
            _uri(_reduced(difference, FACE_SIDE)),
            f"The difference in the face, magnified: grey where nothing changed, black at −{epsilon} and white at "
            f"+{epsilon} levels. What JPEG changes is in it, too.",
        ),
        others=others,
        quality=_quality(protected, face, cloaked),
        whole=None,
        republished=_republished_table(case, protected, name=name),
    )


def _slider(name: str, what: str, before: Pixels, after: Pixels, *, side: int) -> Slider:
    first, second = _reduced(before, side), _reduced(after, side)
    height, width, _ = first.shape
    is_reduced = first.shape != before.shape
    note = f"{before.shape[1]} x {before.shape[0]} pixels" + (f", shown at {width} x {height}" if is_reduced else "")
    return Slider(name, what, _uri(first), _uri(second), width, height, note)


def _quality(protected: ProtectedPhoto, face: Pixels, cloaked: Pixels) -> tuple[tuple[str, str], ...]:
    assert protected.cloak is not None
    assert protected.file is not None
    facts = [
        ("Budget", f"{levels(protected.cloak.key.epsilon)} of 255 in each pixel of the face at most, before it is stored"),
        (
            "What changes",
            f"the box of the face, {100 * protected.box.share:.0f} % of the photo; outside of it, what JPEG does",
        ),
    ]
    if min(face.shape[:2]) >= MIN_SIDE:
        facts.append(
            (
                "Likeness of the face",
                f"SSIM {ssim(face, cloaked):.3f} (1: equal), PSNR {psnr(face, cloaked):.1f} dB, as stored",
            )
        )
    facts.append(
        ("The file", f"{protected.photo.width} x {protected.photo.height} pixels, {_kilobytes(len(protected.file))}")
    )
    return tuple(facts)


def _republished_table(case: Case, protected: ProtectedPhoto, *, name: str) -> Table:
    """What becomes of the cloaked photo under each condition, and who names the person then."""
    assert case.found is not None
    readers = (*case.asked, *case.held_out)
    rows = []
    for each in protected.republished:
        cells = [_who(_answers(case, recognizer, case.found, each.condition), case.k) for recognizer in readers]
        size = f"{each.width} x {each.height}"
        stands_for = STANDS_FOR.get(str(each.condition), "")
        rows.append(
            (
                Cell(str(each.condition), "condition"),
                Cell(stands_for, "prose"),
                Cell(size, beside=_kilobytes(each.size)),
                *cells,
            )
        )
    return Table(
        f"{name}-republished",
        "What becomes of the cloaked photo",
        "What platforms really do is not documented and changes; the conditions stand for it, and for no site.",
        ("condition", "stands for", "size", *(_heading(case, recognizer) for recognizer in readers)),
        tuple(rows),
    )


def answers_table(settled: SettledCase, *, number: int) -> Table:
    """Who named whom: a row for each budget and condition that was asked about, a column for each recognizer."""
    case = settled.case
    readers = tuple(name for name in (*case.asked, *case.held_out) if any(each.recognizer == name for each in case.answers))
    budgets = sorted({each.budget for each in case.answers})
    rows = []
    for budget in budgets:
        for condition in case.conditions:
            cells = [_who(_answers(case, name, budget, condition), case.k) for name in readers]
            label = "no cloak" if budget == UNCHANGED else str(budget)
            rows.append((Cell(label, "number"), Cell(str(condition), "condition"), *cells))
    first = "Whom each recognizer names first. "
    by_photo = "By how many of the clean photos each recognizer finds you. "
    return Table(
        f"case{number}-answers",
        "Who named whom, at which budget",
        f"{by_photo if case.carrier is Carrier.GALLERY else first}Budgets are in levels.",
        ("budget", "condition", *(_heading(case, name) for name in readers)),
        tuple(rows),
    )


def _heading(case: Case, recognizer: str) -> str:
    role = "held out" if recognizer in case.held_out else "asked, made with" if recognizer in case.sources else "asked"
    return f"{title(network_of(recognizer))} ({role})"


def _answers(case: Case, recognizer: str, budget: int, condition: Condition) -> tuple[Answer, ...]:
    return tuple(each for each in case.of((recognizer,), budget=budget) if each.condition == condition)


def _who(answers: Sequence[Answer], k: int) -> Cell:
    """What one recognizer answered about one picture, or about several searches, counted."""
    if not answers:
        return Cell("not asked", "faint")
    named = sum(each.finding is Finding.NAMED for each in answers)
    if len(answers) > 1:
        words = f"found by {named} of {len(answers)}"
        return Cell(words, "named" if named else "hidden", _without_faces(answers))
    (answer,) = answers
    if answer.finding is Finding.NAMED:
        beside = "beyond its threshold" if answer.reaches is False else ""
        return Cell("you" if k == 1 else f"you, among {k}", "named", beside)
    if answer.finding is Finding.NOT_NAMED:
        return Cell("somebody else", "hidden", answer.first)
    return Cell("no face found", "hidden")


def _without_faces(answers: Sequence[Answer]) -> str:
    without = sum(each.finding in (Finding.NO_FACE, Finding.NOT_ENROLLED) for each in answers)
    return f"{without} without a face" if without else ""


def _cut(pixels: Pixels, box: PhotoBox) -> Pixels:
    return pixels[box.top : box.top + box.height, box.left : box.left + box.width]


def _reduced(pixels: Pixels, side: int) -> Pixels:
    """No longer than `side` on its longer side, averaged: a pattern of single pixels must not become a coarse one."""
    height, width, _ = pixels.shape
    scale = side / max(height, width)
    if scale >= 1:
        return pixels
    size = max(1, round(width * scale)), max(1, round(height * scale))
    return np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling.BOX))


def _uri(pixels: Pixels) -> str:
    return data_uri(encode_jpeg(np.ascontiguousarray(pixels), quality=SHOWN_QUALITY), "image/jpeg")


def _kilobytes(size: int) -> str:
    return f"{size / 1000:.0f} kB"
