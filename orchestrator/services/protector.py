"""The client of a protector."""

from collections.abc import AsyncGenerator, Awaitable, Sequence
from hashlib import sha256

import grpc
from deid.protector.v1 import protector_pb2, protector_pb2_grpc

from orchestrator.errors import UnusableServiceError
from orchestrator.experiment.cloak import Cloak, CloakRecord
from orchestrator.experiment.grid import ENSEMBLE, CloakKey, members
from orchestrator.experiment.method import Method
from orchestrator.experiment.model import Model
from orchestrator.services.connection import photo_refusal
from orchestrator.services.listed_method import listed_method
from orchestrator.services.listed_model import listed_source_model
from orchestrator.services.model_catalogue import LIST_SECONDS, Listing, ServiceClient, all_identities
from rpc.errors import quoted
from rpc.models_digest import received_models_digest
from rpc.tls import TlsMaterial

CRAFT_SECONDS = 3600.0  # a full-size sweep on one old core takes minutes
_COUNTS = ("n_iter", "largest_change", "gradients", "forward_passes")  # of a response


class ProtectorClient(ServiceClient):
    """A protector at an address."""

    def __init__(self, address: str, *, tls: TlsMaterial | None = None) -> None:
        """In plain text, which is for loopback only, where there is no `tls`.

        Raises:
            InputError: see `Connection`.
        """
        super().__init__("protector", address, tls)
        self._stub = protector_pb2_grpc.ProtectorServiceStub(self.channel)

    async def _list(self, seconds: float) -> Listing:
        call = self._stub.ListSourceModels(protector_pb2.ListSourceModelsRequest(), timeout=seconds)
        listed = await self.answer(call)
        models = {model.name: listed_source_model(model, service=self.name) for model in listed.source_models}
        for name in models:
            if ENSEMBLE in name:
                raise UnusableServiceError(
                    f"{self.name}: lists the source model {quoted(name)}, where {ENSEMBLE} stands between the members of an "
                    f"ensemble"
                )
        return Listing(models, await received_models_digest(call))

    async def methods(self, epsilons: Sequence[int]) -> dict[str, Method]:
        """What each method states of itself, and of its costs at these budgets, by its name.

        Raises:
            UnusableServiceError: see `listed_method`.
        """
        request = protector_pb2.ListMethodsRequest(epsilons=epsilons)
        listed = await self.answer(self._stub.ListMethods(request, timeout=LIST_SECONDS))
        return {method.name: listed_method(method, epsilons, service=self.name) for method in listed.methods}

    async def identities(self, model: Model) -> tuple[str, ...]:
        """The label set of a source model, in class order."""

        def page(token: str) -> Awaitable[protector_pb2.ListIdentitiesResponse]:
            request = protector_pb2.ListIdentitiesRequest(source_model=model.name, page_token=token)
            return self._stub.ListIdentities(request, timeout=LIST_SECONDS)

        return await self.answer(all_identities(self.name, model, page))

    async def craft(
        self,
        photo: bytes,
        *,
        probe: str,
        identity: str,
        source_model: str,
        methods: Sequence[str],
        epsilons: Sequence[int],
        seed: int,
    ) -> AsyncGenerator[Cloak, None]:
        """The cloaks of a photo as they are finished, as PNG; `probe` is what the run calls the photo, and is not sent.

        Raises:
            NoFaceError: the protector finds no face.
            PhotoRefusedError: the protector does not take the photo.
            CallError: the call failed; the cloaks yielded so far are good.
            UnusableServiceError: the service does not answer, or as another than it was, or an answer contradicts itself.
        """
        request = protector_pb2.CraftRequest(
            photo=photo,
            identity=identity,
            source_model=source_model,
            methods=methods,
            epsilons=epsilons,
            storage=protector_pb2.Storage(png=protector_pb2.PngStorage()),
            seed=seed,
        )
        call = self._stub.Craft(request, timeout=CRAFT_SECONDS)
        try:
            checked = False
            async for response in call:
                if not checked:
                    await self._check_answer(call, members(source_model))
                    checked = True
                yield self._checked(response, probe, source_model)
        except grpc.aio.AioRpcError as error:
            raise photo_refusal(error) or await self.failure(error) from error
        finally:
            call.cancel()  # where the reader left early, nobody waits for the rest; after the end it does nothing

    def _checked(self, response: protector_pb2.CraftResponse, probe: str, source_model: str) -> Cloak:
        key = CloakKey(source_model, response.method, response.epsilon)
        if sha256(response.cloak).hexdigest() != response.cloak_sha256:
            raise UnusableServiceError(f"{self.name}: the cloak {key} does not have the digest that was sent with it")
        for count in _COUNTS:
            if (found := getattr(response, count)) < 0:
                raise UnusableServiceError(f"{self.name}: the cloak {key}: expected {count} of at least 0, got {found}")
        if response.largest_change > response.epsilon:
            raise UnusableServiceError(
                f"{self.name}: the cloak {key} changes pixels by {response.largest_change} levels, over its budget"
            )
        if not 0 <= response.zero_gradient_share <= 1:
            raise UnusableServiceError(
                f"{self.name}: the cloak {key}: expected zero_gradient_share within 0..1, got {response.zero_gradient_share}"
            )
        record = CloakRecord(
            probe=probe,
            key=key,
            n_iter=response.n_iter,
            gradients=response.gradients,
            forward_passes=response.forward_passes,
            largest_change=response.largest_change,
            zero_gradient_share=response.zero_gradient_share,
            probe_sha256=response.probe_sha256,
            sha256=response.cloak_sha256,
        )
        return Cloak(record, response.cloak)
