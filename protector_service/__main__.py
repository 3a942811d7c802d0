"""`protector-service`: wires the protector and serves it."""

import asyncio
import logging
import sys

import torch
from deid.protector.v1 import protector_pb2, protector_pb2_grpc
from grpc_reflection.v1alpha import reflection

from protector_service.config import ProtectorSettings
from protector_service.engine import Engine
from protector_service.methods import METHODS
from protector_service.servicer import ProtectorServicer
from protector_service.source_model import SourceModel
from recognizers import embedded
from recognizers.device import prepare_device
from recognizers.errors import RecognizerError
from recognizers.extraction import MtcnnDetector
from recognizers.loading import load_folder
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
    device = prepared.device
    worker = Worker(most_waiting=settings.most_waiting, lanes=prepared.lanes)
    servicer = ProtectorServicer(
        source_models=load_source_models(settings, device),
        methods=METHODS,
        detector=MtcnnDetector(device),
        worker=worker,
        limits=settings.image_limits,
    )
    protector_pb2_grpc.add_ProtectorServiceServicer_to_server(servicer, server.grpc)
    reflection.enable_server_reflection((SERVICE, reflection.SERVICE_NAME), server.grpc)
    await server.serve([SERVICE], drain_seconds=settings.drain_seconds, stop_with_stdin=settings.stop_with_stdin)
    worker.close()


def load_source_models(settings: ProtectorSettings, device: torch.device) -> dict[str, SourceModel]:
    """Loads the checkpoint folder; refused files are logged, the others served."""
    folder = load_folder(settings.checkpoints or embedded.FOLDER, device)
    for reason in folder.refused:
        logger.error("checkpoint refused", extra={"reason": reason})
    models = {}
    for name, loaded in folder.loaded.items():
        engine = Engine(loaded.recognizer, batch_rows=settings.batch_rows, device=device)
        models[name] = SourceModel(loaded.recognizer, engine, loaded.checkpoint_sha256)
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
