"""What runs in which cloaks are enrolled need, and what is said where it is missing; replays, finished cloaks, dry runs."""

import io
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from deid.invader.v1 import invader_pb2
from rich.console import Console

from orchestrator.cloaks.finished import FinishedCloaks, read_finished_cloaks
from orchestrator.errors import InputError
from orchestrator.experiment.condition import parse_conditions
from orchestrator.experiment.grid import ELSEWHERE, CloakKey
from orchestrator.faces.folder import read_face_folder
from orchestrator.faces.split import SplitSizes, split
from orchestrator.report.run import read_run
from orchestrator.run_folder.folder import RunFolder
from orchestrator.services.endpoint import EndpointSpec
from orchestrator.session.dry_run import dry_run
from orchestrator.session.evaluate import evaluate
from orchestrator.session.planning import GalleryRequest, RunRequest
from orchestrator.session.summary import RunResult, show
from rpc.images.decoding import encode_png
from tests.support.bench import manifest
from tests.support.enrolling import CLASSIFIER, MATCHER, WHITE_BOX, EnrollingBench, decoded, digest


@pytest.fixture
def setting(tmp_path: Path) -> EnrollingBench:
    return EnrollingBench(tmp_path)


async def refusal(setting: EnrollingBench, *conditions: str, **changes: Any) -> str:
    with pytest.raises(InputError) as refused:
        await setting.evaluate(",".join(conditions), **changes)
    assert setting.protector.requests == []
    assert not setting.folder.exists()
    return str(refused.value)


def of_white_boxes(setting: EnrollingBench) -> list[str]:
    return [said for said in manifest(setting.folder)["outcome"]["missing_models"] if said.startswith("white box")]


async def test_an_invader_that_enrols_nothing_leaves_cloaks_to_probes(setting: EnrollingBench) -> None:
    setting.invader.enrols = False
    said = await refusal(setting, "png/gallery")
    assert said.startswith(
        "--conditions: png/gallery: expected an invader that enrols pictures of clients, got the invader at "
    )
    assert said.endswith("which does not: with it only probes can wear a cloak")
    assert (await setting.evaluate("png")).finished.complete


async def test_cloaks_are_enrolled_for_matchers_only(setting: EnrollingBench) -> None:
    said = await refusal(setting, "png/both", target_models=(CLASSIFIER,))
    assert said.startswith(
        "--conditions: png/both: expected a target model that compares with a gallery, got classifiers alone: facenet; "
    )


async def test_cloaks_are_enrolled_in_place_of_photos_that_are(setting: EnrollingBench) -> None:
    assert await refusal(setting, "png/gallery", gallery=None) == (
        "--conditions: png/gallery: expected people of --faces who are enrolled, got none: --gallery-photos says how many "
        "photos of each are"
    )


async def test_photos_stay_clean_only_beside_cloaks(tmp_path: Path) -> None:
    setting = EnrollingBench(tmp_path, SplitSizes(photos=2, clean=1))
    assert await refusal(setting, "png") == (
        "--clean-gallery-photos: expected a condition in which cloaks are enrolled, got none"
    )


async def test_an_adaptive_invader_needs_a_number_of_subjects_and_kept_cloaks(setting: EnrollingBench) -> None:
    said = await refusal(setting, "png/adaptive", subjects=None, until_halfwidth=40.0)
    assert said.startswith("--conditions: png/adaptive: expected no --until-halfwidth beside it: ")
    said = await refusal(setting, "png,png/adaptive", keep_cloaks=False)
    assert said.startswith("--discard-cloaks: expected cloaks that are kept until those of all subjects are there, as png/")


async def test_cloaks_need_not_be_kept_where_the_invader_is_not_adaptive(setting: EnrollingBench) -> None:
    kept = await setting.evaluate("png,png/gallery,png/both")
    discarded = await setting.evaluate("png,png/gallery,png/both", keep_cloaks=False, folder=setting.root / "discarded")
    assert discarded.csv == kept.csv
    assert not list((setting.root / "discarded").rglob("*.png"))


async def test_subjects_may_be_drawn_until_intervals_are_narrow(setting: EnrollingBench) -> None:
    evaluated = await setting.evaluate("png,png/gallery", subjects=None, until_halfwidth=45.0)
    assert evaluated.finished.complete
    assert evaluated.outcome["subjects_wanted"] == 8


async def test_the_source_model_s_own_network_is_added_to_the_target_models(setting: EnrollingBench) -> None:
    assert (await setting.evaluate("png/gallery", target_models=(MATCHER,), subjects=1)).finished.complete
    assert read_run(setting.folder).grid.target_models == (MATCHER, WHITE_BOX)
    assert of_white_boxes(setting) == []


async def test_it_is_added_for_source_models_that_nobody_named_too(setting: EnrollingBench) -> None:
    await setting.evaluate("png/gallery", source_models=None, target_models=(MATCHER,), subjects=1)
    assert read_run(setting.folder).grid.target_models == (MATCHER, WHITE_BOX)
    assert of_white_boxes(setting) == []


async def test_it_is_not_added_where_nothing_is_enrolled(setting: EnrollingBench) -> None:
    await setting.evaluate("png", target_models=(MATCHER,), subjects=1)
    assert read_run(setting.folder).grid.target_models == (MATCHER,)


async def test_that_it_is_absent_is_said(setting: EnrollingBench) -> None:
    label_sets = dict(setting.invader.label_sets)
    del label_sets[WHITE_BOX]
    setting.invader.label_sets = label_sets
    await setting.evaluate("png/gallery", target_models=(MATCHER,), subjects=1)
    (said,) = of_white_boxes(setting)
    assert said.startswith("white box of facenet: no target model compares with a gallery by its network, ")
    assert said.endswith("; --matchers facenet offers one")


async def test_it_is_not_added_where_it_lacks_the_region_of_a_condition(setting: EnrollingBench) -> None:
    full = replace(setting.invader.matchers[MATCHER], regions=(invader_pb2.REGION_DETECTED, invader_pb2.REGION_FULL))
    setting.invader.matchers = dict(setting.invader.matchers) | {MATCHER: full}
    evaluated = await setting.evaluate("png@full,png/gallery", target_models=(MATCHER,), subjects=1)
    assert evaluated.finished.complete
    assert read_run(setting.folder).grid.target_models == (MATCHER,)
    assert len(of_white_boxes(setting)) == 1


# What a run kept, shown once more


def divided(setting: EnrollingBench) -> GalleryRequest:
    return GalleryRequest(setting.split, is_default=True)


async def test_a_replay_enrols_what_the_run_kept_and_gives_its_figures(setting: EnrollingBench) -> None:
    first = await setting.evaluate(target_models=None)
    asked = Counter(search for search, _ in setting.invader.answers)
    setting.protector.requests.clear()
    setting.invader.answers.clear()
    again = await setting.bench.replay(gallery=divided(setting))
    assert again.finished.complete
    assert (again.csv, setting.protector.requests) == (first.csv, [])
    assert Counter(search for search, _ in setting.invader.answers) == asked
    assert setting.galleries.held == {}


async def test_a_replay_may_have_other_carriers(setting: EnrollingBench) -> None:
    whole = await setting.evaluate(target_models=None)
    folder = setting.root / "some"
    await setting.evaluate("png/gallery", target_models=None, folder=folder)
    replayed = await setting.bench.replay(
        of=folder, gallery=divided(setting), conditions=parse_conditions("png,png/gallery,png/both,png/adaptive")
    )
    assert replayed.csv == whole.csv


async def test_a_replay_under_conditions_that_enrol_nothing_leaves_no_photo_clean(tmp_path: Path) -> None:
    setting = EnrollingBench(tmp_path, SplitSizes(photos=3, clean=1))
    await setting.evaluate("png/gallery", target_models=None)
    replayed = await setting.bench.replay(gallery=divided(setting), conditions=parse_conditions("png"))
    assert replayed.finished.complete
    assert manifest(replayed.finished.folder)["protocol"]["gallery"] == {
        "photos": 3,
        "clean": 0,
        "impostors": 0,
        "non_mated": 0,
    }


async def test_a_run_of_probes_alone_has_no_cloaks_to_enrol(setting: EnrollingBench) -> None:
    await setting.evaluate("png", target_models=None)
    with pytest.raises(InputError) as refused:
        await setting.bench.replay(gallery=divided(setting), conditions=parse_conditions("png/gallery"))
    assert str(refused.value) == (
        "--conditions: png/gallery: expected a RUN in which cloaks were enrolled, got one that kept those of probes alone"
    )


async def test_a_replay_without_the_data_set_says_that_it_is_needed(setting: EnrollingBench) -> None:
    await setting.evaluate("png,png/gallery", target_models=None)
    with pytest.raises(InputError, match=r"got none: the gallery of RUN is made again of its data set, which --faces names"):
        await setting.bench.replay()
    assert (await setting.bench.replay(conditions=parse_conditions("png"))).finished.complete


async def test_a_replay_shows_the_probe_itself_and_needs_it_unchanged(setting: EnrollingBench) -> None:
    await setting.evaluate("png/gallery", target_models=None)
    probe = setting.probe(setting.draw[0])
    (setting.bench.faces / probe.name).write_bytes(setting.enrolled(setting.draw[0])[0].read())
    with pytest.raises(
        InputError, match=f"{probe.name}: expected the photo that the run was made with, got another or none"
    ):
        await setting.bench.replay(gallery=divided(setting))


# Pictures that another tool made


def finished_cloaks(setting: EnrollingBench) -> FinishedCloaks:
    """A cloak of every photo, by a tool that inverts it."""
    for path in setting.bench.faces.rglob("*.jpg"):
        cloak = setting.root / "cloaks" / "tool" / path.parent.name / f"{path.stem}.png"
        cloak.parent.mkdir(parents=True, exist_ok=True)
        if not cloak.exists():
            cloak.write_bytes(encode_png(255 - decoded(path.read_bytes())))
    return read_finished_cloaks(setting.root / "cloaks", read_face_folder(setting.bench.faces))


def of_cloaks(setting: EnrollingBench, cloaks: FinishedCloaks, conditions: str, *, subjects: int = 3) -> RunRequest:
    faces = read_face_folder(setting.bench.faces)
    return setting.bench.wish(
        faces=cloaks.faces,
        gallery=GalleryRequest(split(faces, setting.sizes, seed=0, searched=cloaks.faces)),
        source_models=(ELSEWHERE,),
        target_models=(CLASSIFIER, MATCHER),
        methods=cloaks.compared,
        epsilons=(),
        unbudgeted=cloaks.compared,
        subjects=subjects,
        conditions=parse_conditions(conditions),
        missing=cloaks.remarks,
    )


async def run_of(setting: EnrollingBench, request: RunRequest, cloaks: FinishedCloaks) -> tuple[RunResult, str]:
    text = io.StringIO()
    console = Console(file=text, width=500)
    async with setting.invader.serving() as invader:
        finished = await evaluate(
            request,
            protector=cloaks,
            invader=EndpointSpec("invader", invader, None),
            folder=RunFolder(setting.folder),
            keep_cloaks=True,
            subjects_in_flight=1,
            console=console,
        )
    show(finished, console)
    return finished, text.getvalue()


async def test_finished_cloaks_are_enrolled_as_they_are(setting: EnrollingBench) -> None:
    cloaks = finished_cloaks(setting)
    conditions = "as-is,as-is/gallery,as-is/both,as-is/adaptive"
    finished, _ = await run_of(setting, of_cloaks(setting, cloaks, conditions), cloaks)
    assert finished.complete
    first = setting.draw[0]
    expected = tuple(
        digest((setting.root / "cloaks" / "tool" / first / f"{Path(photo.file).stem}.png").read_bytes())
        for photo in setting.enrolled(first)
    )
    assert expected in {gallery.enrolled.get(first) for gallery in setting.galleries.created}
    key = CloakKey(ELSEWHERE, "none", 0)
    clean = tuple(digest(photo.read()) for photo in setting.enrolled(first))
    assert setting.kept(setting.probe(first), key) == setting.probe(first).read()
    assert clean in {gallery.enrolled.get(first) for gallery in setting.galleries.created}
    assert of_white_boxes(setting) == [
        "white box of elsewhere: by which network they were made is not known, so that a cloak without effect cannot be "
        "told from an enrolment that does not work"
    ]


async def test_who_has_a_photo_to_be_enrolled_without_a_finished_cloak_is_told_and_replaced(
    setting: EnrollingBench,
) -> None:
    second = setting.draw[1]
    lacking = setting.enrolled(second)[0]
    finished_cloaks(setting)
    (setting.root / "cloaks" / "tool" / second / f"{Path(lacking.file).stem}.png").unlink()
    cloaks = read_finished_cloaks(setting.root / "cloaks", read_face_folder(setting.bench.faces))
    finished, said = await run_of(setting, of_cloaks(setting, cloaks, "png/gallery"), cloaks)
    assert finished.complete
    assert f"{lacking.name}: folder of cloaks: expected a cloak of {lacking.name} by every method, got none by some" in said
    assert list(manifest(setting.folder)["outcome"]["replaced"]) == [second]


# What a run would take


async def tried(setting: EnrollingBench, *, keep_cloaks: bool = True, **changes: Any) -> dict[str, str]:
    text = io.StringIO()
    fields: dict[str, Any] = {
        "gallery": GalleryRequest(setting.split),
        "target_models": (CLASSIFIER, WHITE_BOX, MATCHER),
        "epsilons": (8,),
        "subjects": 3,
        "conditions": parse_conditions("png,png/gallery,png/both,png/adaptive"),
    }
    async with setting.protector.serving() as protector, setting.invader.serving() as invader:
        await dry_run(
            setting.bench.wish(**fields | changes),
            protector=EndpointSpec("protector", protector, None),
            invader=EndpointSpec("invader", invader, None),
            keep_cloaks=keep_cloaks,
            console=Console(file=text, width=500),
        )
    return {line[:15].rstrip(): line[15:] for line in text.getvalue().splitlines()}


async def test_a_dry_run_counts_what_is_enrolled_and_searched(setting: EnrollingBench) -> None:
    said = await tried(setting)
    assert said["enrolled"] == "cloaks of all 2 photos of each subject, read by facenet-features, dlib"
    assert (said["queries"], said["observations"]) == ("36", "81")
    assert said["time"].endswith(" by a trial with one photo")
    assert setting.galleries.created == [], "nothing is enrolled for a trial"
    assert not setting.folder.exists()


async def test_a_dry_run_refuses_what_the_run_would(setting: EnrollingBench) -> None:
    with pytest.raises(InputError, match=r"--discard-cloaks: expected cloaks that are kept"):
        await tried(setting, keep_cloaks=False)
    assert setting.protector.requests == []
