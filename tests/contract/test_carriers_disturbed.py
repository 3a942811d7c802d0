"""Runs in which cloaks are enrolled and something goes wrong: figures are the same in the end, and no gallery is left."""

import asyncio
import random
from collections import Counter
from contextlib import suppress
from pathlib import Path

import grpc
import pytest

from orchestrator.errors import UnusableServiceError
from orchestrator.experiment.condition import Condition, parse_conditions
from orchestrator.session.classifying import CLASSIFICATIONS_IN_FLIGHT
from orchestrator.session.photos import PhotoGoneError
from tests.support.bench import Evaluated
from tests.support.enrolling import KINDS, MATCHER, THREATS, WHITE_BOX, EnrollingBench, Search, digest
from tests.support.fakes import Fault

MATCHERS = (WHITE_BOX, MATCHER)
QUESTIONS = 3 * len(KINDS) * 4  # of a run under the four conditions, one for each carrier
THROTTLED = Fault(grpc.StatusCode.RESOURCE_EXHAUSTED, "too many", "RATE_LIMITED", retry_after_ms=1)
NO_FACE = Fault(grpc.StatusCode.INVALID_ARGUMENT, "photo: expected a face, got none", "NO_FACE")
REFUSED = Fault(grpc.StatusCode.INVALID_ARGUMENT, "photo: expected another", "INVALID_ARGUMENT", field="photo")


@pytest.fixture
def setting(tmp_path: Path) -> EnrollingBench:
    return EnrollingBench(tmp_path)


async def undisturbed(setting: EnrollingBench, conditions: tuple[Condition, ...] = THREATS) -> str:
    fresh = EnrollingBench(setting.root / "undisturbed")
    evaluated = await fresh.evaluate(conditions)
    assert evaluated.finished.complete
    return evaluated.csv


def asked(setting: EnrollingBench) -> Counter[tuple[str, str]]:
    """How often a picture was searched in a gallery, in all."""
    return Counter((search.picture, search.gallery) for search in setting.invader.questions)


def of_gallery(search: Search) -> bool:
    return bool(search.gallery)


def crafted(setting: EnrollingBench) -> Counter[bytes]:
    return Counter(request.photo for request in setting.protector.requests)


@pytest.mark.parametrize("budget", [5, 17, 26])
async def test_a_spent_budget_shortens_all_conditions_alike_and_costs_no_answer(
    setting: EnrollingBench, budget: int
) -> None:
    setting.invader.queries_left = budget
    evaluated = await setting.evaluate("png,png/gallery,png/both,jpeg:75/gallery", allow_incomplete=True, in_flight=2)
    assert not evaluated.finished.complete
    assert setting.galleries.held == {}
    recorded = Counter(setting.observed("condition, probe, method"))
    assert len(recorded) == budget, "every answer is recorded"
    found = Counter(condition for condition, *_ in recorded)
    assert max(found.values()) - min(found.values() or [0]) <= CLASSIFICATIONS_IN_FLIGHT
    setting.invader.queries_left = None
    assert (await setting.evaluate("png,png/gallery,png/both,jpeg:75/gallery")).finished.complete
    assert len(setting.invader.answers) == QUESTIONS, "nothing is asked twice"


async def test_a_budget_that_is_spent_before_the_adaptive_invader_is_asked_leaves_that_for_later(
    setting: EnrollingBench,
) -> None:
    whole = await undisturbed(setting)
    setting.invader.queries_left = QUESTIONS * 3 // 4 + 2
    assert not (await setting.evaluate()).finished.complete
    assert setting.galleries.held == {}
    setting.invader.queries_left = None
    assert (await setting.evaluate()).csv == whole
    assert len(setting.invader.answers) == QUESTIONS


@pytest.mark.parametrize("seed", range(3))
async def test_a_run_that_is_broken_off_at_some_moment_resumes_to_the_same_figures(
    setting: EnrollingBench, seed: int
) -> None:
    whole = await undisturbed(setting)
    cut_at = random.Random(seed).randrange(1, QUESTIONS)
    setting.invader.holds = lambda search, number: number >= cut_at
    running = asyncio.create_task(setting.evaluate(in_flight=2))
    await setting.invader.held.wait()
    running.cancel()
    with suppress(asyncio.CancelledError):
        await running
    assert setting.galleries.held == {}, "whatever was enrolled is deleted"
    setting.invader.holds = lambda search, number: False
    assert (await setting.evaluate(in_flight=2)).csv == whole
    assert sum(times - 1 for times in crafted(setting).values()) <= 2, "at most the rest of the rows in flight"
    assert len(asked(setting)) == QUESTIONS
    in_flight = sum(times - 1 for times in asked(setting).values())  # some of them answered, too late for the run
    assert in_flight <= CLASSIFICATIONS_IN_FLIGHT
    assert {(search.picture, search.gallery) for search, _ in setting.invader.answers} == set(asked(setting))


@pytest.mark.parametrize("forgotten_at", [1, 7, 20, QUESTIONS - 6, QUESTIONS - 1])
async def test_an_invader_that_forgets_galleries_has_them_enrolled_again(setting: EnrollingBench, forgotten_at: int) -> None:
    whole = await undisturbed(setting)
    forgotten: list[int] = []

    def forget(search: Search, number: int) -> None:
        if number >= forgotten_at and of_gallery(search) and not forgotten:
            forgotten.append(number)
            setting.galleries.forget()

    setting.invader.trouble = forget
    evaluated = await setting.evaluate()
    assert forgotten
    assert (evaluated.csv, evaluated.outcome["failed_calls"]) == (whole, 0)
    assert len(setting.invader.answers) == QUESTIONS
    assert setting.galleries.held == {}


async def test_a_gallery_that_is_forgotten_between_two_searches_is_made_again_for_the_second(
    setting: EnrollingBench,
) -> None:
    whole = await undisturbed(setting, parse_conditions("png/gallery,png/both"))

    def forget(search: Search, number: int) -> None:
        if number == 1:
            setting.galleries.forget()

    setting.invader.trouble = forget
    assert (await setting.evaluate("png/gallery,png/both")).csv == whole
    assert len(setting.galleries.created) > 3 * len(KINDS)
    assert set(asked(setting).values()) == {1}, "the first search was answered"


async def test_an_invader_that_starts_again_midway_has_galleries_enrolled_again(
    setting: EnrollingBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tests.support.bench.OUTAGE_TIMEOUT", 60.0)
    whole = await undisturbed(setting)
    first_of_adaptive = QUESTIONS * 3 // 4 + 1
    setting.invader.holds = lambda search, number: number in (10, first_of_adaptive)
    async with setting.protector.serving() as protector:
        async with setting.invader.serving() as invader:
            running = asyncio.create_task(setting.evaluate(at=(protector, invader)))
            await setting.invader.held.wait()
        for time in range(2):
            setting.galleries.forget()
            setting.invader.held.clear()
            async with setting.invader.serving(invader):
                waiting = asyncio.create_task(setting.invader.held.wait())
                await asyncio.wait({waiting, running}, return_when=asyncio.FIRST_COMPLETED)
                if time == 1:
                    await running
                waiting.cancel()
    evaluated: Evaluated = await running
    assert (evaluated.csv, evaluated.outcome["failed_calls"]) == (whole, 0)
    assert setting.galleries.held == {}


@pytest.mark.parametrize("call", ["CreateGallery", "Enrol", "SealGallery", "DeleteGallery"])
@pytest.mark.parametrize("fault", [Fault(), THROTTLED], ids=["internal", "throttled"])
async def test_a_call_of_the_enrolment_that_fails_once_is_made_again(
    setting: EnrollingBench, call: str, fault: Fault
) -> None:
    whole = await undisturbed(setting)
    setting.galleries.fault = lambda name, time: fault if name == call and time in (2, 11, 23) else None
    assert (await setting.evaluate()).csv == whole
    if call != "DeleteGallery":
        assert setting.galleries.held == {}


async def test_a_search_that_is_throttled_is_made_again_in_the_same_gallery(setting: EnrollingBench) -> None:
    refused: set[tuple[str, str]] = set()

    def throttle(search: Search, number: int) -> Fault | None:
        key = search.picture, search.gallery
        if key in refused:
            return None
        refused.add(key)
        return THROTTLED

    setting.invader.trouble = throttle
    assert (await setting.evaluate()).finished.complete
    assert len(setting.galleries.created) == 2 * 3 * len(KINDS) + len(KINDS)


async def test_an_identity_that_cannot_be_enrolled_is_told_and_its_cells_are_short(setting: EnrollingBench) -> None:
    full = Fault(grpc.StatusCode.RESOURCE_EXHAUSTED, "expected at most 1 galleries", "GALLERY_LIMIT", retry_after_ms=-1)
    setting.galleries.fault = lambda name, time: full if name == "Enrol" and time == 2 else None
    evaluated = await setting.evaluate("png,png/gallery,png/both")
    assert not evaluated.finished.complete
    assert evaluated.outcome["failed_calls"] == 1
    assert "search under png/both, png/gallery: invader at " in evaluated.printed
    assert "RESOURCE_EXHAUSTED: expected at most 1 galleries" in evaluated.printed
    assert setting.galleries.held == {}
    assert (await setting.evaluate("png,png/gallery,png/both")).finished.complete, "the same command asks again"


async def test_an_invader_that_says_not_of_each_picture_whether_it_is_enrolled_ends_the_run(
    setting: EnrollingBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    enrol = type(setting.galleries).Enrol

    async def shortened(self: object, request: object, context: object) -> object:
        response = await enrol(self, request, context)  # type: ignore[arg-type]
        del response.enrolments[1:]
        return response

    monkeypatch.setattr(type(setting.galleries), "Enrol", shortened)
    with pytest.raises(UnusableServiceError, match=r"expected of 2 pictures of \w whether each is enrolled, got 1 answers"):
        await setting.evaluate("png/gallery")
    assert setting.galleries.held == {}


async def test_an_adaptive_search_that_fails_for_good_leaves_the_others(setting: EnrollingBench) -> None:
    failing = digest(setting.probe(setting.draw[1]).read())
    setting.invader.trouble = lambda search, number: Fault() if search.picture == failing else None
    evaluated = await setting.evaluate("png/adaptive")
    assert not evaluated.finished.complete
    assert evaluated.outcome["failed_calls"] == len(KINDS)
    assert len(setting.invader.answers) == 2 * len(KINDS)
    assert len([gallery for gallery in setting.galleries.created if gallery.base == "default"]) == len(KINDS)


async def test_without_some_of_the_cloaks_nothing_of_their_kind_is_asked_adaptively(setting: EnrollingBench) -> None:
    whole = await undisturbed(setting)
    failing = setting.enrolled(setting.draw[1])[0]
    setting.protector.photo_faults = {failing.read(): Fault()}
    evaluated = await setting.evaluate()
    assert not evaluated.finished.complete
    assert f"failed: {failing.name}: craft with facenet" in evaluated.printed
    assert {row for row in setting.observed("condition") if row == ("png/adaptive",)} == set()
    setting.protector.photo_faults = {}
    assert (await setting.evaluate()).csv == whole


async def test_several_orchestrators_of_one_run_come_to_the_figures_of_one(setting: EnrollingBench) -> None:
    whole = await undisturbed(setting)
    store = f"sqlite:///{setting.root / 'shared.sqlite'}"
    async with setting.protector.serving() as protector, setting.invader.serving() as invader:
        both = await asyncio.gather(
            *(
                setting.evaluate(folder=setting.root / name / "run", store=store, at=(protector, invader))
                for name in ("one", "two")
            )
        )
    assert {evaluated.csv for evaluated in both} == {whole}
    assert setting.galleries.held == {}


async def test_what_another_orchestrator_asks_the_adaptive_invader_meanwhile_is_not_asked_again(
    setting: EnrollingBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("orchestrator.session.adaptive.KINDS_AT_ONCE", 1)
    whole = await undisturbed(setting)
    store = f"sqlite:///{setting.root / 'shared.sqlite'}"
    first = QUESTIONS * 3 // 4 + 1
    setting.invader.holds = lambda search, number: number == first
    async with setting.protector.serving() as protector, setting.invader.serving() as invader:
        one = asyncio.create_task(
            setting.evaluate(folder=setting.root / "one" / "run", store=store, at=(protector, invader))
        )
        await setting.invader.held.wait()
        two = await setting.evaluate(folder=setting.root / "two" / "run", store=store, at=(protector, invader))
        assert two.csv == whole
        setting.invader.let_go.set()
        assert (await one).csv == whole
    assert len(setting.invader.answers) == QUESTIONS + 1, "but for the one that was being asked"


@pytest.mark.parametrize("fault", [NO_FACE, REFUSED], ids=["no face", "refused"])
async def test_who_has_a_photo_to_be_enrolled_that_the_protector_does_not_take_is_replaced(
    setting: EnrollingBench, fault: Fault
) -> None:
    second = setting.draw[1]
    photo = setting.enrolled(second)[1]
    setting.protector.photo_faults = {photo.read(): fault}
    evaluated = await setting.evaluate()
    assert evaluated.finished.complete
    assert set(evaluated.outcome["replaced"]) == {second}
    assert photo.name in evaluated.printed
    assert {name.partition("/")[0] for name in evaluated.outcome["subjects"]} == {setting.draw[place] for place in (0, 2, 3)}


def lost(path: Path) -> None:
    """From now on there is no such photo."""
    path.unlink()
    path.mkdir()


async def test_who_has_a_photo_to_be_enrolled_that_can_no_longer_be_read_is_replaced(setting: EnrollingBench) -> None:
    second = setting.draw[1]
    name = setting.enrolled(second)[0].name

    def lose(search: Search, number: int) -> None:
        if number == 1:  # about the first subject
            lost(setting.bench.faces / name)

    setting.invader.trouble = lose
    evaluated = await setting.evaluate()
    assert evaluated.finished.complete
    assert evaluated.outcome["replaced"] == {second: "unreadable"}
    assert f"skipped: {name}: " in evaluated.printed


async def test_a_subject_s_photo_that_is_lost_before_all_are_enrolled_for_the_adaptive_ends_the_run(
    setting: EnrollingBench,
) -> None:
    gone = setting.enrolled(setting.draw[0])[0]
    content, path = gone.read(), setting.bench.faces / gone.name

    def lose(search: Search, number: int) -> None:
        if number == QUESTIONS * 3 // 4:
            lost(path)

    setting.invader.trouble = lose
    with pytest.raises(PhotoGoneError, match=f"{gone.name} can no longer be read; the run began with it"):
        await setting.evaluate()
    path.rmdir()
    path.write_bytes(content)
    assert (await setting.evaluate()).finished.complete


async def test_after_an_error_that_ends_the_run_no_gallery_is_left(setting: EnrollingBench) -> None:
    setting.galleries.own = dict(setting.galleries.own) | {"stranger": ("0" * 64,)}
    with pytest.raises(UnusableServiceError, match="answered 'stranger', which is not in the label set that it listed"):
        await setting.evaluate(in_flight=3)
    assert setting.galleries.created
    assert setting.galleries.held == {}
