"""The probe: what cloaks are measured against."""

from hashlib import sha256

import numpy as np

from conformance.check import NotApplicable, check, fail_for
from conformance.pictures import Ambiguous, Levels, seen, transparent, turned
from conformance.protector.service import Changes, Protector
from orchestrator.experiment.grid import CONTROL

MIN_CONTRAST = 6.0  # levels on average, without which two ways to take a photo are not told apart


@check(
    "protector.probe",
    demands="The lossless control is the probe: its RGB bytes have the SHA-256 that every response of its row states.",
    why="The probe never leaves the protector but as this control: budgets and image quality are measured against it.",
)
async def probe(service: Protector) -> None:
    problems = []
    async for name, cloaks, levels in service.rows():
        digest = sha256(levels.astype(np.uint8).tobytes()).hexdigest()
        problems += [
            f"{name}: {method}, epsilon {epsilon}: expected probe_sha256 {digest[:12]}…, got {each.probe_sha256[:12]}…"
            for (method, epsilon), each in cloaks.items()
            if each.probe_sha256 != digest
        ]
    fail_for(problems)


@check(
    "protector.control",
    demands="The control is the same bytes alone, beside any method, with any seed, and as any identity.",
    why="What is asked beside it must not change what cloaks are compared with.",
)
async def control(service: Protector) -> None:
    known = {(each.method, each.epsilon): each for each in await service.row(service.model, service.subject)}
    expected = known[CONTROL, 0].cloak if (CONTROL, 0) in known else b""
    other = service.subjects[service.model][1].identity
    requests: dict[str, Changes] = {
        f"beside {name}": {"methods": [name, CONTROL], "epsilons": [4]} for name in service.method_names if name != CONTROL
    }
    requests |= {
        "alone": {"methods": [CONTROL], "epsilons": []},
        "with another seed": {"methods": [CONTROL], "epsilons": [], "seed": 2**64 - 1},
        f"as {other}": {"methods": [CONTROL], "epsilons": [], "identity": other},
    }
    problems = []
    for name, changes in requests.items():
        cloaks = [each.cloak for each in await service.craft(service.request(**changes)) if each.method == CONTROL]
        if cloaks != [expected]:
            problems.append(f"{name}: the control is not that of the whole row")
    fail_for(problems)


@check(
    "protector.geometry",
    demands="Probe and cloaks are still RGB images of 8 bits a channel, as wide and high as the source model's input, "
    "without EXIF, colour profile or transparency; their files hold nothing that no decoder needs.",
    why="An invader decodes them as they are: a palette, a turned image or another size would be an experiment of its own, "
    "and what stands beside the pixels is measured by nobody.",
)
async def geometry(service: Protector) -> None:
    problems = []
    sizes = {model.name: model.input_size for model in service.source_models}
    for model, subject in service.pairs():
        side = sizes[model]
        for each in await service.row(model, subject):
            name = f"{model}: {each.method}, epsilon {each.epsilon}"
            picture = seen(each.cloak, name)
            if picture.size != (side, side) or each.side != side:
                height, width = picture.size
                problems.append(
                    f"{name}: expected {side} x {side} and side {side}, got {width} x {height} and side {each.side}"
                )
            if (picture.format, picture.mode, picture.channel_bits) != ("PNG", "RGB", 8):
                got = f"{picture.format} {picture.mode}, {picture.channel_bits} bits"
                problems.append(f"{name}: expected PNG RGB, 8 bits a channel, got {got}")
            if not picture.still or picture.beside:
                problems.append(f"{name}: expected one still image and nothing beside, got {picture.beside or 'several'}")
    fail_for(problems)


@check(
    "protector.orientation",
    demands="The probe of a photo that lies on its side, and says so in EXIF, is at least twice as near to that of the "
    "upright photo as to that of the lying one.",
    why="Phones store photos so; a face that lies on its side is another subject.",
)
async def orientation(service: Protector) -> None:
    fail_for(await _misunderstood(service, turned(service.subject.photo), right="upright", wrong="as its pixels lie"))


@check(
    "protector.transparency",
    demands="The probe of a photo that is partly transparent is at least twice as near to that of the photo laid over white "
    "as to that of the photo without its transparency.",
    why="The colour behind transparent pixels is the decoder's choice otherwise, and so the probe.",
)
async def transparency(service: Protector) -> None:
    fail_for(await _misunderstood(service, transparent(service.subject.photo), right="laid over white", wrong="opaque"))


async def _misunderstood(service: Protector, ambiguous: Ambiguous, *, right: str, wrong: str) -> list[str]:
    """What is wrong with the probe of an image that is easily misunderstood, by what it is nearer to.

    Levels alone do not tell: decoders differ by one or two, and a detector's box then moves by some pixels.

    Raises:
        NotApplicable: the photo does not tell one from the other.
    """
    got, understood, misunderstood = [
        await service.probe(image) for image in (ambiguous.image, ambiguous.right, ambiguous.wrong)
    ]
    if understood is None:
        raise NotApplicable(f"no face is found in the photo {right}, as a PNG")
    if got is None:
        return [f"no face is found in it, and one is in the photo {right}"]
    if misunderstood is None:
        return []
    if not got.shape == understood.shape == misunderstood.shape:
        return ["the probes differ in size"]
    if _apart(understood, misunderstood) < MIN_CONTRAST:
        raise NotApplicable(f"the photo {right} and {wrong} give the same probe but for {MIN_CONTRAST:g} levels")
    to_right, to_wrong = _apart(got, understood), _apart(got, misunderstood)
    if 2 * to_right <= to_wrong:
        return []
    return [
        f"expected the probe of the photo {right}, got one that is {to_right:.1f} levels from it on average, and "
        f"{to_wrong:.1f} from that of the photo {wrong}"
    ]


def _apart(one: Levels, other: Levels) -> float:
    return float(np.abs(one - other).mean())
