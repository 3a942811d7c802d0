"""Whatever happens to an evaluation, its answer is the same. `python -m tests.faults` does this a hundred times."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.faults.campaign import IN_A_DATABASE, ON_ITS_OWN_DISK, Reference, reference, trial
from tests.faults.kinds import FAULTS, small_disk
from tests.faults.stage import Stage, stage


@dataclass(frozen=True)
class Acted:
    """Services, and what an evaluation that nothing happened to has of them."""

    stage: Stage
    expected: Reference


@pytest.fixture(scope="module")
def acted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Acted]:
    folder = tmp_path_factory.mktemp("faults")
    with stage(folder) as both:
        yield Acted(both, reference(both, folder))


@pytest.mark.parametrize("fault", [fault for fault in FAULTS if fault not in (ON_ITS_OWN_DISK, IN_A_DATABASE)])
def test_after_a_fault_the_answer_is_the_same(acted: Acted, fault: str, tmp_path: Path) -> None:
    made = trial(acted.stage, acted.expected, fault, folder=tmp_path / "run", cluster=None, seed=0)
    assert made.wrong == (), made.said


def test_after_a_full_disk_the_answer_is_the_same(acted: Acted, tmp_path: Path) -> None:
    try:
        with small_disk(tmp_path / "tried"):
            pass
    except OSError as error:
        pytest.skip(f"{error}: NO EVALUATION ON A FULL DISK WAS TESTED")
    made = trial(acted.stage, acted.expected, ON_ITS_OWN_DISK, folder=tmp_path / "disk", cluster=None, seed=0)
    assert made.wrong == (), made.said


def test_after_a_restart_of_the_database_the_answer_is_the_same(
    acted: Acted, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    cluster = request.getfixturevalue("postgres")
    made = trial(acted.stage, acted.expected, IN_A_DATABASE, folder=tmp_path / "run", cluster=cluster, seed=0)
    assert made.wrong == (), made.said
