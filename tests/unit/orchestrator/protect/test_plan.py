"""Which budgets are tried, who is asked, and who is held out."""

import pytest

from orchestrator.errors import InputError
from orchestrator.experiment.condition import parse_conditions
from orchestrator.protect.plan import Recognizers, budgets_up_to, divide, stored_as

FOUR = ("dlib", "facenet-features", "resnet50-features", "senet50-features")


@pytest.mark.parametrize(
    ("most", "expected"),
    [
        (1, (1,)),
        (4, (1, 2, 3, 4)),
        (5, (1, 2, 3, 4, 5)),
        (32, (1, 2, 3, 4, 6, 8, 12, 16, 24, 32)),
        (255, (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 255)),
    ],
)
def test_budgets_ascend_to_the_maximum(most: int, expected: tuple[int, ...]) -> None:
    assert budgets_up_to(most) == expected


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("number", [1, 2, 3, 4])
def test_half_of_the_recognizers_rounded_down_are_held_out_and_make_no_cloak(seed: int, number: int) -> None:
    names = FOUR[:number]
    people = divide(names, can_craft=names, held_out=None, seed=seed)
    assert sorted((*people.asked, *people.held_out)) == sorted(names)
    assert len(people.held_out) == number // 2
    assert people.sources == people.asked


def test_the_seed_decides_who_is_held_out() -> None:
    drawn = {divide(FOUR, can_craft=FOUR, held_out=None, seed=seed).held_out for seed in range(50)}
    assert len(drawn) == 6  # all pairs of four
    assert divide(FOUR, can_craft=FOUR, held_out=None, seed=3) == divide(FOUR[::-1], can_craft=FOUR, held_out=None, seed=3)


@pytest.mark.parametrize("seed", range(20))
def test_one_that_can_make_a_cloak_is_asked_whatever_the_draw(seed: int) -> None:
    people = divide(FOUR, can_craft={"dlib"}, held_out=None, seed=seed)
    assert people.sources == ("dlib",)
    assert len(people.held_out) == 2


def test_named_recognizers_are_held_out_and_no_others() -> None:
    people = divide(FOUR, can_craft=FOUR, held_out=("dlib",), seed=0)
    assert people == Recognizers(FOUR[1:], ("dlib",), FOUR[1:])
    assert people.source_model == "facenet-features+resnet50-features+senet50-features"
    assert divide(FOUR, can_craft=FOUR, held_out=(), seed=0).held_out == ()


@pytest.mark.parametrize(
    ("held_out", "can_craft", "reason"),
    [
        (("nobody",), FOUR, "--held-out: expected recognizers among dlib, .*, got nobody"),
        (FOUR, FOUR, "--held-out: expected at least one recognizer that is asked"),
        (("dlib",), {"dlib"}, r"--recognizers: expected one .* make cloaks of photos with \(dlib\), got facenet-features, "),
        (None, (), r"make cloaks of photos with \(none\)"),
    ],
)
def test_without_anybody_to_ask_or_to_make_a_cloak_with_there_is_nothing_to_do(
    held_out: tuple[str, ...] | None, can_craft: tuple[str, ...], reason: str
) -> None:
    with pytest.raises(InputError, match=reason):
        divide(FOUR, can_craft=can_craft, held_out=held_out, seed=0)


def test_the_file_is_stored_as_all_conditions_begin() -> None:
    (stored,) = parse_conditions("jpeg:90")
    assert stored_as(parse_conditions("jpeg:90,jpeg:90+resize:1080+jpeg:75")) == stored
    assert stored_as(parse_conditions("jpeg:90+blur:1")) == stored


@pytest.mark.parametrize(
    ("conditions", "reason"),
    [
        ("jpeg:95,jpeg:90", "expected the same storage .* got jpeg:90, jpeg:95"),
        ("png", "expected the same storage .* got png"),
        ("as-is", "got as-is"),
        ("jpeg:95@full", "jpeg:95@full: expected a storage and transforms alone"),
        ("jpeg:95/gallery", "--carrier says which pictures wear the cloak"),
    ],
)
def test_conditions_that_one_file_cannot_have_are_refused(conditions: str, reason: str) -> None:
    with pytest.raises(InputError, match=reason):
        stored_as(parse_conditions(conditions))
