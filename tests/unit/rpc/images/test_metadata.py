"""What stands beside the pixels of an image decides on none of them, whatever it is and whatever is wrong with it."""

import io
import threading
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from rpc.images.decoding import decode_image
from rpc.images.limits import ImageLimits
from tests.support.mutated_metadata import ORIENTATION, Photograph, jpeg_photograph, png_photograph
from tests.support.pictures import RGB, UPRIGHT, chunk, exif, png_of, segment

PIXELS = np.random.default_rng(0).integers(0, 256, (24, 32, 3), dtype=np.uint8)
TURNED = exif([(ORIENTATION, 3, 1, b"\6")])
PHOTOGRAPHS = 1000  # of each format


def decode(encoded: bytes) -> NDArray[np.uint8]:
    return decode_image(encoded, field="photo", limits=ImageLimits())


def png(*before: bytes) -> bytes:
    return png_of(PIXELS, colour=RGB, before_data=b"".join(before))


def jpeg(*segments: bytes, **parameters: Any) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(PIXELS).save(buffer, "JPEG", **parameters)
    return buffer.getvalue()[:2] + b"".join(segments) + buffer.getvalue()[2:]


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("photograph", [jpeg_photograph, png_photograph])
def test_photographs_with_any_metadata_are_decoded_as_without_and_turned_as_stated(
    photograph: Callable[[int], Photograph],
) -> None:
    turned = 0
    for seed in range(PHOTOGRAPHS):
        photo = photograph(seed)
        assert np.array_equal(decode(photo.encoded), photo.shown), seed
        turned += any(photo.encoded.count(name) for name in (b"Exif\0\0", b"eXIf"))
    assert turned > PHOTOGRAPHS / 2


@pytest.mark.parametrize("key", [b"transparency", b"interlace", b"bbox", b"exif"])
def test_a_text_that_is_called_as_a_setting_of_the_decoder_is_a_text(key: bytes) -> None:
    assert np.array_equal(decode(png(chunk(b"tEXt", key + b"\x001"))), PIXELS)


def test_a_wrong_checksum_in_metadata_is_passed_over() -> None:
    comment = chunk(b"tEXt", b"Comment\0hello")
    assert np.array_equal(decode(png(comment[:-1] + b"\0")), PIXELS)


def test_exif_of_a_wrong_checksum_turns_nothing() -> None:
    stated = chunk(b"eXIf", TURNED)
    assert np.array_equal(decode(png(stated)), UPRIGHT[6](PIXELS))
    assert np.array_equal(decode(png(stated[:-1] + b"\0")), PIXELS)


def test_exif_after_the_pixels_of_a_png_counts() -> None:
    whole = png()
    assert np.array_equal(decode(whole[:-12] + chunk(b"eXIf", TURNED) + whole[-12:]), UPRIGHT[6](PIXELS))


def test_the_first_exif_of_several_counts() -> None:
    other = exif([(ORIENTATION, 3, 1, b"\3")])
    assert np.array_equal(decode(png(chunk(b"eXIf", TURNED), chunk(b"eXIf", other))), UPRIGHT[6](PIXELS))
    first, second = (segment(0xE1, b"Exif\0\0" + each) for each in (TURNED, other))
    assert np.array_equal(decode(jpeg(first, second)), UPRIGHT[6](decode(jpeg())))


def test_nothing_but_exif_turns_an_image() -> None:
    xmp = b'<x:xmpmeta><rdf:Description tiff:Orientation="6"/></x:xmpmeta>'
    assert np.array_equal(decode(png(chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + xmp))), PIXELS)
    raw = b"Raw profile type exif\0\nexif\n      26\n" + TURNED.hex().encode()
    assert np.array_equal(decode(png(chunk(b"tEXt", raw))), PIXELS)
    packet = segment(0xE1, b"http://ns.adobe.com/xap/1.0/\0" + xmp)
    assert np.array_equal(decode(jpeg(packet)), decode(jpeg()))


@pytest.mark.parametrize("transform", [0, 1])
def test_what_adobe_wrote_of_the_colours_decides_on_them(transform: int) -> None:
    """Without JFIF. Pillow itself, to which nothing was left out, is the judge."""
    whole = jpeg()
    adobe = segment(0xEE, b"Adobe" + bytes((0, 100, 0, 0, 0, 0, transform)))
    without_jfif = whole[:2] + adobe + whole[20:]
    with Image.open(io.BytesIO(without_jfif)) as image:
        expected = np.asarray(image)
    assert np.array_equal(decode(without_jfif), expected)
    assert np.array_equal(expected, decode(whole)) == (transform == 1)


@pytest.mark.parametrize("frames", [0, 2**31 + 1, None])
def test_an_animation_of_no_number_of_frames_is_none(frames: int | None) -> None:
    control = chunk(b"acTL", b"" if frames is None else frames.to_bytes(4) + bytes(4))
    assert np.array_equal(decode(png(control)), PIXELS)


def test_an_animation_of_the_picture_alone_is_a_still_image() -> None:
    frame = chunk(b"fcTL", bytes(4) + (32).to_bytes(4) + (24).to_bytes(4) + bytes(14))
    assert np.array_equal(decode(png(chunk(b"acTL", (1).to_bytes(4) + bytes(4)), frame)), PIXELS)


# The process


NOISY = {
    "an index of further pictures that is damaged": jpeg(segment(0xE2, b"MPF\0 no directory")),
    "EXIF that ends early": jpeg(segment(0xE1, b"Exif\0\0" + exif([(0x011A, 5, 1, b"\xff" * 4)], stated=9))),
    "an animation of no frames": png(chunk(b"acTL", bytes(8))),
}


@pytest.mark.parametrize("encoded", NOISY.values(), ids=NOISY)
def test_nothing_is_warned_of(encoded: bytes) -> None:
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        decode(encoded)
    assert warned == []


def test_the_warning_filters_of_the_process_are_left_alone_while_an_image_is_decoded(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """They are the process's: what one thread sets aside and puts back, another may have set."""
    before, opening, during = list(warnings.filters), Image.open, []

    def spied(*args: Any, **parameters: Any) -> Image.Image:
        during.append(list(warnings.filters))
        return opening(*args, **parameters)

    monkeypatch.setattr(Image, "open", spied)
    decode(png())
    assert during == [before]


def test_threads_that_decode_together_leave_the_process_as_it_was() -> None:
    before = list(warnings.filters)

    def work() -> None:
        for _ in range(200):
            for encoded in NOISY.values():
                decode(encoded)

    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert list(warnings.filters) == before
