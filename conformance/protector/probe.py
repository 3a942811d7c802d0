"""The probe, which cloaks are measured against, and how a photo is decoded."""

from hashlib import sha256

import numpy as np

from conformance.check import NotApplicable, Problems, check
from conformance.images import Ambiguous, all_forms, decoded, mean_distance, rotated, transparent
from conformance.protector.methods import CONTROL
from conformance.protector.service import Protector, by_budget
from conformance.refusals import Refused
from conformance.service import Changes

MIN_CONTRAST = 6.0  # levels on average, below which two ways to decode a photo cannot be told apart


@check(
    "probe",
    demands="The lossless control is the probe: its RGB bytes have the SHA-256 that every response of its row states.",
    why="The probe leaves the protector only as this control; budgets and image quality are measured against it.",
)
async def probe(service: Protector) -> Problems:
    for cloak in await service.cloaks():
        stated, digest = cloak.response.probe_sha256, sha256(cloak.probe.astype(np.uint8).tobytes()).hexdigest()
        if stated != digest:
            yield f"{cloak.name}: expected probe_sha256 {digest[:12]}…, got {stated[:12]}…"


@check(
    "control",
    demands="The control is the same bytes whether it is requested alone, beside any method, with any seed, or for any "
    "identity.",
    why="Cloaks are compared with it, so nothing else in the request may change it.",
)
async def control(service: Protector) -> Problems:
    row = by_budget(await service.answers())
    expected = row[CONTROL, 0].cloak if (CONTROL, 0) in row else b""
    other = service.subjects[service.models[0].name][1].identity
    requests: dict[str, Changes] = {
        f"beside {name}": {"methods": [name, CONTROL], "epsilons": [4]} for name in service.method_names if name != CONTROL
    }
    requests |= {
        "alone": service.cheap,
        "with another seed": {**service.cheap, "seed": 2**64 - 1},
        f"as {other}": {**service.cheap, "identity": other},
    }
    for name, changes in requests.items():
        responses = await service.ask(service.request(**changes))
        if [each.cloak for each in responses if each.method == CONTROL] != [expected]:
            yield f"{name}: the control differs from that of the whole row"


@check(
    "geometry",
    demands="Probe and cloaks are still RGB images of 8 bits a channel, as wide and high as the source model's input, "
    "without EXIF, colour profile or transparency; their files hold nothing that a decoder does not need.",
    why="An invader decodes them as they are: a palette, a rotated image or another size would be another experiment, "
    "and nobody measures what stands beside the pixels.",
)
async def geometry(service: Protector) -> Problems:
    sizes = {model.name: model.input_size for model in service.models}
    for row, changes in service.samples().items():
        side = sizes[changes["source_model"]]
        for each in await service.answers(**changes):
            name = f"{row}: {each.method}, epsilon {each.epsilon}"
            image = decoded(each.cloak, name)
            height, width, _ = image.levels.shape
            if (height, width) != (side, side) or each.side != side:
                yield f"{name}: expected {side} x {side} and side {side}, got {width} x {height} and side {each.side}"
            if (image.format, image.mode, image.channel_bits) != ("PNG", "RGB", 8):
                got = f"{image.format} {image.mode}, {image.channel_bits} bits"
                yield f"{name}: expected PNG RGB, 8 bits a channel, got {got}"
            if not image.still or image.beside:
                yield f"{name}: expected one still image and nothing beside, got {image.beside or 'several'}"


@check(
    "formats",
    demands="JPEG (progressive, grey, CMYK, of any chroma) and PNG (grey, with a palette, of 16 bits) are all accepted. "
    "The probe is at least twice as near to the probe of the same photo as an RGB PNG as to its negative, to "
    "white, and to black.",
    why="Data sets contain all of these; a refused photo costs a subject, and a misread one is another photo.",
)
async def formats(service: Protector) -> Problems:
    for form in all_forms(service.photo):
        right = await service.probe(form.plain)
        try:
            got = await service.probe(form.image)
        except Refused as refused:
            yield f"{form.what}: {refused.refusal}"
            continue
        if right is None:
            continue
        if got is None:
            yield f"{form.what}: no face is found in it, but in the same photo as an RGB PNG"
        elif got.shape != right.shape:
            yield f"{form.what}: its probe has another size"
        else:
            to_right = mean_distance(got, right)
            wrong = {"white": np.full_like(right, 255), "black": np.zeros_like(right), "the negative": 255 - right}
            for name, other in wrong.items():
                if 2 * to_right > (to_wrong := mean_distance(got, other)):
                    apart = f"{to_right:.1f} levels from that of the same as an RGB PNG, {to_wrong:.1f} from {name}"
                    yield f"{form.what}: its probe is on average {apart}"


@check(
    "orientation",
    demands="A photo whose pixels are rotated, and whose EXIF says so, gives a probe at least twice as near to that of "
    "the upright photo as to that of the rotated one.",
    why="Phones store photos this way; a rotated face is another subject.",
)
def orientation(service: Protector) -> Problems:
    return _misunderstood(service, rotated(service.photo), right="upright", wrong="as its pixels lie")


@check(
    "transparency",
    demands="A partly transparent photo gives a probe at least twice as near to that of the photo laid over white as to "
    "that of the photo without its transparency.",
    why="Otherwise the colour behind transparent pixels, and so the probe, would be the decoder's choice.",
)
def transparency(service: Protector) -> Problems:
    return _misunderstood(service, transparent(service.photo), right="laid over white", wrong="opaque")


async def _misunderstood(service: Protector, ambiguous: Ambiguous, *, right: str, wrong: str) -> Problems:
    """What is wrong with the probe of an image that is easily misread, judged by what it is nearer to.

    Equal levels cannot be demanded: decoders differ by one or two, and a detector's box then moves by some pixels.

    Raises:
        NotApplicable: the photo does not show the difference.
    """
    got, understood, misunderstood = [
        await service.probe(image) for image in (ambiguous.image, ambiguous.right, ambiguous.wrong)
    ]
    if understood is None:
        raise NotApplicable(f"no face is found in the photo {right}, as a PNG")
    if got is None:
        yield f"no face is found in it, but in the photo {right}"
    elif misunderstood is None:
        return
    elif not got.shape == understood.shape == misunderstood.shape:
        yield "the probes differ in size"
    elif mean_distance(understood, misunderstood) < MIN_CONTRAST:
        raise NotApplicable(f"the photo {right} and {wrong} give probes that differ by less than {MIN_CONTRAST:g} levels")
    else:
        to_right, to_wrong = mean_distance(got, understood), mean_distance(got, misunderstood)
        if 2 * to_right > to_wrong:
            apart = f"{to_right:.1f} levels from it on average, and {to_wrong:.1f} from that of the photo {wrong}"
            yield f"expected the probe of the photo {right}, got one that is {apart}"
