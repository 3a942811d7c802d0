"""What a matcher says of its thresholds, and what it must not say of its scores."""

import re
from collections.abc import Iterator, Mapping
from fractions import Fraction

from deid.invader.v1 import invader_pb2

from conformance.check import NotApplicable, Problems, check
from conformance.invader.service import IMAGES, Invader

CALIBRATED = re.compile(r"(fpir|fmr):(0\.\d*[1-9])")  # the kind of the rate, and the rate: a decimal in its shortest form
GIVEN = re.compile(r"given(:[a-z0-9._-]{1,40})?")  # and a label, by which several are told apart
MAX_THRESHOLDS = 50  # of a target model


@check(
    "scores",
    demands="The candidates of a matcher have the probability 0, whatever the service discloses of classifiers.",
    why="Scores of the comparison with enough enrolled photos locate a face among them, and serve to rebuild it.",
    queries=IMAGES,
)
async def scores(service: Invader) -> Problems:
    matchers = {model.name for model in service.matchers}
    if not matchers:
        raise NotApplicable("there is no matcher")
    for name, each in await service.classifications():
        disclosed = [candidate.probability for candidate in each.candidates if candidate.probability]
        if each.target_model in matchers and disclosed:
            yield f"{name}: expected the probability 0 of each candidate, got {disclosed[0]}"


@check(
    "thresholds",
    demands=f"At most {MAX_THRESHOLDS} thresholds are listed by name in ascending order, each once: given, given:LABEL, "
    "fpir:RATE or fmr:RATE, RATE being a decimal between 0 and 1 in its shortest form. A calibrated one states on how many "
    "comparisons, and that no more of them reach it than its rate allows; a given one states none.",
    why="A figure at a threshold says how often somebody else reaches it; a rate that is not kept, or that two services "
    "spell differently, makes figures incomparable.",
)
async def thresholds(service: Invader) -> Problems:
    _with_thresholds(service)
    for model in service.models:
        names = [threshold.name for threshold in model.thresholds]
        if names != sorted(set(names)):
            yield f"{model.name}: expected distinct thresholds, sorted, got {', '.join(names)}"
        if len(names) > MAX_THRESHOLDS:
            yield f"{model.name}: expected at most {MAX_THRESHOLDS} thresholds, got {len(names)}"
        for threshold in model.thresholds:
            for problem in _problems(threshold):
                yield f"{model.name}: {problem}"


def _problems(threshold: invader_pb2.Threshold) -> Iterator[str]:
    name, counted, false = threshold.name, threshold.comparisons, threshold.false_positives
    calibrated = CALIBRATED.fullmatch(name)
    if GIVEN.fullmatch(name):
        if counted or false:
            yield f"{name}: expected no comparisons of a threshold that was not calibrated, got {counted}"
    elif calibrated is None:
        yield f"expected a threshold fpir:RATE, fmr:RATE, given or given:LABEL, got {name[:80]!r}"
    elif counted < 1 or not 0 <= false <= Fraction(calibrated[2]) * counted:
        yield f"{name}: expected comparisons, of which at most the rate reach it, got {false} of {counted}"


@check(
    "reached",
    demands="A classification says of exactly the thresholds that its target model lists, in their order, how many of the "
    "candidates reach them: 0..k, and of two of one kind no more where the rate is smaller. One of a target model "
    "without thresholds says nothing.",
    why="A mated search is missed at a threshold that the mate does not reach; a number that is missing or too large "
    "makes another figure.",
    queries=IMAGES,
)
async def reached(service: Invader) -> Problems:
    listed = {model.name: [threshold.name for threshold in model.thresholds] for model in service.models}
    for name, each in await service.classifications():
        said, expected = [reached.threshold for reached in each.reached], listed.get(each.target_model, [])
        if said != expected:
            yield f"{name}: expected what reaches {_named(expected)}, got it of {_named(said)}"
        for one in each.reached:
            if not 0 <= one.candidates <= len(each.candidates):
                yield f"{name}: {one.threshold}: expected 0..{len(each.candidates)} candidates, got {one.candidates}"
        for stricter, other in _strict_and_looser(_reached_by(each)):
            yield f"{name}: expected no more candidates to reach {stricter} than {other}"


def _named(names: list[str]) -> str:
    return ", ".join(names) or "no threshold"


def _reached_by(answer: invader_pb2.Classification) -> Mapping[str, int]:
    return {each.threshold: each.candidates for each in answer.reached}


def _strict_and_looser(reached_by: Mapping[str, int]) -> Iterator[tuple[str, str]]:
    """Pairs of thresholds of one kind of which the one for the smaller rate is reached by more candidates."""
    calibrated = [named for name in reached_by if (named := CALIBRATED.fullmatch(name))]
    for one in calibrated:
        for other in calibrated:
            stricter = one[1] == other[1] and Fraction(one[2]) < Fraction(other[2])
            if stricter and reached_by[one[0]] > reached_by[other[0]]:
                yield one[0], other[0]


@check(
    "reached-prefix",
    demands="How many candidates of a shorter answer reach a threshold is what it is in a longer answer, but at most k.",
    why="The candidates that reach a threshold are the first ones, and PSR at a threshold is read at several k from one "
    "answer.",
    queries=3 * IMAGES,
)
async def reached_prefix(service: Invader) -> Problems:
    names = _with_thresholds(service)
    if service.k < 2:
        raise NotApplicable("the service answers with one candidate only")
    for subject in service.subjects:
        longest = await service.answer(image=subject.photo, target_models=names)
        whole = {each.target_model: _reached_by(each) for each in longest.classifications}
        for k in sorted({1, service.k // 2}):
            for each in (await service.answer(image=subject.photo, target_models=names, k=k)).classifications:
                for threshold, count in _reached_by(each).items():
                    expected = min(k, whole.get(each.target_model, {}).get(threshold, 0))
                    if count != expected:
                        what = f"{subject.identity}, {each.target_model}, k {k}: {threshold}"
                        yield f"{what}: expected {expected} candidates as of k {service.k}, got {count}"


def _with_thresholds(service: Invader) -> list[str]:
    """The target models that list thresholds.

    Raises:
        NotApplicable: none does.
    """
    names = [model.name for model in service.models if model.thresholds]
    if not names:
        raise NotApplicable("no target model has a threshold")
    return names
