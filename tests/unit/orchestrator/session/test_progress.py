"""How far a run is, where there is no terminal: a line for every subject."""

import io

import pytest
from rich.console import Console

from orchestrator.session.progress import RunProgress, duration


@pytest.mark.parametrize(("seconds", "said"), [(0, "0 s"), (29.4, "29 s"), (119, "119 s"), (120, "2 min"), (601, "10 min")])
def test_time_is_told_in_seconds_below_two_minutes(seconds: float, said: str) -> None:
    assert duration(seconds) == said


def test_a_line_is_printed_for_every_subject() -> None:
    text = io.StringIO()
    with RunProgress(Console(file=text, width=200), subjects=2, observations_per_subject=3) as progress:
        progress.observed(3)
        progress.subject_done("a")
    assert text.getvalue().startswith("subject 1 of 2: 3 of 6 observations")


def test_observations_beside_those_of_subjects_are_part_of_the_whole() -> None:
    text = io.StringIO()
    with RunProgress(Console(file=text, width=200), subjects=2, observations_per_subject=3, further=4) as progress:
        progress.observed(5)
        progress.subject_done("a")
        progress.stands_at(subjects=1, observations=5, wanted=3)
        progress.subject_done("b")
    first, second = text.getvalue().splitlines()
    assert first.startswith("subject 1 of 2: 5 of 10 observations")
    assert second.startswith("subject 2 of 3: 5 of 13 observations")
