"""`evaluate --dry-run`: what a run would take, tried with one photo, of which nothing is left."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import pytest
from deid.invader.v1 import invader_pb2
from deid.protector.v1 import protector_pb2

from orchestrator.__main__ import main
from orchestrator.faces.folder import read_face_folder
from orchestrator.faces.split import SplitSizes, split
from tests.support.bench import IDENTITIES, Bench, draw, write_photo
from tests.support.fakes import FakeInvader, FakeMatcher, Shown
from tests.support.serving_in_a_thread import serving_in_a_thread

FIRST, SECOND, *_ = draw("abcd")
TRIED = [Shown(FIRST, "facenet", *cloak) for cloak in (("none", 0), ("noise", 4), ("bim", 4))]


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    bench = Bench(tmp_path)
    costs = [protector_pb2.BudgetCost(epsilon=epsilon, gradients=1000, forward_passes=0) for epsilon in (4, 8)]
    bench.protector.stated = {"bim": protector_pb2.Method(costs=costs)}
    return bench


@dataclass(frozen=True)
class Said:
    """What a dry run printed."""

    lines: dict[str, str]  # by label
    error: str


DryRun = Callable[..., Said]


@pytest.fixture
def dry_run(bench: Bench, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> DryRun:
    def made(*extra: str, conditions: str = "png,png@full", status: int = 0) -> Said:
        protecting, invading = bench.protector.serving(), bench.invader.serving()
        with serving_in_a_thread(protecting) as protector, serving_in_a_thread(invading) as invader:
            command = (
                *("evaluate", "--dry-run", "--faces", str(bench.faces), "--runs", str(bench.root / "runs")),
                *("--protector", protector, "--invader", invader, "--source-models", "facenet", "--methods", "bim"),
                *("--target-models", "facenet,resnet50", "--epsilons", "4,8", "--k", "1,5", "--subjects", "4"),
            )
            monkeypatch.setattr("sys.argv", ["orchestrator", *command, "--conditions", conditions, *extra])
            with pytest.raises(SystemExit) as ended:
                main()
        printed = capfd.readouterr()
        assert ended.value.code == status, printed
        assert not (bench.root / "runs").exists()
        return Said({line[:15].rstrip(): line[15:] for line in printed.out.splitlines()}, printed.err)

    return made


def test_it_says_what_the_run_takes_and_leaves_nothing(
    bench: Bench, dry_run: DryRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = iter((0, 2, 10, 16))  # 2 s for the trial's 8 gradients, 6 s for its 6 queries
    monkeypatch.setattr("orchestrator.session.dry_run.time", SimpleNamespace(monotonic=lambda: next(clock)))
    said = dry_run().lines
    assert said["subjects"] == "4 of 4 identities that every model knows"
    assert said["conditions"] == "png, png@full"
    assert said["crafting"] == "at most 8,000 gradients, as the protector states"
    assert said["observations"] == "80"
    assert said["queries"] == "40"
    assert "budget" not in said
    assert said["disk"] == "8 MB at most"
    assert said["time"] == "about 34 min (33 min of crafting, at most, 40 s of classifying), by a trial with one photo"
    assert sorted(bench.protector.asked) == sorted(TRIED)
    assert bench.invader.asked == dict.fromkeys(TRIED, 2)


def test_without_cloaks_it_takes_less_room(dry_run: DryRun) -> None:
    assert dry_run("--discard-cloaks").lines["disk"] == "5 MB at most"


def test_an_invader_that_counts_queries_is_asked_none(bench: Bench, dry_run: DryRun) -> None:
    bench.invader.queries_left = 30
    said = dry_run().lines
    assert said["budget"] == "30 queries are left with the invader, and about 40 are needed: NOT ENOUGH: cells will be short"
    assert re.fullmatch(r"about .* \(.* of crafting, at most\), by a trial with one photo", said["time"])
    assert not bench.invader.asked
    assert bench.invader.queries_left == 30


def test_where_nothing_can_be_timed_it_says_so(bench: Bench, dry_run: DryRun) -> None:
    bench.invader.queries_left = 40
    bench.protector.stated = {}
    said = dry_run().lines
    assert said["time"] == "cannot be told: the protector states no costs, and the invader counts queries"
    assert "crafting" not in said


def test_a_photo_without_a_face_is_passed_over_for_the_next(bench: Bench, dry_run: DryRun) -> None:
    bench.protector.faceless = {FIRST}
    assert dry_run().lines["time"].endswith(" by a trial with one photo")
    assert [request.identity for request in bench.protector.requests] == [FIRST, SECOND]
    assert {shown.identity for shown in bench.invader.asked} == {SECOND}


def test_photos_that_all_show_no_face_are_said_to_be_why_no_time_is_told(bench: Bench, dry_run: DryRun) -> None:
    bench.protector.faceless = set("abcd")
    assert dry_run().lines["time"] == "cannot be told: no photo that was tried could be used"
    assert not bench.invader.asked


def test_a_cloak_that_is_no_picture_is_an_error_in_a_line(dry_run: DryRun) -> None:
    said = dry_run(conditions="jpeg:95", status=1)
    assert "time" not in said.lines
    assert re.fullmatch(
        r"error: protector at 127.0.0.1:\d+: \w/0.jpg: its cloak: expected a whole image, got .*\n", said.error
    )


def test_a_run_that_could_not_begin_is_refused_as_it_would_be(bench: Bench, dry_run: DryRun) -> None:
    bench.invader.regions = (invader_pb2.REGION_DETECTED,)
    said = dry_run(status=2)
    assert not said.lines
    assert said.error.startswith("error: --conditions: png@full: expected a region that facenet of the invader at ")
    assert not bench.protector.requests


def test_people_who_are_not_enrolled_are_part_of_what_it_takes(bench: Bench, dry_run: DryRun) -> None:
    for identity in "abcd":
        write_photo(bench.faces / identity / "1.jpg", level=ord(identity))
    divided = split(read_face_folder(bench.faces), SplitSizes(1, 1), seed=0)
    label_sets = {"facenet": IDENTITIES, "dlib": sorted(divided.enrolled)}
    matcher = FakeMatcher(divided.gallery_sha256(), {"given": (0, 0)}, lambda shown: {"given": 1})
    bench.invader = FakeInvader(label_sets, lambda shown, target: 1, max_candidates=3, matchers={"dlib": matcher})
    gallery = ("--gallery-photos", "1", "--non-mated", "1", "--subjects", "3", "--target-models", "facenet,dlib", "--k", "1")
    said = dry_run(*gallery).lines
    assert said["gallery"] == "a photo of each of 3 identities"
    assert said["not enrolled"] == "1 identities are searched by dlib: 1"
    assert (said["queries"], said["observations"]) == ("31", "61"), "of a photo there is no region but the detected"
    assert "missing" not in said
