"""The synthetic population as a data set: photographs are rendered when they are asked for."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any, ClassVar, Self

from orchestrator.errors import InputError
from orchestrator.faces.data_set import Photo
from synthetic_faces import MAX_PHOTOGRAPHS, RENDERER, Population, SyntheticFacesError, photograph_name

PREFIX = "synthetic:"
DEFAULTS = {"identities": 300, "photographs": 4, "seed": 0}


@dataclass(frozen=True)
class SyntheticFaces:
    """A population, and so many photographs of each."""

    population: Population
    photographs: int
    synthetic: ClassVar[bool] = True
    skipped: ClassVar[tuple[str, ...]] = ()

    @cached_property
    def _numbers(self) -> Mapping[str, int]:
        return {name: number for number, name in enumerate(self.population.names, start=1)}

    @property
    def identities(self) -> frozenset[str]:
        return frozenset(self._numbers)

    def photos(self, identity: str) -> Sequence[Photo]:
        number = self._numbers[identity]
        return [
            Photo(identity, photograph_name(photograph), partial(self.population.jpeg, number, photograph))
            for photograph in range(1, self.photographs + 1)
        ]

    def spelt(self, labels: Mapping[str, str]) -> Self:
        return self  # names are ASCII, which has one normal form

    def card(self) -> Mapping[str, Any]:
        return {
            "synthetic": True,
            "renderer": RENDERER,
            "identities": self.population.identities,
            "photographs": self.photographs,
            "seed": self.population.seed,
        }


def read_synthetic_faces(text: str) -> SyntheticFaces:
    """The data set that `synthetic:` stands for, or `synthetic:identities=100,photographs=2,seed=7`.

    Raises:
        InputError: a part is unknown, stands twice, is no number, or out of range.
    """
    chosen: dict[str, int] = {}
    for part in filter(None, text.removeprefix(PREFIX).split(",")):
        name, _, value = part.partition("=")
        if name not in DEFAULTS or name in chosen:
            raise InputError(f"--faces: {text}: expected {', '.join(DEFAULTS)}, each at most once, got {part!r}")
        if not value.isascii() or not value.isdecimal():
            raise InputError(f"--faces: {text}: {name}: expected a whole number, got {value!r}")
        chosen[name] = int(value)
    chosen = DEFAULTS | chosen
    if not 1 <= chosen["photographs"] <= MAX_PHOTOGRAPHS:
        raise InputError(f"--faces: {text}: photographs: expected 1..{MAX_PHOTOGRAPHS}, got {chosen['photographs']}")
    try:
        return synthetic_faces_of(chosen)
    except SyntheticFacesError as error:
        raise InputError(f"--faces: {text}: {error}") from error


def synthetic_faces_of(card: Mapping[str, Any]) -> SyntheticFaces:
    """The data set of which a manifest states this, as this version renders it.

    Raises:
        SyntheticFacesError: there is no such population.
    """
    return SyntheticFaces(Population(card["identities"], card["seed"]), card["photographs"])
