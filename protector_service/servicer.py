"""Translates between the wire and the engine."""

import asyncio
import hashlib
import logging
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import grpc
import numpy as np
from deid.protector.v1 import protector_pb2, protector_pb2_grpc
from numpy.typing import NDArray

from gallery_service.galleries import ClientGalleries, searched
from gallery_service.sealed import SealedGallery
from protector_service.call import Call
from protector_service.capacity import CapacityLimiter, Charge, crafting_charge, decoding_charge
from protector_service.engine import Engine
from protector_service.job import CraftJob, FinishedCloak
from protector_service.methods.method import Method
from protector_service.request import PLACEMENTS, CraftOrder, Encoder, epsilons_of, parse_craft_request
from protector_service.source_model import SourceModel
from recognizers.extraction import CropBox, FindFace, region
from recognizers.networks.gallery_head import GalleryHead
from rpc.errors import NO_FACE, invalid_argument
from rpc.images.decoding import decode_image, stated_size
from rpc.images.limits import ImageLimits
from rpc.interceptor import Context
from rpc.lookup import look_up
from rpc.models_digest import models_digest, send_models_digest
from rpc.paging import page_of
from rpc.tls import certified_name, client_name
from rpc.worker import Worker

logger = logging.getLogger(__name__)

BYTES_OF_NOISE = 3.1  # of a pixel in a PNG, which cannot compress noise


@dataclass(frozen=True)
class _Prepared:
    """What a call needs before the engine takes over."""

    probe: NDArray[np.uint8]  # (H, W, 3) RGB
    y_true: int
    heads: Mapping[str, GalleryHead]  # of source models that do not compare with the service's own gallery as it is
    respond: Callable[[FinishedCloak], protector_pb2.CraftResponse]


class ProtectorServicer(protector_pb2_grpc.ProtectorServiceServicer):
    """deid.protector.v1.ProtectorService."""

    def __init__(
        self,
        *,
        source_models: Mapping[str, SourceModel],
        methods: Mapping[str, Method],
        engine: Engine,
        find_face: FindFace,
        capacity: CapacityLimiter,
        worker: Worker,
        limits: ImageLimits,
        galleries: ClientGalleries | None = None,
    ) -> None:
        """`galleries` are those that clients enrol; None where they can enrol none."""
        self._source_models = source_models
        self._methods = methods
        self._engine = engine
        self._find_face = find_face
        self._capacity = capacity
        self._worker = worker
        self._limits = limits
        self._galleries = galleries
        self._listed = _listed(source_models)
        self._models_digest = models_digest(self._listed)  # of the models alone
        self._listed.enrols = galleries is not None
        self._listed.placements.extend(PLACEMENTS)

    async def Craft(  # noqa: N802
        self,
        request: protector_pb2.CraftRequest,
        context: Context,
    ) -> AsyncIterator[protector_pb2.CraftResponse]:
        gallery = searched(self._galleries, client_name(context), request.gallery)
        order = parse_craft_request(request, methods=self._methods, source_models=self._source_models, gallery=gallery)
        started = time.monotonic()
        # In a thread: to go through the parts of a large file takes a while.
        width, height = await asyncio.to_thread(stated_size, request.photo, field="photo", limits=self._limits)
        with self._capacity.admitted(_before_crafting(request, order, width=width, height=height)) as admission:
            prepared = await self._worker.run(partial(self._prepare, request, order, gallery))
            admission.change(_while_crafting(request, order, shape=prepared.probe.shape))
            await send_models_digest(context, self._models_digest)
            job = CraftJob(
                source_models=order.source_models,
                probe=prepared.probe,
                y_true=prepared.y_true,
                methods=order.methods,
                epsilons=order.epsilons,
                seed=order.seed,
                client=certified_name(context) or context.peer(),
                heads=prepared.heads,
            )
            call = Call(prepared.respond, seconds_left=context.time_remaining())
            self._engine.submit(job, call)
            try:
                async for response in call:
                    yield response
                if not call.wants():  # its deadline passed here first: a stream that ended well would be a whole one
                    await context.abort(grpc.StatusCode.DEADLINE_EXCEEDED, "the deadline of the call passed")
            finally:
                call.leave()
        logger.info("crafted", extra={"source_model": request.source_model, "seconds": time.monotonic() - started})

    def _prepare(self, request: protector_pb2.CraftRequest, order: CraftOrder, gallery: SealedGallery | None) -> _Prepared:
        photo = decode_image(request.photo, field="photo", limits=self._limits)
        box = self._find_face(photo)
        if box is None:
            raise invalid_argument("photo", expected="a face that MTCNN finds", actual="none", reason=NO_FACE)
        if order.in_photo:
            _check_has_room(box, max_bytes=self._limits.max_bytes)
        probe = region(photo, box) if order.in_photo else order.extraction.cut_out(photo, box, side=order.side)
        respond = partial(
            _response,
            encode=order.encode,
            probe_sha256=hashlib.sha256(probe.tobytes()).hexdigest(),
            side=order.side,
            place=_place(box, photo.shape) if order.in_photo else {},
        )
        heads = self._heads(request, order, gallery)
        y_true = order.y_true
        if y_true is None:
            y_true = next(iter(heads.values())).label_set.index(request.identity)
        return _Prepared(probe, y_true, heads, respond)

    def _heads(
        self, request: protector_pb2.CraftRequest, order: CraftOrder, gallery: SealedGallery | None
    ) -> dict[str, GalleryHead]:
        """Of matchers with a client's gallery, or in whose own the photo itself is, the heads.

        Without the photo, whose likeness to itself has no gradient.
        """
        sha256 = hashlib.sha256(request.photo).hexdigest()
        heads = {}
        for name in order.source_models:
            if (matcher := self._source_models[name].matcher) is not None:
                whole = matcher.head
                if gallery is not None and self._galleries is not None:
                    whole = self._galleries.head(gallery, name)
                left = whole.embedded.without(request.identity, sha256)
                head = whole if left is whole.embedded else matcher.head_of(left)
                if head is not matcher.head:
                    heads[name] = head
        return heads

    async def ListSourceModels(  # noqa: N802
        self,
        request: protector_pb2.ListSourceModelsRequest,
        context: Context,
    ) -> protector_pb2.ListSourceModelsResponse:
        await send_models_digest(context, self._models_digest)
        return self._listed

    async def ListMethods(  # noqa: N802
        self,
        request: protector_pb2.ListMethodsRequest,
        context: Context,
    ) -> protector_pb2.ListMethodsResponse:
        epsilons = epsilons_of(request.epsilons)
        return protector_pb2.ListMethodsResponse(
            methods=[_listed_method(name, method, epsilons) for name, method in sorted(self._methods.items())]
        )

    async def ListIdentities(  # noqa: N802
        self,
        request: protector_pb2.ListIdentitiesRequest,
        context: Context,
    ) -> protector_pb2.ListIdentitiesResponse:
        label_set = look_up("source_model", request.source_model, known=self._source_models).recognizer.label_set
        page = page_of(label_set.identities, page_size=request.page_size, page_token=request.page_token)
        return protector_pb2.ListIdentitiesResponse(identities=page.identities, next_page_token=page.next_page_token)


def _listed(source_models: Mapping[str, SourceModel]) -> protector_pb2.ListSourceModelsResponse:
    return protector_pb2.ListSourceModelsResponse(
        source_models=[_listed_model(name, model) for name, model in sorted(source_models.items())]
    )


def _listed_model(name: str, model: SourceModel) -> protector_pb2.SourceModel:
    listed = protector_pb2.SourceModel(
        name=name,
        input_size=model.recognizer.input_size,
        identities=len(model.recognizer.label_set),
        label_set_sha256=model.recognizer.label_set.sha256,
        checkpoint_sha256=model.checkpoint_sha256,
        batch_rows=model.batched.batch_rows if model.batched.fixed else 0,
        precision=model.precision,
        threads=model.threads,
        extraction=model.recognizer.extraction.in_words,
        kind=protector_pb2.MODEL_KIND_CLASSIFIER,
    )
    if model.matcher is not None:
        listed.kind = protector_pb2.MODEL_KIND_MATCHER
        listed.matching = model.matcher.in_words
        listed.gallery_sha256 = model.matcher.gallery.sha256
    return listed


def _listed_method(name: str, method: Method, epsilons: Sequence[int]) -> protector_pb2.Method:
    own = method.own_budget
    costs = {epsilon: method.cost(epsilon) for epsilon in (epsilons if own is None else (0,))}
    return protector_pb2.Method(
        name=name,
        description=method.description,
        control=method.control,
        parameters=method.parameters(),
        needs_label_set=method.needs_label_set,
        costs=[
            protector_pb2.BudgetCost(epsilon=epsilon, gradients=cost.gradients, forward_passes=cost.forward_passes)
            for epsilon, cost in costs.items()
        ],
        own_budget=None
        if own is None
        else protector_pb2.OwnBudget(in_words=own.in_words, largest_change=own.largest_change),
        carrier="" if method.control else method.carrier,
    )


def _before_crafting(request: protector_pb2.CraftRequest, order: CraftOrder, *, width: int, height: int) -> Charge:
    """What a call takes until its probe is cut out of a photo of this size; of crops what they will take is known."""
    decoding = decoding_charge(request.photo, width=width, height=height)
    if order.in_photo:
        return decoding
    return max(decoding, _while_crafting(request, order, shape=(order.side, order.side)), key=lambda each: each.bytes)


def _while_crafting(request: protector_pb2.CraftRequest, order: CraftOrder, *, shape: Sequence[int]) -> Charge:
    height, width, *_ = shape
    return crafting_charge(request.photo, width=width, height=height, methods=len(order.methods), cloaks=order.cloaks)


def _check_has_room(box: CropBox, *, max_bytes: int) -> None:
    """Makes sure that any cloak of a box, as PNG, is no larger than an image may be that is sent."""
    width, height, most = box.right - box.left, box.bottom - box.top, int(max_bytes / BYTES_OF_NOISE)
    if width * height > most:
        raise invalid_argument(
            "photo",
            expected=f"a face in a box of at most {most} pixels, so that its cloaks are no larger than a message",
            actual=f"one of {width} x {height}: make the photo smaller",
        )


def _place(box: CropBox, shape: Sequence[int]) -> dict[str, int]:
    """The fields that say where in a photo (H, W, 3) a box lies."""
    return {"left": box.left, "top": box.top, "photo_width": shape[1], "photo_height": shape[0]}


def _response(
    cloak: FinishedCloak, *, encode: Encoder, probe_sha256: str, side: int, place: Mapping[str, int]
) -> protector_pb2.CraftResponse:
    encoded = encode(cloak.pixels)
    return protector_pb2.CraftResponse(
        method=cloak.method,
        epsilon=cloak.epsilon,
        n_iter=cloak.effort.n_iter,
        largest_change=cloak.largest_change,
        zero_gradient_share=cloak.effort.zero_gradient_share,
        cloak=encoded,
        cloak_sha256=hashlib.sha256(encoded).hexdigest(),
        probe_sha256=probe_sha256,
        side=side,
        gradients=cloak.effort.gradients,
        forward_passes=cloak.effort.forward_passes,
        **place,
    )
