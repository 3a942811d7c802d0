"""Conformance of clients' galleries: what is not demanded of whom, and that checks leave nothing behind."""

import runpy
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

import grpc
import pytest
from deid.gallery.v1 import gallery_pb2
from deid.invader.v1 import invader_pb2, invader_pb2_grpc

from conformance.check import Verdict
from conformance.images import annotated, upright
from conformance.invader.service import Invader
from conformance.suite import Choice
from orchestrator.faces.folder import FaceFolder, read_face_folder
from rpc.errors import GALLERY_LIMIT, NEVER_AGAIN, ServiceError, not_found
from rpc.images.decoding import encode_jpeg, encode_png
from rpc.images.limits import ImageLimits
from rpc.server import Server
from synthetic_faces import Population
from synthetic_faces.population import write_folder
from tests.support.conformance_runs import LONG, gallery_checks, kind_of, others, outcomes_at, outcomes_of, write_faces
from tests.support.conforming import IDENTITIES, Conforming, ConformingInvader, ConformingProtector, Context
from tests.support.conforming_galleries import ConformingGalleries, Outcome, Pixels
from tests.support.drawn_faces import draw_face

EXAMPLES = Path(__file__).parents[2] / "examples"
NOTHING_ENROLLED = "the service enrols nothing from clients"


class EnrolsNothing(ConformingInvader):
    """Has a matcher, and no galleries of clients."""

    enrols = False


class ProtectorEnrolsNothing(ConformingProtector):
    """Likewise."""

    enrols = False


@pytest.mark.parametrize("kind", [EnrolsNothing, ProtectorEnrolsNothing])
async def test_whoever_enrols_nothing_and_says_so_conforms(faces: FaceFolder, kind: type[Conforming]) -> None:
    service = kind()
    outcomes = await outcomes_of(service, Choice(faces, skip=[*LONG, "*.budget-spent"]))
    assert others(outcomes) == dict.fromkeys(gallery_checks(kind_of(service)), NOTHING_ENROLLED)
    assert {outcome.verdict for outcome in outcomes if outcome.evidence} == {Verdict.NOT_APPLICABLE}


async def test_the_example_of_a_matcher_conforms_although_it_enrols_nothing(tmp_path: Path) -> None:
    assert len(list(write_folder(tmp_path, Population(3), photographs=1))) == 3
    example = runpy.run_path(str(EXAMPLES / "minimal_matcher.py"))
    made = example["Invader"](example["Matcher"](tmp_path), 0.8)
    server = Server(address="127.0.0.1:0", limits=ImageLimits())
    invader_pb2_grpc.add_InvaderServiceServicer_to_server(made, server.grpc)
    await server.start([])
    only = [*gallery_checks(Invader), "invader.enrols", "invader.kinds", "invader.error-texts"]
    outcomes = await outcomes_at(server.address, Invader, Choice(read_face_folder(tmp_path), only=only))
    await server.stop(None)
    assert others(outcomes) == dict.fromkeys(gallery_checks(Invader), NOTHING_ENROLLED)


class OneGallery(ConformingGalleries):
    """Lets a client have one gallery at a time."""

    async def CreateGallery(  # noqa: N802
        self, request: gallery_pb2.CreateGalleryRequest, context: Context
    ) -> gallery_pb2.CreateGalleryResponse:
        if self.galleries:
            raise ServiceError(
                "gallery: expected one at a time, got another",
                code=grpc.StatusCode.RESOURCE_EXHAUSTED,
                reason=GALLERY_LIMIT,
                retry_after_ms=NEVER_AGAIN,
            )
        return await super().CreateGallery(request, context)


class NoDetector(ConformingGalleries):
    """Takes every image for a face."""

    def outcome(self, pixels: Pixels) -> "gallery_pb2.Enrolment.ValueType":
        return Outcome.ENROLMENT_ENROLLED


def not_demanded(service: Conforming, kind: type[ConformingGalleries]) -> Conforming:
    service.galleries = kind(service.galleries.own)
    return service


@pytest.mark.parametrize("service", [ConformingProtector, ConformingInvader])
@pytest.mark.parametrize(
    ("kind", "names", "why"),
    [
        (OneGallery, {"derived", "default", "faceless", "expiry", "states"}, "beyond the service's bounds"),
        (NoDetector, {"faceless"}, "a service without a face detector"),
    ],
)
async def test_what_a_service_need_not_have_is_not_demanded(
    faces: FaceFolder,
    service: type[Conforming],
    kind: type[ConformingGalleries],
    names: Collection[str],
    why: str,
) -> None:
    made = not_demanded(service(), kind)
    outcomes = await outcomes_of(made, Choice(faces, only=gallery_checks(kind_of(made))))
    left = {outcome.id.partition("gallery-")[2]: outcome for outcome in outcomes if outcome.verdict is not Verdict.PASSED}
    assert left.keys() == names
    for outcome in left.values():
        assert outcome.verdict is Verdict.NOT_APPLICABLE, outcome.evidence
        assert why in outcome.evidence
    assert not made.galleries.galleries


class MatcherAlone(ConformingInvader):
    """Has a matcher alone, names one candidate, and does not list whom it enrolled."""

    label_sets: Mapping[str, Sequence[str]] = {"third": IDENTITIES}
    disclosure = invader_pb2.DISCLOSURE_TOP1
    max_candidates = 1


async def test_an_invader_of_one_candidate_and_without_classifiers_conforms(faces: FaceFolder) -> None:
    outcomes = await outcomes_of(MatcherAlone(), Choice(faces, only=gallery_checks(Invader)))
    assert others(outcomes) == {"invader.gallery-classifiers": "there is no classifier"}


class NoGradients(ConformingProtector):
    """Has the controls, and a method of its own that needs no label set."""

    controls: Mapping[str, bool] = {"noise": True, "none": True}


async def test_a_protector_without_gradients_conforms(faces: FaceFolder) -> None:
    service = NoGradients()
    outcomes = await outcomes_of(service, Choice(faces, only=gallery_checks(kind_of(service))))
    assert others(outcomes) == {
        "protector.gallery-own-photo": "no method follows gradients in several steps, or all are costly"
    }


async def test_galleries_need_two_photos(tmp_path: Path) -> None:
    write_faces(tmp_path / "all")
    (tmp_path / "one").mkdir()
    (tmp_path / "all" / IDENTITIES[0]).rename(tmp_path / "one" / IDENTITIES[0])
    outcomes = await outcomes_of(
        ConformingInvader(), Choice(read_face_folder(tmp_path / "one"), only=["invader.gallery-search"])
    )
    assert "--faces has no other" in others(outcomes)["invader.gallery-search"]


class ForgetsAtOnce(ConformingGalleries):
    """Does not know a gallery when it is to be sealed."""

    async def SealGallery(  # noqa: N802
        self, request: gallery_pb2.SealGalleryRequest, context: Context
    ) -> gallery_pb2.SealGalleryResponse:
        raise not_found("gallery", request.gallery)


@pytest.mark.parametrize("service", [ConformingProtector, ConformingInvader])
async def test_a_check_that_fails_leaves_no_gallery_behind(faces: FaceFolder, service: type[Conforming]) -> None:
    made = not_demanded(service(), ForgetsAtOnce)
    outcomes = await outcomes_of(made, Choice(faces, only=gallery_checks(kind_of(made))))
    assert {outcome.verdict for outcome in outcomes} == {Verdict.FAILED}
    assert not made.galleries.galleries


@pytest.mark.parametrize("encoded", [encode_png(draw_face(0, side=16)), encode_jpeg(draw_face(0, side=16), quality=95)])
def test_an_annotated_photo_is_another_file_of_the_same_pixels(encoded: bytes) -> None:
    other = annotated(encoded)
    assert other != encoded
    assert len(other) < len(encoded) + 50
    assert (upright(other) == upright(encoded)).all()
