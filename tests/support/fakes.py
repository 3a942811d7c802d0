"""A protector and an invader of the real schema with no network inside: they answer as a test tells them to.

A fake cloak is a text that says what it is a cloak of, so that the fake invader knows what it is shown. It begins as a PNG
does, so that storage as PNG leaves it as it is; nothing else can be done to it on its way.
"""

import asyncio
import json
from collections import Counter, deque
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass, field
from hashlib import sha256
from typing import Any, NoReturn

import grpc
from deid.invader.v1 import invader_pb2, invader_pb2_grpc
from deid.protector.v1 import protector_pb2, protector_pb2_grpc
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.message import Message
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo
from google.rpc.status_pb2 import Status

from rpc.images.png_chunks import SIGNATURE as PNG_SIGNATURE

Context = grpc.aio.ServicerContext[Any, Any]
LabelSets = Mapping[str, Sequence[str]]  # by model

PHOTO = "photo"  # in place of a method: what is shown is the photo of somebody who is not enrolled
FEWEST_NAMES, MAX_PAGES = 3, 5  # of a page, so that small label sets come in several too


@dataclass(frozen=True, order=True)
class Shown:
    """What a cloak is of; the fakes' cloaks are this, written down."""

    identity: str
    source_model: str
    method: str
    epsilon: int  # levels

    def encoded(self) -> bytes:
        """The cloak."""
        return PNG_SIGNATURE + json.dumps(asdict(self)).encode()

    @classmethod
    def read(cls, cloak: bytes) -> "Shown":
        """What a cloak is of."""
        return cls(**json.loads(cloak.removeprefix(PNG_SIGNATURE)))


@dataclass(frozen=True)
class Fault:
    """A failed call, or a stream that breaks."""

    code: grpc.StatusCode = grpc.StatusCode.INTERNAL
    message: str = "as the test told"
    reason: str | None = None
    after: int = 0  # responses that come before, of a stream
    field: str | None = None  # of the request, that is not as expected
    retry_after_ms: int | None = None

    async def abort(self, context: Context) -> NoReturn:
        """Ends a call with this fault."""
        trailers: list[tuple[str, str | bytes]] = []
        if self.retry_after_ms is not None:
            trailers.append(("grpc-retry-pushback-ms", str(self.retry_after_ms)))
        details: list[Message] = []
        if self.reason is not None:
            details.append(ErrorInfo(reason=self.reason, domain="fake"))
        if self.field is not None:
            violation = BadRequest.FieldViolation(field=self.field, description=self.message)
            details.append(BadRequest(field_violations=[violation]))
        if details:
            status = Status(code=self.code.value[0], message=self.message, details=list(map(_packed, details)))
            trailers.append(("grpc-status-details-bin", status.SerializeToString()))
        await context.abort(self.code, self.message, tuple(trailers))
        raise AssertionError("abort raises")


def _packed(detail: Message) -> AnyMessage:
    packed = AnyMessage()
    packed.Pack(detail)
    return packed


def _refused_photo(expected: str, actual: str) -> Fault:
    message = f"photo: expected {expected}, got {actual}"
    return Fault(grpc.StatusCode.INVALID_ARGUMENT, message, "INVALID_ARGUMENT", field="photo")


BUDGET_SPENT = Fault(grpc.StatusCode.RESOURCE_EXHAUSTED, "the budget is spent", "QUERY_BUDGET_SPENT", retry_after_ms=-1)


def label_set_sha256(identities: Sequence[str]) -> str:
    """The digest of a label set, as the schema defines it."""
    return sha256("\n".join(identities).encode()).hexdigest()


class _Fake:
    """A server on a free port, which can also die while it is asked."""

    def __init__(self) -> None:
        self._server: grpc.aio.Server | None = None
        self._dying: asyncio.Task[None] | None = None

    def register(self, server: grpc.aio.Server) -> None:
        """Adds the service to a server."""
        raise NotImplementedError

    @asynccontextmanager
    async def serving(self, address: str = "127.0.0.1:0") -> AsyncIterator[str]:
        """Serves, by default on a new port each time, and gives the address."""
        server, self._dying = grpc.aio.server(), None
        self._server = server
        self.register(server)
        port = server.add_insecure_port(address)
        await server.start()
        try:
            yield f"{address.rpartition(':')[0]}:{port}"
        finally:
            await server.stop(None)

    def die(self) -> asyncio.Task[None]:
        """Stops at once, whatever is being asked."""
        assert self._server is not None
        if self._dying is None:  # once: gRPC does not bear a server that is stopped twice at a time
            self._dying = asyncio.create_task(self._server.stop(None))
        return self._dying


@dataclass
class FakeProtector(_Fake, protector_pb2_grpc.ProtectorServiceServicer):
    """deid.protector.v1.ProtectorService."""

    label_sets: LabelSets
    methods: Sequence[str] = ("bim", "illc", "noise", "none")
    stated: Mapping[str, protector_pb2.Method] = field(default_factory=dict)  # of a method, by name, beside its name
    faceless: set[str] = field(default_factory=set)  # identities in whose photos it finds no face
    faults: deque[Fault | None] = field(default_factory=deque)  # of the next Craft calls, one each
    broken: dict[tuple[str, str], Fault] = field(default_factory=dict)  # by identity and source model
    max_photo_bytes: int | None = None  # beyond which it refuses a photo
    alter: Callable[[protector_pb2.CraftResponse], None] = lambda response: None
    requests: list[protector_pb2.CraftRequest] = field(default_factory=list)
    asked: Counter[Shown] = field(default_factory=Counter)
    budgets_asked: tuple[int, ...] = ()  # with the latest list of methods

    def __post_init__(self) -> None:
        super().__init__()

    def register(self, server: grpc.aio.Server) -> None:
        """See `_Fake`."""
        protector_pb2_grpc.add_ProtectorServiceServicer_to_server(self, server)

    async def Craft(  # noqa: N802
        self, request: protector_pb2.CraftRequest, context: Context
    ) -> AsyncIterator[protector_pb2.CraftResponse]:
        """See the schema."""
        self.requests.append(request)
        await self._check(request.photo, context)
        fault = self.broken.get((request.identity, request.source_model))
        if self.faults:
            fault = self.faults.popleft()
        if request.identity in self.faceless:
            await Fault(grpc.StatusCode.INVALID_ARGUMENT, "photo: expected a face, got none", "NO_FACE").abort(context)
        row = [
            Shown(request.identity, request.source_model, method, epsilon)
            for method in request.methods
            for epsilon in ((0,) if method == "none" else request.epsilons)
        ]
        self.asked.update(row)
        for sent, shown in enumerate(row):
            if fault is not None and sent == fault.after:
                await fault.abort(context)
            yield self._response(shown, photo=request.photo)

    async def _check(self, photo: bytes, context: Context) -> None:
        if not photo.startswith(b"\xff\xd8"):
            await _refused_photo("a JPEG", f"{len(photo)} other bytes").abort(context)
        if self.max_photo_bytes is not None and len(photo) > self.max_photo_bytes:
            await _refused_photo(f"at most {self.max_photo_bytes} bytes", f"{len(photo)} bytes").abort(context)

    def cloak(self, shown: Shown, photo: bytes) -> bytes:
        """The cloak of a photo."""
        return shown.encoded()

    def _response(self, shown: Shown, *, photo: bytes) -> protector_pb2.CraftResponse:
        cloak = self.cloak(shown, photo)
        response = protector_pb2.CraftResponse(
            method=shown.method,
            epsilon=shown.epsilon,
            n_iter=shown.epsilon + 1,
            gradients=2 * shown.epsilon,
            forward_passes=3,
            largest_change=shown.epsilon,
            zero_gradient_share=0.25,
            cloak=cloak,
            cloak_sha256=sha256(cloak).hexdigest(),
            probe_sha256=sha256(photo).hexdigest(),
            side=160,
        )
        self.alter(response)
        return response

    async def ListSourceModels(  # noqa: N802
        self, request: protector_pb2.ListSourceModelsRequest, context: Context
    ) -> protector_pb2.ListSourceModelsResponse:
        """See the schema."""
        return protector_pb2.ListSourceModelsResponse(
            source_models=[
                protector_pb2.SourceModel(
                    name=name,
                    input_size=160,
                    identities=len(identities),
                    label_set_sha256=label_set_sha256(identities),
                    checkpoint_sha256="c" * 64,
                )
                for name, identities in sorted(self.label_sets.items())
            ]
        )

    async def ListMethods(  # noqa: N802
        self, request: protector_pb2.ListMethodsRequest, context: Context
    ) -> protector_pb2.ListMethodsResponse:
        """See the schema."""
        self.budgets_asked = tuple(request.epsilons)
        listed = [protector_pb2.Method(name=name) for name in self.methods]
        for method in listed:
            method.MergeFrom(self.stated.get(method.name, protector_pb2.Method()))
        return protector_pb2.ListMethodsResponse(methods=listed)

    async def ListIdentities(  # noqa: N802
        self, request: protector_pb2.ListIdentitiesRequest, context: Context
    ) -> protector_pb2.ListIdentitiesResponse:
        """See the schema."""
        names, token = _page(self.label_sets[request.source_model], request.page_token)
        return protector_pb2.ListIdentitiesResponse(identities=names, next_page_token=token)


@dataclass
class FakeMatcher:
    """What tells a fake invader's matcher from a classifier."""

    gallery_sha256: str = "f" * 64
    thresholds: Mapping[str, tuple[int, int]] = field(default_factory=dict)  # comparisons and false positives, by name
    reached: Callable[[Shown], Mapping[str, int]] = lambda shown: {}  # by threshold, if there are candidates enough
    regions: Sequence["invader_pb2.Region.ValueType"] = (invader_pb2.REGION_DETECTED, invader_pb2.REGION_FULL)

    def stated(self) -> dict[str, Any]:
        """The fields of the TargetModel."""
        return {
            "kind": invader_pb2.MODEL_KIND_MATCHER,
            "matching": "one template a photo; Euclidean distance",
            "gallery_sha256": self.gallery_sha256,
            "regions": self.regions,
            "thresholds": [
                invader_pb2.Threshold(name=name, comparisons=comparisons, false_positives=false_positives)
                for name, (comparisons, false_positives) in sorted(self.thresholds.items())
            ],
        }


@dataclass
class FakeInvader(_Fake, invader_pb2_grpc.InvaderServiceServicer):
    """deid.invader.v1.InvaderService."""

    label_sets: LabelSets
    rank: Callable[[Shown, str], int | None] = lambda shown, target_model: 1  # None: beyond the candidates
    face_found: Callable[[Shown], bool] = lambda shown: True
    fault: Callable[[Shown, int], Fault | None] = lambda shown, time: None  # by how often it was asked
    alter: Callable[[invader_pb2.ClassifyResponse], None] = lambda response: None
    hold: Callable[[Shown], bool] = lambda shown: False  # whether to keep the caller waiting for ever
    refusal: Fault | None = None  # of ListIdentities
    max_candidates: int = 6
    extraction: str = ""
    regions: Sequence["invader_pb2.Region.ValueType"] = (invader_pb2.REGION_DETECTED, invader_pb2.REGION_FULL)
    matchers: Mapping[str, FakeMatcher] = field(default_factory=dict)  # by the names of those models that are some
    photo_of: Callable[[bytes], str | None] = lambda image: None  # whom a picture shows that is no fake cloak
    queries_left: int | None = None  # None: no budget
    asked: Counter[Shown] = field(default_factory=Counter)
    answered: Counter[tuple[Shown, str]] = field(default_factory=Counter)  # by target model
    regions_asked: Counter["invader_pb2.Region.ValueType"] = field(default_factory=Counter)
    lists_asked: int = 0

    def __post_init__(self) -> None:
        super().__init__()
        self.held = asyncio.Event()

    def register(self, server: grpc.aio.Server) -> None:
        """See `_Fake`."""
        invader_pb2_grpc.add_InvaderServiceServicer_to_server(self, server)

    async def Classify(  # noqa: N802
        self, request: invader_pb2.ClassifyRequest, context: Context
    ) -> invader_pb2.ClassifyResponse:
        """See the schema."""
        stranger = self.photo_of(request.image)
        shown = Shown.read(request.image) if stranger is None else Shown(stranger, "", PHOTO, 0)
        self.asked[shown] += 1
        self.regions_asked[request.region] += 1
        if self.hold(shown):
            self.held.set()
            await asyncio.Event().wait()
        fault = self.fault(shown, self.asked[shown])
        if fault is not None:
            await fault.abort(context)
        if self.queries_left is not None:
            if self.queries_left == 0:
                await BUDGET_SPENT.abort(context)
            self.queries_left -= 1
        self.answered.update((shown, name) for name in request.target_models)
        if request.region != invader_pb2.REGION_FULL and not self.face_found(shown):
            return invader_pb2.ClassifyResponse(face_found=False, queries_left=self.queries_left)
        response = invader_pb2.ClassifyResponse(
            face_found=True,
            classifications=[
                invader_pb2.Classification(
                    target_model=name,
                    candidates=[
                        invader_pb2.Candidate(identity=identity, probability=self._probability(name, place))
                        for place, identity in enumerate(self._candidates(shown, name, request.k))
                    ],
                    reached=[
                        invader_pb2.Reached(threshold=threshold, candidates=min(reaching, request.k))
                        for threshold, reaching in self._reached(shown, name).items()
                    ],
                )
                for name in request.target_models
            ],
            queries_left=self.queries_left,
        )
        self.alter(response)
        return response

    def _probability(self, target_model: str, place: int) -> float:
        return 0 if target_model in self.matchers else round(1 / (2 + place), 4)

    def _reached(self, shown: Shown, target_model: str) -> Mapping[str, int]:
        matcher = self.matchers.get(target_model)
        return {} if matcher is None else matcher.reached(shown)

    def _candidates(self, shown: Shown, target_model: str, k: int) -> list[str]:
        others = [identity for identity in self.label_sets[target_model] if identity != shown.identity]
        rank = None if shown.method == PHOTO else self.rank(shown, target_model)
        if rank is not None:
            others.insert(rank - 1, shown.identity)
        assert len(others) >= k, "the label set is too small for a true identity beyond the candidates"
        return others[:k]

    async def ListTargetModels(  # noqa: N802
        self, request: invader_pb2.ListTargetModelsRequest, context: Context
    ) -> invader_pb2.ListTargetModelsResponse:
        """See the schema."""
        return invader_pb2.ListTargetModelsResponse(
            target_models=[
                invader_pb2.TargetModel(
                    name=name,
                    identities=len(identities),
                    label_set_sha256=label_set_sha256(identities),
                    max_candidates=self.max_candidates,
                    extraction=self.extraction,
                    **(self.matchers[name].stated() if name in self.matchers else {"regions": self.regions}),
                )
                for name, identities in sorted(self.label_sets.items())
            ],
            queries_left=self.queries_left,
        )

    async def ListIdentities(  # noqa: N802
        self, request: invader_pb2.ListIdentitiesRequest, context: Context
    ) -> invader_pb2.ListIdentitiesResponse:
        """See the schema."""
        self.lists_asked += 1
        if self.refusal is not None:
            await self.refusal.abort(context)
        names, token = _page(self.label_sets[request.target_model], request.page_token)
        return invader_pb2.ListIdentitiesResponse(identities=names, next_page_token=token)


def _page(identities: Sequence[str], token: str) -> tuple[Sequence[str], str]:
    start = int(token.removeprefix("from ") or 0)
    end = start + max(FEWEST_NAMES, len(identities) // (MAX_PAGES - 1))
    return identities[start:end], f"from {end}" if end < len(identities) else ""
