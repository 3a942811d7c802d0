"""How cloaks are stored."""

from hashlib import sha256

import numpy as np
from deid.protector.v1 import protector_pb2

from conformance.check import Problems, check
from conformance.images import Levels, decoded, luma, mean_distance, stored_pixels
from conformance.protector.service import Protector, by_budget, probe_of
from rpc.images.decoding import encode_jpeg

QUALITIES = (95, 40)
# Encoders differ in how they round and how they average chroma: a conforming one's error is that of libjpeg within these.
MIN_OF_OURS, MAX_OF_OURS, LEVELS = 0.6, 1.3, 0.5
SAME_FOR_ALL_STORAGE = (
    *("n_iter", "largest_change", "zero_gradient_share", "probe_sha256", "side"),
    *("gradients", "forward_passes"),
)


def jpeg(quality: int) -> protector_pb2.Storage:
    """JPEG storage of a quality."""
    return protector_pb2.Storage(jpeg=protector_pb2.JpegStorage(quality=quality))


@check(
    "digests",
    demands="cloak_sha256 is the SHA-256 of the cloak's bytes.",
    why="Cloaks are stored and found by their digests.",
)
async def digests(service: Protector) -> Problems:
    for row, changes in service.samples().items():
        for each in await service.answers(**changes):
            digest = sha256(each.cloak).hexdigest()
            if each.cloak_sha256 != digest:
                got = f"expected {digest[:12]}…, got {each.cloak_sha256[:12]}…"
                yield f"{row}: {each.method}, epsilon {each.epsilon}: {got}"


@check(
    "jpeg-control",
    demands="The control as JPEG is the lossless one encoded once, with 4:2:0 chroma, libjpeg's quantization tables for "
    f"the requested quality, and nothing beside the pixels. Its mean error is {MIN_OF_OURS} to {MAX_OF_OURS} times "
    f"libjpeg's, give or take {LEVELS} levels, and its luma is nearer to one encoding of the probe than to two.",
    why="The effect of compression is read from this control; were it encoded twice, or otherwise, every figure would "
    "contain more of it.",
)
async def jpeg_control(service: Protector) -> Problems:
    lossless = probe_of(await service.answers(), "the first row")
    for quality in QUALITIES:
        stored = (await service.control(storage=jpeg(quality))).cloak
        problem = encoding_problem(stored, lossless, quality=quality) or encoded_twice(stored, lossless, quality=quality)
        if problem:
            yield f"quality {quality}: {problem}"


@check(
    "jpeg-cloaks",
    demands="Cloaks as JPEG are the lossless ones encoded within the same tolerance, at each of two qualities, with the "
    "same numbers in their responses.",
    why="Storage comes last: a method that knew of it would be another method.",
)
async def jpeg_cloaks(service: Protector) -> Problems:
    plain = by_budget(await service.answers())
    lossless = {key: decoded(each.cloak, f"{key[0]}, epsilon {key[1]}").levels for key, each in plain.items()}
    for quality in QUALITIES:
        for each in await service.answers(storage=jpeg(quality)):
            key, name = (each.method, each.epsilon), f"quality {quality}: {each.method}, epsilon {each.epsilon}"
            if key not in plain:
                yield f"{name}: comes as JPEG, but not as PNG"
                continue
            if problem := encoding_problem(each.cloak, lossless[key], quality=quality):
                yield f"{name}: {problem}"
            for field in SAME_FOR_ALL_STORAGE:
                if getattr(each, field) != (expected := getattr(plain[key], field)):
                    yield f"{name}: {field}: expected {expected} as for PNG, got {getattr(each, field)}"


def encoding_problem(encoded: bytes, lossless: Levels, *, quality: int) -> str | None:
    """What is wrong with a JPEG of a lossless image; None if nothing is."""
    stored = decoded(encoded, "the image")
    if (stored.format, stored.mode, stored.still, stored.beside) != ("JPEG", "RGB", True, ""):
        beside = f" with {stored.beside}" if stored.beside else ""
        return f"expected a still RGB JPEG with nothing beside, got {stored.format} {stored.mode}{beside}"
    if stored.sampling != "4:2:0":
        return f"expected 4:2:0 chroma, got {stored.sampling}"
    ours = decoded(encode_jpeg(lossless.astype(np.uint8), quality=quality), "our own encoding")
    if stored.tables != ours.tables:
        return f"expected libjpeg's quantization tables for quality {quality}, got others"
    if stored.levels.shape != lossless.shape:
        height, width, _ = stored.levels.shape
        return f"expected {lossless.shape[1]} x {lossless.shape[0]} pixels, got {width} x {height}"
    error, usual = mean_distance(stored.levels, lossless), mean_distance(ours.levels, lossless)
    if not MIN_OF_OURS * usual - LEVELS <= error <= MAX_OF_OURS * usual + LEVELS:
        return f"is {error:.2f} levels from the lossless image on average; one encoding at quality {quality} is {usual:.2f}"
    return None


def encoded_twice(encoded: bytes, lossless: Levels, *, quality: int) -> str | None:
    """Whether a control was encoded twice, judged by its luma: encoders differ too much in chroma, and on noisy cloaks."""
    once = encode_jpeg(lossless.astype(np.uint8), quality=quality)
    twice = encode_jpeg(stored_pixels(once), quality=quality)
    to_once, to_twice = (mean_distance(luma(encoded), luma(other)) for other in (once, twice))
    if to_once <= to_twice:
        return None
    return f"its luma is {to_twice:.3f} levels from what two encodings make of the lossless image, {to_once:.3f} from one's"
