"""Storage and transforms against Pillow, scikit-image and NumPy, and the same bytes everywhere."""

import hashlib
import io
import subprocess
import sys
import threading

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from scipy.ndimage import median_filter
from skimage.filters import gaussian, rank

from orchestrator.errors import InputError
from orchestrator.experiment.condition import NAMED_SETS, Condition, parse_conditions
from orchestrator.pictures.conditions import check_possible, under_condition, under_conditions
from rpc.images.bare_image import BadImageError
from rpc.images.decoding import decoded_image, encode_png
from rpc.images.limits import ImageLimits
from tests.support.drawn_faces import draw_face

Pixels = NDArray[np.uint8]

FACE = draw_face(3, side=96)
PICTURE = encode_png(FACE)
CHAINS = "png,png@full,jpeg:95,jpeg:95+resize:40,png+blur:1.5,jpeg:50+median:3+webp:60,png+bits:3+jpeg:80"


def sent(text: str, pixels: Pixels = FACE) -> bytes:
    return under_condition(encode_png(pixels), Condition.parse(text))


def seen(text: str, pixels: Pixels = FACE) -> Pixels:
    return np.asarray(Image.open(io.BytesIO(sent(text, pixels))).convert("RGB"))


def pillow(pixels: Pixels, kind: str, **options: object) -> bytes:
    encoded = io.BytesIO()
    Image.fromarray(pixels).save(encoded, kind, **options)
    return encoded.getvalue()


def decoded(encoded: bytes) -> Pixels:
    return np.asarray(Image.open(io.BytesIO(encoded)).convert("RGB"))


def test_png_is_what_the_protector_sent() -> None:
    assert sent("png") == sent("png@full") == PICTURE


def test_a_file_of_another_tool_stays_as_it_is_or_is_stored_anew() -> None:
    file = pillow(FACE, "JPEG", quality=60, comment=b"by another tool")
    conditions = [Condition.parse(text) for text in ("as-is", "png", "jpeg:95", "as-is+jpeg:50")]
    as_is, png, jpeg, again = under_conditions(file, conditions).values()
    assert as_is == file
    assert png.startswith(b"\x89PNG")
    assert np.array_equal(decoded(png), decoded(file))
    assert jpeg == pillow(decoded(file), "JPEG", quality=95, subsampling="4:2:0")
    assert again == pillow(decoded(file), "JPEG", quality=50, subsampling="4:2:0")
    assert sent("as-is") == PICTURE


@pytest.mark.parametrize("quality", [10, 75, 95])
def test_jpeg_is_pillow_s_with_halved_chroma(quality: int) -> None:
    assert sent(f"jpeg:{quality}") == pillow(FACE, "JPEG", quality=quality, subsampling="4:2:0")


def test_a_chain_that_ends_in_jpeg_is_sent_as_that_jpeg_of_what_the_first_decodes_to() -> None:
    first = decoded(pillow(FACE, "JPEG", quality=95))
    assert sent("jpeg:95+jpeg:50") == pillow(first, "JPEG", quality=50)


def test_what_ends_otherwise_is_sent_without_loss() -> None:
    first = decoded(pillow(FACE, "JPEG", quality=95))
    picture = sent("jpeg:95+resize:40")
    assert picture.startswith(b"\x89PNG")
    assert np.array_equal(decoded(picture), np.asarray(Image.fromarray(first).resize((40, 40), Image.Resampling.LANCZOS)))


@pytest.mark.parametrize(
    ("shape", "side", "expected"), [((96, 48), 40, (40, 20)), ((48, 96), 40, (20, 40)), ((96, 48), 96, (96, 48))]
)
def test_the_longer_side_is_shortened_and_nothing_is_enlarged(
    shape: tuple[int, int], side: int, expected: tuple[int, int]
) -> None:
    pixels = np.ascontiguousarray(FACE[: shape[0], : shape[1]])
    resized = seen(f"png+resize:{side}", pixels)
    assert resized.shape[:2] == expected
    assert (expected == shape) == np.array_equal(resized, pixels) or resized.shape != pixels.shape


def test_a_strip_keeps_a_pixel_of_its_shorter_side() -> None:
    assert seen("png+resize:8", np.ascontiguousarray(FACE[:2])).shape == (1, 8, 3)


def test_webp_is_pillow_s() -> None:
    assert np.array_equal(seen("png+webp:60"), decoded(pillow(FACE, "WEBP", quality=60)))
    assert not np.array_equal(seen("png+webp:60"), FACE), "it loses something"


@pytest.mark.parametrize("sigma", [0.5, 1.5, 4])
def test_blur_is_scikit_image_s_gaussian_rounded_half_to_even(sigma: float) -> None:
    expected = np.rint(gaussian(FACE.astype(np.float64), sigma, mode="reflect", channel_axis=2, preserve_range=True))  # type: ignore[no-untyped-call]
    assert np.array_equal(seen(f"png+blur:{sigma}"), expected.astype(np.uint8))


@pytest.mark.parametrize("size", [3, 5])
def test_median_is_scipy_s_and_scikit_image_s_with_the_edge_repeated(size: int) -> None:
    ours = seen(f"png+median:{size}")
    assert np.array_equal(ours, median_filter(FACE, size=(size, size, 1), mode="nearest"))
    inner = slice(size // 2, -(size // 2))
    red = rank.median(FACE[..., 0], np.ones((size, size), dtype=np.uint8))  # type: ignore[no-untyped-call]
    assert np.array_equal(ours[inner, inner, 0], red[inner, inner])


@pytest.mark.parametrize("bits", range(1, 8))
def test_bits_are_evenly_spaced_levels_and_the_nearest_is_taken(bits: int) -> None:
    levels = np.linspace(0, 255, 2**bits)
    every = np.arange(256, dtype=np.uint8).reshape(16, 16, 1).repeat(3, axis=2)
    nearest = levels[np.abs(every[..., None] - levels).argmin(axis=-1)]
    assert np.abs(seen(f"png+bits:{bits}", every) - nearest).max() <= 0.5
    assert len(np.unique(seen(f"png+bits:{bits}", every))) == 2**bits


def test_several_conditions_together_are_each_as_alone() -> None:
    conditions = parse_conditions(CHAINS)
    together = under_conditions(PICTURE, conditions)
    assert together == {condition: under_condition(PICTURE, condition) for condition in conditions}
    assert list(together) == list(conditions)


def test_a_picture_that_is_being_decoded_keeps_no_other_thread_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    meanwhile = threading.Thread(target=under_condition, args=(PICTURE, Condition.parse("png+bits:4")), daemon=True)
    waited: list[bool] = []

    def decode(encoded: bytes, *, limits: ImageLimits) -> Pixels:
        if not waited:
            waited.append(True)
            meanwhile.start()
            meanwhile.join(5)
            waited[0] = meanwhile.is_alive()
        return decoded_image(encoded, limits=limits)

    monkeypatch.setattr("orchestrator.pictures.conditions.decoded_image", decode)
    sent("png+bits:3")
    assert waited == [False]


def test_another_process_makes_the_same_bytes() -> None:
    digests = {str(each): hashlib.sha256(made).hexdigest() for each, made in made_here().items()}
    program = (
        "import hashlib, tests.unit.orchestrator.pictures.test_conditions as here\n"
        "print({str(each): hashlib.sha256(made).hexdigest() for each, made in here.made_here().items()})"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == str(digests)


def made_here() -> dict[Condition, bytes]:
    return under_conditions(PICTURE, (*parse_conditions(CHAINS), *NAMED_SETS["purification"]))


def test_what_needs_scipy_is_refused_where_that_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("orchestrator.pictures.conditions.find_spec", lambda name: None)
    check_possible(parse_conditions("png,jpeg:95+resize:40,png+median:3"))
    with pytest.raises(
        InputError, match=r"^--conditions: png\+blur:1 needs SciPy: pip install 'face-deid-bench\[report\]'$"
    ):
        check_possible(parse_conditions("png,png+blur:1"))


def test_what_is_no_picture_is_refused() -> None:
    with pytest.raises(BadImageError):
        under_condition(b"a text", Condition.parse("jpeg:95"))
