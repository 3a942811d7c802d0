"""What a request may hold beside its image, judged against protobuf's own serializer and parser."""

import hypothesis.strategies as st
import pytest
from deid.invader.v1 import invader_pb2
from deid.protector.v1 import protector_pb2
from google.protobuf.message import DecodeError
from hypothesis import given, settings

from rpc.envelope import MAX_BYTES, MAX_FIELDS, check_envelope, image_fields
from rpc.errors import ServiceError

CRAFT, CLASSIFY = "/deid.protector.v1.ProtectorService/Craft", "/deid.invader.v1.InvaderService/Classify"
PHOTO = frozenset({1})
SIXTEEN_MEBIBYTES = 16 * 2**20
WHOLE = protector_pb2.CraftRequest(
    photo=b"\xff" * 1000,
    identity="n000001",
    source_model="facenet",
    methods=["bim", "illc"],
    epsilons=range(256),
    storage=protector_pb2.Storage(jpeg=protector_pb2.JpegStorage(quality=95)),
    seed=2**64 - 1,
)


def refusal(request: bytes) -> str:
    with pytest.raises(ServiceError) as refused:
        check_envelope(request, images=PHOTO)
    assert refused.value.code.name == "INVALID_ARGUMENT"
    return refused.value.message


def test_the_image_of_a_request_is_what_its_schema_has_bytes_for() -> None:
    assert image_fields(CRAFT) == frozenset({protector_pb2.CraftRequest.PHOTO_FIELD_NUMBER}) == PHOTO
    assert image_fields(CLASSIFY) == frozenset({invader_pb2.ClassifyRequest.IMAGE_FIELD_NUMBER})
    assert image_fields("/deid.invader.v1.InvaderService/ListIdentities") == frozenset()


@pytest.mark.parametrize("method", ["/deid.invader.v1.InvaderService/Enrol", "/deid.other.v1.Other/Classify", "", "/"])
def test_a_method_of_no_schema_has_none(method: str) -> None:
    assert image_fields(method) is None


@pytest.mark.parametrize("request_", [WHOLE, protector_pb2.CraftRequest()])
def test_a_usual_request_is_taken(request_: protector_pb2.CraftRequest) -> None:
    check_envelope(request_.SerializeToString(), images=PHOTO)


def test_an_image_is_taken_whatever_its_size_and_wherever_it_stands() -> None:
    image = protector_pb2.CraftRequest(photo=bytes(SIXTEEN_MEBIBYTES)).SerializeToString()
    check_envelope(image, images=PHOTO)
    check_envelope(WHOLE.SerializeToString() + image, images=PHOTO)


@pytest.mark.parametrize(
    "request_",
    [
        protector_pb2.CraftRequest(photo=b"a face", epsilons=[1] * SIXTEEN_MEBIBYTES),
        protector_pb2.CraftRequest(photo=b"a face", identity="a" * SIXTEEN_MEBIBYTES),
        protector_pb2.CraftRequest(methods=["a" * 1000] * 1000),
    ],
    ids=["numbers", "a long name", "long names"],
)
def test_much_beside_the_image_is_refused_with_how_much(request_: protector_pb2.CraftRequest) -> None:
    request = request_.SerializeToString()
    beside = len(request) - len(request_.photo)
    expected = f"at most {MAX_BYTES} bytes and {MAX_FIELDS} fields beside its image"
    assert refusal(request) == f"request: expected {expected}, got {beside} bytes"


class Counted(bytes):
    """A request of which a test sees how many bytes were looked at."""

    looked_at = 0

    def __getitem__(self, place: object) -> int:  # type: ignore[override]
        type(self).looked_at += 1
        return super().__getitem__(place)  # type: ignore[call-overload, no-any-return]


def test_of_many_small_fields_few_are_looked_at() -> None:
    request = Counted(protector_pb2.CraftRequest(methods=[""] * 1_000_000).SerializeToString())
    assert refusal(request).endswith("got 2000000 bytes in more fields")
    assert Counted.looked_at <= 4 * 10 * MAX_FIELDS


@settings(deadline=None)
@given(st.binary(max_size=40))
def test_whatever_protobuf_parses_is_taken(request: bytes) -> None:
    try:
        protector_pb2.CraftRequest.FromString(request)
    except DecodeError:
        return
    check_envelope(request, images=PHOTO)


@pytest.mark.parametrize(
    "request_", [b"\xff\xff\xff", b"\x08", b"\x0a\x05abc", b"\x0e", b"\x0f", b"\x80" * 11, b"\x09abc", b"\x0d"]
)
def test_what_ends_too_early_or_has_no_such_field_is_no_message(request_: bytes) -> None:
    with pytest.raises(DecodeError):
        protector_pb2.CraftRequest.FromString(request_)
    assert refusal(request_) == f"request: expected a message of the schema, got {len(request_)} other bytes"
