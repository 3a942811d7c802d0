"""Photographs to train on: rendered once, their faces found once, kept in a folder."""

import json
import multiprocessing
import shutil
import signal
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from recognizers.extraction import CropBox, MtcnnDetector, extract_face
from synthetic_faces import Population

# Numbers of photographs of each identity. Runs take theirs from 1 on, so that nothing below is ever evaluated with.
HELD_OUT = range(501, 505)
TRAINING_FROM = 1001

_SQUARES = "squares.json"


@dataclass(frozen=True)
class FacePhotograph:
    """A photograph as it is stored, and where its face is."""

    identity: int  # class index
    jpeg: bytes
    square: CropBox


def prepare_photographs(folder: Path, population: Population, numbers: Sequence[int], *, processes: int) -> Iterator[int]:
    """Renders what is not there yet; yields how many identities are complete, after each.

    Photographs in which MTCNN finds no face are left out, as they are by the protocol.
    """
    identities = range(1, population.identities + 1)
    folder.mkdir(parents=True, exist_ok=True)
    missing = [identity for identity in identities if not (folder / population.name(identity) / _SQUARES).exists()]
    done = len(identities) - len(missing)
    yield done
    if not missing:
        return
    work = partial(_prepare_identity, folder, population, tuple(numbers))
    with multiprocessing.get_context("spawn").Pool(processes, initializer=_prepare_process) as pool:
        for _ in pool.imap_unordered(work, missing):
            done += 1
            yield done


def read_photographs(folder: Path, population: Population) -> list[FacePhotograph]:
    """All prepared photographs of a population, in order of identity and number."""
    photographs = []
    for index, name in enumerate(population.names):
        squares = json.loads((folder / name / _SQUARES).read_text())
        photographs += [
            FacePhotograph(index, (folder / name / f"{number}.jpg").read_bytes(), CropBox(*square))
            for number, square in squares.items()
        ]
    return photographs


def _prepare_process() -> None:
    torch.set_num_threads(1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle


def _prepare_identity(folder: Path, population: Population, numbers: Sequence[int], identity: int) -> None:
    place = folder / population.name(identity)
    shutil.rmtree(place, ignore_errors=True)  # what an interruption left
    place.mkdir()
    detector = MtcnnDetector(torch.device("cpu"))
    squares = {}
    for number in numbers:
        file = place / f"{number}.jpg"
        file.write_bytes(population.jpeg(identity, number))
        with Image.open(file) as image:
            square = extract_face(np.asarray(image), detector)
        if square is not None:
            squares[number] = (square.left, square.top, square.right, square.bottom)
    (place / _SQUARES).write_text(json.dumps(squares))
