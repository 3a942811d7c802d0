"""Conditions and their texts."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.errors import InputError
from orchestrator.experiment.carrier import Carrier
from orchestrator.experiment.condition import (
    FULL,
    LOSSLESS,
    NAMED_SETS,
    PAPERS,
    TRANSFORMS,
    Condition,
    Storage,
    Transform,
    headline_condition,
    parse_conditions,
)
from orchestrator.experiment.region import Region

STRENGTHS = {
    kind: st.floats(each.low, each.high).map(lambda strength: float(f"{strength:g}"))
    if not each.whole
    else st.integers(int(each.low), int(each.high)).filter(each.hold).map(float)
    for kind, each in TRANSFORMS.items()
}
TRANSFORM = st.sampled_from(sorted(TRANSFORMS)).flatmap(
    lambda kind: st.builds(Transform, st.just(kind), STRENGTHS[kind].filter(TRANSFORMS[kind].hold))
)
CONDITION = st.builds(
    Condition,
    st.builds(Storage, st.none() | st.integers(1, 100)),
    st.lists(TRANSFORM, max_size=4).map(tuple),
    st.sampled_from(Region),
    st.sampled_from(Carrier),
).filter(lambda condition: condition.carrier.is_searched or condition.region is Region.DETECTED)


def refusal(text: str) -> str:
    with pytest.raises(InputError) as refused:
        parse_conditions(text)
    return str(refused.value)


@given(CONDITION)
def test_the_text_of_a_condition_is_its_name(condition: Condition) -> None:
    assert Condition.parse(str(condition)) == condition


def test_a_condition_of_targets_is_told_by_its_text_and_comes_after_that_of_the_person() -> None:
    condition = Condition.parse("png@full")
    assert str(condition.towards_target) == "png@full/target"
    assert Condition.parse("png@full/target") == condition.towards_target
    assert headline_condition([condition.towards_target, condition]) == condition


@given(st.lists(CONDITION, min_size=2, max_size=5))
def test_conditions_are_ordered_by_their_texts(conditions: list[Condition]) -> None:
    assert list(map(str, sorted(conditions))) == sorted(map(str, conditions))


@pytest.mark.parametrize(
    ("spelt", "canonical"),
    [
        ("jpeg:095", "jpeg:95"),
        (" jpeg:95 + resize:112 ", "jpeg:95+resize:112"),
        ("png+blur:1.50@full", "png+blur:1.5@full"),
        ("jpeg:95+jpeg:50", "jpeg:95+jpeg:50"),
        ("as-is + jpeg:050@full", "as-is+jpeg:50@full"),
        ("jpeg:95 / gallery", "jpeg:95/gallery"),
        (" jpeg:095+jpeg:50 @full /both ", "jpeg:95+jpeg:50@full/both"),
        ("png + webp:80 + median:3 + bits:4 @ full", "png+webp:80+median:3+bits:4@full"),
    ],
)
def test_a_condition_may_be_spelt_otherwise(spelt: str, canonical: str) -> None:
    assert str(Condition.parse(spelt)) == canonical


def test_the_paper_s_conditions_are_what_its_claims_compare() -> None:
    assert (str(PAPERS), str(LOSSLESS), str(FULL)) == ("jpeg:95", "png", "jpeg:95@full")
    assert parse_conditions("paper") == (PAPERS, FULL, LOSSLESS)


def test_the_threats_are_the_paper_s_condition_by_every_carrier() -> None:
    assert set(map(str, NAMED_SETS["threat"])) == {"jpeg:95", "jpeg:95/gallery", "jpeg:95/both", "jpeg:95/adaptive"}


def test_platforms_shrink_and_compress_what_is_stored_as_the_paper_s() -> None:
    others = NAMED_SETS["platforms"][1:]
    assert NAMED_SETS["platforms"][0] == PAPERS
    assert [[step.kind for step in each.transforms] for each in others] == [["resize", "jpeg"]] * 4
    assert {each.storage for each in others} == {Storage(95)}
    assert {each.region for each in others} == {Region.DETECTED}


@given(CONDITION)
def test_what_becomes_of_a_picture_depends_on_neither_region_nor_carrier(condition: Condition) -> None:
    chain = condition.chain
    assert (chain.region, chain.carrier) == (Region.DETECTED, Carrier.PROBE)
    assert str(condition).startswith(str(chain))


def test_purification_is_the_paper_s_condition_and_one_transform_of_it_each() -> None:
    assert PAPERS in NAMED_SETS["purification"]
    assert {len(each.transforms) for each in NAMED_SETS["purification"]} == {0, 1}
    assert {each.storage for each in NAMED_SETS["purification"]} == {Storage(95)}


def test_named_sets_may_overlap_with_each_other_and_with_what_is_named() -> None:
    assert set(parse_conditions("paper,purification,png")) == {*NAMED_SETS["paper"], *NAMED_SETS["purification"]}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("jpeg:95,png,jpeg:095", "expected every condition once, got jpeg:95 twice"),
        ("", "expected a condition or a named set (paper, threat, purification, platforms), got none"),
        (
            "papers",
            "papers: expected a storage first, jpeg:QUALITY, png or as-is, got 'papers'; or a named set: paper, "
            "threat, purification",
        ),
        ("resize:112", "resize:112: expected a storage first, jpeg:QUALITY, png or as-is, got 'resize:112'"),
        (
            "jpeg",
            "jpeg: expected a storage first, jpeg:QUALITY, png or as-is, got 'jpeg'; or a named set: paper, threat, "
            "purification",
        ),
        ("png:3", "png:3: expected a storage first, jpeg:QUALITY, png or as-is, got 'png:3'"),
        ("jpeg:0", "jpeg:0: jpeg: expected a whole number of 1..100, the quality, got 0"),
        ("jpeg:95.5", "jpeg:95.5: jpeg: expected a whole number of 1..100, the quality, got 95.5"),
        (
            "png+sharpen:1",
            "png+sharpen:1: expected a transform (bits:N, blur:SIGMA, jpeg:N, median:N, resize:N, webp:N), got 'sharpen:1'",
        ),
        (
            "png+resize:1",
            "png+resize:1: resize: expected a whole number of 8..4096, the longer side at most, in pixels, got 1",
        ),
        ("png+blur:nan", "png+blur:nan: blur: expected a number of 0.1..20, "),
        ("png+blur:inf", "png+blur:inf: blur: expected a number of 0.1..20, "),
        ("png+median:4", "png+median:4: median: expected an odd number of 3..15, the side of the window in pixels, got 4"),
        ("png+bits:8", "png+bits:8: bits: expected a whole number of 1..7, the bits that each channel keeps, got 8"),
        ("png+bits", "png+bits: bits: expected a whole number of 1..7, the bits that each channel keeps, got nothing"),
        ("png+", "png+: expected a transform ("),
        ("png@whole", "png@whole: expected @full or no region, got @whole"),
        ("png/probe", "png/probe: expected /gallery or /both or /adaptive or no carrier, got /probe"),
        ("png/", "png/: expected /gallery or /both or /adaptive or no carrier, got /"),
        ("png/gallery@full", "png/gallery@full: expected /gallery or /both or /adaptive or no carrier, got /gallery@full"),
        ("png@full/gallery", "png@full/gallery: expected no region: what is searched is a whole photo"),
        ("png" + 9 * "+jpeg:50", "expected at most 8 transforms, got 9"),
    ],
)
def test_what_is_no_condition_is_refused_by_what_was_expected(text: str, said: str) -> None:
    assert said in refusal(text)


@pytest.mark.parametrize(
    ("texts", "headline"),
    [
        ("png,jpeg:95,jpeg:95@full", "jpeg:95"),
        ("png,png@full", "png"),
        ("jpeg:95/both,jpeg:95/gallery,png+blur:1", "png+blur:1"),
        ("jpeg:95/gallery,png/both", "jpeg:95/gallery"),
        ("jpeg:95/adaptive,jpeg:95/both,jpeg:95/gallery", "jpeg:95/gallery"),
        ("jpeg:95+blur:1,jpeg:50", "jpeg:50"),
        ("jpeg:95+blur:1,jpeg:95+bits:4", "jpeg:95+bits:4"),
    ],
)
def test_headlines_are_of_the_paper_s_condition_or_else_of_the_plainest(texts: str, headline: str) -> None:
    assert str(headline_condition(parse_conditions(texts))) == headline
