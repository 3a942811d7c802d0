"""`psr.csv` from observations that can be counted by hand."""

import csv
import io
from dataclasses import replace

from statsmodels.stats.proportion import proportion_confint

from orchestrator.experiment.condition import Condition
from orchestrator.experiment.intervals import IntervalKind
from orchestrator.metrics.confidence_sequence import confidence_sequence
from orchestrator.metrics.observation import Observation
from orchestrator.report.psr_csv import psr_csv
from tests.support.cells import paper_cell
from tests.support.observed import BEYOND, NO_FACE, NOT_ENROLLED, observations, results

CLOAKED = paper_cell("facenet", "bim", 8, "resnet50")
CONTROL = paper_cell("facenet", "none", 0, "resnet50")


def rows(table: list[Observation], *, ks: tuple[int, ...] = (1,), subjects: int = 4) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(psr_csv(results(table, ks=ks), subjects=subjects))))


def test_rows_at_thresholds_stand_after_the_others_with_the_controls_at_the_same() -> None:
    table = [*observations(CLOAKED, a=1, b=2), *observations(CONTROL, a=1, b=1)]
    at = {
        "fpir:0.01": results([*observations(CLOAKED, a=BEYOND, b=BEYOND), *observations(CONTROL, a=1, b=BEYOND)], ks=(1,)),
        "given": results([*observations(CLOAKED, a=1, b=2), *observations(CONTROL, a=1, b=1)], ks=(1,)),
    }
    found = csv.DictReader(io.StringIO(psr_csv(results(table, ks=(1,)), subjects=2, at=at, caveat="why")))
    columns = ("method", "threshold", "psr", "control", "minus_control", "caveat")
    assert [tuple(row[column] for column in columns) for row in found] == [
        ("bim", "", "50.0000", "0.0000", "50.0000", "why"),
        ("none", "", "0.0000", "0.0000", "0.0000", "why"),
        ("bim", "fpir:0.01", "100.0000", "50.0000", "50.0000", "why"),
        ("none", "fpir:0.01", "50.0000", "50.0000", "0.0000", "why"),
        ("bim", "given", "50.0000", "0.0000", "50.0000", "why"),
        ("none", "given", "0.0000", "0.0000", "0.0000", "why"),
    ]


def test_a_row_holds_a_cell_s_psr_with_all_that_stands_beside_it() -> None:
    table = [*observations(CLOAKED, a=1, b=4, c=BEYOND, d=NO_FACE), *observations(CONTROL, a=1, b=1, c=1, d=1)]
    low, high = proportion_confint(3, 4, method="wilson")
    cloaked, _ = rows(table)
    differences = {name: cloaked.pop(name) for name in ("minus_control_low", "minus_control_high")}
    assert cloaked == {
        "source_model": "facenet",
        "method": "bim",
        "epsilon": "8",
        "condition": "jpeg:95",
        "target_model": "resnet50",
        "k": "1",
        "threshold": "",
        "subjects": "4",
        "n": "4",
        "protected": "3",
        "psr": "75.0000",
        "psr_low": f"{100 * low:.4f}",
        "psr_high": f"{100 * high:.4f}",
        "interval": "wilson",
        "detected": "3",
        "detection_rate": "75.0000",
        "psr_of_detected": "66.6667",
        "not_enrolled": "",
        "failure_to_enrol_rate": "",
        "control": "0.0000",
        "noise": "",
        "minus_control": "75.0000",
        "minus_noise": "",
        "minus_noise_low": "",
        "minus_noise_high": "",
        "caveat": "",
    }
    assert 0 < float(differences["minus_control_low"]) < 75 < float(differences["minus_control_high"]) < 100


def test_a_run_that_looked_at_its_intervals_has_those_that_hold_at_all_looks() -> None:
    table = observations(CLOAKED, a=1, b=4, c=BEYOND, d=NO_FACE)
    kind = IntervalKind.CONFIDENCE_SEQUENCE
    (row,) = csv.DictReader(io.StringIO(psr_csv(results(table, ks=(1,), kind=kind), subjects=4)))
    limits = confidence_sequence(3, 4)
    assert (row["psr_low"], row["psr_high"]) == (f"{100 * limits.low:.4f}", f"{100 * limits.high:.4f}")
    assert row["interval"] == "confidence sequence"


def test_there_is_a_row_for_every_observed_cell_and_k() -> None:
    table = [*observations(CLOAKED, a=1), *observations(CONTROL, a=1)]
    found = [(row["method"], row["epsilon"], row["k"]) for row in rows(table, ks=(1, 5))]
    assert found == [("bim", "8", "1"), ("bim", "8", "5"), ("none", "0", "1"), ("none", "0", "5")]


def test_a_short_cell_shows_its_own_n_beside_what_was_asked_for() -> None:
    (row,) = rows(observations(CLOAKED, a=1, b=BEYOND), subjects=4)
    assert (row["subjects"], row["n"], row["psr"]) == ("4", "2", "50.0000")


def test_psr_of_detected_is_empty_where_no_face_was_found() -> None:
    (row,) = rows(observations(CLOAKED, a=NO_FACE))
    assert (row["psr"], row["detection_rate"], row["psr_of_detected"]) == ("100.0000", "0.0000", "")


def test_who_was_not_enrolled_is_counted_where_cloaks_are_enrolled() -> None:
    in_gallery = replace(CLOAKED, condition=Condition.parse("jpeg:95/gallery"))
    (row,) = rows(observations(in_gallery, a=1, b=NOT_ENROLLED, c=NO_FACE, d=1))
    assert (row["psr"], row["not_enrolled"], row["failure_to_enrol_rate"]) == ("50.0000", "1", "25.0000")


def test_a_negative_difference_keeps_its_sign() -> None:
    table = [*observations(CLOAKED, a=1, b=1), *observations(CONTROL, a=2, b=1)]
    cloaked, _ = rows(table)
    assert cloaked["minus_control"] == "-50.0000"


def test_names_with_commas_and_quotes_survive() -> None:
    (row,) = rows(observations(paper_cell("facenet", 'my "own", method', 8, "resnet50"), a=1))
    assert row["method"] == 'my "own", method'


def test_a_caveat_stands_in_every_row() -> None:
    table = [*observations(CLOAKED, a=1), *observations(CONTROL, a=1)]
    text = psr_csv(results(table, ks=(1, 5)), subjects=4, caveat="not the paper's figures")
    assert [row["caveat"] for row in csv.DictReader(io.StringIO(text))] == ["not the paper's figures"] * 4


def test_no_observations_leave_the_header_alone() -> None:
    text = psr_csv([], subjects=4)
    assert text.startswith("source_model,method,epsilon,condition,target_model,k,threshold,subjects,n,protected,psr,")
    assert text.count("\n") == 1


def test_the_psr_of_both_controls_stands_beside_a_cell() -> None:
    table = [
        *observations(CLOAKED, a=BEYOND, b=BEYOND),
        *observations(CONTROL, a=1, b=2),
        *observations(paper_cell("facenet", "noise", 8, "resnet50"), a=1, b=6),
        *observations(paper_cell("facenet", "noise", 4, "resnet50"), a=1, b=1),
        *observations(paper_cell("facenet", "noise", 8, "senet50"), a=7, b=7),
    ]
    beside = {(row["method"], row["epsilon"], row["target_model"]): (row["control"], row["noise"]) for row in rows(table)}
    assert beside["bim", "8", "resnet50"] == ("50.0000", "50.0000")
    assert beside["noise", "4", "resnet50"] == ("50.0000", "0.0000")
    assert beside["none", "0", "resnet50"] == ("50.0000", "")
    assert beside["noise", "8", "senet50"] == ("", "100.0000")
