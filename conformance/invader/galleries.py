"""Searches in galleries of the client's own."""

from conformance.check import Problems, check
from conformance.client_galleries import ONE, THREE, TWO, ClientGalleries
from conformance.images import annotated
from conformance.invader.service import Invader, identities_of
from conformance.refusals import invalid


@check(
    "gallery-search",
    demands="In a gallery of the client's own, matchers answer with its identities alone: first with the one that is "
    "enrolled with the very photo that is searched. k is at most their number. `reached` is of all thresholds that the "
    "target model lists.",
    why="A search in another gallery than the one that is asked for measures another recognizer.",
    queries=6,
)
async def gallery_search(service: Invader) -> Problems:
    galleries = ClientGalleries(service)
    one, two = galleries.photos
    listed = {model.name: [threshold.name for threshold in model.thresholds] for model in service.matchers}
    k = min(2, *(model.max_candidates for model in service.matchers))
    for enrolled in ({TWO: one, ONE: two}, {THREE: two, ONE: one}):  # so that neither names nor places decide
        async with galleries.sealed({identity: [photo] for identity, photo in enrolled.items()}) as gallery:
            for identity, photo in enrolled.items():
                request = {**service.of_matcher(photo, identity=identity, gallery=gallery), "k": k}
                answer = await service.answer_again(**request)
                if not answer.face_found:
                    yield f"{identity}: expected that the face is found in the photo that was enrolled, got none"
                for each in answer.classifications:
                    names = identities_of(each)
                    if names[:1] != [identity] or len(set(names)) != k or not set(names) <= enrolled.keys():
                        expected = " and ".join([identity, *(enrolled.keys() - {identity})][:k])
                        yield f"{each.target_model}: expected {expected}, got {', '.join(names) or 'nobody'}"
                    if [reached.threshold for reached in each.reached] != listed.get(each.target_model):
                        yield f"{each.target_model}: expected what reaches its thresholds, as it lists them, got others"
            for problem in invalid("k 3 of two identities", "k").problems(await service.refusal(**{**request, "k": 3})):
                yield problem


@check(
    "gallery-budget",
    demands="Where there is a budget, a search in a gallery of the client's own costs one query, and creating, enrolling, "
    "sealing and deleting cost nothing.",
    why="Enrolment discloses nothing of a recognizer, a search as much as any other.",
    queries=1,
)
async def gallery_budget(service: Invader) -> Problems:
    galleries = ClientGalleries(service)
    one, two = galleries.photos
    before = await service.queries_left()
    async with galleries.sealed({ONE: [one, annotated(one)], TWO: [two]}) as gallery:
        if (left := await service.queries_left()) != before:
            yield f"enrolling three photos costs {before - left} queries"
        await service.answer_again(**service.of_matcher(one, identity=ONE, gallery=gallery))
        if (searched := await service.queries_left()) != left - 1:
            yield f"a search: expected {left - 1} queries left, the list states {searched}"
    if (deleted := await service.queries_left()) != searched:
        yield f"deleting a gallery costs {searched - deleted} queries"
