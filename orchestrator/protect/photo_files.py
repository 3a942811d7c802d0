"""Photos as people have them, made into what services take: JPEG or PNG, no larger than they take, without metadata."""

import io
import struct
import warnings
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from importlib import import_module
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from orchestrator.errors import InputError
from orchestrator.faces.data_set import printable, text_of
from orchestrator.faces.folder import listed
from orchestrator.pictures.conditions import resized
from rpc.images.bare_image import BadImageError, BareImage
from rpc.images.decoding import decoded_image, encode_jpeg, encode_png, upright_size
from rpc.images.formats import bare_image
from rpc.images.limits import ImageLimits
from rpc.images.orientation import UPRIGHT, orientation_of

MAX_SIDE = 4096  # pixels: no platform keeps more, and larger photos are larger than a message may be
MAX_FILE = 2**28  # bytes
QUALITY = 97  # of a photo that has to be encoded anew and is too large for a PNG
LIMITS = ImageLimits()
OTHER_FORMATS = ("WEBP", "AVIF", "HEIF", "TIFF", "BMP")  # that Pillow may read beside JPEG and PNG
THUMBNAIL = 32  # pixels
SAME_PHOTO = 2.0  # levels of mean difference between thumbnails: below it, one is the other, stored or resized anew

Pixels = NDArray[np.uint8]  # (H, W, 3) RGB


@dataclass(frozen=True, eq=False)
class UserPhoto:
    """A photo that was read."""

    path: Path
    name: str  # of the file, printable
    encoded: bytes  # JPEG or PNG, without metadata but for the orientation; what is sent to services
    width: int  # upright, in pixels
    height: int
    notes: tuple[str, ...] = ()  # what was done to it, each a clause

    def pixels(self) -> Pixels:
        """The upright photo."""
        return decoded_image(self.encoded, limits=LIMITS)

    @cached_property
    def thumbnail(self) -> NDArray[np.float64]:
        """The photo in grey, (THUMBNAIL, THUMBNAIL) levels."""
        small = Image.fromarray(self.pixels()).convert("L").resize((THUMBNAIL, THUMBNAIL), Image.Resampling.BOX)
        return np.asarray(small, dtype=np.float64)


def read_photo(path: Path, *, option: str) -> UserPhoto:
    """Reads a photo; `option` named it.

    Raises:
        InputError: it cannot be read, or is no still picture that can be decoded here.
    """
    name = printable(text_of(path.name))
    try:
        with path.open("rb") as file:
            content = file.read(MAX_FILE + 1)
    except OSError as error:
        raise InputError(f"{option}: {path}: cannot be read: {error.strerror or error}") from error
    if len(content) > MAX_FILE:
        raise InputError(f"{option}: {path}: expected a photo of at most {MAX_FILE} bytes, got more")
    try:
        return _prepared(path, name, content)
    except BadImageError as error:
        pixels = _by_pillow(content)
        if pixels is None:
            advice = ", or install pillow-heif, by which it can be read" if "HEIC" in error.actual else ""
            raise InputError(f"{option}: {path}: {error}{advice}") from error
    return _encoded(path, name, pixels, notes=("it was converted, as services take JPEG and PNG",))


def read_photos(paths: Sequence[Path], *, option: str) -> tuple[UserPhoto, ...]:
    """Reads photos, none of which may be another.

    Raises:
        InputError: see `read_photo`; or two are the same photo, or have names that differ in their suffix alone.
    """
    photos: list[UserPhoto] = []
    for path in paths:
        photo = read_photo(path, option=option)
        for other in photos:
            if is_same(photo, other):
                raise InputError(f"{option}: expected different photos, got {path} and {other.path}, which are the same")
            if photo.path.stem == other.path.stem:
                raise InputError(
                    f"{option}: expected photos whose names differ in more than their suffix, as their cloaks are called by "
                    f"them, got {path} and {other.path}"
                )
        photos.append(photo)
    return tuple(photos)


@dataclass(frozen=True)
class OwnPhotos:
    """The other photos of the person."""

    photos: tuple[UserPhoto, ...]
    left_out: tuple[str, ...] = ()  # files with the reason


def read_own_photos(folder: Path, *, besides: Sequence[UserPhoto]) -> OwnPhotos:
    """Reads the photos of `--me`, but for those that are to be cloaked themselves.

    Raises:
        InputError: the folder cannot be listed, holds folders with photos of several people, or no other photo.
    """
    try:
        entries = listed(folder)
    except OSError as error:
        raise InputError(f"--me: {folder}: cannot be listed: {error.strerror or error}") from error
    photos: list[UserPhoto] = []
    left_out, folders = [], []
    for entry in entries:
        name = printable(text_of(entry.name))
        if entry.is_dir():
            folders.append(name)
            continue
        try:
            photo = read_photo(Path(entry.path), option="--me")
        except InputError as error:
            left_out.append(str(error).removeprefix("--me: "))
            continue
        twin = next((other for other in (*besides, *photos) if is_same(photo, other)), None)
        if twin is None:
            photos.append(photo)
        else:
            role = "that is to be cloaked" if twin in besides else "beside it"
            left_out.append(f"{entry.path}: it is the photo {twin.name} {role}")
    if not photos:
        reasons = "; ".join(left_out) or (f"only folders ({', '.join(folders[:3])})" if folders else "nothing")
        hint = "" if left_out or not folders else ": give the folder of one person, whose photos lie in it itself"
        raise InputError(f"--me: expected a folder with at least one other photo of the same person, got {reasons}{hint}")
    return OwnPhotos(tuple(photos), (*left_out, *(f"{folder / name}: a folder in that of --me" for name in folders)))


def reduced(photo: UserPhoto, side: int) -> UserPhoto:
    """The photo with a longer side of at most so many pixels."""
    return _encoded(photo.path, photo.name, resized(photo.pixels(), side), notes=(*photo.notes, _smaller(side)))


def is_same(one: UserPhoto, other: UserPhoto) -> bool:
    """Whether two photos are one, perhaps stored or resized anew."""
    if one.encoded == other.encoded:
        return True
    if abs(one.width * other.height - other.width * one.height) > 0.02 * one.width * other.height:
        return False
    difference = np.abs(one.thumbnail - other.thumbnail).mean()
    return bool(difference < SAME_PHOTO)


def _prepared(path: Path, name: str, content: bytes) -> UserPhoto:
    """A JPEG or PNG. BadImageError: it is none, or damaged, or has more pixels than Pillow decodes."""
    roomy = ImageLimits(max_bytes=MAX_FILE, max_pixels=Image.MAX_IMAGE_PIXELS or LIMITS.max_pixels)
    pixels = decoded_image(content, limits=roomy)
    height, width, _ = pixels.shape
    bare = _without_metadata(bare_image(content))
    if max(width, height) > MAX_SIDE:
        return _encoded(path, name, resized(pixels, MAX_SIDE), notes=(_smaller(MAX_SIDE),))
    if bare is None or len(bare) > LIMITS.max_bytes or upright_size(bare, limits=LIMITS) != (width, height):
        return _encoded(path, name, pixels, notes=())
    return UserPhoto(path, name, bare, width, height)


def _without_metadata(bare: BareImage) -> bytes | None:
    """The file itself without metadata; None where that would be another picture."""
    turn = orientation_of(bare.exif)
    if turn == UPRIGHT:
        return bare.encoded
    if bare.format != "JPEG":
        return None
    exif = b"Exif\0\0II*\0" + struct.pack("<LHHHLHHL", 8, 1, 0x0112, 3, 1, turn, 0, 0)  # one entry: the orientation
    return b"\xff\xd8\xff\xe1" + struct.pack(">H", 2 + len(exif)) + exif + bare.encoded[2:]  # after the mark that begins it


def _by_pillow(content: bytes) -> Pixels | None:
    """The upright pixels of another kind of picture; None where Pillow reads it not, or it is no still one."""
    with suppress(ImportError):  # with it Pillow reads HEIC
        import_module("pillow_heif").register_heif_opener()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(io.BytesIO(content), formats=_openable()) as image:
                if getattr(image, "n_frames", 1) > 1 and image.format != "HEIF":
                    return None
                upright = ImageOps.exif_transpose(image)
                if upright.has_transparency_data:
                    rgba = upright.convert("RGBA")
                    upright = Image.alpha_composite(Image.new("RGBA", rgba.size, "white"), rgba)
                return np.asarray(upright.convert("RGB"))
    except MemoryError:
        raise  # which says nothing of the photo
    except Exception:  # noqa: BLE001 - Pillow raises whatever a damaged file provokes
        return None


def _openable() -> list[str]:
    Image.init()
    return [name for name in OTHER_FORMATS if name in Image.OPEN]


def _encoded(path: Path, name: str, pixels: Pixels, *, notes: tuple[str, ...]) -> UserPhoto:
    if max(pixels.shape) > MAX_SIDE:
        pixels, notes = resized(pixels, MAX_SIDE), (*notes, _smaller(MAX_SIDE))
    encoded = encode_png(pixels)
    if len(encoded) > LIMITS.max_bytes:
        encoded = encode_jpeg(pixels, quality=QUALITY)
        notes = (*notes, f"it was stored as JPEG of quality {QUALITY} to be sent")
    height, width, _ = pixels.shape
    return UserPhoto(path, name, encoded, width, height, notes)


def _smaller(side: int) -> str:
    return f"it was made smaller, to {side} pixels on its longer side, and so is its cloak"
