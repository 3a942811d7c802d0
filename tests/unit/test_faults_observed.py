"""What the campaign of faults compares two runs by."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tests.support.faults.observed import differences, observed
from tests.support.reported import make_run


@pytest.fixture
def run(tmp_path: Path) -> Path:
    root = make_run(tmp_path / "run", pictures=False)
    (root / "psr.csv").write_text("psr\n")
    return root


def test_a_run_is_as_it_was_where_nothing_happened_to_it(run: Path) -> None:
    assert differences(observed(run), observed(run)) == []


def test_of_every_observation_the_cloak_that_was_shown_is_what_the_observation_says(run: Path) -> None:
    before = observed(run)
    assert before.shown.keys() == before.answers.keys()
    assert all(digest == before.cloaks[probe, cell.cloak] for (probe, cell), digest in before.shown.items())
    with closing(sqlite3.connect(run / "observations.sqlite")) as store, store:
        store.execute("UPDATE observations SET picture_sha256 = 'another' WHERE epsilon = 4")
    assert differences(observed(run), before) == ["other shown than undisturbed"]
