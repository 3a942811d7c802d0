"""Health, asked in plain text from this machine, while the service itself wants certificates."""

import asyncio
import os
import sys
from typing import Any

import grpc
import pytest
from deid.invader.v1 import invader_pb2, invader_pb2_grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from rpc.certificates import Authority
from rpc.errors import AddressInUseError
from rpc.healthcheck import unhealthy
from rpc.images.limits import ImageLimits
from rpc.server import Server
from rpc.tls import TlsMaterial
from tests.support.certificates import material
from tests.support.ports import free_port
from tests.support.serving import Context, ask, started

AUTHORITY = Authority.create()
TLS = material(AUTHORITY, "invader", server=True)
SECONDS = 120  # until a test that hangs fails


def with_health_port(tls: TlsMaterial | None = TLS, *, health_port: int = 0) -> Server:
    return Server(address="127.0.0.1:0", limits=ImageLimits(), tls=tls, health_port=health_port)


async def answer(request: invader_pb2.ClassifyRequest, context: Context) -> invader_pb2.ClassifyResponse:
    return invader_pb2.ClassifyResponse(face_found=True)


async def test_a_service_that_is_serving_is_healthy_whether_or_not_it_wants_certificates() -> None:
    async with started(with_health_port()) as certified, started(with_health_port(tls=None)) as plain:
        assert await asyncio.to_thread(unhealthy, certified.health_port) is None
        assert await asyncio.to_thread(unhealthy, plain.health_port) is None


async def test_a_service_that_drains_is_not_healthy() -> None:
    async with started(with_health_port()) as server:
        await server.health.enter_graceful_shutdown()
        assert await asyncio.to_thread(unhealthy, server.health_port) == "NOT_SERVING"


def test_where_nothing_answers_the_port_is_named() -> None:
    port = free_port()
    assert unhealthy(port) == f"nothing answers on the health port {port}: UNAVAILABLE"


async def test_the_service_s_own_port_does_not_answer_health_in_plain_text() -> None:
    async with started(with_health_port()) as server:
        said = await asyncio.to_thread(unhealthy, server.port)
    assert said == f"nothing answers on the health port {server.port}: UNAVAILABLE"


async def test_the_health_port_answers_for_every_service_by_name() -> None:
    server = with_health_port()
    await server.start(["deid.invader.v1.InvaderService"])
    async with grpc.aio.insecure_channel(f"127.0.0.1:{server.health_port}") as channel:
        health: Any = health_pb2_grpc.HealthStub(channel)  # its stubs do not name its methods
        told = await health.Check(health_pb2.HealthCheckRequest(service="deid.invader.v1.InvaderService"), timeout=SECONDS)
    await server.stop(None)
    assert told.status == health_pb2.HealthCheckResponse.SERVING


async def test_the_health_port_answers_nothing_else() -> None:
    async with started(with_health_port(), classify=answer) as server:
        async with grpc.aio.insecure_channel(f"127.0.0.1:{server.health_port}") as channel:
            with pytest.raises(grpc.aio.AioRpcError) as failure:
                await ask(channel)
        client = material(AUTHORITY).channel_credentials()
        async with grpc.aio.secure_channel(f"localhost:{server.port}", client) as channel:
            assert (await invader_pb2_grpc.InvaderServiceStub(channel).Classify(invader_pb2.ClassifyRequest())).face_found
    assert failure.value.code() is grpc.StatusCode.UNIMPLEMENTED


async def test_a_health_port_that_is_taken_is_an_error_that_names_it() -> None:
    async with started(with_health_port()) as server:
        with pytest.raises(AddressInUseError, match=f"cannot listen on 127.0.0.1:{server.health_port}: the port is taken"):
            with_health_port(health_port=server.health_port)


async def test_a_stopped_server_gives_its_health_port_back() -> None:
    async with started(with_health_port()) as server:
        port = server.health_port
    async with started(with_health_port(health_port=port)):
        assert await asyncio.to_thread(unhealthy, port) is None


async def test_a_proxy_that_the_environment_names_is_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{free_port()}")
    monkeypatch.delenv("no_proxy", raising=False)
    async with started(with_health_port()) as server:
        assert await asyncio.to_thread(unhealthy, server.health_port) is None


async def healthcheck(program: str, *arguments: str, **environment: str) -> tuple[int | None, str, str]:
    """Exit status, standard output and standard error of the subcommand, in a process of its own."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", program, "healthcheck", *arguments),
        env=os.environ | environment,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await asyncio.wait_for(process.communicate(), SECONDS)
    return process.returncode, out.decode(), err.decode()


programs = pytest.mark.parametrize("program", ["protector_service", "invader_service"])


@programs
async def test_the_subcommand_ends_with_0_and_no_word_where_the_service_is_serving(program: str) -> None:
    async with started(with_health_port()) as server:
        assert await healthcheck(program, "--health-port", str(server.health_port)) == (0, "", "")


async def test_the_subcommand_reads_the_environment_that_the_service_reads() -> None:
    async with started(with_health_port()) as server:
        given = {"DEID_INVADER_HEALTH_PORT": str(server.health_port), "DEID_INVADER_TLS_KEY": "/not/there"}
        status, _, err = await healthcheck("invader_service", **given)
        assert (status, err) == (
            2,
            "invader-service healthcheck: --tls-certificate, --tls-key and --tls-authority: expected all three or none\n",
        )
        del given["DEID_INVADER_TLS_KEY"]
        assert await healthcheck("invader_service", **given) == (0, "", "")


async def test_the_subcommand_ends_with_1_and_why_where_it_is_not() -> None:
    async with started(with_health_port()) as server:
        await server.health.enter_graceful_shutdown()
        told = await healthcheck("invader_service", "--health-port", str(server.health_port))
    assert told == (1, "", "NOT_SERVING\n")


@programs
async def test_the_subcommand_ends_with_2_where_it_is_not_told_the_port(program: str) -> None:
    assert await healthcheck(program) == (2, "", "healthcheck: expected --health-port, that of the service\n")
