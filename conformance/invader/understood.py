"""What an image is taken for: its format, its orientation, its transparency."""

from collections.abc import Callable

import numpy as np

from conformance.check import Failed, NotApplicable, check, fail_for
from conformance.invader.determinism import same
from conformance.invader.service import IMAGES, Answer, Invader
from conformance.pictures import FORMS, PLAIN_FORMS, Ambiguous, all_forms, reread, transparent, turned
from conformance.refusal import Refused
from rpc.images.decoding import encode_png


@check(
    "invader.formats",
    demands="JPEG (progressive, grey, CMYK, of any chroma) and PNG (grey, with a palette, of 16 bits) are all taken. PNG is "
    "answered as the same image as an RGB PNG; JPEG is answered more like that than like its negative.",
    why="A cloak may come as any of them; one that is refused is no observation, and one that is misread is another image.",
    queries=FORMS + 2 * PLAIN_FORMS,
)
async def formats(service: Invader) -> None:
    problems = []
    for form in all_forms(service.subjects[0].photo):
        right = await service.answer(form.plain)
        try:
            got = await service.classify(service.request(form.image))
        except Refused as refused:
            problems.append(f"{form.what}: {refused.refusal}")
            continue
        if form.lossless and not same(got, right):
            problems.append(f"{form.what}: is answered otherwise than the same as an RGB PNG")
        if not form.lossless:
            negative = await service.answer(encode_png(255 - reread(form.plain)))
            if distance(got, right) > distance(got, negative):
                problems.append(f"{form.what}: is answered more like its negative than like the same as an RGB PNG")
    fail_for(problems)


@check(
    "invader.orientation",
    demands="Photos that lie on their side, and say so in EXIF, are answered at least as much like the upright ones as like "
    "the lying ones.",
    why="A face that lies on its side is found less often and named worse, which would count as protection.",
    queries=3 * IMAGES,
)
async def orientation(service: Invader) -> None:
    await _check_understood(service, turned, right="upright", wrong="as their pixels lie")


@check(
    "invader.transparency",
    demands="Photos that are partly transparent are answered at least as much like the photos laid over white as like the "
    "photos without their transparency.",
    why="The colour behind transparent pixels is the decoder's choice otherwise, and so the image.",
    queries=3 * IMAGES,
)
async def transparency(service: Invader) -> None:
    await _check_understood(service, transparent, right="laid over white", wrong="opaque")


async def _check_understood(service: Invader, ambiguous: Callable[[bytes], Ambiguous], *, right: str, wrong: str) -> None:
    to_right = to_wrong = 0.0
    understood = [ambiguous(subject.photo) for subject in service.subjects]
    contrast = 0.0
    for each in understood:
        got = await service.answer(each.image)
        rightly, wrongly = await service.answer(each.right), await service.answer(each.wrong)
        contrast += distance(rightly, wrongly)
        to_right += distance(got, rightly) / len(understood)
        to_wrong += distance(got, wrongly) / len(understood)
    if not contrast:
        raise NotApplicable(f"the photos {right} and {wrong} are answered the same")
    if to_right > to_wrong:
        raise Failed(f"the answers are {to_right:.0%} others than of the photos {right}, {to_wrong:.0%} others than {wrong}")


def distance(one: Answer, other: Answer) -> float:
    """How much two answers differ, 0..1: the higher a candidate's rank, the more it counts."""
    if one.face_found != other.face_found:
        return 1.0
    apart = [
        _distance([each.identity for each in ours.candidates], [each.identity for each in theirs.candidates])
        for ours, theirs in zip(one.classifications, other.classifications, strict=False)
    ]
    return float(np.mean(apart)) if apart else 0.0


def _distance(ours: list[str], theirs: list[str]) -> float:
    one, other = ({name: 1 / (rank + 1) for rank, name in enumerate(names)} for names in (ours, theirs))
    apart = sum(abs(one.get(name, 0) - other.get(name, 0)) for name in one.keys() | other.keys())
    return float(apart / max(sum(one.values()) + sum(other.values()), 1))
