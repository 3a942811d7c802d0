"""Candidates and their probabilities."""

from deid.invader.v1 import invader_pb2

from conformance.check import NotApplicable, Problems, check
from conformance.invader.service import IMAGES, Invader, identities_of
from conformance.service import MATCHER
from conformance.text_leaks import NUMBERS

DECIMALS = 4
MAX_NAME = 100  # characters of an identity that is not listed
MIN_TO_VANISH = 10_000  # identities: even the most probable may be rounded to 0


@check(
    "k",
    demands="An answer has exactly k candidates, for k = 1 as for the largest k.",
    why="Ranks beyond an answer are unknown: with fewer candidates than requested, identities count as protected "
    "without a reason.",
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
    why="A repeated identity pushes others out of the first k.",
    queries=IMAGES,
)
async def distinct(service: Invader) -> Problems:
    for name, each in await service.classifications():
        names = identities_of(each)
        if len(set(names)) < len(names):
            yield f"{name}: {len(names) - len(set(names))} candidates are repeated"


@check(
    "members",
    demands="Every candidate is an identity of the target model's label set. Where that is not listed, a candidate has at "
    f"most {MAX_NAME} characters and no row of numbers, and there are no more different candidates than the set "
    "has identities.",
    why="Nothing but names may leave an invader.",
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
                    yield f"{name}: {candidate!r} is not a name"
            if len(answered) > model.identities:
                yield f"{model.name}: states {model.identities} identities, and answered with {len(answered)} different ones"
        else:
            for candidate, name in answered.items():
                if candidate not in known:
                    yield f"{name}: {candidate!r} is not in the label set"


@check(
    "sorted",
    demands="Candidates come in descending order of their probabilities, where these are disclosed.",
    why="The rank of the true identity is what is measured.",
    queries=IMAGES,
)
async def in_order(service: Invader) -> Problems:
    answers = [(name, _probabilities(each)) for name, each in await service.classifications()]
    if not any(any(probabilities) for _, probabilities in answers):
        raise NotApplicable("the service discloses no probabilities, which the order is judged by")
    for name, probabilities in answers:
        if probabilities != sorted(probabilities, reverse=True):
            yield f"{name}: expected probabilities descending, got {', '.join(map(str, probabilities[:6]))}"


@check(
    "probabilities",
    demands=f"Probabilities are within 0..1, rounded to {DECIMALS} decimal places, and sent only if the service says that "
    "it discloses them.",
    why="Finer numbers, or logits in their place, serve to imitate a model.",
    queries=IMAGES,
)
async def probabilities(service: Invader) -> Problems:
    disclosure = service.listed.disclosure
    may_be_zero = {model.name for model in service.models if model.identities >= MIN_TO_VANISH or model.kind == MATCHER}
    for name, each in await service.classifications():
        came = _probabilities(each)
        for beyond in (p for p in came if not 0 <= p <= 1):
            yield f"{name}: {beyond} is not a probability"
        finer = [p for p in came if 0 <= p <= 1 and p != round(p, DECIMALS)]
        if finer:
            yield f"{name}: expected {DECIMALS} decimal places, got {finer[0]!r}"
        if disclosure in (invader_pb2.DISCLOSURE_TOP1, invader_pb2.DISCLOSURE_RANKED) and any(came):
            yield f"{name}: discloses {came[0]}, and says that it discloses no probabilities"
        all_zero = len(came) > 0 and not any(came) and each.target_model not in may_be_zero
        if disclosure == invader_pb2.DISCLOSURE_PROBABILITIES and all_zero:
            yield f"{name}: says that it discloses probabilities, and they are all 0"


def _probabilities(answer: invader_pb2.Classification) -> list[float]:
    return [candidate.probability for candidate in answer.candidates]


@check(
    "prefix",
    demands="The candidates of a shorter answer are the first ones of a longer answer.",
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
                differ = f"with k {wanted} the first candidates differ from those with k {service.k}"
                yield f"{each.target_model}: {differ}"
