"""Requests of bad faith: no process ends, none outgrows its container, and the next good request is served."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import pytest
import yaml
from deid.invader.v1 import invader_pb2, invader_pb2_grpc
from deid.protector.v1 import protector_pb2, protector_pb2_grpc

from synthetic_faces import Population
from tests.support.hostile import INVADER, PROTECTOR, Target, assault
from tests.support.networks import decoded
from tests.support.processes import service_process

REQUESTS = 500  # to each service
LONG = pytest.mark.thorough(
    "rpc/", "protector_service/", "invader_service/", "gallery_service/", "recognizers/extraction.py"
)
COMPOSE = Path(__file__).parents[2] / "docker-compose.yml"
PEOPLE = Population(identities=300, seed=0)
PHOTO = PEOPLE.jpeg(7, 1)
IDENTITY = PEOPLE.name(7)
EPSILON = 8  # levels
# Each is met with; another one would be a bug that a client can reach.
EXPECTED = {"OK", "INVALID_ARGUMENT", "NOT_FOUND", "UNIMPLEMENTED", "RESOURCE_EXHAUSTED"}


def memory_limit(service: str) -> int:
    """Bytes that the service's container may have, of a compose file's "6g"."""
    limit = yaml.safe_load(COMPOSE.read_text())["services"][service]["mem_limit"]
    assert limit[-1] == "g"
    return int(limit[:-1]) * 2**30


async def classify(channel: grpc.aio.Channel) -> Any:
    """Names a face that the recognizer knows."""
    stub = invader_pb2_grpc.InvaderServiceStub(channel)
    request = invader_pb2.ClassifyRequest(image=PHOTO, target_models=["compact-senet"], k=3)
    answer = await stub.Classify(request, timeout=60)
    assert answer.classifications[0].candidates[0].identity == IDENTITY
    return answer


async def craft(channel: grpc.aio.Channel) -> Any:
    """A control and a cloak of it within its budget."""
    request = protector_pb2.CraftRequest(
        photo=PHOTO,
        identity=IDENTITY,
        source_model="compact-senet",
        methods=["none", "bim"],
        epsilons=[EPSILON],
        storage=protector_pb2.Storage(png=protector_pb2.PngStorage()),
    )
    responses = [each async for each in protector_pb2_grpc.ProtectorServiceStub(channel).Craft(request, timeout=60)]
    control, cloak = responses
    change = abs(decoded(cloak.cloak) - decoded(control.cloak)).max()
    assert 0 < change == cloak.largest_change <= EPSILON
    return responses


@dataclass(frozen=True)
class Attacked:
    """A service, what is sent to it, and a good request that is answered correctly or fails."""

    module: str
    target: Target
    ask: Callable[[grpc.aio.Channel], Any]

    @property
    def name(self) -> str:
        return self.module.removesuffix("_service")


@pytest.mark.parametrize(
    "attacked",
    [Attacked("protector_service", PROTECTOR, craft), Attacked("invader_service", INVADER, classify)],
    ids=lambda attacked: attacked.name,
)
@LONG
async def test_a_service_outlives_whatever_is_sent_to_it(attacked: Attacked, tmp_path: Path) -> None:
    log = tmp_path / "log"
    limit = memory_limit(attacked.name)
    with service_process(attacked.module, log=log) as service:
        async with grpc.aio.insecure_channel(service.address) as channel:
            before = await attacked.ask(channel)
            aftermath = await assault(service.address, attacked.target, requests=REQUESTS, seed=20261124)
            assert service.process.poll() is None, log.read_text()[-2000:]
            assert await attacked.ask(channel) == before
        peak = service.peak_memory
    told = f"peak memory {peak / 2**30:.2f} GiB of {limit / 2**30:.0f}; {dict(aftermath.statuses)}"
    assert peak < limit, told
    assert set(aftermath.health) == {"SERVING"}, told
    assert aftermath.statuses.total() == REQUESTS
    assert set(aftermath.statuses) == EXPECTED, told
    assert "Traceback" not in log.read_text()
