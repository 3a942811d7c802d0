"""The client of a protector."""

from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Mapping, Sequence
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from hashlib import sha256

import grpc
from deid.protector.v1 import protector_pb2, protector_pb2_grpc

from orchestrator.errors import PhotoRefusedError, UnusableServiceError
from orchestrator.experiment.cloak import Cloak, CloakRecord, PhotoBox
from orchestrator.experiment.grid import ENSEMBLE, CloakKey, members
from orchestrator.experiment.method import Method, OwnBudget
from orchestrator.experiment.model import Model
from orchestrator.experiment.placement import Placement
from orchestrator.services.connection import photo_refusal
from orchestrator.services.galleries import NOBODY, GalleryClient, SealedGallery
from orchestrator.services.listed_method import listed_method
from orchestrator.services.listed_model import listed_source_model
from orchestrator.services.model_catalogue import LIST_SECONDS, Listing, ServiceClient, all_identities
from rpc.errors import quoted
from rpc.images.bare_image import BadImageError
from rpc.images.decoding import upright_size
from rpc.images.limits import ImageLimits
from rpc.models_digest import received_models_digest
from rpc.tls import TlsMaterial

CRAFT_SECONDS = 3600.0  # a full-size sweep on one old core takes minutes
PLACEMENTS = {Placement.CROP: protector_pb2.PLACEMENT_CROP, Placement.PHOTO: protector_pb2.PLACEMENT_PHOTO}
_COUNTS = ("n_iter", "largest_change", "gradients", "forward_passes")  # of a response


class ProtectorClient(ServiceClient):
    """A protector at an address."""

    def __init__(self, address: str, *, tls: TlsMaterial | None = None, tls_name: str | None = None) -> None:
        """In plain text, which is for loopback only, where there is no `tls`; `tls_name` is as of `Connection`.

        Raises:
            InputError: see `Connection`.
        """
        super().__init__("protector", address, tls, tls_name)
        self._own_budgets: Mapping[str, OwnBudget] = {}  # by method, as it listed them last
        self._stub = protector_pb2_grpc.ProtectorServiceStub(self.channel)
        self.galleries = GalleryClient(self)
        self.placements: frozenset[Placement] = frozenset({Placement.CROP})  # what it lists, once it was asked
        self.enrols = False  # whether its matchers compare with galleries of clients, by the latest list

    async def _list(self, seconds: float) -> Listing:
        call = self._stub.ListSourceModels(protector_pb2.ListSourceModelsRequest(), timeout=seconds)
        listed = await self.answer(call)
        offered = {placement for placement, number in PLACEMENTS.items() if number in listed.placements}
        self.placements = frozenset({Placement.CROP, *offered})
        self.enrols = listed.enrols
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
        methods = {method.name: listed_method(method, epsilons, service=self.name) for method in listed.methods}
        self._own_budgets = {name: each.own_budget for name, each in methods.items() if each.own_budget is not None}
        return methods

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
        placement: Placement = Placement.CROP,
        gallery: Mapping[str, Sequence[bytes]] | SealedGallery | None = None,
    ) -> AsyncGenerator[Cloak, None]:
        """The cloaks of a photo as they are finished, as PNG; `probe` is what the run calls the photo, and is not sent.

        `gallery` is what the source models, all of them matchers, compare with: one of this client's, or by identity the
        pictures of one that is made for the call; None: the protector's own.

        Raises:
            GalleryGoneError: the protector has forgotten the gallery.
            NoFaceError: the protector finds no face.
            PhotoRefusedError: the protector does not take the photo, or finds no face of somebody in the gallery.
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
            placement=PLACEMENTS[placement],
        )
        size = _size_of(photo, probe) if placement is Placement.PHOTO else None
        async with AsyncExitStack() as stack:
            if isinstance(gallery, SealedGallery):
                request.gallery = gallery.name
            elif gallery is not None:
                request.gallery = await stack.enter_async_context(self._sealed(gallery))
            row = await stack.enter_async_context(aclosing(self._crafted(request, probe, size)))
            async for cloak in row:
                yield cloak

    @asynccontextmanager
    async def _sealed(self, enrolled: Mapping[str, Sequence[bytes]]) -> AsyncIterator[str]:
        """The name of a gallery with these pictures alone, while the context lasts."""
        async with self.galleries.gallery(enrolled, base=NOBODY) as sealed:
            if sealed.not_enrolled:
                raise PhotoRefusedError(
                    f"the {self.name} finds no face of {min(sealed.not_enrolled)}, towards whom cloaks are crafted"
                )
            yield sealed.name

    async def _crafted(
        self, request: protector_pb2.CraftRequest, probe: str, size: tuple[int, int] | None
    ) -> AsyncGenerator[Cloak, None]:
        source_model = request.source_model
        call = self._stub.Craft(request, timeout=CRAFT_SECONDS)
        try:
            checked = False
            async for response in call:
                if not checked:
                    await self._check_answer(call, members(source_model))
                    checked = True
                yield self._checked(response, probe, source_model, size)
        except grpc.aio.AioRpcError as error:
            raise photo_refusal(error) or await self.failure(error) from error
        finally:
            call.cancel()  # where the reader left early, nobody waits for the rest; after the end it does nothing

    def _checked(
        self, response: protector_pb2.CraftResponse, probe: str, source_model: str, size: tuple[int, int] | None
    ) -> Cloak:
        """The cloak of a response; `size` is that of the upright photo where the cloak is a part of it."""
        key = CloakKey(source_model, response.method, response.epsilon)
        if sha256(response.cloak).hexdigest() != response.cloak_sha256:
            raise UnusableServiceError(f"{self.name}: the cloak {key} does not have the digest that was sent with it")
        for count in _COUNTS:
            if (found := getattr(response, count)) < 0:
                raise UnusableServiceError(f"{self.name}: the cloak {key}: expected {count} of at least 0, got {found}")
        own = self._own_budgets.get(response.method) if not response.epsilon else None
        if response.largest_change > (response.epsilon if own is None else own.largest_change):
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
            box=None if size is None else self._box(response, key, size),
        )
        return Cloak(record, response.cloak)

    def _box(self, response: protector_pb2.CraftResponse, key: CloakKey, size: tuple[int, int]) -> PhotoBox:
        if (response.photo_width, response.photo_height) != size:
            raise UnusableServiceError(
                f"{self.name}: the cloak {key}: expected one in a photo of {size[0]} x {size[1]} pixels, got "
                f"{response.photo_width} x {response.photo_height}"
            )
        try:
            width, height = upright_size(response.cloak, limits=ImageLimits())
        except BadImageError as error:
            raise UnusableServiceError(f"{self.name}: the cloak {key}: {error}") from error
        box = PhotoBox(response.left, response.top, width, height, *size)
        if not (0 <= box.left <= size[0] - width and 0 <= box.top <= size[1] - height):
            raise UnusableServiceError(
                f"{self.name}: the cloak {key}: expected a box within {size[0]} x {size[1]} pixels, got {width} x {height} "
                f"at {box.left}, {box.top}"
            )
        return box


def _size_of(photo: bytes, probe: str) -> tuple[int, int]:
    """Width and height of an upright photo that cloaks are to be pasted into."""
    try:
        return upright_size(photo, limits=ImageLimits())
    except BadImageError as error:
        raise PhotoRefusedError(f"{probe}: {error}") from error
