"""Lists of pairs, and fake services that compare their probes as a test tells them to."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from deid.gallery.v1 import gallery_pb2_grpc
from deid.invader.v1 import invader_pb2
from deid.protector.v1 import protector_pb2

from orchestrator.faces.data_set import Photo
from orchestrator.faces.folder import read_face_folder
from orchestrator.faces.pairs import PairedProbes, PairList, read_pairs
from orchestrator.session.planning import PAIRS_KS, GalleryRequest
from rpc.images.decoding import encode_jpeg
from tests.support.bench import IDENTITIES, Bench, Evaluated
from tests.support.enrolling import (
    SIDE,
    EnrollingInvader,
    FakeGalleries,
    FakeGallery,
    PictureProtector,
    Search,
    digest,
)
from tests.support.fakes import Context, FakeMatcher, Shown

MATCHER = "dlib"
PROBE, REFERENCE = "probe.jpg", "reference.jpg"
PEOPLE = IDENTITIES[:5]
TARGET = "f"
THRESHOLDS: Mapping[str, tuple[int, int]] = {"fmr:0.01": (300, 3), "given:literature-0.01": (0, 0)}

Accepts = Callable[[Shown, str, str], bool]  # a cloak, whom it is compared with, and the threshold


def write_people(root: Path, *, blank: Sequence[str] = ()) -> None:
    """Two photos of each identity; `blank` are photos of one colour, IDENTITY/FILE, in which no face is found."""
    generator = np.random.default_rng(0)
    for identity in IDENTITIES:
        for name in (PROBE, REFERENCE):
            pixels = generator.integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8)
            if f"{identity}/{name}" in blank:
                pixels[:] = 90
            path = root / identity / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(encode_jpeg(pixels, quality=95))


def write_list(path: Path, *, targets: bool, impostors: Sequence[str] = (), people: Sequence[str] = PEOPLE) -> Path:
    """A list of people's pairs, each with the same target or with none."""
    columns = ("probe", "reference", *(["target"] if targets else []), *(["impostor"] if impostors else []))
    rows = [
        {"probe": f"{each}/{PROBE}", "reference": f"{each}/{REFERENCE}", "target": f"{TARGET}/{REFERENCE}"}
        for each in people
    ]
    rows += [{"impostor": f"{each}/{PROBE}"} for each in impostors]
    lines = [",".join(columns), *(",".join(row.get(column, "") for column in columns) for row in rows)]
    path.write_text("\n".join(lines) + "\n")
    return path


@dataclass
class RememberingProtector(PictureProtector):
    """Knows its cloaks again, and enrols targets."""

    galleries: FakeGalleries = field(default_factory=lambda: FakeGalleries({}))
    matchers: Mapping[str, str] = field(default_factory=dict)  # the digest of the gallery of each source model that is one
    label_free: frozenset[str] = frozenset({"none", "noise"})
    shown: dict[str, Shown] = field(default_factory=dict)  # by the digest of a cloak
    aimed: list[tuple[str, tuple[str, ...], Mapping[str, tuple[str, ...]]]] = field(default_factory=list)

    def register(self, server: Any) -> None:
        """See `_Fake`."""
        super().register(server)
        gallery_pb2_grpc.add_GalleryServiceServicer_to_server(self.galleries, server)

    async def Craft(self, request: protector_pb2.CraftRequest, context: Context) -> Any:  # noqa: N802
        """See the schema."""
        gallery = (await self.galleries.found(request.gallery, context)).photos if request.gallery else {}
        self.aimed.append((request.identity, tuple(request.methods), gallery))
        async for response in super().Craft(request, context):
            yield response

    async def ListSourceModels(  # noqa: N802
        self, request: protector_pb2.ListSourceModelsRequest, context: Context
    ) -> protector_pb2.ListSourceModelsResponse:
        """See the schema."""
        response = await super().ListSourceModels(request, context)
        response.enrols = True
        for model in response.source_models:
            if model.name in self.matchers:
                model.kind, model.gallery_sha256 = protector_pb2.MODEL_KIND_MATCHER, self.matchers[model.name]
        return response

    async def ListMethods(  # noqa: N802
        self, request: protector_pb2.ListMethodsRequest, context: Context
    ) -> protector_pb2.ListMethodsResponse:
        """See the schema."""
        response = await super().ListMethods(request, context)
        for method in response.methods:
            method.needs_label_set = method.name not in self.label_free
        return response

    def cloak(self, shown: Shown, photo: bytes) -> bytes:
        """See `FakeProtector`."""
        cloak = super().cloak(shown, photo)
        self.shown[digest(cloak)] = shown
        return cloak


@dataclass
class VerifyingInvader(EnrollingInvader):
    """Accepts cloaks as a test says, in galleries of one identity alone."""

    accepts: Accepts = lambda shown, identity, threshold: True
    shown: Mapping[str, Shown] = field(default_factory=dict)  # by the digest of a cloak

    def _classification(self, search: Search, name: str, gallery: FakeGallery | None, k: int) -> invader_pb2.Classification:
        assert gallery is not None
        (identity,) = gallery.photos
        shown = self.shown[search.picture]
        return invader_pb2.Classification(
            target_model=name,
            candidates=[invader_pb2.Candidate(identity=identity)],
            reached=[
                invader_pb2.Reached(threshold=each, candidates=int(self.accepts(shown, identity, each)))
                for each in sorted(self.matchers[name].thresholds)
            ],
        )


@dataclass
class PairsBench:
    """Eight people with a probe and a reference each, five of whom are the pairs of a list."""

    root: Path
    targets: bool = True
    blank: Sequence[str] = ()
    source_model: str = "facenet"

    def __post_init__(self) -> None:
        self.bench = Bench(self.root)
        for file in self.bench.faces.rglob("*.jpg"):
            file.unlink()
        write_people(self.bench.faces, blank=self.blank)
        self.list = write_list(self.root / "pairs.csv", targets=self.targets, impostors=("g", "h"))
        matchers = {"dlib": "a" * 64}
        names = {"facenet": IDENTITIES, MATCHER: PEOPLE}
        self.protector = self.bench.protector = RememberingProtector(names, matchers=matchers)
        self.invader = self.bench.invader = VerifyingInvader(
            {"facenet": IDENTITIES, MATCHER: ("somebody", "else")},
            matchers={MATCHER: FakeMatcher("b" * 64, THRESHOLDS)},
            galleries=FakeGalleries({}),
            shown=self.protector.shown,
        )

    @property
    def folder(self) -> Path:
        return self.bench.folder

    @property
    def pairs(self) -> PairList:
        return read_pairs(self.list, read_face_folder(self.bench.faces))

    def photo(self, identity: str, name: str) -> Photo:
        """A photo of somebody."""
        photos = read_face_folder(self.bench.faces).photos(identity)
        return next(photo for photo in photos if photo.file == name)

    def request(self, **changes: Any) -> dict[str, Any]:
        """The fields of a request for a run of the list."""
        pairs, faces = self.pairs, read_face_folder(self.bench.faces)
        return {
            "faces": PairedProbes(faces, pairs),
            "pairs": pairs,
            "gallery": GalleryRequest(pairs.split(faces)),
            "usual_ks": PAIRS_KS,
            "ks": None,
            "source_models": (self.source_model,),
            "target_models": (MATCHER,),
            "epsilons": (8,),
            "subjects": None,
        } | changes

    async def evaluate(self, **changes: Any) -> Evaluated:
        """A run of the list."""
        run = {name: changes.pop(name) for name in ("allow_incomplete", "keep_cloaks") if name in changes}
        return await self.bench.evaluate(**run, **self.request(**changes))

    async def replay(self) -> Evaluated:
        """The cloaks that the run kept, compared once more; the protector is not there."""
        pairs, faces = self.pairs, read_face_folder(self.bench.faces)
        return await self.bench.replay(gallery=GalleryRequest(pairs.split(faces)), pairs=pairs)
