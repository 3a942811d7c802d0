"""The two services as the run sees them."""

from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Mapping, Sequence
from hashlib import sha256
from typing import Protocol

import grpc
from deid.invader.v1 import invader_pb2, invader_pb2_grpc
from deid.protector.v1 import protector_pb2, protector_pb2_grpc

from orchestrator.errors import UnusableServiceError
from orchestrator.experiment.grid import NOT_STATED, CloakKey, Region, Storage
from orchestrator.experiment.records import Cloak, Model
from orchestrator.services.connection import Connection, photo_refusal
from orchestrator.services.model_catalogue import LIST_SECONDS, Listing, ModelCatalogue
from rpc.errors import shorten
from rpc.models_digest import received_models_digest
from rpc.tls import TlsMaterial

CRAFT_SECONDS = 3600.0  # a full-size sweep on one old core takes minutes
CLASSIFY_SECONDS = 300.0
MAX_STATED = 500  # characters of what a service says in words

_REGIONS = {Region.DETECTED: invader_pb2.REGION_DETECTED, Region.FULL: invader_pb2.REGION_FULL}


class ProtectorClient:
    """A protector at an address."""

    def __init__(self, address: str, *, tls: TlsMaterial | None = None) -> None:
        """In plain text, which is for loopback only, where there is no `tls`.

        Raises:
            InputError: see `Connection`.
        """
        self._connection = Connection("protector", address, tls)
        self._stub = protector_pb2_grpc.ProtectorServiceStub(self._connection.channel)
        self.name = self._connection.name
        self.close = self._connection.close
        self._call = self._connection.answer
        self._catalogue = ModelCatalogue(self.name, self._list)

    async def source_models(self) -> dict[str, Model]:
        """The source models by name."""
        return await self._catalogue.begin()

    async def check_unchanged(self, models: Mapping[str, Model]) -> None:
        """Lists the source models again, and compares those that a run uses with what they were.

        Raises:
            UnreachableServiceError: the protector does not answer.
            ServiceChangedError: it answers, but not as the one that it was; the message names what differs.
        """
        await self._catalogue.check_unchanged(models)

    async def _list(self, seconds: float) -> Listing[Model]:
        call = self._stub.ListSourceModels(protector_pb2.ListSourceModelsRequest(), timeout=seconds)
        listed = await self._call(call)
        models = {
            model.name: Model(
                name=model.name,
                identities=model.identities,
                label_set_sha256=model.label_set_sha256,
                max_candidates=None,
                card={
                    "input_size": model.input_size,
                    "identities": model.identities,
                    "label_set_sha256": model.label_set_sha256,
                    "checkpoint_sha256": model.checkpoint_sha256,
                    "batch_rows": model.batch_rows,
                    "precision": model.precision,
                    "threads": model.threads,
                    "extraction": _stated(model.extraction) or NOT_STATED,
                },
            )
            for model in listed.source_models
        }
        return Listing(models, await received_models_digest(call))

    async def methods(self) -> dict[str, dict[str, str]]:
        """What each method says of how it crafts (`manifest.CRAFTING`), by its name; empty where it says nothing."""
        listed = await self._call(self._stub.ListMethods(protector_pb2.ListMethodsRequest(), timeout=LIST_SECONDS))
        return {
            method.name: {
                "step_size": _stated(method.step_size),
                "steps": _stated(method.steps),
                "start": _stated(method.start),
            }
            for method in listed.methods
        }

    async def identities(self, model: Model) -> tuple[str, ...]:
        """The label set of a source model, in class order."""

        def page(token: str) -> Awaitable[protector_pb2.ListIdentitiesResponse]:
            request = protector_pb2.ListIdentitiesRequest(source_model=model.name, page_token=token)
            return self._call(self._stub.ListIdentities(request, timeout=LIST_SECONDS))

        return await _all_identities(self.name, model, page)

    async def craft(
        self,
        photo: bytes,
        *,
        identity: str,
        source_model: str,
        methods: Sequence[str],
        epsilons: Sequence[int],
        storage: Storage,
        seed: int,
    ) -> AsyncGenerator[Cloak, None]:
        """The cloaks of a photo as they are finished.

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
            storage=_storage(storage),
            seed=seed,
        )
        call = self._stub.Craft(request, timeout=CRAFT_SECONDS)
        try:
            checked = False
            async for response in call:
                if not checked:
                    await self._catalogue.check_answer(call, [source_model])
                    checked = True
                yield self._checked(response, source_model)
        except grpc.aio.AioRpcError as error:
            raise photo_refusal(error) or await self._connection.failure(error) from error
        finally:
            call.cancel()  # where the reader left early, nobody waits for the rest; after the end it does nothing

    def _checked(self, response: protector_pb2.CraftResponse, source_model: str) -> Cloak:
        key = CloakKey(source_model, response.method, response.epsilon)
        if sha256(response.cloak).hexdigest() != response.cloak_sha256:
            raise UnusableServiceError(f"{self.name}: the cloak {key} does not have the digest that was sent with it")
        if response.largest_change > response.epsilon:
            raise UnusableServiceError(
                f"{self.name}: the cloak {key} changes pixels by {response.largest_change} levels, over its budget"
            )
        if not 0 <= response.zero_gradient_share <= 1:
            raise UnusableServiceError(
                f"{self.name}: the cloak {key}: expected zero_gradient_share within 0..1, got {response.zero_gradient_share}"
            )
        return Cloak(
            key=key,
            n_iter=response.n_iter,
            largest_change=response.largest_change,
            zero_gradient_share=response.zero_gradient_share,
            probe_sha256=response.probe_sha256,
            sha256=response.cloak_sha256,
            encoded=response.cloak,
        )


class InvaderClient:
    """An invader at an address."""

    def __init__(self, address: str, *, tls: TlsMaterial | None = None) -> None:
        """In plain text, which is for loopback only, where there is no `tls`.

        Raises:
            InputError: see `Connection`.
        """
        self._connection = Connection("invader", address, tls)
        self._stub = invader_pb2_grpc.InvaderServiceStub(self._connection.channel)
        self.name = self._connection.name
        self.close = self._connection.close
        self._call = self._connection.answer
        self._catalogue = ModelCatalogue(self.name, self._list)
        self.queries_left: int | None = None  # as last told; None where no budget is set
        self.regions = frozenset({Region.DETECTED})  # that can be asked for, as last told

    async def target_models(self) -> dict[str, Model]:
        """The target models by name."""
        return await self._catalogue.begin()

    async def check_unchanged(self, models: Mapping[str, Model]) -> None:
        """Lists the target models again, and compares those that a run uses with what they were.

        Raises:
            UnreachableServiceError: the invader does not answer.
            ServiceChangedError: it answers, but not as the one that it was; the message names what differs.
        """
        await self._catalogue.check_unchanged(models)

    async def _list(self, seconds: float) -> Listing[Model]:
        call = self._stub.ListTargetModels(invader_pb2.ListTargetModelsRequest(), timeout=seconds)
        listed = await self._call(call)
        self.queries_left = listed.queries_left if listed.HasField("queries_left") else None
        told = frozenset(region for region, on_the_wire in _REGIONS.items() if on_the_wire in listed.regions)
        self.regions = told or frozenset({Region.DETECTED})
        models = {
            model.name: Model(
                name=model.name,
                identities=model.identities,
                label_set_sha256=model.label_set_sha256,
                max_candidates=model.max_candidates,
                card={
                    "identities": model.identities,
                    "label_set_sha256": model.label_set_sha256,
                    "max_candidates": model.max_candidates,
                    "extraction": _stated(model.extraction) or NOT_STATED,
                },
            )
            for model in listed.target_models
        }
        return Listing(models, await received_models_digest(call))

    async def identities(self, model: Model) -> tuple[str, ...] | None:
        """The label set of a target model, in class order; None where the invader does not list it."""

        def page(token: str) -> Awaitable[invader_pb2.ListIdentitiesResponse]:
            request = invader_pb2.ListIdentitiesRequest(target_model=model.name, page_token=token)
            return self._stub.ListIdentities(request, timeout=LIST_SECONDS)

        try:
            return await _all_identities(self.name, model, page)
        except grpc.aio.AioRpcError as error:
            if error.code() in (grpc.StatusCode.PERMISSION_DENIED, grpc.StatusCode.UNIMPLEMENTED):
                return None
            raise await self._connection.failure(error) from error

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
        response = await self._call(call)
        await self._catalogue.check_answer(call, target_models)
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


def _stated(text: str) -> str:
    """What a service says in words, as one line of a length that a page can hold."""
    return shorten(" ".join(text.split()), most=MAX_STATED)


class _Page(Protocol):
    @property
    def identities(self) -> Iterable[str]: ...

    @property
    def next_page_token(self) -> str: ...


async def _all_identities(service: str, model: Model, page: Callable[[str], Awaitable[_Page]]) -> tuple[str, ...]:
    identities: list[str] = []
    token = ""
    while True:
        answer = await page(token)
        known = len(identities)
        identities += answer.identities
        token = answer.next_page_token
        if len(identities) > model.identities or (token and len(identities) == known):
            raise UnusableServiceError(
                f"{service}: lists identities of {model.name} without end; it states {model.identities}"
            )
        if not token:
            return tuple(identities)


def _storage(storage: Storage) -> protector_pb2.Storage:
    if storage.jpeg_quality is None:
        return protector_pb2.Storage(png=protector_pb2.PngStorage())
    return protector_pb2.Storage(jpeg=protector_pb2.JpegStorage(quality=storage.jpeg_quality))
