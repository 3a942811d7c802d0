"""What is answered: candidates and their probabilities."""

from collections.abc import Iterator, Sequence

from deid.invader.v1 import invader_pb2

from conformance.check import NotApplicable, Problems, check
from conformance.invader.service import IMAGES, Invader, identities_of
from conformance.text_leaks import NUMBERS

DECIMALS = 4
MAX_NAME = 100  # characters of an identity that nobody can look up
MIN_TO_VANISH = 10_000  # identities, of which the most probable may be less than half of the last decimal place


@check(
    "k",
    demands="k candidates come where k are asked for, be it one or the most.",
    why="A rank beyond what was answered is not known: with fewer candidates than asked for, identities count as "
    "protected for nothing.",
    queries=IMAGES + 2,
)
async def k(service: Invader) -> Problems:
    answered = [(name, each, service.k) for name, each in await service.classifications()]
    first = service.models[0]
    for wanted in sorted({1, first.max_candidates}):
        answer = await service.answer_again(target_models=[first.name], k=wanted)
        answered += [(f"{first.name}, k {wanted}", each, wanted) for each in answer.classifications]
    for name, each, wanted in answered:
        if len(each.candidates) != wanted:
            yield f"{name}: expected {wanted} candidates, got {len(each.candidates)}"


@check(
    "distinct",
    demands="No identity is a candidate twice.",
    why="A repeated one pushes others out of the first k.",
    queries=IMAGES,
)
async def distinct(service: Invader) -> Problems:
    for name, each in await service.classifications():
        names = identities_of(each)
        if len(set(names)) < len(names):
            yield f"{name}: {len(names) - len(set(names))} candidates are there twice"


@check(
    "members",
    demands="Every candidate is an identity of the target model's label set; where that is not listed, of no more than "
    f"{MAX_NAME} characters, without numbers in a row, and one of no more than the set has.",
    why="A name is all that may leave: whatever else stands in its place is something else that leaves.",
    queries=IMAGES,
)
async def members(service: Invader) -> Problems:
    for model in service.models:
        answered = {
            candidate: name
            for name, each in await service.classifications()
            if each.target_model == model.name
            for candidate in identities_of(each)
        }
        try:
            known = frozenset(await service.identities(model.name))
        except NotApplicable:
            for candidate, name in answered.items():
                if not 0 < len(candidate) <= MAX_NAME or NUMBERS.search(candidate):
                    yield f"{name}: {candidate!r} is no name"
            if len(answered) > model.identities:
                yield f"{model.name}: states {model.identities} identities, and answers with {len(answered)}"
        else:
            for candidate, name in answered.items():
                if candidate not in known:
                    yield f"{name}: {candidate!r} is none of its identities"


@check(
    "sorted",
    demands="Candidates come with the most probable first, as far as their probabilities tell.",
    why="The rank of the true identity is what is measured.",
    queries=IMAGES,
)
async def in_order(service: Invader) -> Problems:
    answers = [(name, _probabilities(each)) for name, each in await service.classifications()]
    if not any(any(probabilities) for _, probabilities in answers):
        raise NotApplicable("the service discloses no probabilities, by which the order could be told")
    for name, probabilities in answers:
        if probabilities != sorted(probabilities, reverse=True):
            yield f"{name}: expected probabilities descending, got {', '.join(map(str, probabilities[:6]))}"


@check(
    "probabilities",
    demands=f"Probabilities are 0..1, are rounded to {DECIMALS} places, and come where the service says so only.",
    why="Finer numbers, or logits in their place, are what models are imitated by.",
    queries=IMAGES,
)
async def probabilities(service: Invader) -> Problems:
    sizes = {model.name: model.identities for model in service.models}
    for name, each in await service.classifications():
        disclosure, identities = service.listed.disclosure, sizes.get(each.target_model, 0)
        for problem in _disclosure_problems(_probabilities(each), disclosure, identities=identities):
            yield f"{name}: {problem}"


def _disclosure_problems(probabilities: Sequence[float], disclosure: int, *, identities: int) -> Iterator[str]:
    yield from (f"{each} is no probability" for each in probabilities if not 0 <= each <= 1)
    finer = [each for each in probabilities if 0 <= each <= 1 and each != round(each, DECIMALS)]
    if finer:
        yield f"expected {DECIMALS} decimal places, got {finer[0]!r}"
    if disclosure in (invader_pb2.DISCLOSURE_TOP1, invader_pb2.DISCLOSURE_RANKED) and any(probabilities):
        yield f"discloses {probabilities[0]}, and says that it discloses no probabilities"
    vanish = identities >= MIN_TO_VANISH
    if disclosure == invader_pb2.DISCLOSURE_PROBABILITIES and probabilities and not any(probabilities) and not vanish:
        yield "says that it discloses probabilities, and they are all 0"


def _probabilities(answer: invader_pb2.Classification) -> list[float]:
    return [candidate.probability for candidate in answer.candidates]


@check(
    "prefix",
    demands="The first candidates of a long answer are those of a short one.",
    why="PSR is read at several k from one answer.",
    queries=IMAGES + 2,
)
async def prefix(service: Invader) -> Problems:
    whole = {each.target_model: identities_of(each) for each in (await service.answer()).classifications}
    if service.k < 2:
        raise NotApplicable("the service answers with one candidate only")
    for wanted in sorted({1, service.k // 2}):
        for each in (await service.answer_again(k=wanted)).classifications:
            if identities_of(each) != whole.get(each.target_model, [])[:wanted]:
                differ = f"with k {wanted} the first candidates are others than with k {service.k}"
                yield f"{each.target_model}: {differ}"
