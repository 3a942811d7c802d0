"""Crafting through the service beside the engine alone: what gRPC, extraction and JPEG cost."""

import asyncio
import tempfile
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median

from benchmarks.children import in_child
from benchmarks.networks import write_checkpoints
from benchmarks.results import report, spread
from benchmarks.services import both_services, craft_all, photos
from orchestrator.experiment.grid import EPSILONS, METHODS
from protector_service.batched_model import BatchedModel, suitable_batch_rows
from protector_service.engine import Engine
from protector_service.job import CraftJob
from protector_service.methods.bim import BasicIterativeMethod
from protector_service.methods.illc import IterativeLeastLikelyClass
from recognizers.checkpoints.loading import load_folder
from recognizers.device import prepare_device
from recognizers.extraction import MtcnnDetector, crop, extract_face
from recognizers.precision import choose_precision
from rpc.images.decoding import decode_image
from rpc.images.limits import ImageLimits


def in_process(checkpoints: Path, network: str, count: int) -> float:
    """Seconds that the engine alone takes for the same probes, in a process like the service's."""
    prepared = prepare_device("cpu", workers=0, threads=0)
    precision = choose_precision("auto", prepared.device)
    recognizer = load_folder(checkpoints, prepared.device, precision=precision)[network].recognizer
    model = BatchedModel(recognizer, batch_rows=suitable_batch_rows(prepared.device, precision))
    model.bytes_per_place()  # as the service does at its start
    detector = MtcnnDetector(prepared.device)
    probes = []
    for _, encoded in photos(count):
        photo = decode_image(encoded, field="photo", limits=ImageLimits())
        crop_box = extract_face(photo, detector)
        assert crop_box is not None
        probes.append(crop(photo, crop_box, side=recognizer.input_size))
    engine = Engine({network: model}, workers=prepared.workers)
    methods = (BasicIterativeMethod(), IterativeLeastLikelyClass())
    started = time.perf_counter()
    clients = [
        threading.Thread(
            target=lambda job: list(engine.craft(job)), args=(CraftJob((network,), probe, 0, methods, EPSILONS),)
        )
        for probe in probes
    ]
    for client in clients:
        client.start()
    for client in clients:
        client.join()
    seconds = time.perf_counter() - started
    engine.close()
    return seconds


async def through_service(checkpoints: Path, network: str, count: int) -> float:
    """Seconds from the first request to the last cloak."""
    people = photos(count)
    async with both_services(checkpoints, precision="auto") as services:
        started = time.perf_counter()
        await craft_all(services.protector, people, [network], methods=METHODS, in_flight=count)
        return time.perf_counter() - started


def run(networks: Sequence[str], *, photos: int, repetitions: int) -> None:
    """Measures both in turn."""
    rows, raw = [], []
    with tempfile.TemporaryDirectory() as folder:
        checkpoints = Path(folder)
        write_checkpoints(checkpoints)
        for network in networks:
            alone, served = [], []
            for _ in range(repetitions):
                alone.append(in_child(in_process, checkpoints, network, photos))
                served.append(asyncio.run(through_service(checkpoints, network, photos)))
            rows.append((network, spread(alone), spread(served), f"{median(alone) / median(served):.2f}"))
            raw.append({"network": network, "in_process": alone, "through_service": served})
    columns = ("network", "engine alone, s", "through the service, s", "rate against the engine's")
    report("service", f"BIM and ILLC, six budgets, {photos} photos", columns, rows, {"measured": raw})
