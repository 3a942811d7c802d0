"""Fake services of whole pictures for runs in which cloaks are enrolled, and their data set.

Every photo, method and budget has a cloak of its own, and the fake invader records what is enrolled and searched: a test can
say which picture came in place of which.
"""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256, shake_256
from itertools import product
from pathlib import Path
from typing import Any

import grpc
import numpy as np
from deid.gallery.v1 import gallery_pb2, gallery_pb2_grpc
from deid.invader.v1 import invader_pb2
from deid.protector.v1 import protector_pb2
from numpy.typing import NDArray

from orchestrator.experiment.condition import Condition, parse_conditions
from orchestrator.experiment.grid import CloakKey
from orchestrator.faces.data_set import Photo, drawn_identities, drawn_photos
from orchestrator.faces.folder import read_face_folder
from orchestrator.faces.split import Split, SplitSizes, split
from orchestrator.run_folder.folder import RunFolder
from orchestrator.services.galleries import NOBODY
from orchestrator.session.planning import GalleryRequest
from rpc.images.decoding import decoded_image, encode_jpeg, encode_png
from rpc.images.limits import ImageLimits
from tests.support.bench import IDENTITIES, Bench, Evaluated
from tests.support.fakes import BUDGET_SPENT, Context, FakeInvader, FakeMatcher, FakeProtector, Fault, Shown

Pixels = NDArray[np.uint8]
Responses = AsyncIterator[protector_pb2.CraftResponse]

SIDE = 24  # pixels, of photos and cloaks
GREY = encode_png(np.full((SIDE, SIDE, 3), 90, dtype=np.uint8))  # the invader finds no face in it
OWN = "default"
PHOTOS = 4  # of each identity
TWO_PHOTOS = SplitSizes(photos=2)  # of each that are enrolled
AT = {"given": (0, 0)}
CLASSIFIER, WHITE_BOX, MATCHER = "facenet", "facenet-features", "dlib"
KINDS = (CloakKey("facenet", "none", 0), CloakKey("facenet", "noise", 8), CloakKey("facenet", "bim", 8))
THREATS = parse_conditions("png,png/gallery,png/both,png/adaptive")


def digest(picture: bytes) -> str:
    return sha256(picture).hexdigest()


def decoded(picture: bytes) -> Pixels:
    return decoded_image(picture, limits=ImageLimits())


@dataclass
class PictureProtector(FakeProtector):
    """Its cloaks are the photos with signs added that depend on the photo, the method and the budget."""

    hides: Callable[[bytes, Shown], bool] = lambda photo, shown: False  # whether a photo's cloak has no face for invaders
    photo_faults: Mapping[bytes, Fault] = field(default_factory=dict)  # by the photo's file

    async def Craft(self, request: protector_pb2.CraftRequest, context: Context) -> Responses:  # noqa: N802
        if (fault := self.photo_faults.get(request.photo)) is not None:
            self.requests.append(request)
            await fault.abort(context)
        async for response in super().Craft(request, context):
            yield response

    def cloak(self, shown: Shown, photo: bytes) -> bytes:
        if self.hides(photo, shown):
            return GREY
        pixels = decoded(photo).astype(np.int16)
        drawn = shake_256(photo + f"{shown.source_model} {shown.method} {shown.epsilon}".encode()).digest(pixels.size)
        signs = np.frombuffer(drawn, dtype=np.uint8).reshape(pixels.shape).astype(np.int16) % 2 * 2 - 1
        return encode_png(np.clip(pixels + shown.epsilon * signs, 0, 255).astype(np.uint8))


@dataclass
class FakeGallery:
    """A gallery that was created."""

    name: str
    base: str
    enrolled: dict[str, tuple[str, ...]] = field(
        default_factory=dict
    )  # by identity, the digests of its pictures as they came
    photos: dict[str, tuple[str, ...]] = field(default_factory=dict)  # all that it holds: those with faces
    sealed: bool = False
    deletions: int = 0

    @property
    def sha256(self) -> str:
        lines = {f"{identity}\t{picture}" for identity, pictures in self.photos.items() for picture in pictures}
        return digest("\n".join(sorted(lines)).encode())


async def at_once(call: str) -> None:
    """Has a call wait for nothing."""


@dataclass
class FakeGalleries(gallery_pb2_grpc.GalleryServiceServicer):
    """deid.gallery.v1.GalleryService, which remembers what it was asked; a picture of one colour has no face."""

    own: Mapping[str, tuple[str, ...]]  # the digests of the service's own photos, by identity
    fault: Callable[[str, int], Fault | None] = lambda call, time: None  # by the name of the call and how often it was made
    before: Callable[[str], Awaitable[None]] = at_once  # awaited by each call
    created: list[FakeGallery] = field(default_factory=list)  # all, in order
    held: dict[str, FakeGallery] = field(default_factory=dict)  # those that are there now
    calls: dict[str, int] = field(default_factory=dict)

    def forget(self) -> None:
        """As a service that starts again."""
        self.held.clear()

    async def found(self, name: str, context: Context, *, field: str = "gallery") -> FakeGallery:
        """A gallery that is there."""
        if name not in self.held:
            await Fault(grpc.StatusCode.NOT_FOUND, f"{field}: expected a gallery of this client", field=field).abort(context)
        return self.held[name]

    async def _begin(self, call: str, context: Context) -> None:
        self.calls[call] = self.calls.get(call, 0) + 1
        await self.before(call)
        if (fault := self.fault(call, self.calls[call])) is not None:
            await fault.abort(context)

    async def CreateGallery(  # noqa: N802
        self, request: gallery_pb2.CreateGalleryRequest, context: Context
    ) -> gallery_pb2.CreateGalleryResponse:
        """See the schema."""
        await self._begin("CreateGallery", context)
        own = {OWN: self.own, NOBODY: {}}.get(request.base)
        photos = own if own is not None else (await self.found(request.base, context, field="base")).photos
        gallery = FakeGallery(f"gallery {len(self.created)}", request.base, photos=dict(photos))
        self.created.append(gallery)
        self.held[gallery.name] = gallery
        return gallery_pb2.CreateGalleryResponse(gallery=gallery.name, seconds=request.seconds)

    async def Enrol(self, request: gallery_pb2.EnrolRequest, context: Context) -> gallery_pb2.EnrolResponse:  # noqa: N802
        """See the schema."""
        await self._begin("Enrol", context)
        gallery = await self.found(request.gallery, context)
        assert not gallery.sealed
        gallery.enrolled[request.identity] = tuple(map(digest, request.photos))
        faces = [has_face(photo) for photo in request.photos]
        kept = tuple(digest(photo) for photo, face in zip(request.photos, faces, strict=True) if face)
        gallery.photos.pop(request.identity, None)
        gallery.photos |= {request.identity: kept} if kept else {}
        return gallery_pb2.EnrolResponse(
            enrolments=[gallery_pb2.ENROLMENT_ENROLLED if face else gallery_pb2.ENROLMENT_NO_FACE for face in faces]
        )

    async def SealGallery(  # noqa: N802
        self, request: gallery_pb2.SealGalleryRequest, context: Context
    ) -> gallery_pb2.SealGalleryResponse:
        """See the schema."""
        await self._begin("SealGallery", context)
        gallery = await self.found(request.gallery, context)
        if not gallery.photos:
            empty = Fault(grpc.StatusCode.FAILED_PRECONDITION, "gallery: it holds nobody", "GALLERY_EMPTY")
            await empty.abort(context)
        gallery.sealed = True
        return gallery_pb2.SealGalleryResponse(identities=len(gallery.photos), gallery_sha256=gallery.sha256)

    async def DeleteGallery(  # noqa: N802
        self, request: gallery_pb2.DeleteGalleryRequest, context: Context
    ) -> gallery_pb2.DeleteGalleryResponse:
        """See the schema."""
        await self._begin("DeleteGallery", context)
        if (gallery := self.held.pop(request.gallery, None)) is not None:
            gallery.deletions += 1
        return gallery_pb2.DeleteGalleryResponse()


def has_face(picture: bytes) -> bool:
    pixels = decoded(picture)
    return bool(pixels.min() < pixels.max())


@dataclass(frozen=True)
class Search:
    """A question that was answered."""

    picture: str  # its digest
    region: "invader_pb2.Region.ValueType"
    target_models: tuple[str, ...]
    gallery: str = ""  # by its content's digest; the invader's own by nothing


@dataclass
class EnrollingInvader(FakeInvader):
    """Its answers depend on the picture, the target model and all that is enrolled."""

    galleries: FakeGalleries = field(default_factory=lambda: FakeGalleries({}))
    enrols: bool = True
    trouble: Callable[[Search, int], Fault | None] = lambda search, number: None  # by the number of the question
    holds: Callable[[Search, int], bool] = lambda search, number: False
    let_go: asyncio.Event = field(default_factory=asyncio.Event)  # until which it holds
    questions: list[Search] = field(default_factory=list)
    answers: list[tuple[Search, FakeGallery | None]] = field(default_factory=list)

    def register(self, server: grpc.aio.Server) -> None:
        """See `_Fake`."""
        super().register(server)
        if self.enrols:
            gallery_pb2_grpc.add_GalleryServiceServicer_to_server(self.galleries, server)

    async def ListTargetModels(  # noqa: N802
        self, request: invader_pb2.ListTargetModelsRequest, context: Context
    ) -> invader_pb2.ListTargetModelsResponse:
        """See the schema."""
        response = await super().ListTargetModels(request, context)
        response.enrols = self.enrols
        return response

    async def Classify(  # noqa: N802
        self, request: invader_pb2.ClassifyRequest, context: Context
    ) -> invader_pb2.ClassifyResponse:
        """See the schema."""
        gallery = await self.galleries.found(request.gallery, context) if request.gallery else None
        search = Search(
            digest(request.image), request.region, tuple(request.target_models), "" if gallery is None else gallery.sha256
        )
        self.questions.append(search)
        number = len(self.questions)
        if self.holds(search, number):
            self.held.set()
            await self.let_go.wait()
        if (fault := self.trouble(search, number)) is not None:
            await fault.abort(context)
        if self.queries_left is not None:
            if self.queries_left == 0:
                await BUDGET_SPENT.abort(context)
            self.queries_left -= 1
        self.answers.append((search, gallery))
        if not has_face(request.image):
            return invader_pb2.ClassifyResponse(face_found=False, queries_left=self.queries_left)
        classifications = [self._classification(search, name, gallery, request.k) for name in request.target_models]
        return invader_pb2.ClassifyResponse(face_found=True, classifications=classifications, queries_left=self.queries_left)

    def _classification(self, search: Search, name: str, gallery: FakeGallery | None, k: int) -> invader_pb2.Classification:
        key = f"{search.picture} {name} {search.gallery}"
        people = self.label_sets[name] if gallery is None else gallery.photos
        candidates = sorted(people, key=lambda identity: digest(f"{key} {identity}".encode()))[:k]
        reached = min(int(digest(key.encode())[0], 16) // 4, k)
        return invader_pb2.Classification(
            target_model=name,
            candidates=[
                invader_pb2.Candidate(identity=identity, probability=self._probability(name, place))
                for place, identity in enumerate(candidates)
            ],
            reached=[invader_pb2.Reached(threshold=each, candidates=reached) for each in AT if name in self.matchers],
        )


@dataclass
class EnrollingBench:
    """Eight people with four photos each, two of which the invader's matchers have enrolled."""

    root: Path
    sizes: SplitSizes = TWO_PHOTOS

    def __post_init__(self) -> None:
        self.bench = Bench(self.root)
        generator = np.random.default_rng(0)
        for identity, number in product(IDENTITIES, range(PHOTOS)):
            pixels = generator.integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8)
            path = self.bench.faces / identity / f"{number}.jpg"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(encode_jpeg(pixels, quality=95))
        self.split: Split = split(read_face_folder(self.bench.faces), self.sizes, seed=0)
        own = {name: tuple(digest(photo.read()) for photo in photos) for name, photos in self.split.enrolled.items()}
        matcher = FakeMatcher(self.split.gallery_sha256(), AT, regions=(invader_pb2.REGION_DETECTED,))
        self.protector = self.bench.protector = PictureProtector({"facenet": IDENTITIES})
        self.invader = self.bench.invader = EnrollingInvader(
            {CLASSIFIER: IDENTITIES} | dict.fromkeys((WHITE_BOX, MATCHER), sorted(own)),
            matchers=dict.fromkeys((WHITE_BOX, MATCHER), matcher),
            galleries=FakeGalleries(own),
        )

    @property
    def galleries(self) -> FakeGalleries:
        return self.invader.galleries

    @property
    def folder(self) -> Path:
        return self.bench.folder

    @property
    def draw(self) -> Sequence[str]:
        """Identities in the order of the draw."""
        return drawn_identities(frozenset(self.split.enrolled), seed=0)

    def probe(self, identity: str) -> Photo:
        """The photo that is searched: the first of the draw."""
        return next(drawn_photos(read_face_folder(self.bench.faces), identity, seed=0))

    def enrolled(self, identity: str) -> tuple[Photo, ...]:
        return self.split.enrolled[identity]

    async def evaluate(
        self, conditions: str | tuple[Condition, ...] = THREATS, *, at: tuple[str, str] | None = None, **changes: Any
    ) -> Evaluated:
        """`at` are the addresses of services that are there already."""
        fields: dict[str, Any] = {
            "gallery": GalleryRequest(self.split),
            "target_models": (CLASSIFIER, WHITE_BOX, MATCHER),
            "epsilons": (8,),
            "subjects": 3,
            "conditions": parse_conditions(conditions) if isinstance(conditions, str) else conditions,
        }
        if at is not None:
            return await self.bench.evaluate_at(*at, **fields | changes)
        return await self.bench.evaluate(**fields | changes)

    def kept(self, photo: Photo, key: CloakKey, *, folder: Path | None = None) -> bytes:
        """The cloak of a photo that a run kept."""
        folder = folder or self.folder
        with sqlite3.connect(folder / "observations.sqlite") as connection:
            (found,) = connection.execute(
                "SELECT cloak_sha256 FROM cloaks WHERE probe = ? AND source_model = ? AND method = ? AND epsilon = ?",
                (photo.name, key.source_model, key.method, key.epsilon),
            ).fetchone()
        kept = RunFolder(folder).kept_cloak(found)
        assert kept is not None
        return kept

    def observed(self, columns: str, *, folder: Path | None = None) -> list[tuple[Any, ...]]:
        """Columns of all observations, sorted."""
        with sqlite3.connect((folder or self.folder) / "observations.sqlite") as connection:
            return sorted(connection.execute(f"SELECT {columns} FROM observations"), key=str)
