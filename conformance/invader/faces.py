"""Whether a face is found, and which region of an image is read."""

from collections.abc import Iterator, Sequence

from deid.invader.v1 import invader_pb2

from conformance.check import NotApplicable, Problems, check
from conformance.images import bordered, faceless
from conformance.invader.service import IMAGES, Answer, Invader, same
from conformance.refusals import BadRequest, invalid

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
    whole = service.region == invader_pb2.REGION_FULL
    names = service.listing(invader_pb2.REGION_DETECTED) if whole else service.model_names
    if not names:
        raise NotApplicable("the service reads whole images only")
    answer = await service.answer(image=faceless(), target_models=names, region=invader_pb2.REGION_UNSPECIFIED)
    if answer.face_found or answer.classifications:
        got = f"face_found {answer.face_found} and {len(answer.classifications)}"
        yield f"expected no face and no classification, got {got}"


@check(
    "region",
    demands="A request that names no region is answered as with REGION_DETECTED. REGION_FULL, of the target models that "
    "list it, classifies any image, and gives another answer than REGION_DETECTED for at least one photo in a wide "
    "border. A region that one of the requested target models does not list, and unknown regions, negative ones too, are "
    "refused with INVALID_ARGUMENT naming `region`.",
    why="The region that is read is an axis of a run: one region under the name of the other makes a wrong figure.",
    queries=2 * IMAGES + 3 + 4 + len(UNKNOWN_REGIONS),
)
async def region(service: Invader) -> Problems:
    if not any(model.regions for model in service.models):
        raise NotApplicable("the service does not say which regions it has")
    if names := service.listing(invader_pb2.REGION_DETECTED):
        detected = await service.answer_again(target_models=names, region=invader_pb2.REGION_DETECTED)
        default = await service.answer(target_models=names, region=invader_pb2.REGION_UNSPECIFIED)
        if detected.classifications != default.classifications:
            yield "the answer with REGION_DETECTED differs from the answer without a region"
    if names := service.listing(invader_pb2.REGION_FULL):
        whole = await service.answer_again(image=faceless(), target_models=names, region=invader_pb2.REGION_FULL)
        for problem in _not_answered("an image of one colour with REGION_FULL", whole, names):
            yield problem
    # A single candidate may be the same by chance.
    both = service.listing(invader_pb2.REGION_DETECTED, invader_pb2.REGION_FULL)
    if both and service.k > 1 and await _read_alike(service, both):
        yield f"{len(service.subjects)} photos in wide borders get the same answers with REGION_FULL as with REGION_DETECTED"
    for bad in _refused_regions(service):
        for problem in bad.problems(await service.refusal(**bad.changes)):
            yield problem


def _refused_regions(service: Invader) -> Iterator[BadRequest]:
    """Requests with a region that is unknown, or that some target models do not list: of all, and of these alone."""
    for number in UNKNOWN_REGIONS:
        yield invalid(f"the region {number}", "region", region=number)
    for asked, needed in (
        (invader_pb2.REGION_UNSPECIFIED, invader_pb2.REGION_DETECTED),
        (invader_pb2.REGION_DETECTED, invader_pb2.REGION_DETECTED),
        (invader_pb2.REGION_FULL, invader_pb2.REGION_FULL),
    ):
        lacking = [model.name for model in service.models if model.regions and needed not in model.regions]
        name = invader_pb2.Region.Name(asked)
        if lacking:
            yield invalid(f"{name}, which {lacking[0]} does not list", "region", region=asked)
        if 0 < len(lacking) < len(service.models):
            yield invalid(f"{name} of {lacking[0]} alone", "region", region=asked, target_models=lacking[:1])


async def _read_alike(service: Invader, names: Sequence[str]) -> bool:
    for subject in service.subjects:
        detected, whole = [
            await service.answer_again(image=bordered(subject.photo), target_models=names, region=region)
            for region in (invader_pb2.REGION_DETECTED, invader_pb2.REGION_FULL)
        ]
        if not same(detected, whole):
            return False
    return True
