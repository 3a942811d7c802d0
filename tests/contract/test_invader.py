"""The invader over a real channel: what the conformance suite (test_conformance.py) cannot see from outside."""

import re
from typing import Any

import grpc
import pytest
import torch
from deid.invader.v1 import invader_pb2, invader_pb2_grpc
from deid.protector.v1 import protector_pb2, protector_pb2_grpc
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from torch import Tensor

from invader_service.classifier import ranked
from recognizers.extraction import EXTRACTION_RULE
from rpc.status import received
from tests.support.drawn_faces import jpeg
from tests.support.networks import SmallRecognizer, decoded, probe
from tests.support.services import INVADER, Serving, serving_invader, serving_protector, small_recognizer

BAD = "INVALID_ARGUMENT"
IMAGE = jpeg(probe(side=64))

ALLOWED_FIELDS = {
    "ClassifyRequest": {"image", "target_models", "k", "region", "gallery"},
    "ClassifyResponse": {"face_found", "classifications", "queries_left"},
    "Classification": {"target_model", "candidates", "reached"},
    "Reached": {"threshold", "candidates"},
    "Candidate": {"identity", "probability"},
    "ListTargetModelsRequest": set(),
    "ListTargetModelsResponse": {"target_models", "queries_left", "disclosure", "enrols"},
    "TargetModel": {
        *("name", "identities", "label_set_sha256", "max_candidates", "extraction", "regions"),
        *("kind", "matching", "gallery_sha256", "thresholds"),
    },
    "Threshold": {"name", "comparisons", "false_positives"},
    "ListIdentitiesRequest": {"target_model", "page_size", "page_token"},
    "ListIdentitiesResponse": {"identities", "next_page_token"},
}
METHODS = {"Classify", "ListTargetModels", "ListIdentities"}


async def classify(service: Serving, **changes: Any) -> invader_pb2.ClassifyResponse:
    fields: dict[str, Any] = {"image": IMAGE, "target_models": ["small", "large"], "k": 3}
    stub = invader_pb2_grpc.InvaderServiceStub(service.channel)
    return await stub.Classify(invader_pb2.ClassifyRequest(**(fields | changes)), timeout=60)


def test_the_descriptors_have_no_field_beyond_the_allowed_ones() -> None:
    messages: dict[str, Descriptor] = dict(invader_pb2.DESCRIPTOR.message_types_by_name)
    assert {name: {field.name for field in message.fields} for name, message in messages.items()} == ALLOWED_FIELDS
    (service,) = invader_pb2.DESCRIPTOR.services_by_name.values()
    assert {method.name for method in service.methods} == METHODS
    bytes_fields = [
        field.full_name
        for message in messages.values()
        for field in message.fields
        if field.type == FieldDescriptor.TYPE_BYTES
    ]
    assert bytes_fields == ["deid.invader.v1.ClassifyRequest.image"], "nothing opaque leaves"


async def test_the_list_says_how_many_candidates_can_be_had() -> None:
    async with serving_invader(max_candidates=50) as service:
        stub = invader_pb2_grpc.InvaderServiceStub(service.channel)
        listed = (await stub.ListTargetModels(invader_pb2.ListTargetModelsRequest())).target_models
    expected = invader_pb2.TargetModel(
        identities=7,
        max_candidates=7,
        label_set_sha256=small_recognizer().label_set.sha256,
        extraction=EXTRACTION_RULE,
        regions=[invader_pb2.REGION_DETECTED, invader_pb2.REGION_FULL],
        kind=invader_pb2.MODEL_KIND_CLASSIFIER,
    )
    for model in listed:
        expected.name = model.name
        assert model == expected
    assert [model.name for model in listed] == ["large", "small"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"image": b"nothing"}, "image: expected a JPEG or PNG image, got 7 other bytes"),
        ({"image": IMAGE[:300]}, "image: expected a whole image, got a truncated JPEG: it ends within its header"),
        ({"k": 0}, "k: expected 1..5 candidates of small, got 0"),
        ({"k": 6}, "k: expected 1..5 candidates of small, got 6"),
        ({"target_models": []}, "target_models: expected at least one target model, got none"),
        ({"target_models": ["small", "small"]}, "target_models: expected no repetition, got small twice"),
        ({"target_models": ["vgg"]}, "target_models[0]: expected one of large, small, got 'vgg'"),
        ({"target_models": ["vgg"] * 4000}, "target_models[0]: expected one of large, small, got 'vgg'"),
        ({"target_models": ["small", "large"] * 2000}, "target_models: expected no repetition, got small twice"),
        (
            {"image": b"", "target_models": ["small"] * 10**5},
            "request: expected at most 65536 bytes and 4096 fields beside its image, got 700002 bytes in more fields",
        ),
    ],
)
async def test_bad_input_is_told_what_was_expected_and_what_came(changes: dict[str, Any], message: str) -> None:
    async with serving_invader() as service:
        with pytest.raises(grpc.aio.AioRpcError) as failure:
            await classify(service, **changes)
    assert received(failure.value).message == message


@pytest.mark.parametrize("method", sorted(METHODS))
async def test_bytes_that_are_no_request_are_refused_and_no_parser_s_words_are_told(method: str) -> None:
    async with serving_invader() as service:
        ask: Any = service.channel.unary_unary(f"/{INVADER}/{method}")
        with pytest.raises(grpc.aio.AioRpcError) as failure:
            await ask(b"\xff\xff\xff", timeout=60)
    told = received(failure.value)
    assert (told.code.name, told.reason) == (BAD, BAD)
    assert told.message == "request: expected a message of the schema, got 3 other bytes"


async def test_identities_are_not_listed_where_that_is_switched_off() -> None:
    request = invader_pb2.ListIdentitiesRequest(target_model="small")
    async with serving_invader(list_identities=False) as service:
        with pytest.raises(grpc.aio.AioRpcError) as failure:
            await invader_pb2_grpc.InvaderServiceStub(service.channel).ListIdentities(request)
    assert failure.value.code() is grpc.StatusCode.PERMISSION_DENIED
    assert received(failure.value).reason == "IDENTITIES_NOT_LISTED"


class BrokenRecognizer(SmallRecognizer):
    """Fails with all that must not leave the invader in its message."""

    def logits(self, images: Tensor) -> Tensor:
        raise RuntimeError("/srv/weights/senet50.pkl: conv1.weight is 0.7071, embedding [0.1, 0.2]")


async def test_a_bug_tells_an_incident_id_and_nothing_else() -> None:
    async with serving_invader({"small": BrokenRecognizer(dtype=torch.float32)}) as service:
        with pytest.raises(grpc.aio.AioRpcError) as failure:
            await classify(service, target_models=["small"])
    error = failure.value
    assert error.code() is grpc.StatusCode.INTERNAL
    assert re.fullmatch(r"internal error, incident [0-9a-f]{16}", error.details() or "")
    assert not any(key.startswith("grpc-status-details") for key, _ in error.trailing_metadata() or ())


async def test_protector_and_invader_extract_the_same_face() -> None:
    """Shown the photo itself, the invader answers as the source model does about the protector's probe."""
    recognizer = small_recognizer(input_size=32)
    photo = jpeg(probe(side=100))
    request = protector_pb2.CraftRequest(
        photo=photo,
        identity="identity_0",
        source_model="small",
        methods=["none"],
        storage=protector_pb2.Storage(png=protector_pb2.PngStorage()),
    )
    async with serving_protector(recognizer) as protector, serving_invader({"small": recognizer}) as invader:
        stub = protector_pb2_grpc.ProtectorServiceStub(protector.channel)
        (control,) = [response async for response in stub.Craft(request)]
        named = await classify(invader, image=photo, target_models=["small"], k=5)
    logits = recognizer.logits(torch.from_numpy(decoded(control.cloak)).permute(2, 0, 1).float()[None])[0]
    expected = [candidate.identity for candidate in ranked(logits, recognizer.label_set, k=5)]
    assert [candidate.identity for candidate in named.classifications[0].candidates] == expected
