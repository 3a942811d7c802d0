"""Our own servicers in this process, on a real port, around small recognizers and a detector that knows its answer."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import grpc
import numpy as np
import torch
from deid.invader.v1 import invader_pb2, invader_pb2_grpc
from deid.protector.v1 import protector_pb2, protector_pb2_grpc
from numpy.typing import NDArray

from gallery_service.store import GalleryLimits
from gallery_service.wiring import client_galleries, serving_galleries
from invader_service.audit import AuditLog
from invader_service.batching import BatchedLogits
from invader_service.classifier import NO_MATCHERS, Classifier
from invader_service.disclosure import Disclosure
from invader_service.ledger import QueryLedger
from invader_service.serve import DISCLOSED
from invader_service.servicer import AccessPolicy, InvaderServicer
from protector_service.batched_model import BatchedModel
from protector_service.capacity import CapacityLimiter
from protector_service.engine import Engine
from protector_service.methods.method import Method
from protector_service.servicer import ProtectorServicer
from protector_service.source_model import SourceModel
from recognizers.alignment import SIDE, TEMPLATE
from recognizers.extraction import Face, FaceDetector, extract_face
from recognizers.galleries.matchers import Matcher
from recognizers.networks.recognizer import Recognizer
from recognizers.precision import Precision
from rpc.images.limits import ImageLimits
from rpc.server import Server
from rpc.tls import TlsMaterial
from rpc.worker import Worker
from tests.support.engines import METHODS
from tests.support.networks import SmallRecognizer

LIMITS = ImageLimits(max_bytes=200_000, max_pixels=1_000_000)
PROTECTOR = protector_pb2.DESCRIPTOR.services_by_name["ProtectorService"].full_name
INVADER = invader_pb2.DESCRIPTOR.services_by_name["InvaderService"].full_name
GALLERY_LIMITS = GalleryLimits()
NO_OTHERS: Mapping[str, Recognizer] = {}


class CentreDetector:
    """Finds one face in the middle of any photo that is not all of one colour."""

    def detect(self, photo: NDArray[np.uint8]) -> Sequence[Face]:
        height, width = photo.shape[:2]
        if photo.min() == photo.max():
            return ()
        landmarks = tuple((width * (0.25 + 0.5 * x / SIDE), height * (0.25 + 0.5 * y / SIDE)) for x, y in TEMPLATE)
        return [Face(width * 0.25, height * 0.25, width * 0.75, height * 0.75, 0.99, landmarks)]


POLICY = AccessPolicy(
    images=LIMITS,
    max_candidates=5,
    list_identities=True,
    disclosure=Disclosure.PROBABILITIES,
    max_seconds=60,
    ledger=QueryLedger(None, budget=None),
    rate_limit=None,
    audit_log=AuditLog(None),
)


@dataclass(frozen=True)
class Serving:
    """A service that answers at an address."""

    address: str
    channel: grpc.aio.Channel


def small_recognizer(**parameters: int) -> SmallRecognizer:
    """A small recognizer in float32, as the services run theirs."""
    return SmallRecognizer(dtype=torch.float32, **parameters)


@asynccontextmanager
async def serving_protector(
    recognizer: Recognizer | None = None,
    *,
    others: Mapping[str, Recognizer] = NO_OTHERS,
    matchers: Mapping[str, Matcher] = NO_MATCHERS,
    methods: Mapping[str, Method] = METHODS,
    max_waiting: int = 4,
    capacity: CapacityLimiter | None = None,
    tls: TlsMaterial | None = None,
    limits: ImageLimits = LIMITS,
    detector: FaceDetector | None = None,
    galleries: GalleryLimits = GALLERY_LIMITS,
    workers: int = 1,
) -> AsyncIterator[Serving]:
    """A protector with a source model "small", and others by name."""
    of_matchers = {name: each.recognizer for name, each in matchers.items()}
    models = {
        name: BatchedModel(each, batch_rows=2)
        for name, each in {"small": recognizer or small_recognizer(), **others, **of_matchers}.items()
    }
    engine = Engine(models)
    worker = Worker(max_waiting=max_waiting, workers=workers)
    find_face = partial(extract_face, detector=detector or CentreDetector())
    enrolled = client_galleries(matchers, limits=galleries, images=limits, find_face=find_face, worker=worker)
    servicer = ProtectorServicer(
        source_models={
            name: SourceModel(each, "c" * 64, Precision.FLOAT32, threads=1, matcher=matchers.get(name))
            for name, each in models.items()
        },
        methods=methods,
        engine=engine,
        find_face=find_face,
        capacity=capacity or CapacityLimiter(2**32),
        worker=worker,
        limits=limits,
        galleries=enrolled,
    )
    server = Server(address="127.0.0.1:0", limits=limits, tls=tls)
    protector_pb2_grpc.add_ProtectorServiceServicer_to_server(servicer, server.grpc)
    with serving_galleries(enrolled, server):
        async with _serving(server, PROTECTOR) as service:
            yield service
    worker.close()
    engine.close()


@asynccontextmanager
async def serving_invader(
    recognizers: Mapping[str, Recognizer] | None = None,
    *,
    matchers: Mapping[str, Matcher] = NO_MATCHERS,
    detector: FaceDetector | None = None,
    tls: TlsMaterial | None = None,
    kind: type[InvaderServicer] = InvaderServicer,
    galleries: GalleryLimits = GALLERY_LIMITS,
    workers: int = 1,
    max_waiting: int = 16,
    **policy: Any,
) -> AsyncIterator[Serving]:
    """An invader, by default with two target models, "small" and "large", and on `POLICY` but for those given."""
    worker = Worker(max_waiting=max_waiting, workers=workers)
    targets = recognizers or {"small": small_recognizer(), "large": small_recognizer(seed=1, input_size=12)}
    of_matchers = {name: each.recognizer for name, each in matchers.items()}
    logits = BatchedLogits({**targets, **of_matchers}, batch_rows=2)
    chosen = replace(POLICY, **policy)
    find_face = partial(extract_face, detector=detector or CentreDetector())
    enrolled = client_galleries(
        matchers,
        limits=galleries,
        images=chosen.images,
        find_face=find_face,
        worker=worker,
        max_seconds=chosen.max_seconds,
    )
    classifier = Classifier(logits, find_face, matchers)
    servicer = kind(classifier=classifier, worker=worker, policy=chosen, galleries=enrolled)
    server = Server(address="127.0.0.1:0", limits=chosen.images, disclosed=DISCLOSED, tls=tls)
    invader_pb2_grpc.add_InvaderServiceServicer_to_server(servicer, server.grpc)
    with serving_galleries(enrolled, server, audited=chosen.audit_log.enrolment):
        async with _serving(server, INVADER) as service:
            yield service
    worker.close()
    logits.close()


@asynccontextmanager
async def _serving(server: Server, name: str) -> AsyncIterator[Serving]:
    await server.start([name, *server.other_services])
    async with grpc.aio.insecure_channel(server.address) as channel:
        yield Serving(server.address, channel)
    await server.grpc.stop(None)
