"""Cloaks that are shown together: those of a probe and of the enrolled photos, as soon as all of a kind are there."""

from itertools import permutations, product

import pytest

from orchestrator.experiment.cloak import Cloak, CloakRecord
from orchestrator.experiment.grid import CloakKey
from orchestrator.session.cloak_sets import CloakSet, CloakSets
from orchestrator.session.photos import EncodedPhoto, SubjectPhotos

BIM, NONE = CloakKey("facenet", "bim", 8), CloakKey("facenet", "none", 0)


def photo(name: str) -> EncodedPhoto:
    return EncodedPhoto("alice", f"alice/{name}", name.encode(), name)


PROBE, FIRST, SECOND, LEFT = map(photo, ("probe", "first", "second", "left"))
PHOTOS = SubjectPhotos(PROBE, (FIRST, SECOND), (LEFT,))


def cloak(of: EncodedPhoto, key: CloakKey) -> Cloak:
    record = CloakRecord(of.name, key, 0, 0, 0, 0, 0.0, "a" * 64, "b" * 64)
    return Cloak(record, of.encoded)


class Shown:
    """Sets as they are shown."""

    def __init__(self, photos: SubjectPhotos, *enrolling: CloakKey) -> None:
        self.sets: list[CloakSet] = []
        self._sets = CloakSets(photos, enrolling=enrolling, show=self.sets.append)

    def add(self, of: EncodedPhoto, key: CloakKey) -> None:
        self._sets.add(of, cloak(of, key))


@pytest.mark.parametrize("order", list(permutations((PROBE, FIRST, SECOND))))
def test_a_set_is_shown_once_when_it_is_whole_in_the_order_of_the_photos(order: tuple[EncodedPhoto, ...]) -> None:
    shown = Shown(PHOTOS, BIM)
    for each in order[:-1]:
        shown.add(each, BIM)
    assert shown.sets == []
    shown.add(order[-1], BIM)
    (whole,) = shown.sets
    assert whole == CloakSet(cloak(PROBE, BIM), (cloak(FIRST, BIM), cloak(SECOND, BIM)))
    assert whole.key == BIM


def test_a_kind_that_is_not_enrolled_is_shown_with_the_probe_s_cloak_alone() -> None:
    shown = Shown(PHOTOS, BIM)
    shown.add(PROBE, NONE)
    assert shown.sets == [CloakSet(cloak(PROBE, NONE))]


def test_kinds_do_not_wait_for_each_other() -> None:
    shown = Shown(PHOTOS, BIM, NONE)
    for of, key in product((PROBE, FIRST), (BIM, NONE)):
        shown.add(of, key)
    shown.add(SECOND, NONE)
    assert [each.key for each in shown.sets] == [NONE]
    shown.add(SECOND, BIM)
    assert [each.key for each in shown.sets] == [NONE, BIM]


def test_without_photos_to_enrol_each_cloak_of_the_probe_is_a_set() -> None:
    shown = Shown(SubjectPhotos(PROBE), BIM)
    shown.add(PROBE, BIM)
    assert shown.sets == [CloakSet(cloak(PROBE, BIM))]
