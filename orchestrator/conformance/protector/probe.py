"""The probe: what cloaks are measured against."""

from hashlib import sha256

import numpy as np

from orchestrator.conformance.check import check, fail_for
from orchestrator.conformance.pictures import seen, transparent, turned
from orchestrator.conformance.protector.service import Changes, Protector
from orchestrator.conformance.subjects import Subject
from orchestrator.protocol import CONTROL

TOLERANCE = 1.5  # levels on average: JPEG decoders differ by about one


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
    "without EXIF, colour profile or transparency.",
    why="An invader decodes them as they are: a palette, a turned image or another size would be an experiment of its own.",
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
    demands=f"A photo that lies on its side, and says so in EXIF, gives the probe of the upright one, within {TOLERANCE} "
    "levels on average.",
    why="Phones store photos so; a face that lies on its side is another subject.",
)
async def orientation(service: Protector) -> None:
    fail_for(await _differing(service, *turned(service.subject.photo)))


@check(
    "protector.transparency",
    demands=f"A photo that is partly transparent gives the probe of the same laid over white, within {TOLERANCE} levels on "
    "average.",
    why="The colour behind transparent pixels is the decoder's choice otherwise, and so the probe.",
)
async def transparency(service: Protector) -> None:
    fail_for(await _differing(service, *transparent(service.subject.photo)))


async def _differing(service: Protector, photo: bytes, plain: bytes) -> list[str]:
    probes = []
    for encoded in (photo, plain):
        subject = Subject(service.subject.identity, encoded)
        responses = await service.craft(service.request(subject=subject, methods=[CONTROL], epsilons=[]))
        probes.append(seen(responses[0].cloak, "the control").levels)
    if probes[0].shape != probes[1].shape:
        return ["the two probes differ in size"]
    apart = float(np.abs(probes[0] - probes[1]).mean())
    return [] if apart <= TOLERANCE else [f"expected the same probe, got two that are {apart:.1f} levels apart on average"]
