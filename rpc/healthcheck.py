"""Whether a service on this machine is healthy, asked over its health port: quick enough for a container engine."""

import sys
from typing import Any, NoReturn

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from rpc.addresses import LOOPBACK
from rpc.channel import NO_PROXY
from rpc.settings import ServiceSettings

HEALTHCHECK = "healthcheck"
SECONDS = 3.0


def exit_with_health(settings: ServiceSettings) -> NoReturn:
    """Ends the process: status 0 where the service with these settings is serving, else 1 and why on standard error."""
    if settings.health_port is None:
        print("healthcheck: expected --health-port, that of the service", file=sys.stderr)  # noqa: T201
        sys.exit(2)
    if (reason := unhealthy(settings.health_port)) is not None:
        print(reason, file=sys.stderr)  # noqa: T201
        sys.exit(1)
    sys.exit(0)


def unhealthy(port: int) -> str | None:
    """Why the service whose health port this is is not serving; None where it is."""
    with grpc.insecure_channel(f"{LOOPBACK}:{port}", options=[NO_PROXY]) as channel:
        stub: Any = health_pb2_grpc.HealthStub(channel)  # its stubs do not name its methods
        try:
            answer = stub.Check(health_pb2.HealthCheckRequest(), timeout=SECONDS)
        except grpc.RpcError as error:
            return f"nothing answers on the health port {port}: {error.code().name}"
    if answer.status == health_pb2.HealthCheckResponse.SERVING:
        return None
    return health_pb2.HealthCheckResponse.ServingStatus.Name(answer.status)
