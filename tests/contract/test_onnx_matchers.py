"""An ONNX network as an invader's target model, from the folder of checkpoints to its answers; and before a protector."""

from functools import partial
from pathlib import Path

import pytest
import torch
from deid.invader.v1 import invader_pb2, invader_pb2_grpc

from invader_service.config import InvaderSettings
from invader_service.serve import load_target_models
from protector_service.config import ProtectorSettings
from protector_service.serve import load_source_models
from recognizers.device import PreparedDevice
from recognizers.errors import CheckpointError
from recognizers.extraction import Extraction, extract_face
from recognizers.galleries.matchers import Matcher
from rpc.images.decoding import encode_png
from tests.support.galleries import photo_of, write_people
from tests.support.onnx_files import needs_onnx, write_onnx
from tests.support.services import CentreDetector, serving_invader

pytestmark = needs_onnx

PEOPLE = "abc"
PREPARED = PreparedDevice(torch.device("cpu"), workers=1, threads=1)
FIND_FACE = partial(extract_face, detector=CentreDetector())


def matchers_of(root: Path) -> dict[str, Matcher]:
    """Those of an invader that is started with a folder of one ONNX file and a gallery."""
    (root / "checkpoints").mkdir()
    write_onnx(root / "checkpoints", threshold=0.5)
    people = {name: [photo_of(ord(name), number, side=16) for number in range(2)] for name in PEOPLE}
    gallery = write_people(root / "gallery", people)
    settings = InvaderSettings(checkpoints=root / "checkpoints", gallery=gallery, embedding_cache="off")
    classifiers, matchers = load_target_models(settings, PREPARED, FIND_FACE)
    assert classifiers == {}
    return dict(matchers)


async def test_an_invader_lists_it_as_a_matcher_and_answers_by_it(tmp_path: Path) -> None:
    matchers = matchers_of(tmp_path)
    async with serving_invader(matchers=matchers) as service:
        stub = invader_pb2_grpc.InvaderServiceStub(service.channel)
        models = (await stub.ListTargetModels(invader_pb2.ListTargetModelsRequest())).target_models
        answered = [
            (await stub.Classify(invader_pb2.ClassifyRequest(image=image, target_models=["linear"], k=3))).classifications[0]
            for image in (encode_png(photo_of(ord(name), 5, side=16)) for name in PEOPLE)
        ]
    (listed,) = (each for each in models if each.name == "linear")
    assert (listed.kind, listed.identities) == (invader_pb2.MODEL_KIND_MATCHER, len(PEOPLE))
    assert (listed.matching, listed.extraction) == (matchers["linear"].in_words, Extraction.SQUARE.in_words)
    assert [each.name for each in listed.thresholds] == ["given"]
    assert [each.candidates[0].identity for each in answered] == list(PEOPLE)
    assert [[(each.threshold, each.candidates) for each in answer.reached] for answer in answered] == [[("given", 1)]] * 3


def test_a_protector_says_that_it_can_be_no_source_model(tmp_path: Path) -> None:
    path = write_onnx(tmp_path)
    with pytest.raises(CheckpointError) as refused:
        load_source_models(ProtectorSettings(checkpoints=tmp_path), PREPARED, FIND_FACE)
    assert f"{path}: an ONNX network has no gradient, so that it can be no source model" in str(refused.value)
