"""Whether a face is found, and what of an image is read."""

from collections.abc import Sequence

from deid.invader.v1 import invader_pb2

from conformance.check import NotApplicable, check, fail_for
from conformance.invader.determinism import same
from conformance.invader.service import IMAGES, Answer, Invader
from conformance.pictures import bordered, faceless
from conformance.refusing import faults, invalid

UNKNOWN_REGIONS = (99, -1)


@check(
    "invader.face",
    demands="A face is found in a photo of one, and each target model that was asked answers, in the order asked.",
    why="No face counts as protected: an invader that overlooks faces makes every cloak look good.",
    queries=IMAGES + 1,
)
async def face(service: Invader) -> None:
    problems = []
    for subject in service.subjects:
        answer = await service.answer(subject.photo)
        problems += _not_answered(subject.identity, answer, service.names)
    backwards = service.names[::-1]
    problems += _not_answered(
        "models backwards", await service.classify(service.request(target_models=backwards)), backwards
    )
    fail_for(problems)


def _not_answered(what: str, answer: Answer, names: Sequence[str]) -> list[str]:
    came = [each.target_model for each in answer.classifications]
    if not answer.face_found:
        return [f"{what}: no face was found"]
    return (
        [] if came == list(names) else [f"{what}: expected answers of {', '.join(names)}, got {', '.join(came) or 'none'}"]
    )


@check(
    "invader.no-face",
    demands="An image of one colour is answered: no face found, and no classification.",
    why="No face is an outcome of the experiment; an error would be asked again, and a name would be made up.",
    queries=1,
)
async def no_face(service: Invader) -> None:
    if service.region == invader_pb2.REGION_FULL:
        raise NotApplicable("the service reads whole images only")
    answer = await service.answer(faceless())
    if answer.face_found or answer.classifications:
        fail_for(
            [f"expected no face and no classification, got face_found {answer.face_found} and {len(answer.classifications)}"]
        )


@check(
    "invader.region",
    demands="REGION_DETECTED is the region of a request that names none; REGION_FULL, where listed, names any image, "
    "and answers not all photos in a wide border as REGION_DETECTED does; another region, be it a negative one, is "
    "refused with INVALID_ARGUMENT naming `region`.",
    why="What of a cloak is read is an axis of a run: one region under the name of the other is a wrong figure.",
    queries=2 * IMAGES + 3 + len(UNKNOWN_REGIONS),
)
async def region(service: Invader) -> None:
    if not service.listed.regions:
        raise NotApplicable("the service does not say which regions it has")
    photo = service.subjects[0].photo
    problems = []
    if invader_pb2.REGION_DETECTED in service.listed.regions:
        detected = await service.classify(service.request(photo, region=invader_pb2.REGION_DETECTED))
        if detected.classifications != (await service.answer(photo)).classifications:
            problems.append("REGION_DETECTED is answered otherwise than no region")
    else:
        got = await service.refusal(region=invader_pb2.REGION_UNSPECIFIED)
        problems += faults(invalid("no region, where detected faces are not read", "region"), got)
    if invader_pb2.REGION_FULL in service.listed.regions:
        whole = await service.classify(service.request(faceless(), region=invader_pb2.REGION_FULL))
        problems += _not_answered("an image of one colour, read whole", whole, service.names)
    # One candidate of each may be the same by chance.
    if {invader_pb2.REGION_DETECTED, invader_pb2.REGION_FULL} <= set(service.listed.regions) and service.k > 1:
        problems += await _read_alike(service)
    for number in UNKNOWN_REGIONS:
        problems += faults(invalid(f"the region {number}", "region"), await service.refusal(region=number))
    fail_for(problems)


async def _read_alike(service: Invader) -> list[str]:
    for subject in service.subjects:
        image = bordered(subject.photo)
        answers = [
            await service.classify(service.request(image, region=region))
            for region in (invader_pb2.REGION_DETECTED, invader_pb2.REGION_FULL)
        ]
        if not same(*answers):
            return []
    return [f"{len(service.subjects)} photos in wide borders are answered the same whether they are read whole or not"]
