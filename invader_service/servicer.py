"""Translates between the wire and the classifier, and holds what may leave it."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import grpc
from deid.invader.v1 import invader_pb2, invader_pb2_grpc

from gallery_service.galleries import ClientGalleries, searched
from gallery_service.sealed import SealedGallery
from invader_service import audit
from invader_service.audit import AuditLog
from invader_service.classifier import Answer, Classifier
from invader_service.disclosure import Disclosure
from invader_service.ledger import Ledger
from invader_service.rate_limit import RateLimiter
from recognizers.networks.recognizer import Recognizer
from rpc.errors import IDENTITIES_NOT_LISTED, ServiceError, invalid_argument, too_slow
from rpc.images.decoding import decode_image
from rpc.images.limits import ImageLimits
from rpc.interceptor import Context
from rpc.lookup import distinct, look_up
from rpc.models_digest import models_digest, send_models_digest
from rpc.paging import page_of
from rpc.tls import client_name
from rpc.worker import Worker

REGIONS = (invader_pb2.REGION_DETECTED, invader_pb2.REGION_FULL)


@dataclass(frozen=True)
class AccessPolicy:
    """What each query is held against and what is kept of it; the names are those of the settings."""

    images: ImageLimits
    max_candidates: int
    list_identities: bool
    disclosure: Disclosure
    max_seconds: float  # for one query, from when it is let in to its answer
    ledger: Ledger
    rate_limit: RateLimiter | None
    audit_log: AuditLog


class InvaderServicer(invader_pb2_grpc.InvaderServiceServicer):
    """deid.invader.v1.InvaderService."""

    def __init__(
        self,
        *,
        classifier: Classifier,
        worker: Worker,
        policy: AccessPolicy,
        galleries: ClientGalleries | None = None,
    ) -> None:
        """`galleries` are those that clients enrol; None where they can enrol none."""
        self._classifier = classifier
        self._worker = worker
        self._policy = policy
        self._galleries = galleries
        self._target_models = self._listed()
        self._models_digest = models_digest(invader_pb2.ListTargetModelsResponse(target_models=self._target_models))

    async def Classify(  # noqa: N802
        self,
        request: invader_pb2.ClassifyRequest,
        context: Context,
    ) -> invader_pb2.ClassifyResponse:
        policy, client = self._policy, client_name(context)
        if policy.rate_limit is not None:
            await policy.rate_limit.admit(client)  # before the audit log, whose lines it bounds
        with policy.audit_log.query(client, request) as write_line:
            gallery = searched(self._galleries, client, request.gallery)
            self._check(request, gallery)
            async with policy.ledger.charged(client) as left:
                answers = await self._answers(request, gallery)
                write_line(audit.NO_FACE if answers is None else audit.ANSWERED)
        await send_models_digest(context, self._models_digest)
        return invader_pb2.ClassifyResponse(
            face_found=answers is not None,
            classifications=[_classification(name, answer, policy.disclosure) for name, answer in (answers or {}).items()],
            queries_left=left,
        )

    async def _answers(
        self, request: invader_pb2.ClassifyRequest, gallery: SealedGallery | None
    ) -> dict[str, Answer] | None:
        head_of = None if gallery is None or self._galleries is None else partial(self._galleries.head, gallery)

        def classify() -> dict[str, Answer] | None:
            photo = decode_image(request.image, field="image", limits=self._policy.images)
            return self._classifier.classify(
                photo,
                target_models=request.target_models,
                k=request.k,
                full=request.region == invader_pb2.REGION_FULL,
                head_of=head_of,
            )

        try:
            async with asyncio.timeout(self._policy.max_seconds):
                return await self._worker.run(classify)
        except TimeoutError:
            raise too_slow(self._policy.max_seconds) from None

    def _check(self, request: invader_pb2.ClassifyRequest, gallery: SealedGallery | None) -> None:
        if not request.target_models:
            raise invalid_argument("target_models", expected="at least one target model", actual="none")
        distinct("target_models", request.target_models, partial(self._check_one, request=request, gallery=gallery))
        if request.region not in (invader_pb2.REGION_UNSPECIFIED, *REGIONS):  # of a later schema
            known = " or ".join(invader_pb2.Region.Name(each) for each in REGIONS)
            raise invalid_argument("region", expected=known, actual=str(request.region))

    def _check_one(
        self, field: str, name: str, *, request: invader_pb2.ClassifyRequest, gallery: SealedGallery | None
    ) -> None:
        recognizer = look_up(field, name, known=self._classifier.target_models)
        if gallery is not None and name not in self._classifier.matchers:
            raise invalid_argument(field, expected="a matcher, as `gallery` is given", actual=f"the classifier {name}")
        most = self._most(len(recognizer.label_set) if gallery is None else gallery.identities)
        if not 1 <= request.k <= most:
            raise invalid_argument("k", expected=f"1..{most} candidates of {name}", actual=str(request.k))
        if request.region in REGIONS and request.region not in _regions(recognizer):
            names = " or ".join(map(invader_pb2.Region.Name, _regions(recognizer)))
            raise invalid_argument("region", expected=f"{names} of {name}", actual=invader_pb2.Region.Name(request.region))

    def _most(self, identities: int) -> int:
        return self._policy.disclosure.max_candidates(min(self._policy.max_candidates, identities))

    def _listed(self) -> list[invader_pb2.TargetModel]:
        return [self._listed_model(name, each) for name, each in sorted(self._classifier.target_models.items())]

    def _listed_model(self, name: str, recognizer: Recognizer) -> invader_pb2.TargetModel:
        listed = invader_pb2.TargetModel(
            name=name,
            identities=len(recognizer.label_set),
            label_set_sha256=recognizer.label_set.sha256,
            max_candidates=self._most(len(recognizer.label_set)),
            extraction=recognizer.extraction.in_words,
            regions=_regions(recognizer),
            kind=invader_pb2.MODEL_KIND_CLASSIFIER,
        )
        if (matcher := self._classifier.matchers.get(name)) is not None:
            listed.kind = invader_pb2.MODEL_KIND_MATCHER
            listed.matching = matcher.in_words
            listed.gallery_sha256 = matcher.gallery.sha256
            listed.thresholds.extend(
                invader_pb2.Threshold(name=each.name, comparisons=each.comparisons, false_positives=each.false_positives)
                for each in matcher.thresholds
            )
        return listed

    async def ListTargetModels(  # noqa: N802
        self,
        request: invader_pb2.ListTargetModelsRequest,
        context: Context,
    ) -> invader_pb2.ListTargetModelsResponse:
        await send_models_digest(context, self._models_digest)
        return invader_pb2.ListTargetModelsResponse(
            target_models=self._target_models,
            queries_left=await self._policy.ledger.left(client_name(context)),
            disclosure=self._policy.disclosure.on_the_wire,
            enrols=self._galleries is not None,
        )

    async def ListIdentities(  # noqa: N802
        self,
        request: invader_pb2.ListIdentitiesRequest,
        context: Context,
    ) -> invader_pb2.ListIdentitiesResponse:
        if not self._policy.list_identities:
            raise ServiceError(
                "this service does not list its identities",
                code=grpc.StatusCode.PERMISSION_DENIED,
                reason=IDENTITIES_NOT_LISTED,
            )
        label_set = look_up("target_model", request.target_model, known=self._classifier.target_models).label_set
        page = page_of(label_set.identities, page_size=request.page_size, page_token=request.page_token)
        return invader_pb2.ListIdentitiesResponse(identities=page.identities, next_page_token=page.next_page_token)


def _regions(recognizer: Recognizer) -> "Sequence[invader_pb2.Region.ValueType]":
    """Of a picture, what a target model can be shown: an aligned face must be found."""
    return REGIONS if recognizer.extraction.takes_crops else (invader_pb2.REGION_DETECTED,)


def _classification(name: str, answer: Answer, disclosure: Disclosure) -> invader_pb2.Classification:
    return invader_pb2.Classification(
        target_model=name,
        candidates=disclosure.of(answer.candidates),
        reached=[invader_pb2.Reached(threshold=threshold, candidates=count) for threshold, count in answer.reached.items()],
    )
