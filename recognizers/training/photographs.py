"""Photographs to train on: rendered once, their faces found once, kept in a folder."""

import json
import multiprocessing
import shutil
import signal
from collections.abc import Callable, Iterator, Sequence
from dataclasses import astuple, dataclass
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

_BOXES = "boxes.json"


@dataclass(frozen=True)
class FacePhotograph:
    """A photograph as it is stored, and where its face is."""

    identity: int  # class index
    jpeg: bytes
    box: CropBox


def prepare_photographs(folder: Path, population: Population, numbers: Sequence[int], *, processes: int) -> Iterator[int]:
    """Renders what is not there yet; yields how many identities are complete, after each.

    Photographs in which MTCNN finds no face are left out, as they are by the protocol.
    """
    identities = range(1, population.identities + 1)
    folder.mkdir(parents=True, exist_ok=True)
    missing = [identity for identity in identities if not (folder / population.name(identity) / _BOXES).exists()]
    done = len(identities) - len(missing)
    yield done
    for _ in _each(partial(_prepare_identity, folder, population, tuple(numbers)), missing, processes=processes):
        done += 1
        yield done


def _each(work: Callable[[int], None], identities: Sequence[int], *, processes: int) -> Iterator[None]:
    if processes == 1 or not identities:
        yield from map(work, identities)
        return
    with multiprocessing.get_context("spawn").Pool(processes, initializer=_prepare_process) as pool:
        yield from pool.imap_unordered(work, identities)


def read_photographs(folder: Path, population: Population) -> list[FacePhotograph]:
    """All prepared photographs of a population, in order of identity and number."""
    photographs = []
    for index, name in enumerate(population.names):
        boxes = json.loads((folder / name / _BOXES).read_text())
        photographs += [
            FacePhotograph(index, (folder / name / f"{number}.jpg").read_bytes(), CropBox(*box))
            for number, box in boxes.items()
        ]
    return photographs


def _prepare_process() -> None:
    torch.set_num_threads(1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle


def _prepare_identity(folder: Path, population: Population, numbers: Sequence[int], identity: int) -> None:
    own = folder / population.name(identity)
    shutil.rmtree(own, ignore_errors=True)  # what an interruption left
    own.mkdir()
    detector = MtcnnDetector(torch.device("cpu"))
    boxes = {}
    for number in numbers:
        file = own / f"{number}.jpg"
        file.write_bytes(population.jpeg(identity, number))
        with Image.open(file) as image:
            box = extract_face(np.asarray(image), detector)
        if box is not None:
            boxes[number] = astuple(box)
    (own / _BOXES).write_text(json.dumps(boxes))
