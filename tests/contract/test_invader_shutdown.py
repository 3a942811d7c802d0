"""What becomes of the queries under way when the invader is stopped: the service as it is wired, by real signals."""

import asyncio
import json
import os
import signal
import sqlite3
import threading
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, closing, contextmanager
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
import torch
from deid.invader.v1 import invader_pb2, invader_pb2_grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc
from numpy.typing import NDArray

from invader_service import serve
from invader_service.config import InvaderSettings
from invader_service.servicer import AccessPolicy
from recognizers.device import PreparedDevice
from recognizers.errors import RecognizerError
from recognizers.extraction import Face
from tests.support.drawn_faces import jpeg
from tests.support.networks import probe
from tests.support.ports import free_port
from tests.support.services import INVADER, CentreDetector, small_recognizer

IMAGE = jpeg(probe(side=64))
WORKERS = 3
SECONDS = 60.0  # until a test that hangs fails


class Held(CentreDetector):
    """Keeps everybody waiting until it is let go."""

    def __init__(self) -> None:
        self.entered, self.opened = threading.Semaphore(0), threading.Event()

    def detect(self, photo: NDArray[np.uint8]) -> Sequence[Face]:
        self.entered.release()
        self.opened.wait(SECONDS)
        return super().detect(photo)

    async def wait(self, calls: int) -> None:
        for _ in range(calls):
            assert await asyncio.to_thread(self.entered.acquire, timeout=SECONDS)


@pytest.fixture
def held(monkeypatch: pytest.MonkeyPatch) -> Held:
    """An invader's detector; its networks are small, and the threads of this process are left as they are."""
    held = Held()
    cpu = PreparedDevice(torch.device("cpu"), workers=WORKERS, threads=1)
    monkeypatch.setattr(serve, "prepare_device", lambda *_, **__: cpu)
    monkeypatch.setattr(serve, "load_target_models", lambda *_: ({"small": small_recognizer()}, {}))
    monkeypatch.setattr(serve, "MtcnnDetector", lambda _: held)
    return held


class Invader:
    """A running invader that keeps a ledger and an audit log in a folder."""

    def __init__(self, folder: Path, **settings: Any) -> None:
        self._ledger, self._log = folder / "ledger", folder / "log"
        self.settings = InvaderSettings(
            port=free_port(),
            ledger=str(self._ledger),
            audit_log=self._log,
            query_budget=100,
            **settings,
        )

    @property
    def charged(self) -> int:
        with closing(sqlite3.connect(self._ledger)) as database:
            return int(database.execute("SELECT coalesce(sum(used), 0) FROM queries").fetchone()[0])

    @property
    def outcomes(self) -> list[str]:
        return [json.loads(line)["outcome"] for line in self._log.read_text().splitlines()]

    @asynccontextmanager
    async def running(self) -> AsyncIterator[tuple[asyncio.Task[None], grpc.aio.Channel]]:
        """The task that serves, and a channel to it, once it is serving."""
        serving = asyncio.create_task(serve.serve(self.settings))
        async with grpc.aio.insecure_channel(f"127.0.0.1:{self.settings.port}") as channel:
            stub: Any = health_pb2_grpc.HealthStub(channel)  # its stubs do not name its methods
            request = health_pb2.HealthCheckRequest(service=INVADER)
            watch = stub.Watch(request, wait_for_ready=True, timeout=SECONDS)
            async for answer in watch:
                if answer.status == health_pb2.HealthCheckResponse.SERVING:
                    break
            watch.cancel()
            yield serving, channel
        await asyncio.wait_for(serving, SECONDS)


def classify(channel: grpc.aio.Channel, *, times: int) -> list["asyncio.Task[invader_pb2.ClassifyResponse]"]:
    stub = invader_pb2_grpc.InvaderServiceStub(channel)
    request = invader_pb2.ClassifyRequest(image=IMAGE, target_models=["small"], k=1)

    async def ask() -> invader_pb2.ClassifyResponse:
        return await stub.Classify(request, timeout=SECONDS)

    return [asyncio.create_task(ask()) for _ in range(times)]


async def statuses(calls: Sequence["asyncio.Task[invader_pb2.ClassifyResponse]"]) -> list[str]:
    ended = await asyncio.gather(*calls, return_exceptions=True)
    return [each.code().name if isinstance(each, grpc.aio.AioRpcError) else "OK" for each in ended]


@pytest.mark.parametrize("drain_seconds", [0, 0.05])
async def test_every_query_that_is_charged_is_audited_and_those_that_are_cut_off_as_such(
    held: Held, drain_seconds: float, tmp_path: Path
) -> None:
    invader = Invader(tmp_path, drain_seconds=drain_seconds)
    async with invader.running() as (_, channel):
        calls = classify(channel, times=WORKERS)
        await held.wait(WORKERS)
        os.kill(os.getpid(), signal.SIGTERM)
        assert await statuses(calls) == ["UNAVAILABLE"] * WORKERS
        held.opened.set()  # the threads go on after their calls have ended
    assert invader.outcomes == ["cut off"] * WORKERS
    assert invader.charged == WORKERS


async def test_queries_that_end_while_the_service_drains_are_audited_as_what_became_of_them(
    held: Held, tmp_path: Path
) -> None:
    invader = Invader(tmp_path, drain_seconds=SECONDS)
    async with invader.running() as (_, channel):
        calls = classify(channel, times=2)
        await held.wait(2)
        os.kill(os.getpid(), signal.SIGHUP)
        calls[0].cancel()
        await asyncio.wait(calls[:1])
        held.opened.set()
        assert await statuses(calls[1:]) == ["OK"]
    assert sorted(invader.outcomes) == ["answered", "client left"]
    assert invader.charged == 2


async def test_a_start_that_fails_closes_what_it_opened(held: Held, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[AccessPolicy] = []

    @contextmanager
    def access_policy_of(settings: InvaderSettings) -> Iterator[AccessPolicy]:
        with access_policy_of_settings(settings) as policy:
            opened.append(policy)
            yield policy

    def no_models(*_: object) -> None:
        raise RecognizerError("no checkpoint")

    access_policy_of_settings = serve.access_policy_of
    monkeypatch.setattr(serve, "access_policy_of", access_policy_of)
    monkeypatch.setattr(serve, "load_target_models", no_models)
    with pytest.raises(RecognizerError, match="no checkpoint"):
        await serve.serve(Invader(tmp_path).settings)
    with pytest.raises(sqlite3.ProgrammingError, match="closed"):
        await opened[0].ledger.charge("ada")
