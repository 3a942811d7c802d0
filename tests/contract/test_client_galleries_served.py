"""Both services as their settings start them offer clients' galleries where they have matchers."""

import asyncio
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest
import torch
from grpc_health.v1 import health_pb2, health_pb2_grpc

from gallery_service.store import DEFAULT
from gallery_service.wiring import GRPC_SERVICE
from invader_service import serve as invader
from invader_service.config import InvaderSettings
from protector_service import serve as protector
from protector_service.batched_model import BatchedModel
from protector_service.config import ProtectorSettings
from protector_service.source_model import SourceModel
from recognizers.device import PreparedDevice
from recognizers.galleries.matchers import Matcher
from recognizers.precision import Precision
from rpc.settings import ServiceSettings
from tests.support.client_galleries import BLANK, GalleryClient, matchers_of, photo_file, refusal
from tests.support.ports import free_port
from tests.support.services import CentreDetector, small_recognizer

SECONDS = 60.0


def source_models(matchers: dict[str, Matcher]) -> dict[str, SourceModel]:
    return {
        name: SourceModel(BatchedModel(each.recognizer, batch_rows=2), "c" * 64, Precision.FLOAT32, 1, each)
        for name, each in matchers.items()
    }


@asynccontextmanager
async def running(serve: Callable[[Any], Any], settings: ServiceSettings) -> AsyncIterator[grpc.aio.Channel]:
    """A channel to a service, once it reports its galleries as ready; at the end it is stopped as by its operator."""
    serving = asyncio.create_task(serve(settings))
    async with grpc.aio.insecure_channel(f"127.0.0.1:{settings.port}") as channel:
        stub: Any = health_pb2_grpc.HealthStub(channel)  # its stubs do not name its methods
        watch = stub.Watch(health_pb2.HealthCheckRequest(service=GRPC_SERVICE), wait_for_ready=True, timeout=SECONDS)
        async for answer in watch:
            if answer.status == health_pb2.HealthCheckResponse.SERVING:
                break
        watch.cancel()
        yield channel
    signal.raise_signal(signal.SIGTERM)
    await asyncio.wait_for(serving, SECONDS)


@pytest.mark.parametrize("role", ["protector", "invader"])
async def test_a_service_offers_them_within_the_bounds_of_its_settings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, role: str
) -> None:
    matchers = matchers_of(tmp_path)
    for module in (protector, invader):  # the threads of this process are left as they are
        cpu = PreparedDevice(torch.device("cpu"), workers=1, threads=1)
        monkeypatch.setattr(module, "prepare_device", lambda *_, cpu=cpu, **__: cpu)
        monkeypatch.setattr(module, "MtcnnDetector", lambda _: CentreDetector())
    monkeypatch.setattr(invader, "load_target_models", lambda *_: ({"small": small_recognizer()}, matchers))
    monkeypatch.setattr(protector, "load_source_models", lambda *_: source_models(matchers))
    bounds: dict[str, Any] = {"port": free_port(), "client_galleries": 1, "gallery_seconds": 7}
    service: tuple[Callable[[Any], Any], ServiceSettings] = (
        (protector.serve, ProtectorSettings(**bounds)) if role == "protector" else (invader.serve, InvaderSettings(**bounds))
    )
    async with running(*service) as channel:
        client = GalleryClient(channel)
        created = await client.created(DEFAULT)
        assert await client.enrol(created.gallery, "x", photo_file("x"), BLANK) == [1, 2]
        assert (created.seconds, (await client.seal(created.gallery)).identities) == (7, 4)
        assert (await refusal(client.create())).reason == "GALLERY_LIMIT"
