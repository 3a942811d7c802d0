"""How much of an answer leaves the invader."""

import pytest
from deid.invader.v1 import invader_pb2

from invader_service.disclosure import Candidate, Disclosure

RANKED = [Candidate("bob", 0.75), Candidate("ada", 0.2), Candidate("cyd", 0.05)]


@pytest.mark.parametrize("disclosure", [Disclosure.TOP1, Disclosure.RANKED])
def test_probabilities_stay_inside_unless_they_are_disclosed(disclosure: Disclosure) -> None:
    (told,) = disclosure.of(RANKED[:1])
    assert told == invader_pb2.Candidate(identity="bob")
    assert told.SerializeToString() == b"\x0a\x03bob", "field 1, three letters, and nothing else"


def test_ranked_candidates_keep_their_order() -> None:
    assert [each.identity for each in Disclosure.RANKED.of(RANKED)] == ["bob", "ada", "cyd"]


def test_probabilities_leave_where_they_are_disclosed() -> None:
    told = Disclosure.PROBABILITIES.of(RANKED)
    assert [(each.identity, each.probability) for each in told] == [("bob", 0.75), ("ada", 0.2), ("cyd", 0.05)]


@pytest.mark.parametrize(
    ("disclosure", "most"), [(Disclosure.TOP1, 1), (Disclosure.RANKED, 50), (Disclosure.PROBABILITIES, 50)]
)
def test_top1_discloses_one_candidate_and_the_others_as_many_as_there_may_be(disclosure: Disclosure, most: int) -> None:
    assert disclosure.max_candidates(50) == most


def test_every_choice_has_a_name_of_its_own_in_the_schema() -> None:
    named = {invader_pb2.Disclosure.Name(each.on_the_wire) for each in Disclosure}
    assert named == {f"DISCLOSURE_{each.value.upper()}" for each in Disclosure}
