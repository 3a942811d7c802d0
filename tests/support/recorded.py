"""What store tests write."""

from orchestrator.experiment.cloak import CloakRecord
from orchestrator.experiment.grid import CloakKey
from orchestrator.store.changes import record_cloak, record_observations, record_subject
from orchestrator.store.records import Subject, SubjectStatus
from orchestrator.store.store import Store
from tests.support.cells import paper_cell
from tests.support.observed import BEYOND, NO_FACE, observation

KEY = CloakKey("facenet", "bim", 8)
CELL = paper_cell("facenet", "bim", 8, "resnet50")
OTHER = paper_cell("facenet", "bim", 8, "senet50")
OF_ALICE = [observation("alice/a.jpg", CELL, 3), observation("alice/a.jpg", OTHER, NO_FACE)]
OF_BOB = [observation("bob/b.jpg", CELL, BEYOND)]
SEEN = [*OF_ALICE, *OF_BOB]
CLOAK = CloakRecord("alice/a.jpg", KEY, 10, 20, 1, 8, 0.25, "p" * 64, "c" * 64)
SUBJECT = Subject("alice", "alice/a.jpg", "d" * 64, SubjectStatus.SUBJECT)


def fill(store: Store) -> None:
    """One subject with a cloak, one identity without a photo."""
    store.write(record_subject(SUBJECT))
    store.write(record_subject(Subject("bob", "", "", SubjectStatus.UNREADABLE)))
    store.write(record_cloak(CLOAK))
    store.write(record_observations(OF_ALICE, picture_sha256="c" * 64, answers={"resnet50": "carol"}))
    store.write(record_observations(OF_BOB, picture_sha256="e" * 64, answers={"resnet50": "carol"}))


def content(store: Store) -> tuple[object, ...]:
    """All of it that tests compare."""
    answers = store.answers(probe="alice/a.jpg")
    seen = sorted(map(str, store.observations()))
    return seen, store.subjects(), store.cloaks(probe="alice/a.jpg"), answers, store.failures()


def drawn(identity: str, status: SubjectStatus) -> Subject:
    """An identity with one photo."""
    return Subject(identity, f"{identity}/1.jpg", "d" * 64, status)
