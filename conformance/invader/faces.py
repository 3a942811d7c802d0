"""Whether a face is found, and which region of an image is read."""

from collections.abc import Iterator, Sequence

from deid.invader.v1 import invader_pb2

from conformance.check import NotApplicable, Problems, check
from conformance.images import bordered, faceless
from conformance.invader.service import IMAGES, Answer, Invader, same
from conformance.refusals import invalid

UNKNOWN_REGIONS = (99, -1)


@check(
    "face",
    demands="A face is found in a photo of one, and each requested target model answers, in the order of the request.",
    why="An image without a face counts as protected: an invader that overlooks faces makes every cloak look good.",
    queries=IMAGES + 1,
)
async def face(service: Invader) -> Problems:
    names = service.model_names
    for subject in service.subjects:
        for problem in _not_answered(subject.identity, await service.answer(image=subject.photo), names):
            yield problem
    backwards = await service.answer_again(target_models=names[::-1])
    for problem in _not_answered("target models in reverse order", backwards, names[::-1]):
        yield problem


def _not_answered(what: str, answer: Answer, names: Sequence[str]) -> Iterator[str]:
    came = [each.target_model for each in answer.classifications]
    if not answer.face_found:
        yield f"{what}: no face was found"
    elif came != list(names):
        yield f"{what}: expected answers of {', '.join(names)}, got {', '.join(came) or 'none'}"


@check(
    "no-face",
    demands="An image of one colour is answered with no face found and without classifications.",
    why="That no face is found is an outcome of the experiment; an error would be retried, and a name would be made up.",
    queries=1,
)
async def no_face(service: Invader) -> Problems:
    if service.region == invader_pb2.REGION_FULL:
        raise NotApplicable("the service reads whole images only")
    answer = await service.answer(image=faceless())
    if answer.face_found or answer.classifications:
        got = f"face_found {answer.face_found} and {len(answer.classifications)}"
        yield f"expected no face and no classification, got {got}"


@check(
    "region",
    demands="A request that names no region is answered as with REGION_DETECTED. REGION_FULL, where it is listed, "
    "classifies any image, and gives another answer than REGION_DETECTED for at least one photo in a wide border. "
    "Unknown regions, negative ones too, are refused with INVALID_ARGUMENT naming `region`.",
    why="The region that is read is an axis of a run: one region under the name of the other makes a wrong figure.",
    queries=2 * IMAGES + 3 + len(UNKNOWN_REGIONS),
)
async def region(service: Invader) -> Problems:
    regions = service.listed.regions
    if not regions:
        raise NotApplicable("the service does not say which regions it has")
    refused = [invalid(f"the region {number}", "region", region=number) for number in UNKNOWN_REGIONS]
    if invader_pb2.REGION_DETECTED in regions:
        detected = await service.answer_again(region=invader_pb2.REGION_DETECTED)
        if detected.classifications != (await service.answer()).classifications:
            yield "the answer with REGION_DETECTED differs from the answer without a region"
    else:
        unspecified = invader_pb2.REGION_UNSPECIFIED
        refused.append(invalid("no region, where detected faces are not read", "region", region=unspecified))
    if invader_pb2.REGION_FULL in regions:
        whole = await service.answer_again(image=faceless(), region=invader_pb2.REGION_FULL)
        for problem in _not_answered("an image of one colour with REGION_FULL", whole, service.model_names):
            yield problem
    # A single candidate may be the same by chance.
    both = {invader_pb2.REGION_DETECTED, invader_pb2.REGION_FULL} <= set(regions)
    if both and service.k > 1 and await _read_alike(service):
        yield f"{len(service.subjects)} photos in wide borders get the same answers with REGION_FULL as with REGION_DETECTED"
    for bad in refused:
        for problem in bad.problems(await service.refusal(**bad.changes)):
            yield problem


async def _read_alike(service: Invader) -> bool:
    for subject in service.subjects:
        detected, whole = [
            await service.answer_again(image=bordered(subject.photo), region=region)
            for region in (invader_pb2.REGION_DETECTED, invader_pb2.REGION_FULL)
        ]
        if not same(detected, whole):
            return False
    return True
