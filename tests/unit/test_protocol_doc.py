"""docs/protocol.md against the schema, the errors and the limits: what it says is what is so, and nothing is left out."""

import re
import tomllib
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable
from hashlib import sha256
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
import torch
from deid.gallery.v1 import gallery_pb2
from deid.invader.v1 import invader_pb2
from deid.protector.v1 import protector_pb2
from google.protobuf.descriptor import EnumDescriptor, FieldDescriptor
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo
from google.rpc.status_pb2 import Status
from grpc_health.v1 import health_pb2, health_pb2_grpc

import rpc.errors
from gallery_service.errors import ClientGalleryError, Reason
from gallery_service.refusals import refusal
from gallery_service.servicer import MAX_IDENTITY
from invader_service.classifier import PROBABILITY_DECIMALS
from invader_service.config import InvaderSettings
from invader_service.ledger import QueryLedger
from invader_service.rate_limit import RateLimit
from invader_service.serve import DISCLOSED
from orchestrator.experiment.grid import EPSILONS
from orchestrator.services.invader import CLASSIFY_SECONDS
from orchestrator.services.model_catalogue import LIST_SECONDS
from orchestrator.services.protector import CRAFT_SECONDS
from protector_service.capacity import CHANNELS, CLOAK, DECODING, METHOD
from protector_service.config import ProtectorSettings
from protector_service.methods.asks import Cloak
from protector_service.methods.method import MethodJob
from protector_service.methods.noise import RandomNoise
from protector_service.methods.trajectory import iterations
from protector_service.request import MAX_EPSILON
from recognizers.networks.gallery import EnrolledPhoto, Gallery
from recognizers.networks.label_set import LabelSet
from rpc.channel import KEEPALIVE_MS, KEEPALIVE_TIMEOUT_MS
from rpc.errors import FieldViolation, ServiceError
from rpc.images.limits import (
    MAX_PARTS,
    MAX_SCANS,
    MAX_SIDE,
    ImageLimits,
)
from rpc.interceptor import REQUEST_ID_KEY
from rpc.models_digest import MODELS_DIGEST_KEY
from rpc.paging import MAX_PER_PAGE
from rpc.server import ALL_REASONS, Server
from rpc.status import DOMAIN, PUSHBACK_KEY, STATUS_KEY, trailers_of
from tests.support.services import serving_invader

ROOT = Path(__file__).parents[2]
DOCUMENT = (ROOT / "docs" / "protocol.md").read_text(encoding="utf-8")
PROSE = " ".join(DOCUMENT.split())  # however its lines are broken
SCHEMAS = (protector_pb2.DESCRIPTOR, invader_pb2.DESCRIPTOR, gallery_pb2.DESCRIPTOR)
MESSAGES = [message for schema in SCHEMAS for message in schema.message_types_by_name.values()]
ENUMS = [enum for schema in SCHEMAS for enum in schema.enum_types_by_name.values()]
SCALARS = {
    FieldDescriptor.TYPE_BOOL: "bool",
    FieldDescriptor.TYPE_BYTES: "bytes",
    FieldDescriptor.TYPE_DOUBLE: "double",
    FieldDescriptor.TYPE_INT32: "int32",
    FieldDescriptor.TYPE_INT64: "int64",
    FieldDescriptor.TYPE_STRING: "string",
    FieldDescriptor.TYPE_UINT64: "uint64",
}

Row = list[str]


def section(heading: str) -> str:
    """What stands under a heading, up to the next one of any level."""
    parts = DOCUMENT.split(f"\n{heading}\n")
    assert len(parts) == 2, f"expected one heading {heading!r}, got {len(parts) - 1}"
    return re.split(r"^#+ ", parts[1], maxsplit=1, flags=re.MULTILINE)[0]


def table(text: str, *, first_column: str) -> list[Row]:
    """The rows of the one table whose first column is so called, without its head."""
    tables: list[list[Row]] = []
    for block in re.findall(r"(?:^\|.*\|\n)+", text, flags=re.MULTILINE):
        rows = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in block.splitlines()]
        if rows[0][0] == first_column:
            tables.append(rows[2:])
    assert len(tables) == 1, f"expected one table of {first_column}, got {len(tables)}"
    return tables[0]


def code(cell: str) -> str:
    """A cell that is one name in backquotes."""
    assert cell.startswith("`"), cell
    assert cell.endswith("`"), cell
    return cell.strip("`")


def documented(kind: str) -> list[str]:
    return re.findall(rf"^### {kind} `([\w.]+)`$", DOCUMENT, flags=re.MULTILINE)


def type_of(field: FieldDescriptor) -> str:
    """A field's type in the words of the schema's own language."""
    kind = field.message_type or field.enum_type
    if field.message_type and is_map(field):
        return f"map<{', '.join(type_of(each) for each in field.message_type.fields)}>"
    name = kind.name if kind is not None else SCALARS[field.type]
    if field.is_repeated:
        return f"repeated {name}"
    if field.containing_oneof is None:
        return name
    optional = field.containing_oneof.name == f"_{field.name}"  # protoc's own name for what is written `optional`
    return f"optional {name}" if optional else f"oneof {field.containing_oneof.name}: {name}"


def is_map(field: FieldDescriptor) -> bool:
    return bool(field.message_type and field.message_type.GetOptions().map_entry)


@pytest.mark.parametrize("message", MESSAGES, ids=lambda message: message.full_name)
def test_every_field_stands_in_its_message_s_table_by_number_name_and_type(message: Any) -> None:
    text = section(f"### Message `{message.full_name}`")
    expected = {(field.number, field.name, type_of(field)) for field in message.fields}
    if not expected:
        assert "No fields." in text
        return
    rows = table(text, first_column="number")
    assert {(int(row[0]), code(row[1]), row[2]) for row in rows} == expected
    assert len(rows) == len(expected)
    assert all(row[3] for row in rows), "every field's meaning is told"


@pytest.mark.parametrize("enum", ENUMS, ids=lambda enum: enum.full_name)
def test_every_value_stands_in_its_enum_s_table(enum: EnumDescriptor) -> None:
    rows = table(section(f"### Enum `{enum.full_name}`"), first_column="number")
    assert {(int(row[0]), code(row[1])) for row in rows} == {(value.number, value.name) for value in enum.values}
    assert all(row[2] for row in rows)


def test_no_message_and_no_enum_is_told_of_that_the_schema_does_not_have() -> None:
    assert sorted(documented("Message")) == sorted(message.full_name for message in MESSAGES)
    assert sorted(documented("Enum")) == sorted(enum.full_name for enum in ENUMS)
    nested = {each for message in MESSAGES for each in (*message.nested_types, *message.enum_types)}
    assert nested == {field.message_type for message in MESSAGES for field in message.fields if is_map(field)}


def test_the_table_of_rpcs_is_the_schema_s() -> None:
    expected = {
        (
            f"{service.full_name}/{method.name}",
            f"`{method.input_type.name}`",
            f"stream of `{method.output_type.name}`" if method.server_streaming else f"`{method.output_type.name}`",
        )
        for schema in SCHEMAS
        for service in schema.services_by_name.values()
        for method in service.methods
        if not method.client_streaming
    }
    assert {(code(row[0]), row[1], row[2]) for row in table(section("## Transport"), first_column="RPC")} == expected


async def raised(action: Callable[[], Coroutine[Any, Any, object]]) -> ServiceError:
    """What the second of two such actions raises."""
    await action()
    with pytest.raises(ServiceError) as failure:
        await action()
    return failure.value


async def errors() -> AsyncIterator[ServiceError]:
    """One of each reason but that of identities which are not listed, which only a servicer makes."""
    yield rpc.errors.invalid_argument("k", expected="1", actual="2")
    yield rpc.errors.invalid_argument("photo", expected="a face", actual="none", reason=rpc.errors.NO_FACE)
    yield rpc.errors.not_found("identity", "nobody")
    yield rpc.errors.busy("so it is", retry_after_ms=500)
    yield rpc.errors.too_slow(60)
    ledger = QueryLedger(None, budget=1)
    yield await raised(lambda: ledger.charge("client"))
    rate_limit = RateLimit(1, clock=lambda: 0)
    yield await raised(lambda: rate_limit.admit("client"))
    for reason in Reason:
        if reason is not Reason.NOT_FOUND:
            yield refusal(ClientGalleryError(reason, expected="a", actual="b"), field="gallery")


def reasons() -> dict[str, Row]:
    return {code(row[0]): row for row in table(section("### Reasons"), first_column="reason")}


def all_reasons() -> set[str]:
    """The constants of `rpc.errors` that spell themselves."""
    return {name for name, value in vars(rpc.errors).items() if isinstance(value, str) and name == value}


def test_every_reason_stands_in_the_table_with_who_sends_it() -> None:
    told = reasons()
    assert told.keys() == all_reasons()
    assert {reason for reason, row in told.items() if row[2] in ("both", "invader")} == DISCLOSED
    assert {reason for reason, row in told.items() if row[2] in ("both", "protector")} <= ALL_REASONS
    assert {row[2] for row in told.values()} == {"both", "protector", "invader"}


async def test_every_reason_comes_with_the_code_the_details_and_the_pushback_of_the_table() -> None:
    told = reasons()
    made = {error.reason: error async for error in errors()}
    assert made.keys() == told.keys() - {rpc.errors.IDENTITIES_NOT_LISTED}
    for reason, error in made.items():
        _, status_code, _, bad_request, _, again = told[reason]
        assert code(status_code) == error.code.name
        assert bad_request.startswith("yes") == (error.violation is not None)
        assert again.startswith("after the pushback") == (error.retry_after_ms is not None and error.retry_after_ms >= 0)
        assert (again == "never") == (error.retry_after_ms == rpc.errors.NEVER_AGAIN)
    async with serving_invader(list_identities=False) as service:
        ask: Any = service.channel.unary_unary(
            "/deid.invader.v1.InvaderService/ListIdentities",
            request_serializer=invader_pb2.ListIdentitiesRequest.SerializeToString,
        )
        with pytest.raises(grpc.aio.AioRpcError) as failure:
            await ask(invader_pb2.ListIdentitiesRequest(target_model="small"), timeout=60)
    assert failure.value.code().name == code(told[rpc.errors.IDENTITIES_NOT_LISTED][1])


def test_the_error_details_are_laid_out_as_told() -> None:
    violation = FieldViolation("methods[1]", "a", "b")
    error = ServiceError(str(violation), code=grpc.StatusCode.NOT_FOUND, reason="NOT_FOUND", violation=violation)
    (key, sent), *others = trailers_of(error)
    assert isinstance(sent, bytes)
    status, info, bad_request = Status.FromString(sent), ErrorInfo(), BadRequest()
    first, second = status.details
    assert first.Unpack(info)
    assert second.Unpack(bad_request)
    assert not others
    for told in (first.type_url, second.type_url, info.domain):
        assert f"`{told}`" in DOCUMENT
    metadata = {code(row[0]) for row in table(section("### Metadata"), first_column="key")}
    assert metadata == {key, PUSHBACK_KEY, REQUEST_ID_KEY, MODELS_DIGEST_KEY}
    assert info.domain == DOMAIN
    assert key == STATUS_KEY
    assert f"{violation.field}: expected {violation.expected}, got {violation.actual}" == status.message
    assert "`FIELD: expected X, got Y`" in DOCUMENT
    layout = {code(row[0]): set(re.findall(r"(\w+) = (\d+)", row[1])) for row in table(DOCUMENT, first_column="message")}
    for message in (Status, ErrorInfo, BadRequest, type(first)):
        assert layout[message.DESCRIPTOR.full_name] == numbered(message.DESCRIPTOR.fields)
    assert layout[BadRequest.FieldViolation.DESCRIPTOR.full_name] <= numbered(BadRequest.FieldViolation.DESCRIPTOR.fields)


def numbered(fields: Iterable[FieldDescriptor]) -> set[tuple[str, str]]:
    return {(field.name, str(field.number)) for field in fields}


def limits() -> dict[str, int]:
    return {row[0]: int(row[1].replace(",", "")) for row in table(section("## Limits"), first_column="limit")}


def test_the_limits_are_those_of_the_code() -> None:
    images = ImageLimits()
    invader, protector = InvaderSettings.model_fields, ProtectorSettings.model_fields
    told = limits()
    told.pop("message")  # see below
    assert told == {
        "encoded image": images.max_bytes,
        "pixels": images.max_pixels,
        "side": MAX_SIDE,
        "scans": MAX_SCANS,
        "parts": MAX_PARTS,
        "epsilon": MAX_EPSILON,
        "memory": protector["max_bytes_in_flight"].default,
        "page": MAX_PER_PAGE,
        "candidates": invader["max_candidates"].default,
        "seconds": invader["max_seconds"].default,
        "decimals": PROBABILITY_DECIMALS,
    }
    assert f"{CHANNELS * DECODING} bytes for each pixel that a photo's header states" in PROSE
    assert f"{CHANNELS * METHOD} bytes times the methods requested and {CHANNELS * CLOAK} times the cloaks" in PROSE
    assert f"1..{MAX_PER_PAGE}; 0" in DOCUMENT
    assert f"each 0..{MAX_EPSILON}" in DOCUMENT
    assert f"rounded to {PROBABILITY_DECIMALS} decimal places" in DOCUMENT


def test_the_bounds_of_a_client_are_the_settings() -> None:
    told = {row[0]: int(row[1].replace(",", "")) for row in table(section("### Bounds of a client"), first_column="bound")}
    for settings in (InvaderSettings.model_fields, ProtectorSettings.model_fields):
        assert told == {
            "galleries": settings["client_galleries"].default,
            "identities": settings["gallery_identities"].default,
            "photos": settings["gallery_pictures"].default,
            "seconds": settings["gallery_seconds"].default,
            "identity": MAX_IDENTITY,
        }


@pytest.mark.parametrize(("beyond", "status"), [(0, grpc.StatusCode.NOT_FOUND), (1, grpc.StatusCode.RESOURCE_EXHAUSTED)])
async def test_a_message_of_the_largest_size_is_taken_and_one_of_a_byte_more_is_not(
    beyond: int, status: grpc.StatusCode
) -> None:
    size = limits()["message"] + beyond
    head = len(health_pb2.HealthCheckRequest(service="x" * size).SerializeToString()) - size
    request = health_pb2.HealthCheckRequest(service="x" * (size - head))
    assert len(request.SerializeToString()) == size
    server = Server(address="127.0.0.1:0", limits=ImageLimits())
    await server.start([])
    unbounded = [("grpc.max_send_message_length", -1)]
    async with grpc.aio.insecure_channel(server.address, options=unbounded) as channel:
        stub: Any = health_pb2_grpc.HealthStub(channel)
        with pytest.raises(grpc.aio.AioRpcError) as failure:
            await stub.Check(request, timeout=60)
    await server.stop(None)
    assert failure.value.code() is status


def test_the_deadlines_are_the_client_s() -> None:
    told = re.search(r"are (\d+) s for the List calls, (\d+) s for `Craft` and (\d+) s for `Classify`", PROSE)
    assert told is not None
    assert [float(each) for each in told.groups()] == [LIST_SECONDS, CRAFT_SECONDS, CLASSIFY_SECONDS]


def test_pings_come_as_often_as_the_client_s() -> None:
    told = re.search(r"every (\d+) seconds while calls are under way.*? within (\d+) seconds more", PROSE)
    assert told is not None
    assert [1000 * int(each) for each in told.groups()] == [KEEPALIVE_MS, KEEPALIVE_TIMEOUT_MS]


def test_the_digest_of_a_label_set_is_the_example_s() -> None:
    identities = ("n000001", "n000002")
    assert f"For the two identities `{identities[0]}` and `{identities[1]}` it is `{LabelSet(identities).sha256}`" in PROSE
    assert LabelSet(identities).sha256 == sha256(b"n000001\nn000002").hexdigest()


def test_the_digest_of_a_gallery_is_the_example_s() -> None:
    told = re.search(
        r"photos of `(\w+)`, files of the three bytes `(\w+)` and of the three bytes `(\w+)`, and one of `(\w+)`, of the "
        r"five bytes `(\w+)`, it is `(\w+)`",
        PROSE,
    )
    assert told is not None
    first, one, two, second, three, digest = told.groups()
    files = ((second, three), (first, one), (first, two))
    photos = tuple(EnrolledPhoto(identity, sha256(file.encode()).hexdigest()) for identity, file in files)
    assert Gallery(photos).sha256 == digest
    lines = sorted(f"{photo.identity}\t{photo.sha256}" for photo in photos)
    assert sha256("\n".join(lines).encode()).hexdigest() == digest


def test_the_project_s_own_methods_are_reserved_and_their_steps_tabulated() -> None:
    reserved = table(section("#### Methods"), first_column="name")
    own = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["entry-points"]["protector_service.methods"]
    assert {code(row[0]) for row in reserved} == own.keys()
    heads, steps = re.findall(r"^\| (?:epsilon|`n_iter`) \| ([\d |]+) \|$", DOCUMENT, flags=re.MULTILINE)
    epsilons = [int(each) for each in heads.split(" | ")]
    assert set(EPSILONS) <= set(epsilons)
    assert [int(each) for each in steps.split(" | ")] == [iterations(epsilon) for epsilon in epsilons]


def test_the_noise_of_the_example_is_the_protector_s() -> None:
    told = re.search(
        r"For seed (\d+), epsilon (\d+) and the probe of 2 x 2 pixels `(.*?)` \(first row\) `(.*?)` \(second row\) "
        r"it is `(.*?)` and `(.*?)`",
        PROSE,
    )
    assert told is not None
    seed, epsilon, *rows = told.groups()
    samples = np.array([[int(each) for each in row.replace("|", " ").split()] for row in rows]).reshape(2, 2, 2, 3)
    probe, expected = samples
    x_0 = torch.tensor(probe, dtype=torch.float32).permute(2, 0, 1)
    (cloak,) = RandomNoise().craft(MethodJob("noise", x_0, (int(epsilon),), y_true=0, seed=int(seed)))
    assert isinstance(cloak, Cloak)
    assert cloak.image.permute(1, 2, 0).tolist() == expected.tolist()
    assert np.abs(expected - probe).max() == int(epsilon)


def test_links_within_the_document_lead_somewhere() -> None:
    headings = re.findall(r"^#+ (.*)$", DOCUMENT, flags=re.MULTILINE)
    anchors = {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}
    linked = re.findall(r"\]\(#([\w-]+)\)", DOCUMENT)
    assert linked
    assert set(linked) <= anchors
