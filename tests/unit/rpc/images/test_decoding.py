"""What is made of images from outside: what is refused and in which words, and what becomes of the rest."""

import io
import re
import struct
import tracemalloc
import zlib
from collections.abc import Iterable, Sequence
from typing import Any

import grpc
import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given, settings
from numpy.typing import NDArray
from PIL import Image, JpegImagePlugin

from rpc.errors import ServiceError
from rpc.images.decoding import (
    decode_image,
    encode_jpeg,
    encode_png,
)
from rpc.images.limits import ImageLimits
from tests.support.pictures import GREY, GREY_ALPHA, RGB, RGBA, UPRIGHT, chunk, jpeg_header, png, png_of

LIMITS = ImageLimits()
ORIENTATION = 0x0112  # EXIF's tag


def decode(encoded: bytes, limits: ImageLimits = LIMITS) -> NDArray[np.uint8]:
    return decode_image(encoded, field="photo", limits=limits)


def refusal(encoded: bytes, limits: ImageLimits = LIMITS) -> str:
    with pytest.raises(ServiceError) as refused:
        decode(encoded, limits)
    error = refused.value
    assert (error.code, error.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_ARGUMENT")
    assert error.violation is not None
    assert error.violation.field == "photo"
    assert not re.search(r"Error|Exception|Warning|PIL|Pillow|File|BytesIO|0x|/|\n", error.message), error.message
    return error.message


def encoded(image: Image.Image, kind: str = "PNG", **parameters: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **parameters)
    return buffer.getvalue()


def gradient(height: int = 24, width: int = 32) -> NDArray[np.uint8]:
    """Smooth, with no symmetry: (height, width, 3)."""
    y, x = np.mgrid[0:height, 0:width]
    return np.stack([x * 255 // (width - 1), y * 255 // (height - 1), (x + 2 * y) * 255 // 80], axis=-1).astype(np.uint8)


PHOTO = Image.fromarray(gradient())
JPEG, PNG = encoded(PHOTO, "JPEG"), encoded(PHOTO)


# Refused


def test_nothing_is_refused() -> None:
    assert refusal(b"") == "photo: expected a JPEG or PNG image, got nothing"


@pytest.mark.parametrize("share", [0.2, 0.4, 0.6, 0.8, 0.95])
@pytest.mark.parametrize(("whole", "kind"), [pytest.param(JPEG, "JPEG", id="jpeg"), pytest.param(PNG, "PNG", id="png")])
def test_a_truncated_image_is_refused_as_one(whole: bytes, kind: str, share: float) -> None:
    told = refusal(whole[: int(len(whole) * share)])
    assert told.startswith(f"photo: expected a whole image, got a truncated {kind}: it ends ")


@pytest.mark.parametrize("quality", [10, 95])
def test_a_jpeg_is_truncated_wherever_it_ends(quality: int) -> None:
    whole = encode_jpeg(gradient(), quality=quality)
    for length in range(3, len(whole) - 2):
        assert "got a truncated JPEG: it ends " in refusal(whole[:length])


def test_a_png_is_truncated_wherever_it_ends_be_its_pixels_complete_or_not() -> None:
    for length in range(8, len(PNG) - 8):  # then there is IEND's name
        assert "got a truncated PNG: it ends " in refusal(PNG[:length])


@settings(max_examples=150, deadline=None)
@given(whole=st.sampled_from([JPEG, PNG]), place=st.floats(0, 0.999), wrong=st.binary(min_size=1, max_size=6))
def test_bytes_that_changed_are_decoded_or_refused_and_nothing_else(whole: bytes, place: float, wrong: bytes) -> None:
    start = int(place * len(whole))
    changed = whole[:start] + wrong + whole[start + len(wrong) :]
    try:
        assert decode(changed, ImageLimits(max_pixels=100_000)).dtype == np.uint8
    except ServiceError:
        assert refusal(changed, ImageLimits(max_pixels=100_000))


@pytest.mark.parametrize(
    "huge",
    [
        pytest.param(png(20_000, 10_000, depth=8, colour=RGB, rows=b""), id="png, 200 megapixels"),
        pytest.param(png(2**31 - 1, 2**31 - 1, depth=8, colour=RGB, rows=b""), id="png, 4 exapixels"),
        pytest.param(png(10_000, 10_000, depth=8, colour=RGB, rows=b""), id="png, 100 megapixels"),
        pytest.param(png(7_072, 7_072, depth=8, colour=RGB, rows=b""), id="png, just over 50 megapixels"),
        pytest.param(jpeg_header(20_000, 10_000), id="jpeg, 200 megapixels"),
        pytest.param(jpeg_header(65_535, 65_535), id="jpeg, 4 gigapixels"),
        pytest.param(jpeg_header(7_072, 7_072), id="jpeg, just over 50 megapixels"),
    ],
)
def test_too_many_pixels_are_refused_from_the_header_before_any_is_decoded(huge: bytes) -> None:
    assert len(huge) < 200
    tracemalloc.start()
    try:
        message = refusal(huge)
        assert tracemalloc.get_traced_memory()[1] < 2**20
    finally:
        tracemalloc.stop()
    assert message.startswith("photo: expected at most 50000000 pixels, got ")


def test_the_pixels_of_an_image_just_over_the_limit_are_told() -> None:
    assert refusal(PNG, ImageLimits(max_pixels=767)) == "photo: expected at most 767 pixels, got 32 x 24"
    assert decode(PNG, ImageLimits(max_pixels=768)).shape == (24, 32, 3)


def test_too_many_bytes_are_refused_before_they_are_looked_at() -> None:
    limits = ImageLimits(max_bytes=len(PNG))
    assert decode(PNG, limits).shape == (24, 32, 3)
    assert refusal(PNG + b"\0", limits) == f"photo: expected at most {len(PNG)} bytes, got {len(PNG) + 1} bytes"


def test_an_animated_png_is_refused() -> None:
    frames = [Image.fromarray(np.full((8, 8, 3), level, np.uint8)) for level in (0, 100, 200)]
    animated = encoded(frames[0], save_all=True, append_images=frames[1:])
    assert b"acTL" in animated
    assert refusal(animated) == "photo: expected a still image, got an animated one"


def test_a_text_that_would_unpack_to_a_hundred_megabytes_is_not_unpacked() -> None:
    bomb = chunk(b"iTXt", b"Comment\0\1\0\0\0" + zlib.compress(bytes(100_000_000), 9))
    whole = png_of(gradient(), colour=RGB, before_data=bomb)
    tracemalloc.start()
    try:
        assert np.array_equal(decode(whole), gradient())
        assert tracemalloc.get_traced_memory()[1] < 2**20
    finally:
        tracemalloc.stop()


# Taken


def test_a_png_comes_back_level_by_level() -> None:
    assert np.array_equal(decode(PNG), gradient())
    assert np.array_equal(decode(encode_png(gradient())), gradient())


@pytest.mark.parametrize("whole", [pytest.param(JPEG, id="jpeg"), pytest.param(PNG, id="png")])
def test_bytes_after_the_end_of_an_image_change_nothing(whole: bytes) -> None:
    assert np.array_equal(decode(whole + b"appended by some program"), decode(whole))


def test_pixels_are_rgb_of_height_by_width_in_uint8() -> None:
    pixels = decode(encoded(Image.new("RGB", (3, 2), (10, 20, 30))))
    assert pixels.dtype == np.uint8
    assert pixels.tolist() == [[[10, 20, 30]] * 3] * 2


def test_the_first_picture_of_a_phone_s_multi_picture_jpeg_is_taken() -> None:
    second = Image.fromarray(gradient()[::-1, ::-1].copy())
    multiple = encoded(PHOTO, "MPO", save_all=True, append_images=[second], quality=95)
    with Image.open(io.BytesIO(multiple)) as image:
        assert image.format == "MPO"
    assert np.abs(decode(multiple).astype(int) - gradient()).mean() < 3


@pytest.mark.parametrize(
    ("ink", "rgb"),
    [((0, 255, 255, 0), (255, 0, 0)), ((255, 0, 0, 0), (0, 255, 255)), ((0, 0, 0, 255), (0, 0, 0)), ((0,) * 4, (255,) * 3)],
)
def test_cmyk_becomes_the_colour_that_it_prints(ink: tuple[int, ...], rgb: tuple[int, ...]) -> None:
    printed = encoded(Image.new("CMYK", (16, 16), ink), "JPEG", quality=95)
    assert np.abs(decode(printed).astype(int) - rgb).max() <= 3


def test_grey_becomes_three_equal_channels() -> None:
    grey = gradient()[..., 0]
    for image in (encoded(Image.fromarray(grey)), png_of(grey[..., None], colour=GREY)):
        assert np.array_equal(decode(image), np.repeat(grey[..., None], 3, axis=2))
    jpeg = decode(encoded(Image.fromarray(grey), "JPEG"))
    assert jpeg.shape == (24, 32, 3)
    assert np.array_equal(jpeg[..., 0], jpeg[..., 2])


def test_one_bit_becomes_black_and_white() -> None:
    bits = Image.fromarray(np.array([[0, 255, 255, 0]], np.uint8)).convert("1")
    assert decode(encoded(bits))[..., 0].tolist() == [[0, 255, 255, 0]]


WIDE = np.array([[0x0000, 0x00FF, 0x0100, 0x7FFF, 0x8000, 0xFF00, 0xFFFF]], np.uint16)
NARROW = [0, 0, 1, 127, 128, 255, 255]


def test_16_bit_grey_is_scaled_and_not_clipped() -> None:
    assert decode(png_of(WIDE[..., None], colour=GREY)).tolist() == [[[level] * 3 for level in NARROW]]


def test_16_bit_rgb_is_scaled_and_not_clipped() -> None:
    channels = np.stack([WIDE, WIDE[:, ::-1], np.full_like(WIDE, 0x8000)], axis=-1)
    expected = [[[red, green, 128] for red, green in zip(NARROW, reversed(NARROW), strict=True)]]
    assert decode(png_of(channels, colour=RGB)).tolist() == expected


ALPHA = (0, 128, 255)


def over_white(level: int, alpha: int) -> int:
    return round(level * alpha / 255 + 255 * (1 - alpha / 255))


def at_depth(bits: int, levels: list[list[list[int]]]) -> NDArray[np.uint8] | NDArray[np.uint16]:
    """Levels 0..255 in 8 bits, or stretched to 16."""
    return np.array(levels, np.uint8) if bits == 8 else (np.array(levels) * 257).astype(np.uint16)


def near(pixels: NDArray[np.uint8], expected: Iterable[Sequence[int]]) -> bool:
    return bool(np.abs(pixels[0].astype(int) - np.array(list(expected))).max() <= 1)


@pytest.mark.parametrize("bits", [8, 16])
def test_alpha_is_laid_over_white(bits: int) -> None:
    colour = at_depth(bits, [[[200, 100, 0, alpha] for alpha in ALPHA]])
    expected = [[over_white(level, alpha) for level in (200, 100, 0)] for alpha in ALPHA]
    assert near(decode(png_of(colour, colour=RGBA)), expected)


@pytest.mark.parametrize("bits", [8, 16])
def test_grey_with_alpha_is_laid_over_white(bits: int) -> None:
    grey = at_depth(bits, [[[100, alpha] for alpha in ALPHA]])
    assert near(decode(png_of(grey, colour=GREY_ALPHA)), [[over_white(100, alpha)] * 3 for alpha in ALPHA])


def test_a_palette_with_transparency_is_laid_over_white() -> None:
    palette = Image.new("P", (3, 1))
    palette.putpalette([200, 0, 0, 0, 200, 0, 0, 0, 200])
    palette.putdata([0, 1, 2])
    assert decode(encoded(palette)).tolist() == [[[200, 0, 0], [0, 200, 0], [0, 0, 200]]]
    assert decode(encoded(palette, transparency=1)).tolist() == [[[200, 0, 0], [255, 255, 255], [0, 0, 200]]]
    faded = decode(encoded(palette, transparency=bytes(ALPHA)))
    assert near(faded, [[255] * 3, [over_white(level, 128) for level in (0, 200, 0)], [0, 0, 200]])


def test_one_transparent_colour_becomes_white() -> None:
    transparent = chunk(b"tRNS", struct.pack(">HHH", 10, 20, 30))
    pixels = np.array([[[10, 20, 30], [11, 20, 30]]], np.uint8)
    assert decode(png_of(pixels, colour=RGB, before_data=transparent)).tolist() == [[[255] * 3, [11, 20, 30]]]


@pytest.mark.parametrize("bits", [8, 16])
def test_one_transparent_grey_becomes_white(bits: int) -> None:
    transparent = chunk(b"tRNS", struct.pack(">H", 100 if bits == 8 else 100 * 257))
    pixels = at_depth(bits, [[[100], [50]]])
    assert decode(png_of(pixels, colour=GREY, before_data=transparent)).tolist() == [[[255] * 3, [50] * 3]]


@pytest.mark.parametrize("orientation", UPRIGHT)
@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_exif_orientation_is_applied(kind: str, orientation: int) -> None:
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    stored = decode(encoded(PHOTO, kind))
    assert np.array_equal(decode(encoded(PHOTO, kind, exif=exif)), UPRIGHT[orientation](stored))


@pytest.mark.parametrize("orientation", [0, 9, 65_535])
def test_an_orientation_that_is_none_is_passed_over(orientation: int) -> None:
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    assert np.array_equal(decode(encoded(PHOTO, exif=exif)), gradient())


@pytest.mark.filterwarnings("error")
def test_exif_that_is_damaged_does_not_cost_the_photo() -> None:
    damaged = encoded(PHOTO, "JPEG", exif=b"Exif\0\0II*\0\xff\xff\xff\x7f not what it should be")
    assert np.array_equal(decode(damaged), decode(JPEG))


# Stored

LUMINANCE = [16, 11, 10, 16, 24, 40, 51, 61]  # the first row of the JPEG standard's table K.1


@pytest.mark.parametrize("quality", [10, 50, 75, 95, 100])
def test_a_jpeg_is_stored_at_the_quality_asked_for(quality: int) -> None:
    scale = 5000 // quality if quality < 50 else 200 - 2 * quality  # libjpeg's rule
    with Image.open(io.BytesIO(encode_jpeg(gradient(), quality=quality))) as image:
        assert isinstance(image, JpegImagePlugin.JpegImageFile)
        table = image.quantization[0]
    assert list(table[:8]) == [min(255, max(1, (step * scale + 50) // 100)) for step in LUMINANCE]


def test_a_jpeg_is_stored_with_half_the_chroma_either_way() -> None:
    stored = encode_jpeg(gradient(), quality=95)
    start = stored.index(b"\xff\xc0")
    assert [stored[start + 11 + 3 * component] for component in range(3)] == [0x22, 0x11, 0x11]


def test_a_jpeg_comes_back_nearly_as_it_was_and_nearer_the_higher_the_quality() -> None:
    errors = [
        np.abs(decode(encode_jpeg(gradient(), quality=quality)).astype(int) - gradient()).mean() for quality in (95, 50, 10)
    ]
    assert errors[0] < 2
    assert errors == sorted(errors)


def test_the_same_pixels_are_always_stored_as_the_same_bytes() -> None:
    assert encode_jpeg(gradient(), quality=95) == encode_jpeg(gradient().copy(), quality=95)
    assert encode_png(gradient()) == encode_png(gradient().copy())
