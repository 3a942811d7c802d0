"""A population: people by number, photographs of them by number."""

import io
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from command_line.errors import OperatorError
from synthetic_faces.draws import Draws
from synthetic_faces.identity import Identity
from synthetic_faces.render import render
from synthetic_faces.setting import Setting

SIDE = 256  # pixels of a photograph
MAX_IDENTITIES = 9999
MAX_PHOTOGRAPHS = 9999
MAX_SEED = 2**31 - 1
JPEG_QUALITY = 95
RENDERER = 1  # rises when the same seed gives other people or photographs

_PERSON, _MOMENT, _SENSOR = range(3)  # what a stream of numbers is for


class SyntheticFacesError(OperatorError, ValueError):
    """A population or photograph that cannot be; the message names what was expected and what came."""


@dataclass(frozen=True)
class Population:
    """People 1..identities of a seed; more identities of the same seed are the same people and others.

    Raises:
        SyntheticFacesError: a number is out of range.
    """

    identities: int
    seed: int = 0

    def __post_init__(self) -> None:
        _check("seed", self.seed, 0, MAX_SEED)
        _check("identities", self.identities, 1, MAX_IDENTITIES)

    @property
    def names(self) -> tuple[str, ...]:
        """The identities' names, in order of their numbers; no two seeds share one."""
        return tuple(self.name(number) for number in range(1, self.identities + 1))

    def name(self, number: int) -> str:
        """The name of a person, such as `synthetic0-0017`."""
        return f"synthetic{self.seed}-{number:04d}"

    def photograph(self, identity: int, photograph: int) -> NDArray[np.uint8]:
        """A photograph (256, 256, 3), RGB levels.

        Args:
            identity: number of the person, from 1.
            photograph: number of the photograph, from 1.

        Raises:
            SyntheticFacesError: a number is out of range.
        """
        _check("identity", identity, 1, self.identities)
        _check("photograph", photograph, 1, MAX_PHOTOGRAPHS)
        setting = Setting(Draws(self.seed, identity, _MOMENT, photograph))
        return render(_person(self.seed, identity), setting, Draws(self.seed, identity, _SENSOR, photograph), side=SIDE)

    def jpeg(self, identity: int, photograph: int) -> bytes:
        """A photograph as the file that it would be; see `photograph`."""
        file = io.BytesIO()
        Image.fromarray(self.photograph(identity, photograph)).save(file, format="JPEG", quality=JPEG_QUALITY)
        return file.getvalue()


def write_folder(root: Path, population: Population, *, photographs: int) -> Iterator[Path]:
    """Writes photographs 1..photographs of everyone in VGGFace2's layout; yields each file, old or new.

    Raises:
        OSError: a folder or file cannot be written.
    """
    for number, name in enumerate(population.names, start=1):
        (root / name).mkdir(parents=True, exist_ok=True)
        for photograph in range(1, photographs + 1):
            file = root / name / photograph_name(photograph)
            if not file.exists():
                partial = file.with_suffix(".partial")
                partial.write_bytes(population.jpeg(number, photograph))
                partial.replace(file)
            yield file


def photograph_name(number: int) -> str:
    """The file name of a photograph in a data set: its number, and that of the face in it, as VGGFace2 counts."""
    return f"{number:04d}_01.jpg"


@lru_cache(maxsize=256)
def _person(seed: int, identity: int) -> Identity:
    return Identity(Draws(seed, identity, _PERSON))


def _check(name: str, value: int, low: int, high: int) -> None:
    if not low <= value <= high:
        raise SyntheticFacesError(f"{name}: expected {low}..{high}, got {value}")
