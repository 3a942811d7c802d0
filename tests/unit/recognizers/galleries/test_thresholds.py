"""Thresholds that are calibrated on impostors, counted one by one."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from recognizers.errors import GalleryError
from recognizers.galleries.thresholds import Target, Threshold, calibrated, reached


@pytest.mark.parametrize(
    "text", ["fpir", "fpir:", "fpir:0", "fpir:1", "fnir:0.1", "fmr:-0.1", "fmr:1e-3", "fmr:½", "given", ""]
)
def test_a_target_is_a_rate_of_a_known_kind(text: str) -> None:
    with pytest.raises(GalleryError, match="expected fpir:RATE or fmr:RATE"):
        Target.parse(text)


@pytest.mark.parametrize("text", ["fpir:0.01", "fpir:0.010", "fpir:.01", "fpir:00.01"])
def test_a_rate_has_one_name_however_it_was_written(text: str) -> None:
    assert Target.parse(text) == Target.parse("fpir:0.01")
    assert Target.parse(text).name == "fpir:0.01"


@settings(max_examples=60, deadline=None)
@given(
    scores=st.lists(st.lists(st.integers(-5, 5), min_size=3, max_size=3), min_size=1, max_size=30),
    rate=st.sampled_from(["0.01", "0.1", "0.25", "0.5"]),
    kind=st.sampled_from(["fpir", "fmr"]),
)
def test_no_larger_share_reaches_it_and_none_lower_would_do(scores: list[list[int]], rate: str, kind: str) -> None:
    threshold = calibrated(Target.parse(f"{kind}:{rate}"), torch.tensor(scores, dtype=torch.float32))
    values = [max(row) for row in scores] if kind == "fpir" else [value for row in scores for value in row]
    positives = sum(value >= threshold.logit for value in values)
    assert (threshold.comparisons, threshold.false_positives) == (len(values), positives)
    assert positives <= float(rate) * len(values)
    rejected = [value for value in values if value < threshold.logit]
    # The best of those that do not reach it, let in, would be too many.
    assert positives + rejected.count(max(rejected)) > float(rate) * len(values)


def test_candidates_that_reach_a_threshold_are_counted_at_it_and_above() -> None:
    thresholds = [Threshold("given", 2.0), Threshold("fpir:0.1", 3.5)]
    assert reached(torch.tensor([4.0, 3.0, 2.0, 1.0]), thresholds) == {"given": 3, "fpir:0.1": 1}
