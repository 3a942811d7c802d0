"""`protector-service`: wires the protector and serves it."""

import asyncio
import logging
import sys

from deid.protector.v1 import protector_pb2, protector_pb2_grpc
from grpc_reflection.v1alpha import reflection

from protector_service.admission import Admission
from protector_service.config import ProtectorSettings
from protector_service.engine import Engine
from protector_service.gradients import BatchedGradients, suitable_batch_rows
from protector_service.methods import METHODS
from protector_service.servicer import ProtectorServicer
from protector_service.source_model import SourceModel
from recognizers import embedded
from recognizers.device import PreparedDevice, prepare_device
from recognizers.errors import RecognizerError
from recognizers.extraction import MtcnnDetector
from recognizers.loading import load_folder
from recognizers.precision import choose_precision
from rpc.errors import RpcError
from rpc.logs import configure_logging
from rpc.server import Server
from rpc.settings import read_settings
from rpc.worker import Worker

PROGRAM = "protector-service"
SERVICE = protector_pb2.DESCRIPTOR.services_by_name["ProtectorService"].full_name

logger = logging.getLogger(PROGRAM)


async def serve(settings: ProtectorSettings) -> None:
    """Loads the source models and serves until a signal comes."""
    server = Server(address=f"{settings.host}:{settings.port}", limits=settings.image_limits)
    prepared = prepare_device(settings.device, lanes=settings.lanes, threads=settings.threads)
    source_models = load_source_models(settings, prepared)
    engine = Engine({name: model.gradients for name, model in source_models.items()}, lanes=prepared.lanes)
    worker = Worker(most_waiting=settings.most_waiting, lanes=prepared.lanes)
    servicer = ProtectorServicer(
        source_models=source_models,
        methods=METHODS,
        engine=engine,
        detector=MtcnnDetector(prepared.device),
        admission=Admission(settings.most_rows),
        worker=worker,
        limits=settings.image_limits,
    )
    protector_pb2_grpc.add_ProtectorServiceServicer_to_server(servicer, server.grpc)
    reflection.enable_server_reflection((SERVICE, reflection.SERVICE_NAME), server.grpc)
    await server.serve([SERVICE], drain_seconds=settings.drain_seconds, stop_with_stdin=settings.stop_with_stdin)
    worker.close()
    engine.close()


def load_source_models(settings: ProtectorSettings, prepared: PreparedDevice) -> dict[str, SourceModel]:
    """Loads the checkpoint folder; refused files are logged, the others served."""
    precision = choose_precision(settings.precision, prepared.device)
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


def main() -> None:
    """Runs the service; a failed start is one line and exit status 2."""
    settings = read_settings(ProtectorSettings, program=PROGRAM, arguments=sys.argv[1:])
    configure_logging(settings.log_level)
    try:
        asyncio.run(serve(settings))
    except (RecognizerError, RpcError) as error:
        print(f"{PROGRAM}: {error}", file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    main()
