"""A service as a process: its exit statuses, what it says, and that what cannot be said ends nothing."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from importlib.metadata import version
from pathlib import Path
from typing import IO, Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from command_line.memory import NEEDED, WAY_OUT
from tests.support.ports import free_port

SECONDS = 120.0  # until a test that hangs fails
COMMAND = (sys.executable, "-m", "tests.support.lamp_service")
Process = asyncio.subprocess.Process


async def finished(*arguments: str, **options: Any) -> tuple[int | None, str, str]:
    """Exit status, standard output and standard error of the service that ends by itself."""
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(*COMMAND, *arguments, **({"stdout": pipe, "stderr": pipe} | options))
    out, err = await asyncio.wait_for(process.communicate(), SECONDS)
    return process.returncode, (out or b"").decode(), (err or b"").decode()


@asynccontextmanager
async def serving(**options: Any) -> AsyncIterator[Process]:
    """The service as a process, once it serves."""
    port = free_port()
    process = await asyncio.create_subprocess_exec(*COMMAND, "--health-port", str(port), **options)
    try:
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            stub: Any = health_pb2_grpc.HealthStub(channel)  # its stubs do not name its methods
            async for answer in stub.Watch(health_pb2.HealthCheckRequest(), wait_for_ready=True, timeout=SECONDS):
                if answer.status == health_pb2.HealthCheckResponse.SERVING:
                    break
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def ended(process: Process, number: signal.Signals = signal.SIGTERM) -> int | None:
    """The exit status after a signal."""
    process.send_signal(number)
    return await asyncio.wait_for(process.wait(), SECONDS)


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ("memory", f"not enough memory to start: {NEEDED}; {WAY_OUT}"),
        ("foreseen", "no bulb; screw one in"),
        ("unforeseen", "ValueError: the first line (--log-level debug says where)"),
        ("module", "No module named 'torch'; pip install 'face-deid-bench[services]' brings what services need"),
    ],
)
async def test_a_start_that_fails_is_one_line_and_status_2(fault: str, said: str) -> None:
    assert await finished("--fault", fault) == (2, "", f"lamp-service: {said}\n")


async def test_a_start_that_is_interrupted_is_one_line_and_status_130() -> None:
    assert await finished("--fault", "interrupt") == (130, "", "lamp-service: interrupted\n")


async def test_at_level_debug_the_log_says_where_a_start_failed() -> None:
    status, _, err = await finished("--fault", "unforeseen", "--log-level", "debug")
    *logged, said = err.splitlines()
    assert (status, said.startswith("lamp-service: ValueError")) == (2, True)
    assert any("lamp_service.py" in json.loads(line).get("traceback", "") for line in logged)


@pytest.mark.parametrize("arguments", [("--version",), ("--port", "x", "--version")])
async def test_the_version_is_that_of_the_package(arguments: tuple[str, ...]) -> None:
    assert await finished(*arguments) == (0, f"lamp-service {version('face-deid-bench')}\n", "")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
async def test_a_service_that_a_signal_stops_ends_with_status_0(number: signal.Signals) -> None:
    async with serving(stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL) as process:
        assert await ended(process, number) == 0


def full() -> IO[bytes]:
    """A file on a disk that is full."""
    return Path("/dev/full").open("wb")


def broken_pipe() -> IO[bytes]:
    """A pipe whose reader has gone."""
    read_end, write_end = os.pipe()
    os.close(read_end)
    return os.fdopen(write_end, "wb")


unwritable = pytest.mark.parametrize("stream", [full, broken_pipe])


@unwritable
async def test_a_service_whose_address_cannot_be_printed_goes_on(stream: Callable[[], IO[bytes]]) -> None:
    with stream() as stdout:
        async with serving(stdout=stdout, stderr=asyncio.subprocess.DEVNULL) as process:
            assert await ended(process) == 0


@unwritable
async def test_a_service_whose_log_cannot_be_written_goes_on(stream: Callable[[], IO[bytes]]) -> None:
    with stream() as stderr:
        async with serving(stdout=asyncio.subprocess.DEVNULL, stderr=stderr) as process:
            assert await ended(process) == 0


def closed(*descriptors: int) -> Callable[[], None]:
    """Closes standard streams between fork and exec."""

    def close() -> None:
        for descriptor in descriptors:
            os.close(descriptor)

    return close


def files_of(process: Process, descriptors: tuple[int, ...]) -> set[str]:
    return {str(Path(f"/proc/{process.pid}/fd/{number}").readlink()) for number in descriptors}


@pytest.mark.parametrize("descriptors", [(1,), (2,), (0, 1, 2)])
async def test_a_service_without_standard_streams_serves_and_lends_their_numbers_to_no_file(
    descriptors: tuple[int, ...],
) -> None:
    async with serving(preexec_fn=closed(*descriptors)) as process:
        assert files_of(process, descriptors) == {"/dev/null"}
        assert await ended(process) == 0


@unwritable
async def test_a_start_that_fails_has_its_status_whether_or_not_it_can_say_why(stream: Callable[[], IO[bytes]]) -> None:
    with stream() as stderr:
        assert (await finished("--fault", "foreseen", stderr=stderr))[0] == 2
        assert (await finished("--no-such-option", stderr=stderr))[0] == 2
    assert await finished("--fault", "foreseen", preexec_fn=closed(2)) == (2, "", "")


@unwritable
async def test_a_version_that_nobody_reads_is_no_failure(stream: Callable[[], IO[bytes]]) -> None:
    with stream() as stdout:
        status, _, err = await finished("--version", stdout=stdout)
    assert (status, err) == (0, "")


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
async def test_what_a_stream_s_encoding_lacks_is_written_as_escapes(encoding: str) -> None:
    environment = os.environ | {"PYTHONIOENCODING": encoding, "PYTHONUTF8": "0"}
    status, _, err = await finished("--log-level", "李雷", env=environment)
    assert status == 2
    assert ("李雷" if encoding == "utf-8" else r"\u674e\u96f7") in err


async def test_a_closed_standard_input_stops_a_service_that_is_to_stop_with_it() -> None:
    status, out, err = await finished("--stop-with-stdin", "true", preexec_fn=closed(0))
    assert status == 0
    assert out.startswith("listening on ")
    assert "Traceback" not in err
