"""Cards of ONNX files: what they must state, what they cannot, and where they contradict the file."""

import json
from pathlib import Path
from typing import Any

import pytest

from recognizers.errors import CheckpointError
from recognizers.extraction import Extraction
from recognizers.networks.network import Distance
from recognizers.onnx import card as cards
from recognizers.onnx.card import read_onnx_card
from tests.support.onnx_files import CARD, needs_onnx, refusal, write_onnx


def card(folder: Path, **facts: Any) -> Path:
    path = folder / "file.card.json"
    path.write_text(json.dumps({name: value for name, value in {**CARD, **facts}.items() if value is not None}))
    return path


def reason(path: Path) -> str:
    with pytest.raises(CheckpointError) as refused:
        read_onnx_card(path)
    assert str(refused.value).startswith(f"{path}: ")
    return str(refused.value).removeprefix(f"{path}: ")


def test_a_card_says_what_the_file_does_not(tmp_path: Path) -> None:
    stated = card(
        tmp_path,
        name="buffalo-l",
        input_size=112,
        channels="BGR",
        mean=[104, 117.5, 123],
        std=1,
        alignment="aligned",
        metric="euclidean",
        threshold=1.2,
        note="from a pack",
    )
    read = read_onnx_card(stated)
    assert (read.name, read.input_size, read.blue_first) == ("buffalo-l", 112, True)
    assert (read.mean, read.std) == ((104.0, 117.5, 123.0), (1.0, 1.0, 1.0))
    assert (read.extraction, read.distance, read.threshold) == (Extraction.ALIGNED, Distance.EUCLIDEAN, 1.2)


@pytest.mark.parametrize("fact", CARD)
def test_a_card_that_lacks_a_fact_is_told_which(tmp_path: Path, fact: str) -> None:
    expected = f"expected {', '.join(CARD)}, got no {fact}"
    assert reason(card(tmp_path, **{fact: None})) == expected


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        ({"name": "A/B"}, "name: expected at most 40 of a-z, 0-9, '.', '_' and '-', got \"A/B\""),
        ({"name": "facenet"}, "name: expected none that a network here has, got facenet, which facenet is called"),
        ({"name": "resnet50-features"}, "name: expected none that a network here has, got resnet50-features"),
        ({"input_size": 0}, "input_size: expected a whole number up to 1024, got 0"),
        ({"input_size": True}, "input_size: expected a whole number up to 1024, got true"),
        ({"input_size": 10**400}, "input_size: expected a whole number up to 1024, got 1000"),
        ({"embedding_size": "512"}, 'embedding_size: expected a whole number up to 8192, got "512"'),
        ({"channels": "GBR"}, 'channels: expected RGB or BGR, got "GBR"'),
        ({"channels": ["RGB"]}, 'channels: expected RGB or BGR, got ["RGB"]'),
        ({"mean": [1, 2]}, "mean: expected a number in levels, or a list of three, got [1, 2]"),
        ({"mean": float("nan")}, "mean: expected a number in levels, or a list of three, got NaN"),
        ({"std": 0}, "std: expected a number above 0 in levels, or a list of three, got 0"),
        ({"std": [1, -1, 1]}, "std: expected a number above 0 in levels, or a list of three, got [1, -1, 1]"),
        ({"alignment": "none"}, 'alignment: expected square or aligned, got "none"'),
        ({"alignment": "aligned"}, "input_size: expected 112, which aligned faces have, got 8"),
        ({"metric": "manhattan"}, 'metric: expected cosine or euclidean, got "manhattan"'),
        ({"threshold": "high"}, 'threshold: expected a similarity or a distance, got "high"'),
        ({"sha256": "abc"}, 'sha256: expected 64 hexadecimal digits, got "abc"'),
        ({"chanels": "BGR"}, "expected facts of name, input_size,"),
    ],
)
def test_a_fact_that_cannot_be_is_named_with_what_was_expected(tmp_path: Path, facts: dict[str, Any], expected: str) -> None:
    assert reason(card(tmp_path, **facts)).startswith(expected)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", "expected JSON: "),
        (b"\xff\xfe\x00", "expected JSON: "),
        (b"[" * 50_000, "expected JSON: "),
        (b"[1]", "expected a JSON object, got [1]"),
        (b" " * (cards.MAX_BYTES + 1), "expected at most 65,536 bytes, got more"),
    ],
    ids=["empty", "no text", "deep", "a list", "large"],
)
def test_what_is_no_card_is_refused(tmp_path: Path, content: bytes, expected: str) -> None:
    path = tmp_path / "file.card.json"
    path.write_bytes(content)
    assert reason(path).startswith(expected)


def test_a_file_without_a_card_is_told_what_stands_in_one(tmp_path: Path) -> None:
    expected = f"an ONNX file needs a card beside it, and there is none; expected a JSON object with {', '.join(CARD)}"
    assert reason(tmp_path / "file.card.json") == f"{expected}: docs/extending.md"


@needs_onnx
@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        ({"input_size": 112}, "input_size: the card says 112, and file.onnx has 8"),
        ({"embedding_size": 512}, "embedding_size: the card says 512, and file.onnx has 6"),
        ({"sha256": "0" * 64}, f"sha256: the card says {'0' * 64}, and file.onnx has "),
    ],
)
def test_a_card_that_contradicts_its_file_is_refused_with_both_values(
    tmp_path: Path, facts: dict[str, Any], expected: str
) -> None:
    path = write_onnx(tmp_path, **facts)
    assert refusal(path).startswith(f"{tmp_path / 'file.card.json'}: {expected}")
