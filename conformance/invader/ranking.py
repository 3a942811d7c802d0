"""What is answered: candidates and their probabilities."""

from collections.abc import Iterator, Sequence

from deid.invader.v1 import invader_pb2

from conformance.check import NotApplicable, check, fail_for
from conformance.invader.service import IMAGES, Invader
from conformance.texts import NUMBERS

DECIMALS = 4
MAX_NAME = 100  # characters of an identity that nobody can look up
MIN_TO_VANISH = 10_000  # identities, of which the most probable may be less than half of the last decimal place


@check(
    "invader.k",
    demands="k candidates come where k are asked for, be it one or the most.",
    why="A rank beyond what was answered is not known: with fewer candidates than asked for, identities count as "
    "protected for nothing.",
    queries=IMAGES + 2,
)
async def k(service: Invader) -> None:
    problems = []
    for name, each in await service.answers():
        problems += _number(name, each, service.k)
    for model in service.target_models[:1]:
        for wanted in sorted({1, model.max_candidates}):
            answer = await service.classify(service.request(target_models=[model.name], k=wanted))
            for each in answer.classifications:
                problems += _number(f"{model.name}, k {wanted}", each, wanted)
    fail_for(problems)


def _number(name: str, answer: invader_pb2.Classification, k: int) -> list[str]:
    return [] if len(answer.candidates) == k else [f"{name}: expected {k} candidates, got {len(answer.candidates)}"]


@check(
    "invader.distinct",
    demands="No identity is a candidate twice.",
    why="A repeated one pushes others out of the first k.",
    queries=IMAGES,
)
async def distinct(service: Invader) -> None:
    fail_for(
        f"{name}: {len(names) - len(set(names))} candidates are there twice"
        for name, names in [(name, _names(each)) for name, each in await service.answers()]
        if len(set(names)) < len(names)
    )


@check(
    "invader.members",
    demands="Every candidate is an identity of the target model's label set; where that is not listed, of no more than "
    f"{MAX_NAME} characters, without numbers in a row, and one of no more than the set has.",
    why="A name is all that may leave: whatever else stands in its place is something else that leaves.",
    queries=IMAGES,
)
async def members(service: Invader) -> None:
    problems = []
    seen: dict[str, set[str]] = {}
    for name, each in await service.answers():
        try:
            known = set(await service.label_set(each.target_model))
        except NotApplicable:
            seen.setdefault(each.target_model, set()).update(_names(each))
            problems += [f"{name}: {candidate!r} is no name" for candidate in _names(each) if not _is_name(candidate)]
            continue
        problems += [
            f"{name}: {candidate!r} is none of its identities" for candidate in _names(each) if candidate not in known
        ]
    problems += [
        f"{model.name}: states {model.identities} identities, and answers with {len(seen[model.name])}"
        for model in service.target_models
        if len(seen.get(model.name, ())) > model.identities
    ]
    fail_for(problems)


def _is_name(candidate: str) -> bool:
    return 0 < len(candidate) <= MAX_NAME and NUMBERS.search(candidate) is None


@check(
    "invader.sorted",
    demands="Candidates come with the most probable first, as far as their probabilities tell.",
    why="The rank of the true identity is what is measured.",
    queries=IMAGES,
)
async def in_order(service: Invader) -> None:
    answers = await service.answers()
    if not any(candidate.probability for _, each in answers for candidate in each.candidates):
        raise NotApplicable("the service discloses no probabilities, by which the order could be told")
    problems = []
    for name, each in answers:
        probabilities = [candidate.probability for candidate in each.candidates]
        if probabilities != sorted(probabilities, reverse=True):
            problems.append(f"{name}: expected probabilities descending, got {', '.join(map(str, probabilities[:6]))}")
    fail_for(problems)


@check(
    "invader.probabilities",
    demands=f"Probabilities are 0..1, are rounded to {DECIMALS} places, and come where the service says so only.",
    why="Finer numbers, or logits in their place, are what models are imitated by.",
    queries=IMAGES,
)
async def probabilities(service: Invader) -> None:
    problems = []
    for name, each in await service.answers():
        problems += [
            f"{name}: {fault}"
            for fault in _faults(
                [candidate.probability for candidate in each.candidates],
                service.listed.disclosure,
                identities=service.model(each.target_model).identities,
            )
        ]
    fail_for(problems)


def _faults(probabilities: Sequence[float], disclosure: int, *, identities: int) -> Iterator[str]:
    yield from (f"{each} is no probability" for each in probabilities if not 0 <= each <= 1)
    finer = [each for each in probabilities if 0 <= each <= 1 and each != round(each, DECIMALS)]
    if finer:
        yield f"expected {DECIMALS} decimal places, got {finer[0]!r}"
    if disclosure in (invader_pb2.DISCLOSURE_TOP1, invader_pb2.DISCLOSURE_RANKED) and any(probabilities):
        yield f"discloses {probabilities[0]}, and says that it discloses no probabilities"
    vanish = identities >= MIN_TO_VANISH
    if disclosure == invader_pb2.DISCLOSURE_PROBABILITIES and probabilities and not any(probabilities) and not vanish:
        yield "says that it discloses probabilities, and they are all 0"


@check(
    "invader.prefix",
    demands="The first candidates of a long answer are those of a short one.",
    why="PSR is read at several k from one answer.",
    queries=IMAGES + 2,
)
async def prefix(service: Invader) -> None:
    whole = {each.target_model: _names(each) for each in (await service.answer(service.subjects[0].photo)).classifications}
    if service.k < 2:
        raise NotApplicable("the service answers with one candidate only")
    problems = []
    for wanted in sorted({1, service.k // 2}):
        answer = await service.classify(service.request(k=wanted))
        problems += [
            f"{each.target_model}: with k {wanted} the first candidates are others than with k {service.k}"
            for each in answer.classifications
            if _names(each) != whole.get(each.target_model, [])[:wanted]
        ]
    fail_for(problems)


def _names(answer: invader_pb2.Classification) -> list[str]:
    return [candidate.identity for candidate in answer.candidates]
