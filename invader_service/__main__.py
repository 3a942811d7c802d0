"""`invader-service`: wires the invader and serves it. No reflection: it tells nothing that a client need not know."""

import asyncio
import logging
import sys

import torch
from deid.invader.v1 import invader_pb2, invader_pb2_grpc

from invader_service.batching import BatchedLogits, suitable_batch_rows
from invader_service.classifier import Classifier
from invader_service.config import InvaderSettings
from invader_service.servicer import InvaderServicer
from recognizers import embedded
from recognizers.device import prepare_device
from recognizers.errors import RecognizerError
from recognizers.extraction import MtcnnDetector
from recognizers.loading import load_folder
from recognizers.precision import choose_precision
from recognizers.recognizer import Recognizer
from rpc.errors import BUSY, IDENTITIES_NOT_LISTED, INVALID_ARGUMENT, NOT_FOUND, RpcError
from rpc.logs import configure_logging
from rpc.server import Server
from rpc.settings import read_settings
from rpc.worker import Worker

PROGRAM = "invader-service"
SERVICE = invader_pb2.DESCRIPTOR.services_by_name["InvaderService"].full_name
DISCLOSED = frozenset({INVALID_ARGUMENT, NOT_FOUND, BUSY, IDENTITIES_NOT_LISTED})

logger = logging.getLogger(PROGRAM)


async def serve(settings: InvaderSettings) -> None:
    """Loads the target models and serves until a signal comes."""
    server = Server(address=f"{settings.host}:{settings.port}", limits=settings.image_limits, disclosed=DISCLOSED)
    prepared = prepare_device(settings.device, lanes=settings.lanes, threads=settings.threads)
    worker = Worker(most_waiting=settings.most_waiting, lanes=prepared.lanes)
    logits = BatchedLogits(
        load_target_models(settings, prepared.device),
        batch_rows=settings.batch_rows or suitable_batch_rows(prepared.device),
        lanes=prepared.lanes,
        device=prepared.device,
    )
    servicer = InvaderServicer(
        classifier=Classifier(logits, MtcnnDetector(prepared.device)),
        worker=worker,
        limits=settings.image_limits,
        most_candidates=settings.most_candidates,
        list_identities=settings.list_identities,
    )
    invader_pb2_grpc.add_InvaderServiceServicer_to_server(servicer, server.grpc)
    await server.serve([SERVICE], drain_seconds=settings.drain_seconds, stop_with_stdin=settings.stop_with_stdin)
    worker.close()
    logits.close()


def load_target_models(settings: InvaderSettings, device: torch.device) -> dict[str, Recognizer]:
    """Loads the checkpoint folder; refused files are logged, the others served."""
    precision = choose_precision(settings.precision, device)
    folder = load_folder(settings.checkpoints or embedded.FOLDER, device, precision=precision)
    for reason in folder.refused:
        logger.error("checkpoint refused", extra={"reason": reason})
    logger.info("target models ready", extra={"target_models": ", ".join(folder.loaded), "precision": precision})
    return {name: loaded.recognizer for name, loaded in folder.loaded.items()}


def main() -> None:
    """Runs the service; a failed start is one line and exit status 2."""
    settings = read_settings(InvaderSettings, program=PROGRAM, arguments=sys.argv[1:])
    configure_logging(settings.log_level)
    try:
        asyncio.run(serve(settings))
    except (RecognizerError, RpcError) as error:
        print(f"{PROGRAM}: {error}", file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    main()
