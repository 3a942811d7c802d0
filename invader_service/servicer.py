"""Translates between the wire and the classifier, and holds what may leave it."""

import logging
from collections.abc import Sequence
from typing import Any

import grpc
from deid.invader.v1 import invader_pb2, invader_pb2_grpc

from invader_service.classifier import Classifier
from recognizers.recognizer import Recognizer
from rpc.errors import IDENTITIES_NOT_LISTED, ServiceError, invalid_argument, not_found, shorten
from rpc.images import ImageLimits, decode_image
from rpc.paging import page_of
from rpc.worker import Worker

logger = logging.getLogger(__name__)

Context = grpc.aio.ServicerContext[Any, Any]


class InvaderServicer(invader_pb2_grpc.InvaderServiceServicer):
    """deid.invader.v1.InvaderService."""

    def __init__(
        self,
        *,
        classifier: Classifier,
        worker: Worker,
        limits: ImageLimits,
        most_candidates: int,
        list_identities: bool,
    ) -> None:
        self._classifier = classifier
        self._worker = worker
        self._limits = limits
        self._most_candidates = most_candidates
        self._list_identities = list_identities

    async def Classify(  # noqa: N802
        self,
        request: invader_pb2.ClassifyRequest,
        context: Context,
    ) -> invader_pb2.ClassifyResponse:
        """See the schema."""
        names = tuple(request.target_models)
        self._check(names, k=request.k)

        def classify() -> invader_pb2.ClassifyResponse:
            photo = decode_image(request.image, field="image", limits=self._limits)
            answers = self._classifier.classify(photo, target_models=names, k=request.k)
            if answers is None:
                return invader_pb2.ClassifyResponse(face_found=False)
            return invader_pb2.ClassifyResponse(
                face_found=True,
                classifications=[
                    invader_pb2.Classification(
                        target_model=name,
                        candidates=[
                            invader_pb2.Candidate(identity=candidate.identity, probability=candidate.probability)
                            for candidate in candidates
                        ],
                    )
                    for name, candidates in answers.items()
                ],
            )

        return await self._worker.run(classify)

    def _check(self, names: Sequence[str], *, k: int) -> None:
        if not names:
            raise invalid_argument("target_models", expected="at least one target model", actual="none")
        if len(set(names)) < len(names):
            raise invalid_argument("target_models", expected="no repetition", actual=shorten(", ".join(names)))
        for place, name in enumerate(names):
            most = self._most(self._recognizer(name, field=f"target_models[{place}]"))
            if not 1 <= k <= most:
                raise invalid_argument("k", expected=f"1..{most} candidates of {name}", actual=str(k))

    def _most(self, recognizer: Recognizer) -> int:
        return min(self._most_candidates, len(recognizer.label_set))

    def _recognizer(self, name: str, *, field: str) -> Recognizer:
        try:
            return self._classifier.target_models[name]
        except KeyError:
            raise not_found(field, shorten(name), known=self._classifier.target_models.keys()) from None

    async def ListTargetModels(  # noqa: N802
        self,
        request: invader_pb2.ListTargetModelsRequest,
        context: Context,
    ) -> invader_pb2.ListTargetModelsResponse:
        """See the schema."""
        return invader_pb2.ListTargetModelsResponse(
            target_models=[
                invader_pb2.TargetModel(
                    name=name,
                    identities=len(recognizer.label_set),
                    label_set_sha256=recognizer.label_set.sha256,
                    most_candidates=self._most(recognizer),
                )
                for name, recognizer in sorted(self._classifier.target_models.items())
            ]
        )

    async def ListIdentities(  # noqa: N802
        self,
        request: invader_pb2.ListIdentitiesRequest,
        context: Context,
    ) -> invader_pb2.ListIdentitiesResponse:
        """See the schema."""
        if not self._list_identities:
            raise ServiceError(
                "this service does not list its identities",
                code=grpc.StatusCode.PERMISSION_DENIED,
                reason=IDENTITIES_NOT_LISTED,
            )
        label_set = self._recognizer(request.target_model, field="target_model").label_set
        page = page_of(label_set.identities, page_size=request.page_size, page_token=request.page_token)
        return invader_pb2.ListIdentitiesResponse(identities=page.identities, next_page_token=page.next_page_token)
