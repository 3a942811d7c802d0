"""SSIM and PSNR of stored cloaks: of which pixels, and what is done where there is nothing to measure."""

import math
from collections.abc import Callable
from dataclasses import replace
from hashlib import sha256
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from skimage.metrics import structural_similarity

from orchestrator.experiment.cloak import CloakRecord, Quality
from orchestrator.experiment.condition import Condition, Storage
from orchestrator.experiment.grid import CloakKey
from orchestrator.pictures.similarity import psnr, ssim
from orchestrator.report.quality import cloak_quality
from orchestrator.run_folder.folder import RunFolder
from orchestrator.store.changes import record_cloak, record_subject
from orchestrator.store.records import Subject, SubjectStatus
from orchestrator.store.store import Store
from rpc.images.decoding import encode_jpeg, encode_png
from tests.support.drawn_faces import draw_face
from tests.support.plans import PLAN, plan

Pixels = NDArray[np.uint8]

FACE = draw_face(1, side=32)
KEY = CloakKey("facenet", "bim", 8)
CONTROL_KEY = CloakKey("facenet", "none", 0)


def cloaked(face: Pixels, *, epsilon: int, seed: int = 0) -> Pixels:
    signs = np.random.default_rng(seed).choice([-epsilon, epsilon], face.shape)
    levels: Pixels = np.clip(face + signs, 0, 255).astype(np.uint8)
    return levels


def decoded_jpeg(pixels: Pixels) -> Pixels:
    return np.asarray(Image.open(BytesIO(encode_jpeg(pixels, quality=95))).convert("RGB"))


# The measures


def test_psnr_is_the_one_worked_by_hand() -> None:
    black = np.zeros((10, 10, 3), dtype=np.uint8)
    one_level = np.ones_like(black)
    assert psnr(black, one_level) == pytest.approx(48.1308, abs=5e-5)  # 20 log10 255
    ten_levels_in_red = black.copy()
    ten_levels_in_red[..., 0] = 10
    assert psnr(black, ten_levels_in_red) == pytest.approx(10 * math.log10(255**2 / (100 / 3)))
    assert psnr(black, np.full_like(black, 255)) == 0


@pytest.mark.filterwarnings("error")
def test_equal_images_have_an_infinite_psnr_and_an_ssim_of_one() -> None:
    assert psnr(FACE, FACE.copy()) == math.inf
    assert ssim(FACE, FACE.copy()) == pytest.approx(1)


@pytest.mark.parametrize("epsilon", [4, 16, 128])
def test_ssim_is_the_mean_of_scikit_image_s_over_the_channels(epsilon: int) -> None:
    cloak = cloaked(FACE, epsilon=epsilon)
    each = [structural_similarity(FACE[..., c], cloak[..., c], data_range=255) for c in range(3)]  # type: ignore[no-untyped-call]
    assert ssim(FACE, cloak) == pytest.approx(np.mean(each))


def test_ssim_is_wang_s_formula_in_an_image_of_one_window() -> None:
    a, b = FACE[:7, :7], cloaked(FACE, epsilon=16)[:7, :7]
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    expected = []
    for c in range(3):
        x, y = a[..., c].astype(float).ravel(), b[..., c].astype(float).ravel()
        (vx, vxy), (_, vy) = np.cov(x, y)
        expected.append(
            (2 * x.mean() * y.mean() + c1) * (2 * vxy + c2) / ((x.mean() ** 2 + y.mean() ** 2 + c1) * (vx + vy + c2))
        )
    assert ssim(a, b) == pytest.approx(np.mean(expected))


def test_a_larger_budget_costs_quality() -> None:
    cloaks = [cloaked(FACE, epsilon=epsilon) for epsilon in (4, 8, 16, 32, 64)]
    for measure in (ssim, psnr):
        assert sorted((measure(FACE, cloak) for cloak in cloaks), reverse=True) == [measure(FACE, c) for c in cloaks]


# Of a run


class Kept:
    """A run folder and its store, with one subject."""

    def __init__(self, root: Path, storage: Storage) -> None:
        self.folder = RunFolder(root)
        self.folder.create()
        self.folder.bind(plan(grid=replace(PLAN.grid, conditions=(Condition(storage),))))
        self.storage = storage
        self.store = Store(self.folder.observations, run=PLAN.digest())
        self.subject("alice/a.jpg")

    def subject(self, probe: str, status: SubjectStatus = SubjectStatus.SUBJECT) -> None:
        self.store.write(record_subject(Subject(probe.partition("/")[0], probe, "d" * 64, status)))

    def control(self, pixels: Pixels, *, probe: str = "alice/a.jpg") -> None:
        self.cloak(pixels, of=pixels, key=CONTROL_KEY, probe=probe)

    def cloak(self, pixels: Pixels | bytes, *, of: Pixels = FACE, key: CloakKey = KEY, probe: str = "alice/a.jpg") -> None:
        encoded = pixels if isinstance(pixels, bytes) else encode_png(pixels)
        digest = sha256(encoded).hexdigest()
        self.folder.keep_cloak(digest, encoded)
        self.store.write(record_cloak(CloakRecord(probe, key, 1, 1, 0, 1, 0, sha256(of.tobytes()).hexdigest(), digest)))

    def quality(self) -> dict[CloakKey, Quality]:
        """Of the one subject."""
        return {cloak.key: quality for cloak, quality in cloak_quality(self.folder, self.store, storage=self.storage)}


@pytest.fixture
def kept(tmp_path: Path) -> Kept:
    return Kept(tmp_path / "run", Storage(95))


def test_a_stored_cloak_is_measured_as_it_was_stored_against_the_probe_without_loss(kept: Kept) -> None:
    kept.control(FACE)
    cloak = cloaked(FACE, epsilon=8)
    kept.cloak(cloak)
    stored, control = decoded_jpeg(cloak), decoded_jpeg(FACE)
    assert kept.quality() == {
        KEY: (ssim(FACE, stored), psnr(FACE, stored)),
        CONTROL_KEY: (ssim(FACE, control), psnr(FACE, control)),
    }
    assert psnr(FACE, stored) != psnr(FACE, cloak), "storage counts"


def test_what_is_stored_without_loss_is_the_control_itself(tmp_path: Path) -> None:
    kept = Kept(tmp_path / "run", Storage())
    kept.control(FACE)
    measured = kept.quality()[CONTROL_KEY]
    assert measured.ssim == pytest.approx(1)
    assert measured.psnr == math.inf
    assert kept.quality()[CONTROL_KEY].psnr == math.inf, "out of the store too"


def test_what_was_measured_outlives_the_pictures(kept: Kept) -> None:
    kept.control(FACE)
    kept.cloak(FACE)
    before = kept.quality()
    for picture in kept.folder.pictures.rglob("*.*"):
        picture.unlink()
    assert before
    assert kept.quality() == before


def test_what_was_measured_is_not_measured_again(kept: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
    kept.control(FACE)
    kept.cloak(FACE)
    before = kept.quality()
    other = CloakKey("facenet", "bim", 16)
    kept.cloak(cloaked(FACE, epsilon=16), key=other)
    monkeypatch.setattr("orchestrator.report.quality.ssim", lambda control, cloak: -0.5)
    assert {key: quality.ssim for key, quality in kept.quality().items()} == {
        CONTROL_KEY: before[CONTROL_KEY].ssim,
        KEY: before[KEY].ssim,
        other: -0.5,
    }


def test_what_is_measured_of_a_run_that_may_only_be_read_is_not_kept(unprivileged: Path) -> None:
    kept = Kept(unprivileged / "run", Storage(95))
    kept.control(FACE)
    kept.cloak(FACE)
    kept.store.close()
    kept.folder.root.chmod(0o500)
    kept.store = Store(kept.folder.observations, run=PLAN.digest(), create=False)
    assert set(kept.quality()) == {KEY, CONTROL_KEY}
    assert [cloak.quality for cloak in kept.store.cloaks()] == [None, None]
    kept.store.close()
    kept.folder.root.chmod(0o700)


def without_control(kept: Kept) -> None:
    kept.cloak(FACE)


def with_control_of_another_crop(kept: Kept) -> None:
    kept.control(draw_face(2, side=32))
    kept.cloak(FACE)


def with_control_of_another_size(kept: Kept) -> None:
    kept.control(FACE)
    kept.cloak(FACE[:16, :16])


def with_what_is_no_picture(kept: Kept) -> None:
    kept.control(FACE)
    kept.cloak(b"a text")


def with_a_cloak_that_was_lost(kept: Kept) -> None:
    kept.control(FACE)
    kept.cloak(FACE)
    for picture in kept.folder.pictures.rglob("*.png"):
        picture.unlink()


def of_an_identity_that_was_replaced(kept: Kept) -> None:
    kept.subject("bob/c.png", SubjectStatus.NO_FACE)
    kept.control(FACE, probe="bob/c.png")
    kept.cloak(FACE, probe="bob/c.png")


@pytest.mark.parametrize(
    "put",
    [
        without_control,
        with_control_of_another_crop,
        with_control_of_another_size,
        with_what_is_no_picture,
        with_a_cloak_that_was_lost,
        of_an_identity_that_was_replaced,
    ],
)
def test_where_there_is_nothing_to_measure_there_is_no_number(kept: Kept, put: Callable[[Kept], None]) -> None:
    put(kept)
    assert KEY not in kept.quality()


def test_what_was_missing_is_measured_once_it_is_there(kept: Kept) -> None:
    kept.cloak(FACE)
    assert kept.quality() == {}
    kept.control(FACE)
    assert set(kept.quality()) == {KEY, CONTROL_KEY}
