"""A small honest protector and a small honest invader, without networks, of parts that a mutant can replace one by one.

Gradients are hashes of the image, and candidates are ordered by what an image has in common with made-up faces. All else is
as it should be: the conformance suite finds nothing wrong with them.
"""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Collection, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Any

import grpc
import numpy as np
from deid.gallery.v1 import gallery_pb2_grpc
from deid.invader.v1 import invader_pb2, invader_pb2_grpc
from deid.protector.v1 import protector_pb2, protector_pb2_grpc
from google.protobuf.message import Message
from numpy.typing import NDArray
from PIL import Image

from rpc.errors import (
    GALLERY_REASONS,
    NEVER_AGAIN,
    NO_FACE,
    QUERY_BUDGET_SPENT,
    RATE_LIMITED,
    ServiceError,
    invalid_argument,
    not_found,
)
from rpc.images.decoding import (
    decode_image,
    encode_jpeg,
    encode_png,
)
from rpc.images.limits import ImageLimits
from rpc.models_digest import models_digest, send_models_digest
from rpc.paging import Page, page_of
from rpc.server import ALL_REASONS, Server
from rpc.tls import TlsMaterial
from tests.support.conforming_galleries import ConformingGalleries, EnrolledPhoto, own_photos

Context = grpc.aio.ServicerContext[Any, Any]
Pixels = NDArray[np.uint8]  # (S, S, 3) RGB
Levels = NDArray[np.int64]
Reals = NDArray[np.float64]

IDENTITIES = tuple(sorted(f"identity_{place}" for place in range(12)))
RULE = "floor(min(epsilon + 4, 1.25 epsilon))"
MOMENTUM = ("mi", "di")  # methods that follow the sum of their gradients
MATCHER = invader_pb2.MODEL_KIND_MATCHER  # the same number in both schemas
DISCLOSED = ALL_REASONS | {QUERY_BUDGET_SPENT, RATE_LIMITED} | GALLERY_REASONS
LIMITS = ImageLimits()


class Conforming:
    """What both have: a name in the schema, and the server that they are served by."""

    service_name = ""
    limits = LIMITS  # of messages
    label_sets: Mapping[str, Sequence[str]]  # by model
    matchers: Collection[str]  # those of the models that compare with a gallery; the others are classifiers
    kind_of_galleries: type[ConformingGalleries] = ConformingGalleries

    def __init__(self) -> None:
        own = next((each for name, each in self.label_sets.items() if name in self.matchers), ())
        self.galleries = self.kind_of_galleries(own)

    @property
    def enrols(self) -> bool:
        """Whether clients may enrol galleries of their own."""
        return any(name in self.matchers for name in self.label_sets)

    def register(self, server: Server) -> None:
        """Adds the service to a server, and beside it that of clients' galleries."""
        if self.enrols:
            gallery_pb2_grpc.add_GalleryServiceServicer_to_server(self.galleries, server.grpc)

    def listed(self) -> Message:
        """What the service offers."""
        raise NotImplementedError

    def gallery_of(self, name: str) -> dict[str, Any]:
        """The fields in which a matcher differs from a classifier; none of a classifier."""
        if name not in self.matchers:
            return {}
        return {
            "kind": MATCHER,
            "matching": "the mean of two photos",
            "gallery_sha256": gallery_sha256(self.label_sets[name]),
        }

    async def send_models_digest(self, context: Context) -> None:
        """Sends what stands for it."""
        await send_models_digest(context, models_digest(self.listed()))

    async def start(self, server: Server) -> None:
        """Serves, and says so."""
        await server.start([self.service_name])

    @asynccontextmanager
    async def serving(self, tls: TlsMaterial | None = None) -> AsyncIterator[str]:
        """Serves on a free port, and gives the address."""
        server = Server(address="127.0.0.1:0", limits=self.limits, disclosed=DISCLOSED, tls=tls)
        self.register(server)
        await self.start(server)
        try:
            yield server.address
        finally:
            await server.grpc.stop(None)


@dataclass(frozen=True)
class Crafted:
    """A cloak before storage."""

    levels: Levels
    n_iter: int = 0
    zero_gradient_share: float = 0.0
    gradients: int = 0
    forward_passes: int = 0


class ConformingProtector(Conforming, protector_pb2_grpc.ProtectorServiceServicer):
    """deid.protector.v1.ProtectorService: the controls and seven methods, with two classifiers and a matcher.

    One of the methods, veil, has a budget of its own.
    """

    service_name = protector_pb2.DESCRIPTOR.services_by_name["ProtectorService"].full_name
    label_sets: Mapping[str, Sequence[str]] = {"first": IDENTITIES, "second": IDENTITIES[::-1], "third": IDENTITIES}
    matchers: Collection[str] = ("third",)
    sides: Mapping[str, int] = {"first": 16, "second": 16, "third": 24}  # pixels, by source model
    controls: Mapping[str, bool] = {
        **dict.fromkeys(("bim", "di", "fgsm", "illc", "mi", "pgd", "veil"), False),
        **dict.fromkeys(("noise", "none"), True),
    }
    own_budgets: Mapping[str, protector_pb2.OwnBudget] = {
        "veil": protector_pb2.OwnBudget(in_words="hardly to be seen", largest_change=6)
    }
    step_seconds = 0.0  # that the device takes
    placements: Sequence["protector_pb2.Placement.ValueType"] = (
        protector_pb2.PLACEMENT_CROP,
        protector_pb2.PLACEMENT_PHOTO,
    )

    def __init__(self) -> None:
        super().__init__()
        self.device = asyncio.Lock()
        self.in_flight = 0

    def register(self, server: Server) -> None:
        super().register(server)
        protector_pb2_grpc.add_ProtectorServiceServicer_to_server(self, server.grpc)

    # What is crafted

    def photo(self, encoded: bytes) -> Pixels:
        return decode_image(encoded, field="photo", limits=LIMITS)

    def probe(self, photo: Pixels, request: protector_pb2.CraftRequest) -> Pixels:
        if photo.min() == photo.max():
            raise invalid_argument("photo", expected="a face", actual="none", reason=NO_FACE)
        if self.is_in_photo(request):
            left, top, right, bottom = self.box(photo)
            return photo[top:bottom, left:right].copy()
        side = self.side(self.members(request))
        return np.asarray(Image.fromarray(photo).resize((side, side), Image.Resampling.BILINEAR))

    def is_in_photo(self, request: protector_pb2.CraftRequest) -> bool:
        return request.placement == protector_pb2.PLACEMENT_PHOTO

    def box(self, photo: Pixels) -> tuple[int, int, int, int]:
        """Left, top, right and bottom of the half in the middle of a photo, where its detector finds the face."""
        height, width = photo.shape[:2]
        return width // 4, height // 4, -(-3 * width // 4), -(-3 * height // 4)

    def place(self, photo: Pixels, method: str) -> dict[str, int]:
        """The fields that say where the box is."""
        left, top, _, _ = self.box(photo)
        return {"left": left, "top": top, "photo_width": photo.shape[1], "photo_height": photo.shape[0]}

    def side(self, members: Sequence[str]) -> int:
        return max(self.sides[member] for member in members)

    def members(self, request: protector_pb2.CraftRequest) -> Sequence[str]:
        """The source models that are asked for; several are an ensemble."""
        names: Sequence[str] = request.source_model.split("+")
        for name in names:
            self.label_set(name, field="source_model")
        self.check_members(names)
        return names

    def check_members(self, names: Sequence[str]) -> None:
        if list(names) != sorted(set(names)):
            raise invalid_argument("source_model", expected="names in ascending order, each once", actual="others")

    def gradient(self, x: Levels, label: str) -> Reals:
        """Real numbers, and 0 for one channel in 16."""
        drawn = hashlib.shake_256(label.encode() + x.astype(np.uint8).tobytes()).digest(2 * x.size)
        numbers = np.frombuffer(drawn, dtype="<i2").reshape(x.shape)
        return np.where(numbers % 16 == 0, 0.0, numbers)

    def templates(self, request: protector_pb2.CraftRequest) -> str:
        """What stands for those of a client's gallery: empty for the own one."""
        if not request.gallery:
            return ""
        photos = self.galleries.sealed(request.gallery, field="gallery").photos
        kept = {**photos, request.identity: self.left_in(photos.get(request.identity, ()), request)}
        return "".join(f" {identity} {photo.sha256}" for identity in sorted(kept) for photo in kept[identity])

    def left_in(self, photos: Sequence[EnrolledPhoto], request: protector_pb2.CraftRequest) -> Sequence[EnrolledPhoto]:
        """The photos of an identity that its template is made of: without the one that is cloaked, if there is another."""
        digest = hashlib.sha256(request.photo).hexdigest()
        return [each for each in photos if each.sha256 != digest] or photos

    def mean_gradient(self, x: Levels, label: str, members: Sequence[str]) -> Reals:
        """Of the members of an ensemble."""
        return np.asarray(np.mean([self.gradient(x, f"{member} {label}") for member in members], axis=0))

    def clip(self, x: Levels, *, previous: Levels, probe: Levels, epsilon: int) -> Levels:
        return np.clip(x, np.maximum(probe - epsilon, 0), np.minimum(probe + epsilon, 255))

    def bound(self, method: str, epsilon: int) -> int:
        """The levels that a method's cloak is clipped at."""
        return self.own_budgets[method].largest_change if method in self.own_budgets else epsilon

    def n_iter(self, method: str, epsilon: int) -> int:
        if method in self.own_budgets:
            return 8
        return min(epsilon, 1) if method == "fgsm" else min(epsilon + 4, 5 * epsilon // 4)

    def alpha(self, method: str, epsilon: int) -> int:
        return epsilon if method == "fgsm" else 1

    def start_of(self, method: str, probe: Levels, request: protector_pb2.CraftRequest, *, epsilon: int) -> Levels:
        return self.random_start(probe, epsilon, seed=request.seed) if method == "pgd" else probe

    def random_start(self, probe: Levels, epsilon: int, *, seed: int) -> Levels:
        key = int.from_bytes(hashlib.sha256(f"{seed} {epsilon}".encode() + probe.astype(np.uint8).tobytes()).digest())
        drawn = np.random.default_rng(key).integers(-epsilon, epsilon, probe.shape, endpoint=True)
        return (probe + drawn).clip(0, 255)

    async def crafted(self, method: str, probe: Levels, epsilon: int, request: protector_pb2.CraftRequest) -> Crafted:
        if method == "none":
            return Crafted(probe)
        if method == "noise":
            return Crafted(self.noisy(probe, epsilon, seed=request.seed))
        members, taken = self.members(request), self.n_iter(method, epsilon)
        await self.wait_for_device(taken)  # first, so that calls that are abandoned meanwhile have all begun
        label = f"{request.identity if method != 'illc' else 'least likely'}{self.templates(request)}"
        step = self.alpha(method, epsilon) * (1 if method != "illc" else -1)
        x, zeros = self.start_of(method, probe, request, epsilon=epsilon), 0
        direction = self.momentum_before(method, epsilon, probe)
        for number in range(taken):
            drawn = self.drawn_input(request.seed, number) if method == "di" else ""
            gradient = self.mean_gradient(x, f"{label}{drawn}", members)
            zeros += int((gradient == 0).sum())
            direction = direction + gradient / np.abs(gradient).mean() if method in MOMENTUM else gradient
            stepped = x + step * np.sign(direction).astype(np.int64)
            x = self.clip(stepped, previous=x, probe=probe, epsilon=self.bound(method, epsilon))
        share = zeros / (x.size * taken) if taken else 0.0
        return Crafted(x, taken, share, len(members) * taken, len(members) * self.forward_passes(method))

    def momentum_before(self, method: str, epsilon: int, probe: Levels) -> Reals:
        return np.zeros(probe.shape)

    def drawn_input(self, seed: int, step: int) -> str:
        """What stands for a random transform of the input."""
        return f" through {seed} {step}"

    def forward_passes(self, method: str) -> int:
        """Those beside the gradients, of one source model."""
        return int(method == "illc")

    def cost(self, method: str, epsilon: int) -> protector_pb2.BudgetCost:
        gradients = 0 if self.controls[method] else self.n_iter(method, epsilon)
        forward_passes = self.forward_passes(method)
        return protector_pb2.BudgetCost(epsilon=epsilon, gradients=gradients, forward_passes=forward_passes)

    async def wait_for_device(self, steps: int) -> None:
        async with self.device:
            await asyncio.sleep(steps * self.step_seconds)

    def noisy(self, probe: Levels, epsilon: int, *, seed: int) -> Levels:
        return (probe + epsilon * self.signs(probe, epsilon, seed=seed)).clip(0, 255)

    def signs(self, probe: Levels, epsilon: int, *, seed: int) -> Levels:
        key = f"{seed} {epsilon} ".encode() + probe.astype(np.uint8).tobytes()
        bits = np.unpackbits(np.frombuffer(hashlib.shake_256(key).digest(-(-probe.size // 8)), dtype=np.uint8))
        return bits[: probe.size].reshape(probe.shape).astype(np.int64) * 2 - 1

    def whole(self, levels: Levels, probe: Levels) -> Pixels:
        return levels.astype(np.uint8)

    # How it is answered

    def encode(self, pixels: Pixels, storage: protector_pb2.Storage, *, method: str) -> bytes:
        if storage.WhichOneof("format") == "png":
            return encode_png(pixels)
        return encode_jpeg(pixels, quality=storage.jpeg.quality)

    def check(self, request: protector_pb2.CraftRequest) -> None:
        if not request.methods:
            raise invalid_argument("methods", expected="at least one method", actual="none")
        for place, name in enumerate(request.methods):
            if name not in self.controls:
                raise not_found(f"methods[{place}]", name, known=self.controls)
        if len(set(request.methods)) < len(request.methods):
            raise invalid_argument("methods", expected="no repetition", actual="one twice")
        self.check_epsilons(request.epsilons)
        if not request.epsilons and not all(self.runs_once(method) for method in request.methods):
            raise invalid_argument("epsilons", expected="at least one budget", actual="none")
        if request.storage.WhichOneof("format") is None:
            raise invalid_argument("storage", expected="jpeg or png", actual="neither")
        if request.storage.WhichOneof("format") == "jpeg" and not 1 <= request.storage.jpeg.quality <= 100:
            actual = str(request.storage.jpeg.quality)
            raise invalid_argument("storage.jpeg.quality", expected="1..100", actual=actual)
        self.check_placement(request)
        self.check_names(request)

    def runs_once(self, method: str) -> bool:
        """Whether there is one cloak of it, of epsilon 0."""
        return method == "none" or method in self.own_budgets

    def check_placement(self, request: protector_pb2.CraftRequest) -> None:
        if request.placement not in (protector_pb2.PLACEMENT_UNSPECIFIED, *self.placements):
            raise invalid_argument("placement", expected="one that is listed", actual=str(request.placement))
        if self.is_in_photo(request) and request.storage.WhichOneof("format") == "jpeg":
            raise invalid_argument("storage", expected="png", actual="jpeg")

    def check_epsilons(self, epsilons: Sequence[int]) -> None:
        for place, epsilon in enumerate(epsilons):
            if not 0 <= epsilon <= 255:
                raise invalid_argument(f"epsilons[{place}]", expected="0..255", actual=str(epsilon))
        if len(set(epsilons)) < len(epsilons):
            raise invalid_argument("epsilons", expected="no repetition", actual="one twice")

    def check_names(self, request: protector_pb2.CraftRequest) -> None:
        label_sets = [self.label_set_of(member, request) for member in self.members(request)]
        if self.needs_identity(request):
            self.check_label_sets(label_sets)
        if (request.identity or self.needs_identity(request)) and request.identity not in label_sets[0]:
            raise not_found("identity", request.identity)

    def label_set_of(self, name: str, request: protector_pb2.CraftRequest) -> Sequence[str]:
        """Of a source model, with the gallery that is asked for."""
        if not request.gallery:
            return self.label_sets[name]
        self.check_matcher(name)
        return self.galleries.identities(request.gallery)

    def check_matcher(self, name: str) -> None:
        if name not in self.matchers:
            raise invalid_argument("source_model", expected="matchers alone with a gallery", actual="a classifier")

    def needs_identity(self, request: protector_pb2.CraftRequest) -> bool:
        return not all(self.controls[name] for name in request.methods)

    def check_label_sets(self, label_sets: Sequence[Sequence[str]]) -> None:
        if any(each != label_sets[0] for each in label_sets):
            raise invalid_argument("source_model", expected="members with the same label set", actual="others")

    def label_set(self, name: str, *, field: str) -> Sequence[str]:
        try:
            return self.label_sets[name]
        except KeyError:
            raise not_found(field, name, known=self.label_sets) from None

    def row(self, request: protector_pb2.CraftRequest) -> list[tuple[str, int]]:
        return [
            (method, epsilon)
            for method in request.methods
            for epsilon in ((0,) if self.runs_once(method) else sorted(request.epsilons))
        ]

    async def Craft(  # noqa: N802
        self, request: protector_pb2.CraftRequest, context: Context
    ) -> AsyncIterator[protector_pb2.CraftResponse]:
        self.in_flight += 1
        try:
            self.check(request)
            photo = self.photo(request.photo)
            probe = self.probe(photo, request)
            for place, (method, epsilon) in enumerate(self.row(request)):
                response = await self.response(method, epsilon, probe, request)
                if self.is_in_photo(request):
                    for field, number in self.place(photo, method).items():
                        setattr(response, field, number)
                if place == 0:
                    await self.send_models_digest(context)
                yield response
        finally:
            self.in_flight -= 1

    async def response(
        self, method: str, epsilon: int, probe: Pixels, request: protector_pb2.CraftRequest
    ) -> protector_pb2.CraftResponse:
        levels = probe.astype(np.int64)
        crafted = await self.crafted(method, levels, epsilon, request)
        cloak = self.encode(self.whole(crafted.levels, levels), request.storage, method=method)
        return protector_pb2.CraftResponse(
            method=method,
            epsilon=epsilon,
            n_iter=crafted.n_iter,
            largest_change=int(np.abs(crafted.levels - levels).max()),
            zero_gradient_share=crafted.zero_gradient_share,
            cloak=cloak,
            cloak_sha256=hashlib.sha256(cloak).hexdigest(),
            probe_sha256=hashlib.sha256(probe.tobytes()).hexdigest(),
            side=self.side(self.members(request)) if self.is_in_photo(request) else len(probe),
            gradients=crafted.gradients,
            forward_passes=crafted.forward_passes,
        )

    # What is listed

    async def ListSourceModels(  # noqa: N802
        self, request: protector_pb2.ListSourceModelsRequest, context: Context
    ) -> protector_pb2.ListSourceModelsResponse:
        await self.send_models_digest(context)
        listed = self.listed()
        listed.enrols = self.enrols
        listed.placements.extend(self.placements)
        return listed

    def listed(self) -> protector_pb2.ListSourceModelsResponse:
        return protector_pb2.ListSourceModelsResponse(
            source_models=[
                protector_pb2.SourceModel(
                    name=name,
                    input_size=self.side([name]),
                    identities=len(identities),
                    label_set_sha256=self.digest(identities),
                    checkpoint_sha256="c" * 64,
                    **self.gallery_of(name),
                )
                for name, identities in sorted(self.label_sets.items())
            ]
        )

    def digest(self, identities: Sequence[str]) -> str:
        return label_set_sha256(identities)

    async def ListMethods(  # noqa: N802
        self, request: protector_pb2.ListMethodsRequest, context: Context
    ) -> protector_pb2.ListMethodsResponse:
        self.check_epsilons(request.epsilons)
        methods = [self.method(name, request.epsilons) for name in sorted(self.controls)]
        return protector_pb2.ListMethodsResponse(methods=methods)

    def method(self, name: str, epsilons: Sequence[int]) -> protector_pb2.Method:
        control = self.controls[name]
        return protector_pb2.Method(
            name=name,
            control=control,
            parameters={} if control or name == "fgsm" else {"alpha": "1 level", "n_iter": RULE},
            needs_label_set=not control,
            costs=[self.cost(name, epsilon) for epsilon in self.costed(name, epsilons)],
            own_budget=self.own_budgets.get(name),
            carrier="" if control else "probe",
        )

    def costed(self, name: str, epsilons: Sequence[int]) -> Sequence[int]:
        """The budgets that a method states costs of."""
        return (0,) if name in self.own_budgets else epsilons

    async def ListIdentities(  # noqa: N802
        self, request: protector_pb2.ListIdentitiesRequest, context: Context
    ) -> protector_pb2.ListIdentitiesResponse:
        label_set = self.label_set(request.source_model, field="source_model")
        page = self.page(label_set, request.page_size, request.page_token)
        return protector_pb2.ListIdentitiesResponse(identities=page.identities, next_page_token=page.next_page_token)

    def page(self, identities: Sequence[str], page_size: int, page_token: str) -> Page:
        return page_of(identities, page_size=page_size, page_token=page_token)


class ConformingInvader(Conforming, invader_pb2_grpc.InvaderServiceServicer):
    """deid.invader.v1.InvaderService: two classifiers and a matcher, and a budget for all clients together.

    The classifiers disclose probabilities. The matcher has five thresholds, and does not read whole images.
    """

    service_name = invader_pb2.DESCRIPTOR.services_by_name["InvaderService"].full_name
    label_sets: Mapping[str, Sequence[str]] = {"first": IDENTITIES, "second": IDENTITIES[::-1], "third": IDENTITIES}
    matchers: Collection[str] = ("third",)
    thresholds: Mapping[str, float] = {  # of matchers
        "fmr:0.001": 0.1,
        "fpir:0.01": 0.09,
        "fpir:0.1": 0.07,
        "given": 0.2,
        "given:strict": 0.25,
    }
    max_candidates = 8
    budget = 300
    disclosure: "invader_pb2.Disclosure.ValueType" = invader_pb2.DISCLOSURE_PROBABILITIES
    # Of classifiers; matchers read detected faces alone.
    regions: Sequence["invader_pb2.Region.ValueType"] = (invader_pb2.REGION_DETECTED, invader_pb2.REGION_FULL)
    seconds = 0.0  # that the device takes

    def __init__(self) -> None:
        super().__init__()
        self.used = 0
        self.in_flight = 0

    def register(self, server: Server) -> None:
        super().register(server)
        invader_pb2_grpc.add_InvaderServiceServicer_to_server(self, server.grpc)

    # What is answered

    def photo(self, encoded: bytes) -> Pixels:
        return decode_image(encoded, field="image", limits=LIMITS)

    def has_face(self, photo: Pixels, request: invader_pb2.ClassifyRequest) -> bool:
        return request.region == invader_pb2.REGION_FULL or bool(photo.min() < photo.max())

    def face(self, photo: Pixels, request: invader_pb2.ClassifyRequest) -> Pixels:
        """What of a photo is read: the half in the middle, where its detector finds the face, or all of it."""
        if request.region == invader_pb2.REGION_FULL:
            return photo
        height, width = photo.shape[:2]
        return photo[height // 4 : -(-3 * height // 4), width // 4 : -(-3 * width // 4)]

    def probabilities(self, photo: Pixels, name: str, request: invader_pb2.ClassifyRequest) -> NDArray[np.float64]:
        logits = self.logits(photo, name, request)
        exponentials = np.exp(logits - logits.max())
        return np.asarray(exponentials / exponentials.sum())

    def logits(self, photo: Pixels, name: str, request: invader_pb2.ClassifyRequest) -> Reals:
        small = self.embedding(photo, request)
        seed = int.from_bytes(hashlib.sha256(name.encode()).digest()[:4], "big")
        own = np.random.default_rng(seed).normal(size=(len(self.label_sets[name]), small.size)) @ small / 3
        if not request.gallery:
            return np.asarray(own)
        by_identity = dict(zip(self.label_sets[name], own, strict=True))
        photos = self.galleries.sealed(request.gallery, field="gallery").photos
        return np.array(
            [
                by_identity[identity]
                if photos[identity] == own_photos(identity)
                else max(self.similarity(small, each, request) for each in photos[identity])
                for identity in self.label_set_of(name, request)
            ]
        )

    def embedding(self, photo: Pixels, request: invader_pb2.ClassifyRequest) -> Reals:
        return np.asarray(Image.fromarray(self.face(photo, request)).resize((8, 8)), dtype=np.float64).ravel() / 255

    def similarity(self, small: Reals, photo: EnrolledPhoto, request: invader_pb2.ClassifyRequest) -> float:
        """Of the face that is asked about and one that a client enrolled: 10 if it is the same."""
        return 10 - float(np.linalg.norm(small - self.embedding(photo.pixels, request))) if photo.pixels is not None else 0

    def label_set_of(self, name: str, request: invader_pb2.ClassifyRequest) -> Sequence[str]:
        """Of a target model, with the gallery that is asked for."""
        return self.galleries.identities(request.gallery) if request.gallery else self.label_sets[name]

    def candidates(self, photo: Pixels, name: str, request: invader_pb2.ClassifyRequest) -> list[invader_pb2.Candidate]:
        probabilities = self.probabilities(photo, name, request)
        order = np.argsort(-probabilities, kind="stable")[: request.k]
        return [
            invader_pb2.Candidate(
                identity=self.label_set_of(name, request)[place],
                probability=0 if name in self.matchers else self.disclosed(float(probabilities[place])),
            )
            for place in order
        ]

    def disclosed(self, probability: float) -> float:
        return round(probability, 4)

    def reached(self, photo: Pixels, name: str, request: invader_pb2.ClassifyRequest) -> list[invader_pb2.Reached]:
        if name not in self.matchers:
            return []
        scores = np.sort(self.probabilities(photo, name, request))[::-1][: request.k]
        return [
            invader_pb2.Reached(threshold=threshold, candidates=int((scores >= score).sum()))
            for threshold, score in sorted(self.thresholds.items())
        ]

    def check(self, request: invader_pb2.ClassifyRequest) -> None:
        if not request.target_models:
            raise invalid_argument("target_models", expected="at least one", actual="none")
        if len(set(request.target_models)) < len(request.target_models):
            raise invalid_argument("target_models", expected="no repetition", actual="one twice")
        for place, name in enumerate(request.target_models):
            self.label_set(name, field=f"target_models[{place}]")
        self.check_gallery(request)
        most = self.most_candidates(request)
        if not 1 <= request.k <= most:
            raise invalid_argument("k", expected=f"1..{most}", actual=str(request.k))
        region = request.region or invader_pb2.REGION_DETECTED
        if not all(region in self.regions_of(name) for name in request.target_models):
            raise invalid_argument("region", expected="one that they all have", actual=str(request.region))

    def check_gallery(self, request: invader_pb2.ClassifyRequest) -> None:
        for place, name in enumerate(request.target_models):
            if request.gallery and name not in self.matchers:
                raise invalid_argument(f"target_models[{place}]", expected="a matcher with a gallery", actual="a classifier")

    def most_candidates(self, request: invader_pb2.ClassifyRequest) -> int:
        sizes = [len(self.label_set_of(name, request)) for name in request.target_models]
        return min(self.max_candidates, *sizes) if request.gallery else self.max_candidates

    def regions_of(self, name: str) -> Sequence["invader_pb2.Region.ValueType"]:
        return (invader_pb2.REGION_DETECTED,) if name in self.matchers else self.regions

    def label_set(self, name: str, *, field: str) -> Sequence[str]:
        try:
            return self.label_sets[name]
        except KeyError:
            raise not_found(field, name, known=self.label_sets) from None

    @contextmanager
    def charged(self, request: invader_pb2.ClassifyRequest) -> Iterator[None]:
        """Charges a query, and gives it back where it is not answered."""
        if self.used >= self.budget:
            raise self.spent()
        self.used += 1
        try:
            yield
        except ServiceError:
            self.used -= 1
            raise

    def spent(self) -> ServiceError:
        return ServiceError(
            "the budget is spent",
            code=grpc.StatusCode.RESOURCE_EXHAUSTED,
            reason=QUERY_BUDGET_SPENT,
            retry_after_ms=NEVER_AGAIN,
        )

    async def Classify(  # noqa: N802
        self, request: invader_pb2.ClassifyRequest, context: Context
    ) -> invader_pb2.ClassifyResponse:
        self.in_flight += 1
        try:
            self.check(request)
            with self.charged(request):
                photo = self.photo(request.image)
                await asyncio.sleep(self.seconds)
                answer = self.answer(photo, request)
            await self.send_models_digest(context)
            return answer
        finally:
            self.in_flight -= 1

    def answer(self, photo: Pixels, request: invader_pb2.ClassifyRequest) -> invader_pb2.ClassifyResponse:
        if not self.has_face(photo, request):
            return invader_pb2.ClassifyResponse(face_found=False, queries_left=self.left())
        return invader_pb2.ClassifyResponse(
            face_found=True,
            classifications=[
                invader_pb2.Classification(
                    target_model=name,
                    candidates=self.candidates(photo, name, request),
                    reached=self.reached(photo, name, request),
                )
                for name in self.models(request)
            ],
            queries_left=self.left(),
        )

    def models(self, request: invader_pb2.ClassifyRequest) -> Sequence[str]:
        return request.target_models

    def left(self) -> int:
        return self.budget - self.used

    # What is listed

    async def ListTargetModels(  # noqa: N802
        self, request: invader_pb2.ListTargetModelsRequest, context: Context
    ) -> invader_pb2.ListTargetModelsResponse:
        await self.send_models_digest(context)
        models = self.listed().target_models
        return invader_pb2.ListTargetModelsResponse(
            target_models=models, queries_left=self.left(), disclosure=self.disclosure, enrols=self.enrols
        )

    def listed(self) -> invader_pb2.ListTargetModelsResponse:
        return invader_pb2.ListTargetModelsResponse(
            target_models=[
                invader_pb2.TargetModel(
                    name=name,
                    identities=len(identities),
                    label_set_sha256=self.digest(identities),
                    max_candidates=self.max_candidates,
                    regions=self.regions_of(name),
                    thresholds=self.calibrations() if name in self.matchers else (),
                    **self.gallery_of(name),
                )
                for name, identities in sorted(self.label_sets.items())
            ]
        )

    def calibrations(self) -> list[invader_pb2.Threshold]:
        """The thresholds as they are listed."""
        of_comparisons = {"fmr": (12_000, 11), "fpir": (1000, 10), "given": (0, 0)}
        return [
            invader_pb2.Threshold(name=name, comparisons=comparisons, false_positives=false_positives)
            for name in sorted(self.thresholds)
            for comparisons, false_positives in [of_comparisons[name.partition(":")[0]]]
        ]

    def digest(self, identities: Sequence[str]) -> str:
        return label_set_sha256(identities)

    async def ListIdentities(  # noqa: N802
        self, request: invader_pb2.ListIdentitiesRequest, context: Context
    ) -> invader_pb2.ListIdentitiesResponse:
        label_set = self.label_set(request.target_model, field="target_model")
        page = self.page(label_set, request.page_size, request.page_token)
        return invader_pb2.ListIdentitiesResponse(identities=page.identities, next_page_token=page.next_page_token)

    def page(self, identities: Sequence[str], page_size: int, page_token: str) -> Page:
        return page_of(identities, page_size=page_size, page_token=page_token)


def label_set_sha256(identities: Sequence[str]) -> str:
    """The digest of a label set, as the schema defines it."""
    return hashlib.sha256("\n".join(identities).encode()).hexdigest()


def gallery_sha256(identities: Sequence[str]) -> str:
    """The digest of a gallery, as the schema defines it, of two photos of each identity."""
    lines = sorted(f"{identity}\t{photo.sha256}".encode() for identity in identities for photo in own_photos(identity))
    return hashlib.sha256(b"\n".join(lines)).hexdigest()
