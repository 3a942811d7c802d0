"""How an image is decoded: its format, its orientation, its transparency."""

from collections.abc import Callable

import numpy as np

from conformance.check import NotApplicable, Problems, check
from conformance.images import FORMS, PLAIN_FORMS, Ambiguous, all_forms, rotated, stored_pixels, transparent
from conformance.invader.service import IMAGES, Answer, Invader, identities_of, same
from conformance.refusals import Refused
from rpc.images.decoding import encode_png


@check(
    "formats",
    demands="JPEG (progressive, grey, CMYK, of any chroma) and PNG (grey, with a palette, of 16 bits) are all accepted. A "
    "PNG in any form is answered as the same image as an RGB PNG; a JPEG is answered more like that image than "
    "like its negative.",
    why="Cloaks may come in any of these; a refused one is no observation, and a misread one is another image.",
    queries=FORMS + 2 * PLAIN_FORMS,
)
async def formats(service: Invader) -> Problems:
    for form in all_forms(service.photo):
        right = await service.answer(image=form.plain)
        try:
            got = await service.answer_again(image=form.image)
        except Refused as refused:
            yield f"{form.what}: {refused.refusal}"
            continue
        if form.lossless:
            if not same(got, right):
                yield f"{form.what}: its answer differs from that to the same as an RGB PNG"
        else:
            negative = await service.answer(image=encode_png(255 - stored_pixels(form.plain)))
            if distance(got, right) > distance(got, negative):
                yield f"{form.what}: it is answered more like its negative than like the same as an RGB PNG"


@check(
    "orientation",
    demands="Photos whose pixels are rotated, and whose EXIF says so, are answered at least as much like the upright "
    "photos as like the rotated ones.",
    why="A rotated face is found less often and named less well, which would count as protection.",
    queries=3 * IMAGES,
)
def orientation(service: Invader) -> Problems:
    return _misunderstood(service, rotated, right="upright", wrong="as their pixels lie")


@check(
    "transparency",
    demands="Partly transparent photos are answered at least as much like the photos laid over white as like the photos "
    "without their transparency.",
    why="Otherwise the colour behind transparent pixels, and so the image, would be the decoder's choice.",
    queries=3 * IMAGES,
)
def transparency(service: Invader) -> Problems:
    return _misunderstood(service, transparent, right="laid over white", wrong="opaque")


async def _misunderstood(service: Invader, ambiguous: Callable[[bytes], Ambiguous], *, right: str, wrong: str) -> Problems:
    to_right = to_wrong = contrast = 0.0
    for subject in service.subjects:
        images = ambiguous(subject.photo)
        got, understood, misunderstood = [
            await service.answer(image=image) for image in (images.image, images.right, images.wrong)
        ]
        contrast += distance(understood, misunderstood)
        to_right += distance(got, understood) / len(service.subjects)
        to_wrong += distance(got, misunderstood) / len(service.subjects)
    if not contrast:
        raise NotApplicable(f"the photos {right} and {wrong} get the same answers")
    if to_right > to_wrong:
        yield f"answers differ by {to_right:.0%} from those to the photos {right}, by {to_wrong:.0%} from those {wrong}"


def distance(one: Answer, other: Answer) -> float:
    """How much two answers differ, 0..1: the higher a candidate's rank, the more it counts."""
    if one.face_found != other.face_found:
        return 1.0
    pairs = zip(one.classifications, other.classifications, strict=False)
    apart = [_distance(identities_of(ours), identities_of(theirs)) for ours, theirs in pairs]
    return float(np.mean(apart)) if apart else 0.0


def _distance(ours: list[str], theirs: list[str]) -> float:
    one, other = ({name: 1 / (rank + 1) for rank, name in enumerate(names)} for names in (ours, theirs))
    apart = sum(abs(one.get(name, 0) - other.get(name, 0)) for name in one.keys() | other.keys())
    return float(apart / max(sum(one.values()) + sum(other.values()), 1))
