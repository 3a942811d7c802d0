"""What a store keeps beside observations."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Any, NamedTuple


class SubjectStatus(StrEnum):
    """What became of an identity that was drawn."""

    BEGUN = "begun"  # not all that can be observed about it is
    SUBJECT = "subject"
    NO_FACE = "no_face"  # the protector finds no face: replaced by the next
    UNREADABLE = "unreadable"  # none of its photos can be read: replaced by the next


REPLACED = (SubjectStatus.NO_FACE, SubjectStatus.UNREADABLE)


@dataclass(frozen=True)
class Subject:
    """An identity that was drawn, and its photo."""

    identity: str
    photo: str  # IDENTITY/FILE
    photo_sha256: str
    status: SubjectStatus


class NamedRun(NamedTuple):
    """What a run is called where several share a store, and the manifest that it began with."""

    name: str
    manifest: dict[str, Any]


@dataclass(frozen=True)
class Failure:
    """A call that failed for good; no observation came of it."""

    probe: str
    what: str
    message: str


@dataclass(frozen=True)
class ObservationCounts:
    """How far a run is."""

    subjects: int  # of which all was observed that can be
    observations: int  # of these subjects
    unfinished: int  # observations of subjects of which more is to be observed
    queries: int  # pictures shown to at least one target model, of whatever identity that was drawn
    non_mated_queries: int = 0  # likewise, of people who are not enrolled
    non_mated: int = 0  # searches of these people, each at all thresholds of one target model
