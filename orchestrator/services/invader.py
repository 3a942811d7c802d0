"""The client of an invader."""

from collections.abc import Awaitable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import grpc
from deid.invader.v1 import invader_pb2, invader_pb2_grpc

from orchestrator.errors import UnusableServiceError
from orchestrator.experiment.model import Model
from orchestrator.experiment.region import Region
from orchestrator.services.galleries import GalleryClient, SealedGallery
from orchestrator.services.listed_model import REGIONS, listed_target_model
from orchestrator.services.model_catalogue import LIST_SECONDS, Listing, ServiceClient, all_identities
from rpc.errors import quoted
from rpc.models_digest import received_models_digest
from rpc.tls import TlsMaterial

CLASSIFY_SECONDS = 300.0


@dataclass(frozen=True)
class Classification:
    """What a target model answered about a face."""

    candidates: tuple[str, ...]  # identities, the best first
    reached: Mapping[str, int]  # by threshold of a matcher, how many of them reach it


class Invader(Protocol):
    """An invader, or replicas of one."""

    name: str
    galleries: GalleryClient
    enrols: bool  # whether it enrols pictures of clients, by the latest list
    queries_left: int | None  # by the latest answer; None where the invader sets no budget

    async def models(self) -> dict[str, Model]:
        """The target models, by name."""
        ...

    async def check_unchanged(self, models: Mapping[str, Model]) -> None:
        """Makes sure that it answers, and as it did when the run began; see `ServiceClient`."""
        ...

    async def identities(self, model: Model) -> tuple[str, ...] | None:
        """The label set of a target model, in class order; None where the invader does not list it."""
        ...

    async def classify(
        self,
        image: bytes,
        *,
        target_models: Sequence[str],
        k: int,
        region: Region = Region.DETECTED,
        gallery: SealedGallery | None = None,
    ) -> dict[str, Classification] | None:
        """The answers by target model; see `InvaderClient`."""
        ...

    async def close(self) -> None:
        """Closes all connections."""
        ...


class InvaderClient(ServiceClient):
    """An invader at an address."""

    def __init__(self, address: str, *, tls: TlsMaterial | None = None, tls_name: str | None = None) -> None:
        """In plain text, which is for loopback only, where there is no `tls`; `tls_name` is as of `Connection`.

        Raises:
            InputError: see `Connection`.
        """
        super().__init__("invader", address, tls, tls_name)
        self._stub = invader_pb2_grpc.InvaderServiceStub(self.channel)
        self.galleries = GalleryClient(self)
        self.enrols = False
        self.queries_left: int | None = None

    async def _list(self, seconds: float) -> Listing:
        call = self._stub.ListTargetModels(invader_pb2.ListTargetModelsRequest(), timeout=seconds)
        listed = await self.answer(call)
        self.enrols = listed.enrols
        self.queries_left = listed.queries_left if listed.HasField("queries_left") else None
        models = {model.name: listed_target_model(model, service=self.name) for model in listed.target_models}
        return Listing(models, await received_models_digest(call))

    async def identities(self, model: Model) -> tuple[str, ...] | None:
        """The label set of a target model, in class order; None where the invader does not list it."""

        def page(token: str) -> Awaitable[invader_pb2.ListIdentitiesResponse]:
            request = invader_pb2.ListIdentitiesRequest(target_model=model.name, page_token=token)
            return self._stub.ListIdentities(request, timeout=LIST_SECONDS)

        try:
            return await all_identities(self.name, model, page)
        except grpc.aio.AioRpcError as error:
            if error.code() in (grpc.StatusCode.PERMISSION_DENIED, grpc.StatusCode.UNIMPLEMENTED):
                return None
            raise await self.failure(error) from error

    async def classify(
        self,
        image: bytes,
        *,
        target_models: Sequence[str],
        k: int,
        region: Region = Region.DETECTED,
        gallery: SealedGallery | None = None,
    ) -> dict[str, Classification] | None:
        """The answers by target model; None where the invader finds no face.

        Args:
            image: JPEG or PNG.
            target_models: those that are asked.
            k: candidates that are asked for.
            region: of the image, that they see.
            gallery: that they, all of them matchers, compare with; None: the invader's own.

        Raises:
            GalleryGoneError: the invader has forgotten the gallery.
            CallError: the call failed.
            UnusableServiceError: the service does not answer, or as another than it was, or not to what was asked.
        """
        request = invader_pb2.ClassifyRequest(
            image=image,
            target_models=target_models,
            k=k,
            region=REGIONS[region],
            gallery="" if gallery is None else gallery.name,
        )
        call = self._stub.Classify(request, timeout=CLASSIFY_SECONDS)
        response = await self.answer(call)
        await self._check_answer(call, target_models)
        self.queries_left = response.queries_left if response.HasField("queries_left") else None
        if not response.face_found:
            return None
        answers = {answer.target_model: answer for answer in response.classifications}
        return {name: self._checked(answers.get(name, invader_pb2.Classification()), name, k) for name in target_models}

    def _checked(self, answer: invader_pb2.Classification, name: str, k: int) -> Classification:
        candidates = tuple(candidate.identity for candidate in answer.candidates)
        if len(candidates) != k or len(set(candidates)) != k:
            raise UnusableServiceError(
                f"{self.name}: expected {k} distinct candidates of {name}, got {len(candidates)}, "
                f"{len(set(candidates))} of them distinct"
            )
        listed = self._models.get(name)
        thresholds = [threshold.name for threshold in listed.thresholds] if listed is not None else None
        named = [each.threshold for each in answer.reached]
        if thresholds is not None and named != thresholds:
            raise UnusableServiceError(
                f"{self.name}: expected of {name} how many candidates reach {_thresholds(thresholds)}, got "
                f"{_thresholds(named)}"
            )
        for each in answer.reached:
            if not 0 <= each.candidates <= k:
                raise UnusableServiceError(
                    f"{self.name}: {name}: expected 0..{k} candidates that reach {quoted(each.threshold)}, got "
                    f"{each.candidates}"
                )
        return Classification(candidates, {each.threshold: each.candidates for each in answer.reached})


def _thresholds(names: Sequence[str]) -> str:
    return ", ".join(map(quoted, names)) or "no threshold"
