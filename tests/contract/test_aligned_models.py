"""Source and target models that are shown aligned faces, beside those that are shown square crops."""

from typing import Any

import grpc
import numpy as np
import pytest
import torch
from deid.invader.v1 import invader_pb2, invader_pb2_grpc
from deid.protector.v1 import protector_pb2, protector_pb2_grpc
from numpy.typing import NDArray

from invader_service.classifier import ranked
from recognizers.alignment import SIDE
from recognizers.extraction import EXTRACTION_RULE, Extraction, extract_face
from rpc.images.decoding import encode_png
from rpc.status import received
from tests.support.networks import SmallRecognizer, decoded, probe
from tests.support.services import CentreDetector, Serving, serving_invader, serving_protector, small_recognizer

PHOTO = probe(side=90)
DETECTED, FULL = invader_pb2.REGION_DETECTED, invader_pb2.REGION_FULL


class AlignedRecognizer(SmallRecognizer):
    extraction = Extraction.ALIGNED


def aligned_recognizer() -> AlignedRecognizer:
    return AlignedRecognizer(input_size=SIDE, dtype=torch.float32)


def cut_out(rule: Extraction, *, side: int) -> NDArray[np.uint8]:
    """The face that the services cut out of the photo."""
    box = extract_face(PHOTO, CentreDetector())
    assert box is not None
    return rule.cut_out(PHOTO, box, side=side)


async def craft(service: Serving, source_model: str) -> protector_pb2.CraftResponse:
    """The cloak of the control, lossless: the probe."""
    request = protector_pb2.CraftRequest(
        photo=encode_png(PHOTO),
        identity="identity_1",
        source_model=source_model,
        methods=["none"],
        storage=protector_pb2.Storage(png=protector_pb2.PngStorage()),
    )
    stub = protector_pb2_grpc.ProtectorServiceStub(service.channel)
    (response,) = [each async for each in stub.Craft(request, timeout=60)]
    return response


async def classify(service: Serving, **changes: Any) -> invader_pb2.ClassifyResponse:
    fields: dict[str, Any] = {"image": encode_png(PHOTO), "target_models": ["aligned", "square"], "k": 5}
    stub = invader_pb2_grpc.InvaderServiceStub(service.channel)
    return await stub.Classify(invader_pb2.ClassifyRequest(**(fields | changes)), timeout=60)


def serving_both() -> Any:
    return serving_invader({"aligned": aligned_recognizer(), "square": small_recognizer()})


async def test_the_probe_of_an_aligned_source_model_is_the_aligned_face() -> None:
    async with serving_protector(others={"aligned": aligned_recognizer()}) as service:
        response = await craft(service, "aligned")
        other = await craft(service, "small")
    assert response.side == SIDE
    assert np.array_equal(decoded(response.cloak), cut_out(Extraction.ALIGNED, side=SIDE))
    assert np.array_equal(decoded(other.cloak), cut_out(Extraction.SQUARE, side=8))


async def test_each_model_states_its_own_rule() -> None:
    async with serving_protector(others={"aligned": aligned_recognizer()}) as service:
        stub = protector_pb2_grpc.ProtectorServiceStub(service.channel)
        listed = (await stub.ListSourceModels(protector_pb2.ListSourceModelsRequest())).source_models
    assert {model.name: model.extraction for model in listed} == {
        "aligned": Extraction.ALIGNED.in_words,
        "small": EXTRACTION_RULE,
    }


async def test_an_ensemble_of_different_rules_is_refused_with_the_reason() -> None:
    async with serving_protector(others={"aligned": aligned_recognizer()}) as service:
        with pytest.raises(grpc.aio.AioRpcError) as failure:
            await craft(service, "aligned+small")
    assert received(failure.value).message == (
        "source_model: expected members whose faces are cut out by the same rule, as an ensemble has one probe, "
        "got aligned with aligned faces, small with square faces"
    )


async def test_each_target_model_is_shown_the_one_face_by_its_own_rule() -> None:
    async with serving_both() as service:
        response = await classify(service)
    answers = [[each.identity for each in answer.candidates] for answer in response.classifications]
    for answer, recognizer in zip(answers, (aligned_recognizer(), small_recognizer()), strict=True):
        face = torch.tensor(cut_out(recognizer.extraction, side=recognizer.input_size)).permute(2, 0, 1).float()
        expected = ranked(recognizer.logits(face[None])[0], recognizer.label_set, k=5)
        assert answer == [each.identity for each in expected]


async def test_an_aligned_target_model_has_no_full_region() -> None:
    async with serving_both() as service:
        stub = invader_pb2_grpc.InvaderServiceStub(service.channel)
        listed = (await stub.ListTargetModels(invader_pb2.ListTargetModelsRequest())).target_models
        with pytest.raises(grpc.aio.AioRpcError) as failure:
            await classify(service, region=FULL)
        assert (await classify(service, target_models=["square"], region=FULL)).face_found
    assert {model.name: list(model.regions) for model in listed} == {"aligned": [DETECTED], "square": [DETECTED, FULL]}
    assert received(failure.value).message == "region: expected REGION_DETECTED of aligned, got REGION_FULL"
