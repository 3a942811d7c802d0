"""How cloaks are stored."""

from hashlib import sha256

import numpy as np
from deid.protector.v1 import protector_pb2
from numpy.typing import NDArray

from conformance.check import check, fail_for
from conformance.pictures import Levels, luma, reread, seen
from conformance.protector.service import Protector, by_budget, probe_of
from orchestrator.experiment.grid import JPEG_QUALITY
from rpc.images.decoding import encode_jpeg

QUALITIES = (JPEG_QUALITY, 40)
# Encoders differ in how they round and how they average chroma: a conforming one's error is that of libjpeg within these.
MIN_OF_OURS, MAX_OF_OURS, LEVELS = 0.6, 1.3, 0.5


def jpeg(quality: int) -> protector_pb2.Storage:
    """JPEG storage of a quality."""
    return protector_pb2.Storage(jpeg=protector_pb2.JpegStorage(quality=quality))


@check(
    "protector.digests",
    demands="cloak_sha256 is the SHA-256 of the cloak's bytes.",
    why="Cloaks are kept and found again by their digest.",
)
async def digests(service: Protector) -> None:
    problems = [
        f"{model}: {each.method}, epsilon {each.epsilon}: expected {sha256(each.cloak).hexdigest()[:12]}…, got "
        f"{each.cloak_sha256[:12]}…"
        for model, subject in service.pairs()
        for each in await service.row(model, subject)
        if each.cloak_sha256 != sha256(each.cloak).hexdigest()
    ]
    fail_for(problems)


@check(
    "protector.jpeg-control",
    demands="The control as JPEG is the lossless one, encoded once: with 4:2:0 chroma, libjpeg's quantization tables for "
    f"the quality asked for, and nothing beside; its mean error is {MIN_OF_OURS} to {MAX_OF_OURS} times libjpeg's, give "
    f"or take {LEVELS} levels; and its luma is nearer to what one encoding makes of the probe than to what two make of it.",
    why="What compression does is read off this control; encoded twice, or otherwise, every figure has more of it in it.",
)
async def jpeg_control(service: Protector) -> None:
    problems = []
    lossless = probe_of(await service.row(service.model, service.subject), service.model)
    for quality in QUALITIES:
        response = await service.control(storage=jpeg(quality))
        faults = _faults(response.cloak, lossless, quality=quality) or _twice(response.cloak, lossless, quality=quality)
        problems += [f"quality {quality}: {fault}" for fault in faults]
    fail_for(problems)


@check(
    "protector.jpeg-cloaks",
    demands="Cloaks as JPEG are the lossless ones, encoded within the same tolerance at each of two qualities, with the "
    "same numbers beside them.",
    why="Storage is the last step: a method that knew it would be another method.",
)
async def jpeg_cloaks(service: Protector) -> None:
    model, subject = service.model, service.subject
    plain = by_budget(await service.row(model, subject))
    lossless = _pixels(list(plain.values()))
    problems = []
    stored = [(quality, each) for quality in QUALITIES for each in await service.row(model, subject, storage=jpeg(quality))]
    for quality, each in stored:
        key, name = (each.method, each.epsilon), f"quality {quality}: {each.method}, epsilon {each.epsilon}"
        if key not in plain:
            problems.append(f"{name}: comes as JPEG, and not as PNG")
            continue
        problems += [f"{name}: {fault}" for fault in _faults(each.cloak, lossless[key], quality=quality)]
        for field in ("n_iter", "largest_change", "zero_gradient_share", "probe_sha256", "side"):
            if getattr(each, field) != (expected := getattr(plain[key], field)):
                problems.append(f"{name}: {field}: expected {expected} as for PNG, got {getattr(each, field)}")
    fail_for(problems)


def _pixels(responses: list[protector_pb2.CraftResponse]) -> dict[tuple[str, int], Levels]:
    return {
        (each.method, each.epsilon): seen(each.cloak, f"{each.method}, epsilon {each.epsilon}").levels for each in responses
    }


def _faults(encoded: bytes, lossless: Levels, *, quality: int) -> list[str]:
    stored = seen(encoded, "the image")
    if (stored.format, stored.mode, stored.still, stored.beside) != ("JPEG", "RGB", True, ""):
        beside = f" with {stored.beside}" if stored.beside else ""
        return [f"expected a still RGB JPEG with nothing beside, got {stored.format} {stored.mode}{beside}"]
    if stored.sampling != "4:2:0":
        return [f"expected 4:2:0 chroma, got {stored.sampling}"]
    ours = seen(encode_jpeg(lossless.astype(np.uint8), quality=quality), "our own encoding")
    if stored.tables != ours.tables:
        return [f"expected libjpeg's quantization tables for quality {quality}, got others"]
    if stored.levels.shape != lossless.shape:
        return [f"expected {lossless.shape[1]} x {lossless.shape[0]} pixels, got {stored.size[1]} x {stored.size[0]}"]
    error, usual = _apart(stored.levels, lossless), _apart(ours.levels, lossless)
    if not MIN_OF_OURS * usual - LEVELS <= error <= MAX_OF_OURS * usual + LEVELS:
        return [
            f"is {error:.2f} levels from the lossless image on average; one encoding at quality {quality} is {usual:.2f}"
        ]
    return []


def _twice(encoded: bytes, lossless: Levels, *, quality: int) -> list[str]:
    """Whether a control was encoded twice, by its luma. Of chroma, and of noisy cloaks, encoders make too many things."""
    once = encode_jpeg(lossless.astype(np.uint8), quality=quality)
    twice = encode_jpeg(reread(once), quality=quality)
    to_once, to_twice = (_apart(luma(encoded), luma(other)) for other in (once, twice))
    if to_once <= to_twice:
        return []
    return [
        f"its luma is {to_twice:.3f} levels from what two encodings make of the lossless image, {to_once:.3f} from what one "
        "does"
    ]


def _apart(one: NDArray[np.int16], other: NDArray[np.int16]) -> float:
    return float(np.abs(one - other).mean())
