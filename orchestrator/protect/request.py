"""What one person asks for. Data alone."""

from collections.abc import Callable
from dataclasses import dataclass

from orchestrator.experiment.carrier import Carrier
from orchestrator.experiment.condition import Condition
from orchestrator.faces.data_set import DataSet
from orchestrator.protect.photo_files import OwnPhotos, UserPhoto


@dataclass(frozen=True)
class ProtectRequest:
    """What is asked for."""

    photos: tuple[UserPhoto, ...]
    own: OwnPhotos | None  # the person's other photos; None: none are at hand
    strangers: DataSet
    recognizers: tuple[str, ...] | None  # None: all matchers that the invader has
    held_out: tuple[str, ...] | None  # None: half of them, by the seed
    carrier: Carrier
    k: int
    conditions: tuple[Condition, ...]
    max_epsilon: int
    method: str
    seed: int
    same_person: bool = False  # whether photos that look like another person's are taken all the same


@dataclass(frozen=True)
class Said:
    """Where what happens is told."""

    note: Callable[[str], None] = lambda _: None  # something amiss
    status: Callable[[str], None] = lambda _: None  # what is under way
