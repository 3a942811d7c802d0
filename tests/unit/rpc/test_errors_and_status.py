"""Errors on a real wire: what a client learns of those that are its own, and that it learns nothing of the others."""

import asyncio
import json
import logging
import re
import traceback
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, NoReturn

import grpc
import pytest
from deid.invader.v1 import invader_pb2
from deid.protector.v1 import protector_pb2, protector_pb2_grpc
from google.protobuf.any_pb2 import Any as AnyMessage
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo, RetryInfo
from google.rpc.status_pb2 import Status

from rpc.channel import open_channel
from rpc.errors import (
    BUSY,
    NO_FACE,
    NOT_FOUND,
    FieldViolation,
    ServiceError,
    busy,
    invalid_argument,
    not_found,
    shorten,
)
from rpc.images.limits import ImageLimits
from rpc.interceptor import wrapped
from rpc.logs import JsonFormatter, request_id
from rpc.server import ALL_REASONS, Server
from rpc.status import ReceivedError, received
from tests.support.serving import Classify, Context, ask, serving, started

SECRET = "/srv/weights/senet50.pkl: embedding [0.1, 0.2]"
INCIDENT = re.compile(r"internal error, incident [0-9a-f]{16}")


def raising(error: BaseException) -> Classify:
    async def classify(request: invader_pb2.ClassifyRequest, context: Context) -> NoReturn:
        raise error

    return classify


async def failure_of(classify: Classify, *, disclosed: frozenset[str] = ALL_REASONS) -> grpc.aio.AioRpcError:
    async with serving(classify=classify, disclosed=disclosed) as channel:
        with pytest.raises(grpc.aio.AioRpcError) as failure:
            await ask(channel)
    return failure.value


def trailers(error: grpc.aio.AioRpcError) -> dict[str, str | bytes]:
    return dict(error.trailing_metadata() or ())


def details(error: grpc.aio.AioRpcError) -> tuple[Status, ErrorInfo, BadRequest | None]:
    sent = trailers(error)["grpc-status-details-bin"]
    assert isinstance(sent, bytes)
    status, info, bad_request = Status.FromString(sent), ErrorInfo(), BadRequest()
    assert status.details[0].Unpack(info)
    if len(status.details) == 1:
        return status, info, None
    assert len(status.details) == 2
    assert status.details[1].Unpack(bad_request)
    return status, info, bad_request


async def test_a_field_violation_arrives_with_code_reason_and_field() -> None:
    error = await failure_of(raising(invalid_argument("photo", expected="a face", actual="none", reason=NO_FACE)))
    status, info, bad_request = details(error)
    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert error.details() == status.message == "photo: expected a face, got none"
    assert status.code == 3
    assert (info.reason, info.domain, dict(info.metadata)) == ("NO_FACE", "deid", {})
    assert bad_request is not None
    (violation,) = bad_request.field_violations
    assert (violation.field, violation.description) == ("photo", "expected a face, got none")
    assert received(error).reason == NO_FACE


async def test_what_is_not_found_arrives_with_a_few_names_that_would_have_been() -> None:
    error = await failure_of(raising(not_found("source_model", "vgg", known={"senet50", "facenet"})))
    assert error.code() is grpc.StatusCode.NOT_FOUND
    assert error.details() == "source_model: expected one of facenet, senet50, got 'vgg'"
    assert details(error)[1].reason == NOT_FOUND


async def test_a_busy_service_says_when_to_come_back() -> None:
    error = await failure_of(raising(busy("4 requests are waiting already", retry_after_ms=7)))
    assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert trailers(error)["grpc-retry-pushback-ms"] == "7"
    assert received(error).reason == BUSY
    assert received(error).retry_after_ms == 7
    assert details(error)[2] is None


async def test_an_error_without_pushback_sends_none() -> None:
    error = await failure_of(raising(invalid_argument("k", expected="1", actual="0")))
    assert trailers(error).keys() == {"grpc-status-details-bin"}
    assert received(error).retry_after_ms is None


bugs = pytest.mark.parametrize(
    "bug",
    [
        ValueError(SECRET),
        KeyError(SECRET),
        RuntimeError(SECRET, {"weights": 1}),
        ServiceError(SECRET, code=grpc.StatusCode.NOT_FOUND, reason="A_REASON_OF_NO_LIST"),
    ],
)


@bugs
async def test_a_bug_arrives_as_an_incident_and_nothing_of_it_leaves(bug: Exception) -> None:
    error = await failure_of(raising(bug))
    assert error.code() is grpc.StatusCode.INTERNAL
    assert INCIDENT.fullmatch(error.details() or "")
    assert trailers(error) == {}
    assert received(error) == ReceivedError(grpc.StatusCode.INTERNAL, None, error.details() or "")


@bugs
async def test_the_log_says_which_incident_it_was_and_where_but_not_what_was_raised(
    bug: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "rpc")
    classify = raising(bug)
    told = (await failure_of(classify)).details() or ""
    (record,) = (record for record in caplog.records if record.name.startswith("rpc."))
    fields = json.loads(JsonFormatter().format(record))
    assert fields["level"] == "error"
    assert told.endswith(fields["incident"])
    assert fields["error"] == type(bug).__name__
    assert fields["where"] == f"{Path(__file__).name}:{classify.__code__.co_firstlineno + 1}"
    assert not any(word in json.dumps(fields) for word in ("weights", "embedding"))


@bugs
async def test_at_level_debug_the_log_has_all_of_a_bug(bug: Exception, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "rpc")
    told = (await failure_of(raising(bug))).details() or ""
    (record,) = (record for record in caplog.records if record.name.startswith("rpc.") and record.exc_info)
    assert record.levelno == logging.DEBUG
    assert told.endswith(record.__dict__["incident"])
    assert record.exc_info is not None
    assert record.exc_info[1] is bug


@pytest.mark.parametrize("error", [ValueError(SECRET), invalid_argument("photo", expected="a face", actual=SECRET)])
async def test_what_leaves_the_interceptor_has_no_traceback_of_what_was_raised(error: Exception) -> None:
    left: asyncio.Queue[str] = asyncio.Queue()  # not before the client learns of it, necessarily

    class Outer(grpc.aio.ServerInterceptor):
        """Sees what tracing sees."""

        async def intercept_service(self, continuation: Any, handler_call_details: grpc.HandlerCallDetails) -> Any:
            return wrapped(await continuation(handler_call_details), unary=self._around, stream=lambda respond: respond)

        def _around(self, respond: Any) -> Any:
            async def around(request: object, context: Context) -> object:
                try:
                    return await respond(request, context)
                except Exception as leaving:
                    left.put_nowait("".join(traceback.format_exception(leaving)))
                    raise

            return around

    server = Server(address="127.0.0.1:0", limits=ImageLimits(), interceptors=[Outer()])
    async with started(server, classify=raising(error)), open_channel(server.address) as channel:
        with pytest.raises(grpc.aio.AioRpcError):
            await ask(channel)
        text = await asyncio.wait_for(left.get(), 30)
    assert "AbortError" in text
    assert "embedding" not in text


async def test_a_reason_that_this_service_does_not_disclose_is_treated_as_a_bug() -> None:
    withheld = invalid_argument("photo", expected="a face", actual=SECRET, reason=NO_FACE)
    error = await failure_of(raising(withheld), disclosed=frozenset({"INVALID_ARGUMENT"}))
    assert error.code() is grpc.StatusCode.INTERNAL
    assert INCIDENT.fullmatch(error.details() or "")
    assert trailers(error) == {}


async def test_every_incident_has_an_id_of_its_own() -> None:
    async with serving(classify=raising(ValueError(SECRET))) as channel:
        told = set()
        for _ in range(3):
            with pytest.raises(grpc.aio.AioRpcError) as failure:
                await ask(channel)
            told.add(failure.value.details())
    assert len(told) == 3


async def test_a_status_that_a_servicer_sends_itself_passes_as_it_is() -> None:
    async def classify(request: invader_pb2.ClassifyRequest, context: Context) -> invader_pb2.ClassifyResponse:
        await context.abort(grpc.StatusCode.DATA_LOSS, "by the servicer's own hand")
        return invader_pb2.ClassifyResponse()

    error = await failure_of(classify)
    assert (error.code(), error.details()) == (grpc.StatusCode.DATA_LOSS, "by the servicer's own hand")


async def test_a_call_without_an_error_passes_as_it_is() -> None:
    async def classify(request: invader_pb2.ClassifyRequest, context: Context) -> invader_pb2.ClassifyResponse:
        return invader_pb2.ClassifyResponse(face_found=True)

    async with serving(classify=classify) as channel:
        assert await ask(channel) == invader_pb2.ClassifyResponse(face_found=True)


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        (
            invalid_argument("photo", expected="a face", actual="none"),
            "INVALID_ARGUMENT",
            r"photo: expected a face, got none",
        ),
        (ValueError(SECRET), "INTERNAL", INCIDENT.pattern),
    ],
)
async def test_a_stream_that_fails_midway_has_sent_what_came_before(error: Exception, code: str, message: str) -> None:
    async def craft(request: protector_pb2.CraftRequest, context: Context) -> AsyncIterator[protector_pb2.CraftResponse]:
        for epsilon in (4, 8):
            yield protector_pb2.CraftResponse(epsilon=epsilon)
        raise error

    came: list[int] = []

    async def consume(channel: grpc.aio.Channel) -> None:
        async for response in protector_pb2_grpc.ProtectorServiceStub(channel).Craft(protector_pb2.CraftRequest()):
            came.append(response.epsilon)

    async with serving(craft=craft) as channel:
        with pytest.raises(grpc.aio.AioRpcError) as failure:
            await consume(channel)
    assert came == [4, 8]
    assert failure.value.code().name == code
    assert re.fullmatch(message, failure.value.details() or "")


async def test_a_client_that_goes_away_is_no_incident(caplog: pytest.LogCaptureFixture) -> None:
    entered, left = asyncio.Event(), asyncio.Event()

    async def classify(request: invader_pb2.ClassifyRequest, context: Context) -> invader_pb2.ClassifyResponse:
        entered.set()
        try:
            await asyncio.Event().wait()
        finally:
            left.set()
        return invader_pb2.ClassifyResponse()

    async with serving(classify=classify) as channel:
        asking = asyncio.create_task(ask(channel))
        await entered.wait()
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        await left.wait()
    errors = [record for record in caplog.records if record.levelno >= logging.ERROR]
    assert [record for record in errors if record.name.startswith("rpc.")] == []


@pytest.mark.parametrize(
    ("sent", "adopted"),
    [
        ({"x_request_id": "abc123"}, r"abc123"),
        ({}, r"[0-9a-f]{16}"),
        ({"x_request_id": "two words"}, r"[0-9a-f]{16}"),
        ({"x_request_id": "a" * 65}, r"[0-9a-f]{16}"),
    ],
)
async def test_a_request_has_the_id_that_its_client_gave_or_a_new_one(sent: dict[str, str], adopted: str) -> None:
    seen: list[str] = []

    async def classify(request: invader_pb2.ClassifyRequest, context: Context) -> invader_pb2.ClassifyResponse:
        seen.append(request_id.get())
        return invader_pb2.ClassifyResponse()

    async with serving(classify=classify) as channel:
        await ask(channel, **sent)
    (request,) = seen
    assert re.fullmatch(adopted, request)


def sending(*details_sent: object, code: int = 3, raw: bytes | None = None) -> Classify:
    """A service, not ours, that sends its own details."""

    async def classify(request: invader_pb2.ClassifyRequest, context: Context) -> invader_pb2.ClassifyResponse:
        status = Status(code=code, message="not so", details=details_sent)
        content = status.SerializeToString() if raw is None else raw
        await context.abort(grpc.StatusCode.INVALID_ARGUMENT, "not so", (("grpc-status-details-bin", content),))
        return invader_pb2.ClassifyResponse()

    return classify


def packed(message: object) -> AnyMessage:
    detail = AnyMessage()
    detail.Pack(message)  # type: ignore[arg-type]
    return detail


async def test_a_reason_is_found_among_other_details() -> None:
    error = await failure_of(sending(packed(RetryInfo()), packed(ErrorInfo(reason="OF_ANOTHER"))))
    assert received(error).reason == "OF_ANOTHER"


@pytest.mark.parametrize(
    "classify",
    [
        pytest.param(sending(), id="no details"),
        pytest.param(sending(packed(RetryInfo())), id="other details"),
        pytest.param(sending(packed(ErrorInfo(reason="X")), code=5), id="another code"),
        pytest.param(sending(raw=b"\xff\xff\xff not a status"), id="not a status"),
        pytest.param(
            sending(AnyMessage(type_url="type.googleapis.com/google.rpc.ErrorInfo", value=b"\xff\xff")),
            id="not an ErrorInfo",
        ),
    ],
)
async def test_details_that_are_missing_or_malformed_leave_no_reason(classify: Classify) -> None:
    told = received(await failure_of(classify))
    assert (told.code, told.reason, told.message) == (grpc.StatusCode.INVALID_ARGUMENT, None, "not so")


@pytest.mark.parametrize("sent", ["-1", "soon", ""])
async def test_a_time_to_come_back_that_is_below_zero_or_no_number_reads_as_never(sent: str) -> None:
    async def classify(request: invader_pb2.ClassifyRequest, context: Context) -> invader_pb2.ClassifyResponse:
        await context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, "not so", (("grpc-retry-pushback-ms", sent),))
        return invader_pb2.ClassifyResponse()

    read = received(await failure_of(classify)).retry_after_ms
    assert read is not None
    assert read < 0


def test_a_violation_reads_as_a_sentence() -> None:
    assert str(FieldViolation("k", "1..5", "0")) == "k: expected 1..5, got 0"


def test_of_many_known_names_none_is_told() -> None:
    told = not_found("identity", "x", known=[str(place) for place in range(11)])
    assert told.message == "identity: expected a name that the service lists, got 'x'"


def test_what_came_is_repeated_shortened() -> None:
    assert shorten("a" * 120) == "a" * 120
    assert shorten("a" * 121) == "a" * 119 + "…"
    assert len(not_found("identity", "x" * 100_000).message) < 250
