"""The files beside a report, as pandas reads them, and the manifest by its schema."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import pandas as pd
import pyarrow.parquet as parquet
import pytest

from orchestrator.commands.report import report
from orchestrator.experiment.condition import LOSSLESS, NAMED_SETS
from orchestrator.experiment.method import Method
from tests.support.matched import matched_run
from tests.support.plans import BIM
from tests.support.reported import GRID, PEOPLE, changed, make_run

SCHEMA = Path(__file__).parents[4] / "docs" / "manifest.schema.json"


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report's folder of a complete run."""
    return report(make_run(tmp_path_factory.mktemp("runs") / "run", pictures=False)).parent


def test_observations_are_a_row_each_in_plain_columns(written: Path) -> None:
    table = pd.read_parquet(written / "observations.parquet")
    assert len(table) == 3 * GRID.observations_per_probe
    fields = {field.name: str(field.type) for field in parquet.read_schema(written / "observations.parquet")}
    assert fields == {
        **dict.fromkeys(("probe", "identity", "source_model", "method"), "string"),
        "epsilon": "int16",
        **dict.fromkeys(("condition", "target_model", "outcome"), "string"),
        "rank": "int16",
        "candidates": "int16",
    }


def test_an_observation_says_what_was_answered(written: Path) -> None:
    table = pd.read_parquet(written / "observations.parquet")
    cell = (table.source_model == "compact-facenet") & (table.method == "bim") & (table.epsilon == 64)
    read = table[cell & (table.target_model == "compact-resnet")].sort_values("probe")
    assert read.outcome.tolist() == ["no_face", "ranked", "ranked"]
    assert read["rank"].isna().tolist() == [True, False, False]
    assert read["rank"].tolist()[1:] == [2, 3]
    own = table[cell & (table.target_model == "compact-facenet")].sort_values("probe")
    assert own.outcome.tolist() == ["no_face", "beyond", "beyond"]
    assert own["rank"].isna().all()
    assert (own.probe.str.rpartition("/")[0] == own.identity).all()
    assert set(table.candidates) == {5}


def test_psr_computed_from_the_observations_is_the_psr_of_the_table(written: Path) -> None:
    observations, psr = pd.read_parquet(written / "observations.parquet"), pd.read_csv(written / "psr.csv")
    keys = ["source_model", "method", "epsilon", "target_model"]
    for k in GRID.ks:
        protected = ~(observations["rank"] <= k)
        means = (100 * protected).groupby([observations[key] for key in keys]).mean()
        stated = psr[psr.k == k].set_index(keys).psr
        assert means.to_dict() == pytest.approx(stated.to_dict(), abs=1e-4)


def test_a_run_that_observed_nothing_has_empty_tables_with_their_columns(tmp_path: Path) -> None:
    folder = report(make_run(tmp_path / "run", subjects=0, finished=False), allow_incomplete=True).parent
    assert len(pd.read_parquet(folder / "observations.parquet")) == 0
    assert "psr" in pd.read_csv(folder / "psr.csv").columns


def test_the_same_run_gives_the_same_bytes(written: Path) -> None:
    before = {name: (written / name).read_bytes() for name in ("observations.parquet", "psr.csv", "report.html")}
    report(written.parent)
    assert {name: (written / name).read_bytes() for name in before} == before


def manifest(root: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((root / "manifest.json").read_text())
    return found


def validator() -> jsonschema.Draft202012Validator:
    schema = json.loads(SCHEMA.read_text())
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


def test_manifests_fit_their_schema(tmp_path: Path) -> None:
    runs = [
        make_run(tmp_path / "whole", pictures=False),
        make_run(tmp_path / "begun", subjects=0, finished=False),
        make_run(tmp_path / "people", plan=changed(faces=PEOPLE, grid=GRID.under(LOSSLESS)), outcome={"excluded": ["eve"]}),
        make_run(
            tmp_path / "read",
            plan=changed(grid=GRID.under(*NAMED_SETS["purification"])),
            outcome={"replaced": {"eve": "no_face"}},
        ),
    ]
    looking = changed(subjects=9, until_halfwidth=45.0)
    runs += [
        make_run(tmp_path / "narrow", plan=looking, subjects=3, outcome={"subjects_wanted": 3}, pictures=False),
        make_run(tmp_path / "broken", plan=looking, subjects=1, outcome={"subjects_wanted": None}, pictures=False),
    ]
    ensemble = replace(GRID, source_models=("compact-facenet+compact-resnet", "compact-facenet"))
    stated = changed(grid=ensemble, crafting={"bim": BIM, "illc": Method(needs_label_set=True)})
    runs.append(make_run(tmp_path / "ensemble", plan=stated, subjects=0))
    runs.append(matched_run(tmp_path / "matched"))
    for root in runs:
        assert [error.message for error in validator().iter_errors(manifest(root))] == []


@pytest.mark.parametrize(
    "change",
    [
        {"format": 1},
        {"digest": "short"},
        {"protocol": None},
        {"data_set": {}},
        {"outcome": {"subjects": "alice"}},
    ],
)
def test_what_is_no_manifest_does_not_fit(tmp_path: Path, change: dict[str, Any]) -> None:
    root = make_run(tmp_path / "run", subjects=0)
    assert validator().is_valid(manifest(root))
    assert not validator().is_valid(manifest(root) | change)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("seed", -1),
        ("until_halfwidth", 51),
        ("look_every", None),
        ("crafting", {"bim": {"parameters": {"alpha": ""}, "needs_label_set": True, "costs": {}}}),
        ("crafting", {"bim": {"parameters": {}, "needs_label_set": True, "costs": {"4": {"gradients": 5}}}}),
    ],
)
def test_a_protocol_out_of_range_does_not_fit(tmp_path: Path, field: str, value: object) -> None:
    found = manifest(make_run(tmp_path / "run", subjects=0))
    found["protocol"][field] = value
    assert not validator().is_valid(found)


@pytest.mark.parametrize("members", [{}, {"compact-facenet": {}, "compact-resnet": {}}, None])
def test_an_ensemble_without_the_cards_of_its_members_does_not_fit(tmp_path: Path, members: object) -> None:
    grid = replace(GRID, source_models=("compact-facenet+compact-resnet",))
    found = manifest(make_run(tmp_path / "run", plan=changed(grid=grid), subjects=0))
    assert validator().is_valid(found)
    found["source_models"]["compact-facenet+compact-resnet"]["members"] = members
    assert not validator().is_valid(found)
