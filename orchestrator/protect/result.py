"""What came of one person's question: all that the page and the terminal show."""

from collections.abc import Mapping
from dataclasses import dataclass

from orchestrator.experiment.cloak import CloakRecord, PhotoBox
from orchestrator.experiment.condition import Condition
from orchestrator.protect.case import Case
from orchestrator.protect.photo_files import UserPhoto
from orchestrator.protect.verdict import Setting, Verdict, searches_share, shares, verdict


@dataclass(frozen=True)
class Republished:
    """What a platform makes of a cloaked photo."""

    condition: Condition
    width: int  # pixels
    height: int
    size: int  # bytes


@dataclass(frozen=True)
class ProtectedPhoto:
    """One photo, with or without a cloak that was found."""

    photo: UserPhoto  # as it was used
    box: PhotoBox
    others: tuple[PhotoBox, ...]  # further faces, without a cloak
    cloak: CloakRecord | None = None  # None: no budget was found
    file: bytes | None = None  # the cloaked photo as it is to be put online: a JPEG
    republished: tuple[Republished, ...] = ()  # by condition


@dataclass(frozen=True)
class SettledCase:
    """A case with its verdict and its photos."""

    case: Case
    setting: Setting
    photos: tuple[ProtectedPhoto, ...]

    @property
    def verdict(self) -> Verdict:
        """What it means."""
        return verdict(self.case, self.setting)


@dataclass(frozen=True)
class Effort:
    """What was asked of services."""

    queries: int  # pictures that were shown to recognizers
    searches: Mapping[str, int]  # answers, by recognizer
    gradients: int  # of the cloaks, each counted as if crafted alone


@dataclass(frozen=True)
class Protection:
    """All that came of it."""

    cases: tuple[SettledCase, ...]
    stored: Condition  # how the cloaked photos are stored
    method: str
    seed: int
    services: tuple[str, ...]  # where photos were sent
    remarks: tuple[str, ...]  # what was left out or changed before anything was asked
    effort: Effort

    @property
    def shares(self) -> tuple[str, ...]:
        """What is said of several photos, or of several searches, together."""
        cases = [each.case for each in self.cases]
        return (*shares(cases), *(sentence for case in cases for sentence in searches_share(case)))

    @property
    def is_whole(self) -> bool:
        """Whether a cloak was found, or none was needed, wherever one was asked for."""
        return all(each.case.found is not None or not each.case.known_to(each.case.asked) for each in self.cases)
