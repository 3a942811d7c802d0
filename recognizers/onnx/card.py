"""The card beside an ONNX file, NAME.card.json: what its network expects, and how its embeddings are compared.

An ONNX file says which shape its input has, and not which channel comes first, how levels become numbers, or how faces were
cut out of the photos that it was trained on. Nothing can be guessed: a card states all of it.
"""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from recognizers.alignment import SIDE
from recognizers.errors import CheckpointError, shorten
from recognizers.extraction import Extraction
from recognizers.networks.network import Distance
from recognizers.networks.registry import architectures
from recognizers.plugins import NAMES

MAX_BYTES = 64 * 2**10
_MAX_SIDE, _MAX_EMBEDDING = 1024, 8192
_MAX_NUMBER = 1e6
_RGB, _BGR = "RGB", "BGR"

Levels = tuple[float, float, float]  # one for each channel


@dataclass(frozen=True)
class OnnxCard:
    """What a card states."""

    name: str
    input_size: int
    embedding_size: int
    blue_first: bool
    mean: Levels  # that is subtracted, in the order of the channels
    std: Levels  # that is then divided by
    extraction: Extraction
    distance: Distance
    threshold: float | None  # a similarity or a distance
    sha256: str | None  # of the file


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= _MAX_NUMBER


def _is_whole(value: object, *, most: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= most


def _are_levels(value: object, is_level: Callable[[Any], bool]) -> bool:
    return is_level(value) or (isinstance(value, list) and len(value) == len(_RGB) and all(map(is_level, value)))


def _any_of(*words: str) -> tuple[str, Callable[[object], bool]]:
    return " or ".join(words), lambda value: value in words


# By the name of a fact: what is expected, and whether a value is that.
_REQUIRED: dict[str, tuple[str, Callable[[Any], object]]] = {
    "name": (
        "at most 40 of a-z, 0-9, '.', '_' and '-'",
        lambda value: isinstance(value, str) and NAMES.fullmatch(value),
    ),
    "input_size": (f"a whole number up to {_MAX_SIDE}", lambda value: _is_whole(value, most=_MAX_SIDE)),
    "embedding_size": (f"a whole number up to {_MAX_EMBEDDING}", lambda value: _is_whole(value, most=_MAX_EMBEDDING)),
    "channels": _any_of(_RGB, _BGR),
    "mean": ("a number in levels, or a list of three", lambda value: _are_levels(value, _is_number)),
    "std": (
        "a number above 0 in levels, or a list of three",
        lambda value: _are_levels(value, lambda level: _is_number(level) and level > 0),
    ),
    "alignment": _any_of(*(rule.name.lower() for rule in Extraction)),
    "metric": _any_of(*(distance.lower() for distance in Distance)),
}
_OPTIONAL: dict[str, tuple[str, Callable[[Any], object]]] = {
    "threshold": ("a similarity or a distance", _is_number),
    "sha256": (
        "64 hexadecimal digits",
        lambda value: isinstance(value, str) and re.fullmatch("[0-9a-f]{64}", value),
    ),
    "self_test": ("a list of three photos", lambda value: isinstance(value, list)),
    "note": ("text", lambda value: isinstance(value, str)),
}


def read_onnx_card(path: Path) -> OnnxCard:
    """Reads a card.

    Raises:
        CheckpointError: it is missing, lacks a fact, or states one that is not known, cannot be, or contradicts another.
    """
    facts = _facts(path)
    known = _REQUIRED | _OPTIONAL
    if absent := _REQUIRED.keys() - facts.keys():
        raise CheckpointError(f"{path}: expected {', '.join(_REQUIRED)}, got no {', '.join(sorted(absent))}")
    if unknown := facts.keys() - known.keys():
        raise CheckpointError(f"{path}: expected facts of {', '.join(known)}, got {shorten(min(unknown))}")
    for name, value in facts.items():
        expected, is_that = known[name]
        if not is_that(value):
            raise CheckpointError(f"{path}: {name}: expected {expected}, got {shorten(json.dumps(value))}")
    card = OnnxCard(
        name=facts["name"],
        input_size=facts["input_size"],
        embedding_size=facts["embedding_size"],
        blue_first=facts["channels"] == _BGR,
        mean=_levels(facts["mean"]),
        std=_levels(facts["std"]),
        extraction=Extraction[facts["alignment"].upper()],
        distance=next(each for each in Distance if each.lower() == facts["metric"]),
        threshold=facts.get("threshold"),
        sha256=facts.get("sha256"),
    )
    if card.extraction is Extraction.ALIGNED and card.input_size != SIDE:
        raise CheckpointError(f"{path}: input_size: expected {SIDE}, which aligned faces have, got {card.input_size}")
    if (own := card.name.removesuffix("-features")) in architectures().usable:
        raise CheckpointError(f"{path}: name: expected none that a network here has, got {card.name}, which {own} is called")
    return card


def _facts(path: Path) -> Mapping[str, Any]:
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except FileNotFoundError as error:
        raise CheckpointError(
            f"{path}: an ONNX file needs a card beside it, and there is none; expected a JSON object with "
            f"{', '.join(_REQUIRED)}: docs/extending.md"
        ) from error
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be read: {error.strerror or error}") from error
    if len(content) > MAX_BYTES:
        raise CheckpointError(f"{path}: expected at most {MAX_BYTES:,} bytes, got more")
    try:
        facts = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"{path}: expected JSON: {error}") from error
    if not isinstance(facts, dict):
        raise CheckpointError(f"{path}: expected a JSON object, got {shorten(json.dumps(facts))}")
    return facts


def _levels(value: Any) -> Levels:
    first, second, third = value if isinstance(value, list) else (value,) * len(_RGB)
    return float(first), float(second), float(third)
