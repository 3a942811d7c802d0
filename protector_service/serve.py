"""Wires the protector and serves it."""

import logging
from collections.abc import Mapping

from deid.protector.v1 import protector_pb2, protector_pb2_grpc
from grpc_reflection.v1alpha import reflection

from protector_service.capacity import CapacityLimiter
from protector_service.config import ProtectorSettings
from protector_service.engine import Engine
from protector_service.gradients import BatchedGradients, suitable_batch_rows
from protector_service.methods.method import Method
from protector_service.methods.registry import find_methods
from protector_service.servicer import ProtectorServicer
from protector_service.source_model import SourceModel
from recognizers.checkpoints import embedded
from recognizers.checkpoints.loading import load_folder
from recognizers.device import PreparedDevice, prepare_device
from recognizers.extraction import MtcnnDetector
from recognizers.networks.architectures import architectures
from recognizers.precision import choose_precision
from rpc.addresses import address_of
from rpc.metrics import Metrics, serve_metrics
from rpc.server import Server
from rpc.stopping import CLOSE_SECONDS, close_within
from rpc.tracing import server_interceptors
from rpc.worker import Worker

SERVICE = protector_pb2.DESCRIPTOR.services_by_name["ProtectorService"].full_name

logger = logging.getLogger(__name__)


async def serve(settings: ProtectorSettings, *, program: str) -> None:
    """Loads the source models and serves until a signal comes."""
    metrics = Metrics()
    server = Server(
        address=address_of(settings.host, settings.port),
        limits=settings.image_limits,
        tls=settings.tls,
        metrics=metrics,
        health_port=settings.health_port,
        interceptors=server_interceptors(program),
    )
    prepared = prepare_device(settings.device, workers=settings.workers, threads=settings.threads)
    source_models = load_source_models(settings, prepared)
    gradients = {name: model.gradients for name, model in source_models.items()}
    engine = Engine(gradients, workers=prepared.workers, on_batch=metrics.batch)
    worker = Worker(max_waiting=settings.max_waiting, workers=prepared.workers)
    admission = CapacityLimiter(settings.max_rows)
    servicer = ProtectorServicer(
        source_models=source_models,
        methods=load_methods(),
        engine=engine,
        detector=MtcnnDetector(prepared.device),
        admission=admission,
        worker=worker,
        limits=settings.image_limits,
        on_search=metrics.searched,
    )
    metrics.gauge("deid_queue_depth", "Photos that wait for a worker.", lambda: worker.waiting)
    metrics.gauge("deid_rows", "Cloaks asked for and not yet fetched.", lambda: admission.rows)
    metrics.gauge("deid_orders", "Orders that are being crafted.", lambda: engine.orders)
    metrics.counters(
        "deid_gradients",
        "Image gradients computed.",
        "model",
        lambda: {name: each.computed for name, each in gradients.items()},
    )
    serve_metrics(metrics, settings)
    protector_pb2_grpc.add_ProtectorServiceServicer_to_server(servicer, server.grpc)
    reflection.enable_server_reflection((SERVICE, reflection.SERVICE_NAME), server.grpc)
    await server.serve([SERVICE], drain_seconds=settings.drain_seconds, stop_with_stdin=settings.stop_with_stdin)
    await close_within(CLOSE_SECONDS, worker.close, engine.close, at_once=server.signals.at_once)


def load_methods() -> Mapping[str, Method]:
    """Finds the methods that are installed; refused plug-ins are logged, the others served."""
    found = find_methods()
    for reason in found.refused:
        logger.error("plug-in refused", extra={"reason": reason})
    return found.usable


def load_source_models(settings: ProtectorSettings, prepared: PreparedDevice) -> dict[str, SourceModel]:
    """Loads the checkpoint folder; refused files and plug-ins are logged, the others served."""
    precision = choose_precision(settings.precision, prepared.device)
    for reason in architectures().refused:
        logger.error("plug-in refused", extra={"reason": reason})
    folder = load_folder(settings.checkpoints or embedded.FOLDER, prepared.device, precision=precision)
    for reason in folder.refused:
        logger.error("checkpoint refused", extra={"reason": reason})
    models = {}
    for name, loaded in folder.loaded.items():
        gradients = BatchedGradients(
            loaded.recognizer,
            batch_rows=settings.batch_rows or suitable_batch_rows(prepared.device, precision),
            fixed=settings.fixed_batch,
            device=prepared.device,
        )
        models[name] = SourceModel(gradients, loaded.checkpoint_sha256, precision, prepared.threads)
        logger.info(
            "source model ready",
            extra={
                "source_model": name,
                "precision": precision,
                "batch_rows": gradients.batch_rows,
                "mebibytes_per_place": round(gradients.bytes_per_place() / 2**20, 1),
            },
        )
    return models
