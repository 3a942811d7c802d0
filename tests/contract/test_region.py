"""What of an image the target models see: the face that is found in it, or all of it."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
import torch
from deid.invader.v1 import invader_pb2, invader_pb2_grpc
from numpy.typing import NDArray
from PIL import Image

from invader_service.classifier import ranked
from orchestrator.errors import InputError
from orchestrator.experiment.condition import parse_conditions
from recognizers.extraction import Face, crop, extract_face
from rpc.images.decoding import encode_png
from rpc.status import received
from tests.support.bench import (
    Bench,
    manifest,
)
from tests.support.networks import probe
from tests.support.services import CentreDetector, Serving, serving_invader, small_recognizer

DETECTED, FULL = invader_pb2.REGION_DETECTED, invader_pb2.REGION_FULL

SQUARE = probe(side=40)
WIDE = np.concatenate([probe(side=24), probe(side=24, seed=1)], axis=1)
BLANK = np.full((30, 30, 3), 90, dtype=np.uint8)


class Unasked:
    """A detector that must not be asked."""

    def detect(self, photo: NDArray[np.uint8]) -> Sequence[Face]:
        raise AssertionError("nobody looks for a face in an image that is read whole")


async def classify(service: Serving, pixels: NDArray[np.uint8], **changes: Any) -> invader_pb2.ClassifyResponse:
    fields: dict[str, Any] = {"image": encode_png(pixels), "target_models": ["small"], "k": 5}
    stub = invader_pb2_grpc.InvaderServiceStub(service.channel)
    return await stub.Classify(invader_pb2.ClassifyRequest(**(fields | changes)), timeout=60)


def answers(response: invader_pb2.ClassifyResponse) -> list[tuple[str, float]]:
    (classification,) = response.classifications
    return [(candidate.identity, candidate.probability) for candidate in classification.candidates]


def expected(face: NDArray[np.uint8]) -> list[tuple[str, float]]:
    """What "small" says of a face of its input size."""
    recognizer = small_recognizer()
    logits = recognizer.logits(torch.tensor(face).permute(2, 0, 1).float()[None])[0]
    return [(each.identity, each.probability) for each in ranked(logits, recognizer.label_set, k=5)]


@pytest.mark.parametrize("pixels", [SQUARE, WIDE, BLANK, probe(side=8)], ids=["square", "wide", "blank", "input size"])
async def test_a_whole_image_is_resized_to_the_input_size_and_no_face_is_looked_for(pixels: NDArray[np.uint8]) -> None:
    async with serving_invader(detector=Unasked()) as service:
        response = await classify(service, pixels, region=FULL)
    assert response.face_found
    assert answers(response) == expected(np.asarray(Image.fromarray(pixels).resize((8, 8), Image.Resampling.BILINEAR)))


async def test_a_detected_face_is_cropped_and_that_is_the_reading_where_none_is_asked_for() -> None:
    square = extract_face(WIDE, CentreDetector())
    assert square is not None
    face = expected(crop(WIDE, square, side=8))
    async with serving_invader() as service:
        assert answers(await classify(service, WIDE, region=DETECTED)) == face
        assert answers(await classify(service, WIDE)) == face
        assert answers(await classify(service, WIDE, region=FULL)) != face
        assert not (await classify(service, BLANK, region=DETECTED)).face_found


async def test_a_whole_image_is_read_at_every_target_model_s_own_size() -> None:
    async with serving_invader(detector=Unasked()) as service:
        response = await classify(service, SQUARE, target_models=["large", "small"], region=FULL)
    assert [answer.target_model for answer in response.classifications] == ["large", "small"]
    assert [candidate.identity for candidate in response.classifications[1].candidates] == [
        identity for identity, _ in expected(np.asarray(Image.fromarray(SQUARE).resize((8, 8), Image.Resampling.BILINEAR)))
    ]


async def test_a_reading_that_is_not_of_this_schema_is_refused_and_is_no_query(tmp_path: Path) -> None:
    async with serving_invader() as service:
        with pytest.raises(grpc.aio.AioRpcError) as failure:
            await classify(service, SQUARE, region=99)
        assert (await classify(service, SQUARE)).face_found
    assert failure.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert received(failure.value).message == "region: expected REGION_DETECTED or REGION_FULL, got 99"


async def test_the_list_says_which_readings_can_be_had() -> None:
    async with serving_invader() as service:
        stub = invader_pb2_grpc.InvaderServiceStub(service.channel)
        listed = await stub.ListTargetModels(invader_pb2.ListTargetModelsRequest())
    assert [list(model.regions) for model in listed.target_models] == [[DETECTED, FULL]] * 2


# Of a run

BOTH = parse_conditions("png,png@full")


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


async def test_a_run_asks_for_its_regions_and_states_them(bench: Bench) -> None:
    assert (await bench.evaluate()).finished.complete
    assert bench.invader.regions_asked == {DETECTED: 20}
    assert manifest(bench.folder)["protocol"]["grid"]["conditions"] == ["png"]
    bench.invader.regions_asked.clear()
    bench.protector.requests.clear()
    evaluated = await bench.evaluate(folder=bench.root / "both", conditions=BOTH)
    assert bench.invader.regions_asked == {DETECTED: 20, FULL: 20}
    assert len(bench.protector.requests) == 4, "as many as for one condition"
    assert manifest(bench.root / "both")["protocol"]["grid"]["conditions"] == ["png", "png@full"]
    assert "conditions     png, png@full" in evaluated.printed
    assert {row["detection_rate"] for row in evaluated.rows().values()} == {"100.0000"}


async def test_a_run_does_not_go_on_under_other_conditions(bench: Bench) -> None:
    await bench.evaluate()
    bench.invader.regions_asked.clear()
    message = await bench.fails(InputError, conditions=BOTH)
    assert message.endswith("what differs: protocol.grid.conditions: ['png'] then, ['png', 'png@full'] now")
    assert not bench.invader.regions_asked


@pytest.mark.parametrize("regions", [(), (DETECTED,)], ids=["of an older schema", "that refuses"])
async def test_an_invader_that_cannot_read_whole_images_is_not_asked_to(
    bench: Bench, regions: Sequence["invader_pb2.Region.ValueType"]
) -> None:
    bench.invader.regions = regions
    message = await bench.fails(InputError, conditions=BOTH)
    assert message.startswith("--conditions: png@full: expected a region that facenet of the invader at 127.0.0.1:")
    assert message.endswith(" (detected), got full")
    assert not bench.protector.requests
    assert not bench.invader.regions_asked
    assert (await bench.evaluate()).finished.complete
