"""What the conformance suite must not hold against services of another make."""

import asyncio
import io
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from pathlib import Path
from unittest.mock import patch

import grpc
import numpy as np
import pytest
from deid.invader.v1 import invader_pb2
from deid.protector.v1 import protector_pb2
from numpy.typing import NDArray
from PIL import Image

from conformance import client
from conformance.check import Verdict
from conformance.protector.service import Protector
from conformance.protector.storage import encoded_twice, encoding_problem
from conformance.refusals import NOT_PARSED, TOO_LARGE, BadRequest, refusal_of
from conformance.suite import Choice, examine
from orchestrator.errors import UnusableServiceError
from orchestrator.faces.folder import FaceFolder, read_face_folder
from rpc.errors import IDENTITIES_NOT_LISTED, RATE_LIMITED, ServiceError, busy, invalid_argument
from rpc.images.decoding import encode_jpeg, encode_png
from rpc.paging import Page
from tests.support.conformance_runs import LONG, others, outcomes_of
from tests.support.conforming import IDENTITIES, ConformingInvader, ConformingProtector, Context, Pixels
from tests.support.drawn_faces import draw_face
from tests.support.mutants_invader import LosesThePlacesOfCancelledCalls


class ForeignDecoder(ConformingProtector):
    """Decodes JPEG otherwise than libjpeg, and has a detector whose box moves by pixels for it."""

    def photo(self, encoded: bytes) -> Pixels:
        photo = super().photo(encoded)
        return photo if encoded.startswith(b"\x89PNG") else with_repeated_chroma(photo)

    def probe(self, photo: Pixels, request: protector_pb2.CraftRequest) -> Pixels:
        moved = int(photo.astype(np.int64).sum()) % 5
        return super().probe(photo[moved:, moved:], request)


def with_repeated_chroma(photo: Pixels) -> Pixels:
    """A photo with its chroma averaged over, and repeated for, every 2 x 2 pixels."""
    levels = np.asarray(Image.fromarray(photo).convert("YCbCr")).copy()
    height, width = (side // 2 * 2 for side in levels.shape[:2])
    for channel in (1, 2):
        blocks = levels[:height, :width, channel].reshape(height // 2, 2, width // 2, 2).mean((1, 3))
        levels[:height, :width, channel] = blocks.repeat(2, 0).repeat(2, 1).round()
    return np.asarray(Image.fromarray(levels, "YCbCr").convert("RGB"))


async def test_a_detector_behind_another_decoder_understands_photos_as_ours_does(faces: FaceFolder) -> None:
    only = ["protector.orientation", "protector.transparency", "protector.formats"]
    assert others(await outcomes_of(ForeignDecoder(), Choice(faces, only=only))) == {}


async def test_half_of_a_smooth_photo_is_no_whole_one(tmp_path: Path) -> None:
    y, x = np.mgrid[0:300, 0:300] / 300
    grain = np.random.default_rng(0).normal(0, 1.2, (300, 300, 3))
    smooth = (np.stack([120 + 80 * np.sin(3 * x), 110 + 70 * np.cos(2 * y), 100 + 60 * x * y], -1) + grain).astype(np.uint8)
    for identity in IDENTITIES[:3]:
        (tmp_path / identity).mkdir()
        (tmp_path / identity / "a.png").write_bytes(encode_png(smooth))
    photos = read_face_folder(tmp_path)
    assert others(await outcomes_of(ConformingProtector(), Choice(photos, only=["protector.bad-image"]))) == {}
    assert others(await outcomes_of(ConformingInvader(), Choice(photos, only=["invader.bad-image"]))) == {}


MANY = (*IDENTITIES, *(f"stranger_{place}" for place in range(30_001)))


class ManyProtected(ConformingProtector):
    label_sets: Mapping[str, Sequence[str]] = {"first": MANY}


class ManyNamed(ConformingInvader):
    """Of so many identities the softmax of unscaled cosines is nowhere 0.0001."""

    label_sets: Mapping[str, Sequence[str]] = {"first": MANY}

    def probabilities(self, photo: Pixels, name: str, request: invader_pb2.ClassifyRequest) -> NDArray[np.float64]:
        exponentials = np.exp(np.random.default_rng(int(photo.sum())).uniform(-0.3, 0.3, len(MANY)))
        return np.asarray(exponentials / exponentials.sum())


async def test_a_label_set_may_be_longer_than_three_pages_and_flatter_than_four_decimals(faces: FaceFolder) -> None:
    outcomes = await outcomes_of(ManyProtected(), Choice(faces, only=["protector.pages", "protector.label-sets"]))
    only = ["invader.pages", "invader.label-sets", "invader.probabilities"]
    outcomes += await outcomes_of(ManyNamed(), Choice(faces, only=only))
    assert others(outcomes) == {}


class Scores(ConformingInvader):
    """Answers with scores that sum to more than 1."""

    def probabilities(self, photo: Pixels, name: str, request: invader_pb2.ClassifyRequest) -> NDArray[np.float64]:
        return np.asarray(np.sqrt(super().probabilities(photo, name, request)))


async def test_probabilities_need_not_sum_to_one(faces: FaceFolder) -> None:
    assert others(await outcomes_of(Scores(), Choice(faces, only=["invader.probabilities", "invader.sorted"]))) == {}


class Costly(ConformingProtector):
    """Has a method of a thousand gradients whatever the budget, and one that costs twenty a step."""

    controls: Mapping[str, bool] = {**ConformingProtector.controls, "search": False, "blocks": False}
    requested: set[tuple[str, int]]

    def __init__(self) -> None:
        super().__init__()
        self.requested = set()

    def cost(self, method: str, epsilon: int) -> protector_pb2.BudgetCost:
        cost = super().cost(method, epsilon)
        cost.gradients = {"search": 1000, "seek": 999, "blocks": 20 * cost.gradients}.get(method, cost.gradients)
        return cost

    def row(self, request: protector_pb2.CraftRequest) -> list[tuple[str, int]]:
        self.requested.update(row := super().row(request))
        return row


async def test_cloaks_that_cost_hundreds_of_gradients_are_not_requested_and_the_suite_says_of_which_methods(
    faces: FaceFolder,
) -> None:
    said: list[str] = []
    service = Costly()
    async with service.serving() as address:
        choice = Choice(faces, skip=LONG)
        outcomes = await examine(Protector, address, None, choice, on_done=lambda outcome: None, note=said.append)
    assert others(outcomes) == {}
    assert said == ["no cloak of search is requested: one takes more than 300 gradients or forward passes"]
    assert {epsilon for method, epsilon in service.requested if method == "blocks"} == {0, 1, 4, 9}
    assert {method for method, _ in service.requested} == service.controls.keys() - {"search"}


class CostlyAlone(Costly):
    """Has two methods of that kind, and no others."""

    controls: Mapping[str, bool] = {"noise": True, "none": True, "search": False, "seek": False}


async def test_of_costly_methods_alone_the_cheapest_is_requested(faces: FaceFolder) -> None:
    service = CostlyAlone()
    assert others(await outcomes_of(service, Choice(faces, only=["protector.gradients", "protector.alone"]))) == {}
    assert {method for method, _ in service.requested} == {"noise", "none", "seek"}


class WithoutEnsembles(ConformingProtector):
    """Refuses ensembles, whichever, as a service that has none must."""

    def check_members(self, names: Sequence[str]) -> None:
        if len(names) > 1:
            raise invalid_argument("source_model", expected="one source model", actual="several")


async def test_ensembles_need_not_be_offered(faces: FaceFolder) -> None:
    outcomes = await outcomes_of(WithoutEnsembles(), Choice(faces, only=["protector.ensemble", "protector.bad-ensembles"]))
    assert {outcome.id: (outcome.verdict, outcome.evidence) for outcome in outcomes} == {
        "protector.ensemble": (
            Verdict.NOT_APPLICABLE,
            "it offers no ensembles: source_model: expected one source model, got several",
        ),
        "protector.bad-ensembles": (Verdict.PASSED, ""),
    }


async def test_where_no_label_sets_are_equal_no_ensemble_is_requested(faces: FaceFolder) -> None:
    outcomes = await outcomes_of(ManyProtected(), Choice(faces, only=["protector.ensemble", "protector.bad-ensembles"]))
    assert [outcome.verdict for outcome in outcomes] == [Verdict.NOT_APPLICABLE, Verdict.PASSED]


# Matchers and regions

WITHOUT_MATCHERS = {"gallery-order", "reached-prefix", "scores", "thresholds"}


class ClassifiersAlone(ConformingInvader):
    """Has no matcher."""

    label_sets: Mapping[str, Sequence[str]] = {"first": IDENTITIES, "second": IDENTITIES[::-1]}


class NoThresholds(ConformingInvader):
    """Has a matcher without thresholds."""

    thresholds: Mapping[str, float] = {}


class MatcherAlone(ConformingInvader):
    """Has a matcher alone, and does not list whom it enrolled."""

    label_sets: Mapping[str, Sequence[str]] = {"third": IDENTITIES}

    def page(self, identities: Sequence[str], page_size: int, page_token: str) -> Page:
        raise ServiceError("not listed", code=grpc.StatusCode.PERMISSION_DENIED, reason=IDENTITIES_NOT_LISTED)


class TopMatch(ConformingInvader):
    """Answers with one candidate."""

    disclosure = invader_pb2.DISCLOSURE_TOP1
    max_candidates = 1

    def disclosed(self, probability: float) -> float:
        return 0.0


@pytest.mark.parametrize(
    ("kind", "not_applicable"),
    [
        (ClassifiersAlone, WITHOUT_MATCHERS),
        (NoThresholds, {"thresholds", "reached-prefix"}),
        (MatcherAlone, {"gallery-order"}),
        (TopMatch, {"reached-prefix"}),
    ],
)
async def test_what_a_service_does_not_have_of_matchers_is_not_demanded(
    faces: FaceFolder, kind: type[ConformingInvader], not_applicable: set[str]
) -> None:
    only = [f"invader.{name}" for name in (*WITHOUT_MATCHERS, "kinds", "reached", "models", "probabilities", "face")]
    outcomes = await outcomes_of(kind(), Choice(faces, only=only))
    assert len(outcomes) == len(only)
    expected = {f"invader.{name}" for name in not_applicable}
    assert {outcome.id for outcome in outcomes if outcome.verdict is Verdict.NOT_APPLICABLE} == expected
    assert others([outcome for outcome in outcomes if outcome.id not in expected]) == {}


async def test_a_rate_is_compared_exactly(faces: FaceFolder) -> None:
    class Exact(ConformingInvader):
        thresholds: Mapping[str, float] = {"fpir:0.29": 0.07}

        def calibrations(self) -> list[invader_pb2.Threshold]:
            return [invader_pb2.Threshold(name="fpir:0.29", comparisons=100, false_positives=29)]

    assert 0.29 * 100 < 29, "as floating-point numbers"
    assert others(await outcomes_of(Exact(), Choice(faces, only=["invader.thresholds"]))) == {}


class OlderThanRegions(ConformingInvader):
    """States no regions, and looks for a face whatever is requested."""

    def regions_of(self, name: str) -> Sequence["invader_pb2.Region.ValueType"]:
        return ()

    def check(self, request: invader_pb2.ClassifyRequest) -> None:
        request.region = invader_pb2.REGION_DETECTED
        with patch.object(self, "regions_of", return_value=[invader_pb2.REGION_DETECTED]):
            super().check(request)


async def test_regions_need_not_be_stated(faces: FaceFolder) -> None:
    (models, region) = await outcomes_of(OlderThanRegions(), Choice(faces, only=["invader.models", "invader.region"]))
    assert (models.verdict, region.verdict) == (Verdict.PASSED, Verdict.NOT_APPLICABLE)


class WholeImages(ConformingInvader):
    """Reads whole images, and for one target model detected faces too."""

    def regions_of(self, name: str) -> Sequence["invader_pb2.Region.ValueType"]:
        return self.regions if name == "first" else (invader_pb2.REGION_FULL,)


async def test_a_region_that_all_target_models_have_is_requested_and_the_others_of_those_that_have_them(
    faces: FaceFolder,
) -> None:
    assert others(await outcomes_of(WholeImages(), Choice(faces, skip=[*LONG, "*.budget-spent"]))) == {}


class NothingInCommon(ConformingInvader):
    """Has target models of which no two can be asked about one region."""

    def regions_of(self, name: str) -> Sequence["invader_pb2.Region.ValueType"]:
        return (invader_pb2.REGION_FULL if name == "first" else invader_pb2.REGION_DETECTED,)


async def test_target_models_of_one_service_have_a_region_in_common(faces: FaceFolder) -> None:
    with pytest.raises(UnusableServiceError, match="cannot be checked: its target models have no region in common"):
        await outcomes_of(NothingInCommon(), Choice(faces))


# JPEG


def segments(encoded: bytes) -> tuple[list[bytes], bytes]:
    """The segments of a JPEG before its scan, and the rest."""
    place, found = 2, []
    while encoded[place + 1] != 0xDA:
        length = int.from_bytes(encoded[place + 2 : place + 4], "big")
        found.append(encoded[place : place + 2 + length])
        place += 2 + length
    return found, encoded[place:]


def tables(found: list[bytes]) -> Iterator[bytes]:
    for segment in found:
        if segment[1] == 0xDB:
            yield from (segment[place : place + 65] for place in range(4, len(segment), 65))


def as_segment(table: bytes) -> bytes:
    return b"\xff\xdb\x00\x43" + table


def chroma_table_first(pixels: Pixels, quality: int) -> bytes:
    found, scan = segments(encode_jpeg(pixels, quality=quality))
    rest = b"".join(each for each in found[1:] if each[1] != 0xDB)
    return b"\xff\xd8" + found[0] + b"".join(map(as_segment, reversed(list(tables(found))))) + rest + scan


def table_for_each_component(pixels: Pixels, quality: int) -> bytes:
    found, scan = segments(encode_jpeg(pixels, quality=quality))
    luma, chroma = tables(found)
    rest = b"".join(each[:-1] + b"\x02" if each[1] == 0xC0 else each for each in found[1:] if each[1] != 0xDB)
    return b"\xff\xd8" + found[0] + b"".join(map(as_segment, (luma, chroma, b"\x02" + chroma[1:]))) + rest + scan


def cosited_chroma(pixels: Pixels, quality: int) -> bytes:
    """Chroma averaged by 1-2-1 around every second sample, as in H.26x."""
    levels = np.asarray(Image.fromarray(pixels).convert("YCbCr")).astype(float)
    for channel in (1, 2):
        padded = np.pad(levels[..., channel], 1, "edge")
        across = (padded[:, :-2] + 2 * padded[:, 1:-1] + padded[:, 2:]) / 4
        both = (across[:-2] + 2 * across[1:-1] + across[2:]) / 4
        levels[..., channel] = both[::2, ::2].repeat(2, 0).repeat(2, 1)
    buffer = io.BytesIO()
    image = Image.fromarray(levels.round().astype(np.uint8), "YCbCr")
    image.save(buffer, "JPEG", quality=quality, subsampling="4:2:0")
    return buffer.getvalue()


@pytest.mark.parametrize("quality", [95, 40])
@pytest.mark.parametrize("encode", [chroma_table_first, table_for_each_component, cosited_chroma])
def test_other_encoders_of_the_same_jpeg_are_taken(encode: Callable[[Pixels, int], bytes], quality: int) -> None:
    plain = draw_face(0, side=160)
    signs = np.random.default_rng(0).choice([-9, 9], plain.shape)
    noisy = (plain.astype(int) + signs).clip(0, 255).astype(np.uint8)
    for pixels in (plain, noisy):
        assert encoding_problem(encode(pixels, quality), pixels.astype(np.int16), quality=quality) is None
    assert encoded_twice(encode(plain, quality), plain.astype(np.int16), quality=quality) is None


# What libraries say, and how services make clients wait


@pytest.mark.parametrize(
    ("codes", "code", "text"),
    [
        (NOT_PARSED, grpc.StatusCode.UNKNOWN, "Application error processing RPC"),
        (NOT_PARSED, grpc.StatusCode.INTERNAL, "Exception deserializing request!"),
        (TOO_LARGE, grpc.StatusCode.OUT_OF_RANGE, "Error, decoded message length too large: found 20971605 bytes"),
        (TOO_LARGE, grpc.StatusCode.RESOURCE_EXHAUSTED, "Received message larger than max (20971605 vs. 17825792)"),
    ],
)
def test_libraries_may_refuse_by_themselves(codes: tuple[grpc.StatusCode, ...], code: grpc.StatusCode, text: str) -> None:
    assert list(BadRequest("it", codes, {}).problems(refusal_of("Craft", code, text, ()))) == []


class OneAtATime(ConformingProtector):
    """Works on one call at a time, for a fifth of a second, and refuses the others."""

    step_seconds = 0.005

    async def Craft(  # noqa: N802
        self, request: protector_pb2.CraftRequest, context: Context
    ) -> AsyncIterator[protector_pb2.CraftResponse]:
        if self.in_flight:
            raise busy("one at a time", retry_after_ms=50)
        async for response in super().Craft(request, context):
            yield response


async def test_patience_lasts_as_long_as_calls_are_answered(faces: FaceFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "BUSY_SECONDS", 1.5)
    (outcome,) = await outcomes_of(OneAtATime(), Choice(faces, only=["protector.under-load"]))
    assert outcome.verdict is Verdict.PASSED, outcome.evidence
    assert outcome.seconds > 1.5, "it took longer than the patience, or this test shows nothing"


class OneEvery100Milliseconds(LosesThePlacesOfCancelledCalls):
    """Never gives back the place of a call that was cancelled, and has a rate limit beside."""

    next = 0.0

    async def Classify(self, request: invader_pb2.ClassifyRequest, context: Context) -> invader_pb2.ClassifyResponse:  # noqa: N802
        now = time.monotonic()
        if now < self.next:
            raise ServiceError(
                "asked too often", code=grpc.StatusCode.RESOURCE_EXHAUSTED, reason=RATE_LIMITED, retry_after_ms=100
            )
        self.next = now + 0.1
        return await super().Classify(request, context)


async def test_behind_a_rate_limit_calls_are_left_while_they_are_worked_on(faces: FaceFolder) -> None:
    (outcome,) = await outcomes_of(OneEvery100Milliseconds(), Choice(faces, only=["invader.cancellation"]))
    assert outcome.verdict is Verdict.FAILED
    assert "all places are taken" in outcome.evidence


class CraftsToTheEnd(ConformingProtector):
    """Crafts what was cancelled to its end, as a service SHOULD not."""

    step_seconds = 0.002

    async def Craft(  # noqa: N802
        self, request: protector_pb2.CraftRequest, context: Context
    ) -> AsyncIterator[protector_pb2.CraftResponse]:
        probe = self.probe(self.photo(request.photo), request)
        self.check(request)
        crafting = [
            asyncio.create_task(self.response(method, epsilon, probe, request)) for method, epsilon in self.row(request)
        ]
        for each in crafting:
            yield await asyncio.shield(each)


async def test_to_stop_at_once_is_not_demanded(faces: FaceFolder) -> None:
    outcomes = await outcomes_of(CraftsToTheEnd(), Choice(faces, only=["protector.cancellation", "protector.deadline"]))
    assert others(outcomes) == {}
