"""The whole grid through the three programs, beside a plain script that does the same."""

import asyncio
import io
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from rich.console import Console

from benchmarks.children import in_plain_child
from benchmarks.networks import FULL_SIZE, write_checkpoints
from benchmarks.results import report
from benchmarks.services import both_services, classify_all, craft_all, photos
from orchestrator.experiment.condition import PAPERS
from orchestrator.experiment.grid import EPSILONS, KS, METHODS
from orchestrator.faces.synthetic import PREFIX, read_synthetic_faces
from orchestrator.run_folder.folder import RunFolder
from orchestrator.services.endpoint import EndpointSpec
from orchestrator.session.evaluate import evaluate
from orchestrator.session.planning import RunRequest
from protector_service.methods.trajectory import iterations
from recognizers.checkpoints.loading import load_recognizer
from recognizers.extraction import MtcnnDetector, crop, extract_face

EMBEDDED = ("compact-facenet", "compact-resnet", "compact-senet")
IN_FLIGHT = 4
EMBEDDED_SUBJECTS = 8
PRECISIONS = ("auto", "float32")
PLAIN_SUBJECTS = 1  # one after the other: each takes as long


def plain_script(checkpoints: Path, count: int) -> float:
    """Seconds for the grid by torchattacks, facenet-pytorch and Pillow, one photo after the other."""
    import torchattacks

    from benchmarks.peers import UnitRange

    models = {name: UnitRange(load_recognizer(checkpoints / f"{name}.pt").recognizer).eval() for name in FULL_SIZE}
    detector = MtcnnDetector(torch.device("cpu"))
    people = photos(count)
    started = time.perf_counter()
    for name, encoded in people:
        photo = np.asarray(Image.open(io.BytesIO(encoded)).convert("RGB"))
        crop_box = extract_face(photo, detector)
        assert crop_box is not None
        for source in models.values():
            probe = crop(photo, crop_box, side=source.recognizer.input_size)
            image = torch.from_numpy(probe.copy()).permute(2, 0, 1).float()[None] / 255
            label = torch.tensor([source.recognizer.label_set.index(name)])
            noise = [(image + (torch.randint(0, 2, image.shape) * 2 - 1) * e / 255).clamp(0, 1) for e in EPSILONS]
            cloaks = [image, *noise]
            for targeted in (False, True):
                for epsilon in EPSILONS:
                    steps = iterations(epsilon)
                    attack = torchattacks.BIM(source, eps=epsilon / 255, alpha=1 / 255, steps=steps)
                    if targeted:
                        attack.set_mode_targeted_least_likely(quiet=True)
                    cloaks.append(attack(image, label))
            for cloak in cloaks:
                buffer = io.BytesIO()
                levels = (cloak[0] * 255).round().to(torch.uint8).permute(1, 2, 0).numpy()
                Image.fromarray(levels).save(buffer, "JPEG", quality=95)
                stored = np.asarray(Image.open(buffer).convert("RGB"))
                found = extract_face(stored, detector)
                for target in models.values():
                    if found is not None:
                        face = crop(stored, found, side=target.recognizer.input_size).copy()
                        with torch.no_grad():
                            logits = target(torch.from_numpy(face).permute(2, 0, 1).float()[None] / 255)
                        logits.argsort(descending=True)
    return time.perf_counter() - started


async def programs(count: int, protector: str, invader: str) -> float:
    """Seconds that `orchestrator evaluate` takes with services that run already."""
    request = RunRequest(
        faces=read_synthetic_faces(PREFIX),
        source_models=None,
        target_models=None,
        methods=METHODS,
        epsilons=EPSILONS,
        ks=KS,
        subjects=count,
        seed=0,
        conditions=(PAPERS,),  # the plain script's
    )
    with tempfile.TemporaryDirectory() as folder:
        started = time.perf_counter()
        await evaluate(
            request,
            protector=EndpointSpec("protector", protector, None),
            invader=EndpointSpec("invader", invader, None),
            folder=RunFolder(Path(folder, "run")),
            keep_cloaks=True,
            subjects_in_flight=IN_FLIGHT,
            console=Console(quiet=True),
        )
        return time.perf_counter() - started


async def _measure(
    checkpoints: Path | None, models: tuple[str, ...], count: int, *, precision: str, alone: bool = False
) -> dict[str, float]:
    """Seconds of the grid and, with `alone`, of its crafting alone and of its classifying alone."""
    people = photos(count)
    async with both_services(checkpoints, precision=precision) as services:
        await craft_all(services.protector, people[:1], models, methods=("none",), in_flight=1)  # warm
        seconds = {"grid": await programs(count, services.protector_address, services.invader_address)}
        if alone:
            started = time.perf_counter()
            cloaks = await craft_all(services.protector, people, models, in_flight=IN_FLIGHT)
            crafted = time.perf_counter()
            await classify_all(services.invader, cloaks, models, k=max(KS))
            seconds |= {"crafting": crafted - started, "classifying": time.perf_counter() - crafted}
        return seconds


def run(*, subjects: int) -> None:
    """The full-size networks in each precision beside the plain script; what the orchestrator adds with embedded ones."""
    with tempfile.TemporaryDirectory() as folder:
        checkpoints = Path(folder)
        write_checkpoints(checkpoints)
        full_size = {
            precision: asyncio.run(_measure(checkpoints, FULL_SIZE, subjects, precision=precision))
            for precision in PRECISIONS
        }
        plain = in_plain_child(plain_script, checkpoints, PLAIN_SUBJECTS) / PLAIN_SUBJECTS
    embedded = asyncio.run(_measure(None, EMBEDDED, EMBEDDED_SUBJECTS, precision="float32", alone=True))
    rows = [
        *(_row(f"full size, {precision}", subjects, seconds, plain) for precision, seconds in full_size.items()),
        _row("embedded, float32", EMBEDDED_SUBJECTS, embedded, None),
    ]
    columns = (
        *("networks", "subjects", "grid, s", "plain script, s a subject", "plain script / grid"),
        *("crafting alone, s", "classifying alone, s", "grid / (both alone)"),
    )
    raw = {"full_size": full_size, "plain_script_a_subject": plain, "embedded": embedded}
    report("protocol", "the whole grid", columns, rows, raw)


def _row(networks: str, subjects: int, seconds: dict[str, float], plain: float | None) -> tuple[str, ...]:
    crafting, classifying = seconds.get("crafting"), seconds.get("classifying")
    return (
        networks,
        str(subjects),
        f"{seconds['grid']:.1f}",
        "" if plain is None else f"{plain:.1f}",
        "" if plain is None else f"{plain * subjects / seconds['grid']:.1f}x",
        "" if crafting is None else f"{crafting:.1f}",
        "" if classifying is None else f"{classifying:.1f}",
        "" if crafting is None or classifying is None else f"{seconds['grid'] / (crafting + classifying):.2f}",
    )
