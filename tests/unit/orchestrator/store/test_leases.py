"""Who works on which identity of the draw: each by one at a time, and in the end the first that have a face."""

import multiprocessing
import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import pytest
from sqlalchemy import Connection

from orchestrator.store import LEASE_SECONDS, Store, StoreError, SubjectStatus
from orchestrator.store.database import Database
from orchestrator.store.leases import Leases
from tests.support.recorded import drawn
from tests.unit.orchestrator.store.conftest import Place

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
def timed(tmp_path: Path, clock: Clock, opened: Callable[..., Store]) -> Store:
    """A store whose clock is the test's: that of a server cannot be."""
    store = opened(tmp_path / "observations.sqlite", clock=clock)
    store.draw(DRAW)
    return store


def test_identities_are_claimed_in_the_order_of_the_draw_and_no_more_than_are_wanted(store: Store) -> None:
    store.draw(DRAW)
    assert [store.claim(wanted=3, holder=holder) for holder in "xyxy"] == ["dave", "alice", "carol", None]
    assert store.outstanding(wanted=3) == 3
    assert store.holders() == {"x", "y"}


def test_who_is_done_is_not_claimed_again_and_who_is_replaced_makes_room_for_the_next(store: Store) -> None:
    store.draw(DRAW)
    store.put_subject(drawn("dave", SubjectStatus.SUBJECT))
    store.put_subject(drawn("alice", SubjectStatus.NO_FACE))
    store.put_subject(drawn("carol", SubjectStatus.UNREADABLE))
    store.put_subject(drawn("bob", SubjectStatus.BEGUN))
    assert store.outstanding(wanted=2) == 1
    assert [store.claim(wanted=2, holder="h") for _ in range(2)] == ["bob", None]
    assert [store.claim(wanted=3, holder="h") for _ in range(2)] == ["erin", None]


def test_when_the_draw_is_at_its_end_there_is_no_further_claim(store: Store) -> None:
    store.draw(DRAW[:2])
    assert [store.claim(wanted=99, holder="h") for _ in range(3)] == ["dave", "alice", None]
    assert store.outstanding(wanted=99) == 2


def test_who_is_done_is_outstanding_no_more_and_its_holder_holds_nothing_unfinished(store: Store) -> None:
    store.draw(DRAW)
    store.claim(wanted=1, holder="h")
    store.put_subject(drawn("dave", SubjectStatus.SUBJECT))
    assert (store.outstanding(wanted=1), store.holders()) == (0, frozenset())
    assert store.claim(wanted=1, holder="other") is None


def test_what_is_given_back_can_be_claimed(store: Store) -> None:
    store.draw(DRAW)
    for _ in range(3):
        store.claim(wanted=6, holder="h")
    store.release(holder="h", identity="alice")
    store.release(holder="other", identity="dave")
    assert store.renew(holder="h") == {"dave", "carol"}
    assert store.claim(wanted=6, holder="other") == "alice"
    store.release(holder="h")
    assert store.renew(holder="h") == frozenset()
    assert [store.claim(wanted=6, holder="other") for _ in range(2)] == ["dave", "carol"]


def test_what_the_dead_held_is_claimed_at_once(store: Store) -> None:
    store.draw(DRAW)
    assert [store.claim(wanted=6, holder=holder) for holder in ("dead", "alive")] == ["dave", "alice"]
    assert store.claim(wanted=6, holder="heir", dead={"dead", "unheard of"}) == "dave"
    assert store.renew(holder="dead") == frozenset(), "it would learn that it lost it"
    assert store.renew(holder="heir") == {"dave"}


def test_a_lease_that_is_not_renewed_expires(timed: Store, clock: Clock) -> None:
    assert timed.claim(wanted=1, holder="first") == "dave"
    clock.now += LEASE_SECONDS - 1
    assert timed.claim(wanted=1, holder="second") is None
    clock.now += 1
    assert timed.holders() == frozenset()
    assert timed.claim(wanted=1, holder="second") == "dave"
    assert timed.renew(holder="first") == frozenset()


def test_a_lease_that_is_renewed_lasts(timed: Store, clock: Clock) -> None:
    timed.claim(wanted=1, holder="first")
    for _ in range(5):
        clock.now += LEASE_SECONDS - 1
        assert timed.renew(holder="first") == {"dave"}
        assert timed.claim(wanted=1, holder="second") is None


def test_a_lease_that_expired_and_nobody_took_can_still_be_renewed(timed: Store, clock: Clock) -> None:
    timed.claim(wanted=1, holder="first")
    clock.now += 10 * LEASE_SECONDS
    assert timed.renew(holder="first") == {"dave"}
    assert timed.claim(wanted=1, holder="second") is None


@pytest.mark.parametrize(("seconds", "heir"), [(0.5, None), (86_400, "dave")])
def test_a_clock_that_jumps_back_makes_no_lease_eternal(
    timed: Store, clock: Clock, seconds: float, heir: str | None
) -> None:
    timed.claim(wanted=1, holder="first")
    clock.now -= seconds
    assert timed.claim(wanted=1, holder="second") == heir


def test_a_lease_expires_by_the_clock_of_the_database(place: Place) -> None:
    store, dies = place.store(lease_seconds=0.3), place.store(lease_seconds=0.3)
    store.draw(DRAW)
    dies.claim(wanted=1, holder="dies")
    until = time.monotonic() + 30
    while (claimed := store.claim(wanted=1, holder="heir")) is None:
        assert time.monotonic() < until
    assert claimed == "dave"


class LosesAnswers(Database):
    """A server that dies after each commit and before it says so: what was done is done again."""

    def write(self, work: Callable[[Connection], T]) -> T:
        super().write(work)
        return super().write(work)


def test_a_claim_whose_answer_was_lost_gives_the_same_identity_and_no_other(place: Place) -> None:
    place.store().draw(DRAW)
    database = LosesAnswers(place.location)
    leases = Leases(database, "r")
    assert [leases.claim(wanted=3, holder="h") for _ in range(4)] == ["dave", "alice", "carol", None]
    assert leases.renew(holder="h") == {"dave", "alice", "carol"}
    database.close()


def test_a_draw_is_recorded_once(place: Place) -> None:
    store = place.store()
    store.draw(DRAW)
    store.draw(DRAW)
    expected = "6 identities with 'carol' at place 2, now 6 with 'erin'"
    with pytest.raises(StoreError, match=f"another draw is recorded for this run: {expected}"):
        store.draw(["dave", "alice", "erin", "bob", "carol", "frank"])
    with pytest.raises(StoreError, match="6 identities with 'frank' at place 5, now 5 with None"):
        store.draw(DRAW[:-1])
    assert [row[0] for row in place.sql("SELECT identity FROM draw ORDER BY place")] == DRAW


@pytest.mark.parametrize("seed", range(4))
def test_the_subjects_are_the_first_of_the_draw_that_have_a_face_whoever_works_on_them(place: Place, seed: int) -> None:
    chance = random.Random(seed)
    names = [f"n{number:02d}" for number in range(24)]
    faceless = {
        name: chance.choice([SubjectStatus.NO_FACE, SubjectStatus.UNREADABLE]) for name in names if chance.random() < 0.4
    }
    store = place.store()
    store.draw(names)
    working: list[tuple[str, str]] = []
    while store.outstanding(wanted=8):
        holder = chance.choice(["x", "y", "z"])
        if chance.random() < 0.6 and (claimed := store.claim(wanted=8, holder=holder)) is not None:
            working.append((holder, claimed))
        elif working:
            holder, done = working.pop(chance.randrange(len(working)))
            if chance.random() < 0.8:  # else it dies
                store.put_subject(drawn(done, faceless.get(done, SubjectStatus.SUBJECT)))
            store.release(holder=holder, identity=done)
    with_face = [name for name in names if name not in faceless][:8]
    replaced = [name for name in names[: names.index(with_face[-1])] if name in faceless]
    assert [subject.identity for subject in store.subjects()] == sorted(with_face + replaced)


def _claim_all(location: Path | str, holder: str, names: list[str]) -> list[str]:
    store = Store(location, run="r")
    try:
        store.draw(names)
        claimed = []
        while (identity := store.claim(wanted=len(names), holder=holder)) is not None:
            claimed.append(identity)
        return claimed
    finally:
        store.close()


def test_processes_that_claim_at_the_same_time_never_get_the_same_identity(place: Place) -> None:
    names = [f"n{number:03d}" for number in range(120)]
    with multiprocessing.get_context("spawn").Pool(3) as processes:
        claims = processes.starmap(_claim_all, [(place.location, holder, names) for holder in "xyz"], chunksize=1)
    assert sorted(name for each in claims for name in each) == names
    store = place.store()
    assert [store.renew(holder=holder) for holder in "xyz"] == [frozenset(each) for each in claims]
