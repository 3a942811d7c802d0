"""Wires the invader. No reflection: it tells nothing that a client need not know."""

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from functools import partial

from deid.invader.v1 import invader_pb2_grpc

from gallery_service.wiring import client_galleries, limits_of, serving_galleries
from invader_service.audit import AuditLog
from invader_service.batching import BatchedLogits, suitable_batch_rows
from invader_service.classifier import Classifier
from invader_service.config import InvaderSettings
from invader_service.database import SharedDatabase
from invader_service.ledger import Ledger, QueryLedger
from invader_service.rate_limit import RateLimit, RateLimiter, SharedRateLimit
from invader_service.servicer import AccessPolicy, InvaderServicer
from invader_service.shared_ledger import SharedQueryLedger
from recognizers.device import PreparedDevice, prepare_device
from recognizers.extraction import FindFace, MtcnnDetector, extract_face
from recognizers.galleries.matchers import Calibration, GalleryFolder, Matcher, load_with_matchers
from recognizers.galleries.thresholds import Target
from recognizers.networks.recognizer import Recognizer
from recognizers.precision import choose_precision
from rpc.errors import (
    BUSY,
    GALLERY_REASONS,
    IDENTITIES_NOT_LISTED,
    INVALID_ARGUMENT,
    NOT_FOUND,
    QUERY_BUDGET_SPENT,
    RATE_LIMITED,
    TOO_SLOW,
)
from rpc.images.decoding import decoded_image
from rpc.logs import log_refused
from rpc.roles import INVADER
from rpc.server import Server, run_server
from rpc.worker import Worker

DISCLOSED = GALLERY_REASONS | {
    INVALID_ARGUMENT,
    NOT_FOUND,
    BUSY,
    IDENTITIES_NOT_LISTED,
    QUERY_BUDGET_SPENT,
    RATE_LIMITED,
    TOO_SLOW,
}

logger = logging.getLogger(__name__)


async def serve(settings: InvaderSettings) -> None:
    """Loads the target models and serves until a signal comes."""
    await run_server(INVADER, settings, _wired, disclosed=DISCLOSED)


@contextmanager
def _wired(settings: InvaderSettings, server: Server) -> Iterator[Sequence[Callable[[], None]]]:
    with access_policy_of(settings) as policy:
        prepared = prepare_device(settings.device, workers=settings.workers, threads=settings.threads)
        worker = Worker(max_waiting=settings.max_waiting, workers=prepared.workers)
        find_face = server.metrics.counted(partial(extract_face, detector=MtcnnDetector(prepared.device)))
        classifiers, matchers = load_target_models(settings, prepared, find_face)
        logits = BatchedLogits(
            {**classifiers, **{name: each.recognizer for name, each in matchers.items()}},
            batch_rows=settings.batch_rows or suitable_batch_rows(prepared.device),
            workers=prepared.workers,
            device=prepared.device,
            on_batch=server.metrics.batch,
        )
        galleries = client_galleries(
            matchers,
            limits=limits_of(settings),
            images=settings.image_limits,
            find_face=find_face,
            worker=worker,
            max_seconds=settings.max_seconds,
        )
        servicer = InvaderServicer(
            classifier=Classifier(logits, find_face, matchers), worker=worker, policy=policy, galleries=galleries
        )
        server.metrics.gauge("deid_queue_depth", "Photos that wait for a worker.", lambda: worker.waiting)
        server.metrics.gauge("deid_rows", "Faces that wait for a batch.", lambda: logits.waiting)
        invader_pb2_grpc.add_InvaderServiceServicer_to_server(servicer, server.grpc)
        with serving_galleries(galleries, server, audited=policy.audit_log.enrolment):
            yield worker.close, logits.close


@contextmanager
def access_policy_of(settings: InvaderSettings) -> Iterator[AccessPolicy]:
    """The policy that the settings set, with its files open.

    Raises:
        DeidRpcError: a file cannot be used.
    """
    ledger, rate_limit = _counting(settings)
    with closing(ledger), closing(AuditLog(settings.audit_log)) as audit_log:
        yield AccessPolicy(
            images=settings.image_limits,
            max_candidates=settings.max_candidates,
            list_identities=settings.list_identities,
            disclosure=settings.disclosure,
            max_seconds=settings.max_seconds,
            ledger=ledger,
            rate_limit=rate_limit,
            audit_log=audit_log,
        )


def _counting(settings: InvaderSettings) -> tuple[Ledger, RateLimiter | None]:
    """What counts queries, and what limits their rate, if anything does: replicas with one database share both."""
    budget, rate = settings.query_budget or None, settings.rate_limit
    if settings.ledger_database is None:
        return QueryLedger(settings.ledger_file, budget=budget), RateLimit(rate) if rate else None
    database = SharedDatabase(settings.ledger_database)
    return SharedQueryLedger(database, budget=budget), SharedRateLimit(rate, database) if rate else None


def load_target_models(
    settings: InvaderSettings, prepared: PreparedDevice, find_face: FindFace
) -> tuple[Mapping[str, Recognizer], Mapping[str, Matcher]]:
    """The classifiers of the checkpoint folder, and its matchers where there is a gallery, by name.

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
        calibration=Calibration(
            settings.impostors,
            tuple(dict.fromkeys(map(Target.parse, settings.threshold_targets))),
            settings.known_thresholds,
        ),
        on_refused=log_refused,
        gradients=False,
    )
    names = ", ".join([*classifiers, *matchers])
    logger.info("target models ready", extra={"target_models": names, "precision": precision})
    return {name: each.recognizer for name, each in classifiers.items()}, matchers
