"""Wires the protector."""

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial

from deid.protector.v1 import protector_pb2_grpc
from grpc_reflection.v1alpha import reflection

from gallery_service.wiring import GRPC_SERVICE as GALLERY_SERVICE
from gallery_service.wiring import client_galleries, limits_of, serving_galleries
from protector_service.batched_model import BatchedModel, suitable_batch_rows
from protector_service.capacity import CapacityLimiter
from protector_service.config import ProtectorSettings
from protector_service.engine import Engine
from protector_service.perception import seeing
from protector_service.registry import find_methods
from protector_service.servicer import ProtectorServicer
from protector_service.source_model import SourceModel
from recognizers.device import PreparedDevice, prepare_device
from recognizers.extraction import FindFace, MtcnnDetector, extract_face
from recognizers.galleries.matchers import GalleryFolder, Matcher, load_with_matchers
from recognizers.networks.recognizer import Recognizer
from recognizers.precision import choose_precision
from rpc.images.decoding import decoded_image
from rpc.logs import log_refused
from rpc.roles import PROTECTOR
from rpc.server import Server, run_server
from rpc.worker import Worker

logger = logging.getLogger(__name__)


async def serve(settings: ProtectorSettings) -> None:
    """Loads the source models and serves until a signal comes."""
    await run_server(PROTECTOR, settings, _wired)


@contextmanager
def _wired(settings: ProtectorSettings, server: Server) -> Iterator[Sequence[Callable[[], None]]]:
    prepared = prepare_device(settings.device, workers=settings.workers, threads=settings.threads)
    methods = find_methods(settings.parameters_of_methods)
    find_face = server.metrics.counted(partial(extract_face, detector=MtcnnDetector(prepared.device)))
    source_models = load_source_models(settings, prepared, find_face)
    for reason in methods.refused:
        log_refused("plug-in", reason)
    models = {name: model.batched for name, model in source_models.items()}
    engine = Engine(models, workers=prepared.workers, on_batch=server.metrics.batch)
    worker = Worker(max_waiting=settings.max_waiting, workers=prepared.workers)
    capacity = CapacityLimiter(settings.max_bytes_in_flight)
    galleries = client_galleries(
        {name: model.matcher for name, model in source_models.items() if model.matcher is not None},
        limits=limits_of(settings),
        images=settings.image_limits,
        find_face=find_face,
        worker=worker,
    )
    servicer = ProtectorServicer(
        source_models=source_models,
        methods=seeing(methods.usable, folder=settings.checkpoints, device=prepared.device),
        engine=engine,
        find_face=find_face,
        capacity=capacity,
        worker=worker,
        limits=settings.image_limits,
        galleries=galleries,
    )
    server.metrics.gauge("deid_queue_depth", "Photos that wait for a worker.", lambda: worker.waiting)
    server.metrics.gauge("deid_bytes_in_flight", "Memory of photos and cloaks, as admitted.", lambda: capacity.bytes)
    server.metrics.gauge("deid_jobs", "Craft calls whose cloaks are being crafted.", lambda: engine.jobs)
    server.metrics.counters(
        "deid_gradients",
        "Image gradients computed.",
        "model",
        lambda: {name: model.gradients for name, model in models.items()},
    )
    server.metrics.counters(
        "deid_forward_passes",
        "Forward passes of source models beside those of gradients.",
        "model",
        lambda: {name: model.forward_passes for name, model in models.items()},
    )
    protector_pb2_grpc.add_ProtectorServiceServicer_to_server(servicer, server.grpc)
    enrolling = () if galleries is None else (GALLERY_SERVICE,)
    reflection.enable_server_reflection((PROTECTOR.grpc_service, *enrolling, reflection.SERVICE_NAME), server.grpc)
    with serving_galleries(galleries, server):
        yield worker.close, engine.close


def load_source_models(
    settings: ProtectorSettings, prepared: PreparedDevice, find_face: FindFace
) -> Mapping[str, SourceModel]:
    """The recognizers of the checkpoint folder, and its matchers where there is a gallery, by name.

    Raises:
        RecognizerError: the folder, or the gallery, cannot be used.
    """
    precision = choose_precision(settings.precision, prepared.device)
    classifiers, matchers = load_with_matchers(
        settings.checkpoints,
        GalleryFolder.named(
            settings.gallery,
            settings.template,
            features_of=settings.matcher_names,
            cache=settings.embedding_cache,
        ),
        prepared,
        precision=precision,
        decode=partial(decoded_image, limits=settings.image_limits),
        find_face=find_face,
        on_refused=log_refused,
    )

    def source_model(recognizer: Recognizer, checkpoint_sha256: str, matcher: Matcher | None = None) -> SourceModel:
        batched = BatchedModel(
            recognizer,
            batch_rows=settings.batch_rows or suitable_batch_rows(prepared.device, precision),
            fixed=settings.fixed_batch,
            device=prepared.device,
        )
        logger.info(
            "source model ready",
            extra={
                "source_model": recognizer.name,
                "precision": precision,
                "batch_rows": batched.batch_rows,
                "mebibytes_per_place": round(batched.bytes_per_place() / 2**20, 1),
            },
        )
        return SourceModel(batched, checkpoint_sha256, precision, prepared.threads, matcher)

    return {name: source_model(each.recognizer, each.checkpoint_sha256) for name, each in classifiers.items()} | {
        name: source_model(each.recognizer, each.checkpoint_sha256, each) for name, each in matchers.items()
    }
