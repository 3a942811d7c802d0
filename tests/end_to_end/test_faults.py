"""Whatever happens to an evaluation, its answer is the same.

`python -m tests.support.faults` does this a hundred times; a protector that is killed and an invader that freezes are
containers of tests/deployment/test_faults.py.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.faults.campaign import IN_A_DATABASE, ON_ITS_OWN_DISK, Reference, Trial, reference, trial
from tests.support.faults.kinds import FAULTS, small_disk
from tests.support.faults.stage import SMALL_GRID, Stage, stage
from tests.support.postgres import Cluster


@dataclass(frozen=True)
class Acted:
    """Services, and what an evaluation that nothing happened to has of them."""

    stage: Stage
    expected: Reference


@pytest.fixture(scope="module")
def acted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Acted]:
    folder = tmp_path_factory.mktemp("faults")
    with stage(folder, grid=SMALL_GRID) as both:
        yield Acted(both, reference(both, folder))


MAX_TRIALS = 5  # until a fault strikes before the evaluation has ended


def struck(acted: Acted, fault: str, *, folder: Path, cluster: Cluster | None = None) -> Trial:
    """An evaluation that the fault did not come too late for."""
    trials = (
        trial(acted.stage, acted.expected, fault, folder=folder, cluster=cluster, seed=seed) for seed in range(MAX_TRIALS)
    )
    return next((made for made in trials if made.struck or made.wrong), None) or pytest.fail(
        f"{fault} came too late {MAX_TRIALS} times"
    )


OFTEN = "cut during the answer"
LONG = pytest.mark.thorough("orchestrator/", "rpc/", "protector_service/", "invader_service/")
IN_CONTAINERS = ("protector killed", "invader stopped")
OTHERS = [fault for fault in FAULTS if fault not in (OFTEN, ON_ITS_OWN_DISK, IN_A_DATABASE, *IN_CONTAINERS)]


@pytest.mark.parametrize("fault", [OFTEN, *(pytest.param(fault, marks=LONG) for fault in OTHERS)])
def test_after_a_fault_the_answer_is_the_same(acted: Acted, fault: str, tmp_path: Path) -> None:
    made = struck(acted, fault, folder=tmp_path / "run")
    assert made.wrong == (), made.said


@LONG
def test_after_a_full_disk_the_answer_is_the_same(acted: Acted, tmp_path: Path) -> None:
    try:
        with small_disk(tmp_path / "tried"):
            pass
    except OSError as error:
        pytest.skip(f"{error}: NO EVALUATION ON A FULL DISK WAS TESTED")
    made = struck(acted, ON_ITS_OWN_DISK, folder=tmp_path / "disk")
    assert made.wrong == (), made.said


@LONG
def test_after_a_restart_of_the_database_the_answer_is_the_same(
    acted: Acted, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    cluster = request.getfixturevalue("postgres")
    made = struck(acted, IN_A_DATABASE, folder=tmp_path / "run", cluster=cluster)
    assert made.wrong == (), made.said
