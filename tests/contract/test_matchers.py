"""Matchers over real channels: what services list of them, answer by them, and craft with them."""

import hashlib
from pathlib import Path

import numpy as np
import pytest
import torch
from deid.invader.v1 import invader_pb2, invader_pb2_grpc
from deid.protector.v1 import protector_pb2, protector_pb2_grpc

from invader_service.disclosure import Disclosure
from recognizers.galleries.matchers import Calibration, Matcher, make_matchers
from recognizers.networks.network import Distance
from rpc.images.decoding import encode_png
from tests.support.galleries import enroller_of, network_of, photo_of, write_people
from tests.support.networks import decoded
from tests.support.services import serving_invader, serving_protector

NAMES = "abc"
SIDE = 8


def matcher_of(folder: Path, *, distance: Distance = Distance.COSINE, threshold: float | None = 0.9) -> Matcher:
    write_people(folder, {name: [photo_of(ord(name), number, side=16) for number in range(2)] for name in NAMES})
    enroller = enroller_of({"tiny": network_of(distance, usual_threshold=threshold)})
    return make_matchers(folder, enroller, calibration=Calibration())["tiny"]


async def test_an_invader_lists_a_matcher_and_answers_by_score_without_probabilities(tmp_path: Path) -> None:
    matcher = matcher_of(tmp_path)
    photo = photo_of(ord("b"), 5, side=16)
    async with serving_invader(matchers={"tiny": matcher}, disclosure=Disclosure.PROBABILITIES) as service:
        stub = invader_pb2_grpc.InvaderServiceStub(service.channel)
        models = (await stub.ListTargetModels(invader_pb2.ListTargetModelsRequest())).target_models
        request = invader_pb2.ClassifyRequest(
            image=encode_png(photo), target_models=["tiny"], k=3, region=invader_pb2.REGION_FULL
        )
        answered = (await stub.Classify(request)).classifications[0]
    (listed,) = (each for each in models if each.name == "tiny")
    assert (listed.kind, listed.identities) == (invader_pb2.MODEL_KIND_MATCHER, 3)
    assert listed.matching == matcher.in_words
    assert listed.gallery_sha256 == digest_of(tmp_path)
    assert [(each.name, each.comparisons) for each in listed.thresholds] == [("given", 0)]
    assert answered.candidates[0].identity == "b"
    assert {each.probability for each in answered.candidates} == {0}
    assert [(each.threshold, each.candidates) for each in answered.reached] == [("given", 1)]


async def test_a_protector_crafts_away_from_the_templates_of_the_identity(tmp_path: Path) -> None:
    matcher = matcher_of(tmp_path, threshold=None)
    photo = photo_of(ord("a"), 5, side=16)
    async with serving_protector(matchers={"tiny": matcher}) as service:
        stub = protector_pb2_grpc.ProtectorServiceStub(service.channel)
        models = (await stub.ListSourceModels(protector_pb2.ListSourceModelsRequest())).source_models
        request = protector_pb2.CraftRequest(
            photo=encode_png(photo),
            identity="a",
            source_model="tiny",
            methods=["none", "bim"],
            epsilons=[16],
            storage=protector_pb2.Storage(png=protector_pb2.PngStorage()),
        )
        probe, cloak = [decoded(each.cloak) async for each in stub.Craft(request)]
    (listed,) = (each for each in models if each.name == "tiny")
    assert (listed.kind, listed.matching) == (protector_pb2.MODEL_KIND_MATCHER, matcher.in_words)
    assert listed.gallery_sha256 == matcher.gallery.sha256
    scores = [float(matcher.recognizer.logits(image_of(each))[0, 0]) for each in (probe, cloak)]
    assert scores[1] < scores[0] - 1


@pytest.mark.parametrize("distance", list(Distance))
async def test_a_photo_that_is_enrolled_is_left_out_of_its_own_templates(tmp_path: Path, distance: Distance) -> None:
    """Its likeness to itself would have no gradient, or hide that of the others."""
    matcher = matcher_of(tmp_path, distance=distance, threshold=None)
    enrolled = (tmp_path / "a" / "0.png").read_bytes()
    without = matcher.head_of(matcher.head.embedded.without("a", hashlib.sha256(enrolled).hexdigest()))
    others = Matcher(type(matcher.recognizer)(matcher.recognizer.network, without, name="tiny"), without, "c" * 64)
    cloaks = []
    for each in (matcher, others):
        async with serving_protector(matchers={"tiny": each}) as service:
            stub = protector_pb2_grpc.ProtectorServiceStub(service.channel)
            request = protector_pb2.CraftRequest(
                photo=enrolled,
                identity="a",
                source_model="tiny",
                methods=["bim"],
                epsilons=[8],
                storage=protector_pb2.Storage(png=protector_pb2.PngStorage()),
            )
            cloaks += [response.cloak async for response in stub.Craft(request)]
    assert cloaks[0] == cloaks[1]


def digest_of(folder: Path) -> str:
    lines = sorted(f"{file.parent.name}\t{hashlib.sha256(file.read_bytes()).hexdigest()}" for file in folder.glob("*/*"))
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def image_of(pixels: np.ndarray[tuple[int, ...], np.dtype[np.int64]]) -> torch.Tensor:
    return torch.tensor(pixels).permute(2, 0, 1).float()[None]
