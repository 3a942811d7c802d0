"""Who works on which identity of the draw: each by one at a time, and in the end the first that have a face."""

import multiprocessing
import random
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

import pytest
from sqlalchemy import Connection

from orchestrator.store.changes import record_subject
from orchestrator.store.database import Database
from orchestrator.store.errors import StoreError
from orchestrator.store.leases import LEASE_SECONDS, Leases, new_owner
from orchestrator.store.records import SubjectStatus
from orchestrator.store.store import Store
from tests.support.recorded import drawn
from tests.support.store_places import Place

T = TypeVar("T")

DRAW = ["dave", "alice", "carol", "bob", "erin", "frank"]


@dataclass
class Clock:
    """Stands still until it is set."""

    now: float = 1_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def leases(store: Store) -> Leases:
    """Those of a draw, and of one owner."""
    store.leases.draw(DRAW)
    return store.leases


@pytest.fixture
def timed(tmp_path: Path, clock: Clock, opened: Callable[..., Store]) -> Leases:
    """Leases whose clock is the test's: that of a server cannot be."""
    leases = replace(opened(tmp_path / "observations.sqlite").leases, clock=clock)
    leases.draw(DRAW)
    return leases


def another(leases: Leases) -> Leases:
    """The same as another owner."""
    return replace(leases, owner=new_owner())


def test_identities_are_claimed_in_the_order_of_the_draw_and_no_more_than_are_wanted(leases: Leases) -> None:
    assert not leases.held()
    other = another(leases)
    claims = [owner.claim(wanted=3) for owner in (leases, other, leases, other)]
    assert claims == ["dave", "alice", "carol", None]
    assert leases.renew() == {"dave", "carol"}
    assert other.renew() == {"alice"}
    assert leases.outstanding(wanted=3) == 3
    assert leases.held()


def test_who_is_done_is_not_claimed_again_and_who_is_replaced_makes_room_for_the_next(store: Store, leases: Leases) -> None:
    store.write(record_subject(drawn("dave", SubjectStatus.SUBJECT)))
    store.write(record_subject(drawn("alice", SubjectStatus.NO_FACE)))
    store.write(record_subject(drawn("carol", SubjectStatus.UNREADABLE)))
    store.write(record_subject(drawn("bob", SubjectStatus.BEGUN)))
    assert leases.outstanding(wanted=2) == 1
    assert [leases.claim(wanted=2) for _ in range(2)] == ["bob", None]
    assert [leases.claim(wanted=3) for _ in range(2)] == ["erin", None]


def test_when_the_draw_is_at_its_end_there_is_no_further_claim(store: Store) -> None:
    store.leases.draw(DRAW[:2])
    assert [store.leases.claim(wanted=99) for _ in range(3)] == ["dave", "alice", None]
    assert store.leases.outstanding(wanted=99) == 2


def test_who_is_done_is_outstanding_no_more_and_holds_nobody_up(store: Store, leases: Leases) -> None:
    leases.claim(wanted=1)
    store.write(record_subject(drawn("dave", SubjectStatus.SUBJECT)))
    assert (leases.outstanding(wanted=1), leases.held()) == (0, False)
    assert another(leases).claim(wanted=1) is None


def test_what_is_given_back_can_be_claimed_at_once(leases: Leases) -> None:
    other = another(leases)
    for _ in range(3):
        leases.claim(wanted=6)
    leases.release("alice")
    other.release("dave")
    assert leases.renew() == {"dave", "carol"}
    assert other.claim(wanted=6) == "alice"
    leases.release()
    assert leases.renew() == frozenset()
    assert [other.claim(wanted=6) for _ in range(2)] == ["dave", "carol"]


def test_every_store_that_is_opened_is_an_owner_of_its_own(place: Place) -> None:
    first, second = place.store().leases, place.store().leases
    first.draw(DRAW)
    assert (first.claim(wanted=2), second.claim(wanted=2)) == ("dave", "alice")
    second.release()
    assert first.renew() == {"dave"}
    assert second.renew() == frozenset()


def test_a_lease_that_is_not_renewed_expires(timed: Leases, clock: Clock) -> None:
    other = another(timed)
    assert timed.claim(wanted=1) == "dave"
    clock.now += LEASE_SECONDS - 1
    assert other.claim(wanted=1) is None
    assert other.held()
    clock.now += 1
    assert not other.held()
    assert other.claim(wanted=1) == "dave"
    assert timed.renew() == frozenset(), "who held it learns that it is lost"


def test_a_lease_that_is_renewed_lasts(timed: Leases, clock: Clock) -> None:
    timed.claim(wanted=1)
    for _ in range(5):
        clock.now += LEASE_SECONDS - 1
        assert timed.renew() == {"dave"}
        assert another(timed).claim(wanted=1) is None


def test_a_lease_that_expired_and_nobody_took_can_still_be_renewed(timed: Leases, clock: Clock) -> None:
    timed.claim(wanted=1)
    clock.now += 10 * LEASE_SECONDS
    assert timed.renew() == {"dave"}
    assert another(timed).claim(wanted=1) is None


@pytest.mark.parametrize(("seconds", "heir"), [(0.5, None), (86_400, "dave")])
def test_a_clock_that_jumps_back_makes_no_lease_eternal(
    timed: Leases, clock: Clock, seconds: float, heir: str | None
) -> None:
    timed.claim(wanted=1)
    clock.now -= seconds
    assert another(timed).claim(wanted=1) == heir


def test_a_lease_expires_by_the_clock_of_the_database(leases: Leases) -> None:
    dies = replace(leases, seconds=0.3)
    heir = another(dies)
    dies.claim(wanted=1)
    until = time.monotonic() + 30
    while (claimed := heir.claim(wanted=1)) is None:
        assert time.monotonic() < until
    assert claimed == "dave"


class LosesAnswers(Database):
    """A server that dies after each commit and before it says so: what was done is done again."""

    def write(self, work: Callable[[Connection], T]) -> T:
        super().write(work)
        return super().write(work)


def test_a_claim_whose_answer_was_lost_gives_the_same_identity_and_no_other(place: Place) -> None:
    place.store().leases.draw(DRAW)
    database = LosesAnswers(place.location)
    leases = Leases(database, "r")
    assert [leases.claim(wanted=3) for _ in range(4)] == ["dave", "alice", "carol", None]
    assert leases.renew() == {"dave", "alice", "carol"}
    database.close()


def test_a_draw_is_recorded_once(place: Place) -> None:
    leases = place.store().leases
    leases.draw(DRAW)
    leases.draw(DRAW)
    expected = "6 identities with 'carol' at position 2, now 6 with 'erin'"
    with pytest.raises(StoreError, match=f"another draw is recorded for this run: {expected}"):
        leases.draw(["dave", "alice", "erin", "bob", "carol", "frank"])
    with pytest.raises(StoreError, match="6 identities with 'frank' at position 5, now 5 with None"):
        leases.draw(DRAW[:-1])
    assert [row[0] for row in place.sql("SELECT identity FROM draw ORDER BY position")] == DRAW


@pytest.mark.parametrize("seed", range(4))
def test_the_subjects_are_the_first_of_the_draw_that_have_a_face_whoever_works_on_them(place: Place, seed: int) -> None:
    chance = random.Random(seed)
    names = [f"n{number:02d}" for number in range(24)]
    faceless = {
        name: chance.choice([SubjectStatus.NO_FACE, SubjectStatus.UNREADABLE]) for name in names if chance.random() < 0.4
    }
    store = place.store()
    store.leases.draw(names)
    owners = [another(store.leases) for _ in range(3)]
    working: list[tuple[Leases, str]] = []
    while store.leases.outstanding(wanted=8):
        owner = chance.choice(owners)
        if chance.random() < 0.6 and (claimed := owner.claim(wanted=8)) is not None:
            working.append((owner, claimed))
        elif working:
            owner, done = working.pop(chance.randrange(len(working)))
            if chance.random() < 0.8:  # else it dies
                store.write(record_subject(drawn(done, faceless.get(done, SubjectStatus.SUBJECT))))
            owner.release(done)
    with_face = [name for name in names if name not in faceless][:8]
    replaced = [name for name in names[: names.index(with_face[-1])] if name in faceless]
    assert [subject.identity for subject in store.subjects()] == sorted(with_face + replaced)


def _claim_all(location: Path | str, owner: str, names: list[str]) -> list[str]:
    store = Store(location, run="r")
    leases = replace(store.leases, owner=owner)
    try:
        leases.draw(names)
        claimed = []
        while (identity := leases.claim(wanted=len(names))) is not None:
            claimed.append(identity)
        return claimed
    finally:
        store.close()


def test_processes_that_claim_at_the_same_time_never_get_the_same_identity(place: Place) -> None:
    names = [f"n{number:03d}" for number in range(120)]
    with multiprocessing.get_context("spawn").Pool(3) as processes:
        claims = processes.starmap(_claim_all, [(place.location, owner, names) for owner in "xyz"], chunksize=1)
    assert sorted(name for each in claims for name in each) == names
    leases = place.store().leases
    assert [replace(leases, owner=owner).renew() for owner in "xyz"] == [frozenset(each) for each in claims]
