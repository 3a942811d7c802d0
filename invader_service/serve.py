"""Wires the invader and serves it. No reflection: it tells nothing that a client need not know."""

import logging
from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing

import torch
from deid.invader.v1 import invader_pb2, invader_pb2_grpc

from invader_service.access_policy import AccessPolicy
from invader_service.audit import AuditLog
from invader_service.batching import BatchedLogits, suitable_batch_rows
from invader_service.classifier import Classifier
from invader_service.config import InvaderSettings
from invader_service.ledger import QueryLedger
from invader_service.rate_limit import RateLimit
from invader_service.servicer import InvaderServicer
from recognizers.checkpoints import embedded
from recognizers.checkpoints.loading import load_folder
from recognizers.device import prepare_device
from recognizers.extraction import MtcnnDetector
from recognizers.networks.architectures import architectures
from recognizers.networks.recognizer import Recognizer
from recognizers.precision import choose_precision
from rpc.addresses import address_of
from rpc.errors import (
    BUSY,
    IDENTITIES_NOT_LISTED,
    INVALID_ARGUMENT,
    NOT_FOUND,
    QUERY_BUDGET_SPENT,
    RATE_LIMITED,
    TOO_SLOW,
)
from rpc.metrics import Metrics, serve_metrics
from rpc.server import Server
from rpc.stopping import CLOSE_SECONDS, close_within
from rpc.tracing import server_interceptors
from rpc.worker import Worker

SERVICE = invader_pb2.DESCRIPTOR.services_by_name["InvaderService"].full_name
DISCLOSED = frozenset({INVALID_ARGUMENT, NOT_FOUND, BUSY, IDENTITIES_NOT_LISTED, QUERY_BUDGET_SPENT, RATE_LIMITED, TOO_SLOW})

logger = logging.getLogger(__name__)


async def serve(settings: InvaderSettings, *, program: str) -> None:
    """Loads the target models and serves until a signal comes."""
    metrics = Metrics()
    server = Server(
        address=address_of(settings.host, settings.port),
        limits=settings.image_limits,
        disclosed=DISCLOSED,
        tls=settings.tls,
        metrics=metrics,
        health_port=settings.health_port,
        interceptors=server_interceptors(program),
    )
    with closing(access_policy_of(settings)) as terms:
        closers = await _serve(settings, server, terms, metrics)
    await close_within(CLOSE_SECONDS, *closers, at_once=server.signals.at_once)


async def _serve(
    settings: InvaderSettings, server: Server, terms: AccessPolicy, metrics: Metrics
) -> Sequence[Callable[[], None]]:
    """Loads the target models and serves on these terms; what is to be closed once it has stopped."""
    prepared = prepare_device(settings.device, workers=settings.workers, threads=settings.threads)
    worker = Worker(max_waiting=settings.max_waiting, workers=prepared.workers)
    logits = BatchedLogits(
        load_target_models(settings, prepared.device),
        batch_rows=settings.batch_rows or suitable_batch_rows(prepared.device),
        workers=prepared.workers,
        device=prepared.device,
        on_batch=metrics.batch,
    )
    classifier = Classifier(logits, MtcnnDetector(prepared.device), on_search=metrics.searched)
    servicer = InvaderServicer(classifier=classifier, worker=worker, terms=terms)
    metrics.gauge("deid_queue_depth", "Photos that wait for a worker.", lambda: worker.waiting)
    metrics.gauge("deid_rows", "Faces that wait for a batch.", lambda: logits.waiting)
    serve_metrics(metrics, settings)
    invader_pb2_grpc.add_InvaderServiceServicer_to_server(servicer, server.grpc)
    await server.serve([SERVICE], drain_seconds=settings.drain_seconds, stop_with_stdin=settings.stop_with_stdin)
    return worker.close, logits.close


def access_policy_of(settings: InvaderSettings) -> AccessPolicy:
    """The terms that the settings set; opens their files.

    Raises:
        DeidRpcError: a file cannot be used.
    """
    audit_log = AuditLog(settings.audit_log)
    with ExitStack() as opened:
        opened.callback(audit_log.close)
        ledger = QueryLedger(settings.ledger, budget=settings.query_budget or None)
        opened.pop_all()
    return AccessPolicy(
        images=settings.image_limits,
        max_candidates=settings.max_candidates,
        list_identities=settings.list_identities,
        disclosure=settings.disclosure,
        max_seconds=settings.max_seconds,
        ledger=ledger,
        rate_limit=RateLimit(settings.rate_limit) if settings.rate_limit else None,
        audit_log=audit_log,
    )


def load_target_models(settings: InvaderSettings, device: torch.device) -> dict[str, Recognizer]:
    """Loads the checkpoint folder; refused files and plug-ins are logged, the others served."""
    precision = choose_precision(settings.precision, device)
    for reason in architectures().refused:
        logger.error("plug-in refused", extra={"reason": reason})
    folder = load_folder(settings.checkpoints or embedded.FOLDER, device, precision=precision)
    for reason in folder.refused:
        logger.error("checkpoint refused", extra={"reason": reason})
    logger.info("target models ready", extra={"target_models": ", ".join(folder.loaded), "precision": precision})
    return {name: loaded.recognizer for name, loaded in folder.loaded.items()}
