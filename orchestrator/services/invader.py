"""The client of an invader."""

from collections.abc import Awaitable, Sequence

import grpc
from deid.invader.v1 import invader_pb2, invader_pb2_grpc

from orchestrator.errors import UnusableServiceError
from orchestrator.experiment.model import Model
from orchestrator.experiment.region import Region
from orchestrator.services.model_catalogue import LIST_SECONDS, Listing, ServiceClient, all_identities, as_listed
from rpc.models_digest import received_models_digest
from rpc.tls import TlsMaterial

CLASSIFY_SECONDS = 300.0

_REGIONS = {Region.DETECTED: invader_pb2.REGION_DETECTED, Region.FULL: invader_pb2.REGION_FULL}


class InvaderClient(ServiceClient):
    """An invader at an address."""

    def __init__(self, address: str, *, tls: TlsMaterial | None = None) -> None:
        """In plain text, which is for loopback only, where there is no `tls`.

        Raises:
            InputError: see `Connection`.
        """
        super().__init__("invader", address, tls)
        self._stub = invader_pb2_grpc.InvaderServiceStub(self.channel)
        self.queries_left: int | None = None  # by the latest answer; None where the invader sets no budget
        self.regions = frozenset({Region.DETECTED})  # that the invader lists

    async def _list(self, seconds: float) -> Listing:
        call = self._stub.ListTargetModels(invader_pb2.ListTargetModelsRequest(), timeout=seconds)
        listed = await self.answer(call)
        self.queries_left = listed.queries_left if listed.HasField("queries_left") else None
        regions = frozenset(region for region, on_the_wire in _REGIONS.items() if on_the_wire in listed.regions)
        self.regions = regions or frozenset({Region.DETECTED})
        models = {model.name: as_listed(model, "max_candidates") for model in listed.target_models}
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
        self, image: bytes, *, target_models: Sequence[str], k: int, region: Region = Region.DETECTED
    ) -> dict[str, list[str]] | None:
        """The ranked identities by target model; None where the invader finds no face.

        Raises:
            CallError: the call failed.
            UnusableServiceError: the service does not answer, or as another than it was, or not to what was asked.
        """
        request = invader_pb2.ClassifyRequest(image=image, target_models=target_models, k=k, region=_REGIONS[region])
        call = self._stub.Classify(request, timeout=CLASSIFY_SECONDS)
        response = await self.answer(call)
        await self._check_answer(call, target_models)
        self.queries_left = response.queries_left if response.HasField("queries_left") else None
        if not response.face_found:
            return None
        answers = {
            answer.target_model: [candidate.identity for candidate in answer.candidates]
            for answer in response.classifications
        }
        for name in target_models:
            candidates = answers.get(name, [])
            if len(candidates) != k or len(set(candidates)) != k:
                raise UnusableServiceError(
                    f"{self.name}: expected {k} distinct candidates of {name}, got {len(candidates)}, "
                    f"{len(set(candidates))} of them distinct"
                )
        return answers
