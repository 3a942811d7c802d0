"""A certified client of bad faith, on the services' own networks."""

import json

import pytest

from tests.support.deployment import ORCHESTRATOR_IMAGE, ROOT, SERVICES, Deployment

REQUESTS = 64  # to each service: all that cost most, and the first of the others
PORTS = {"protector": 50051, "invader": 50052}
ASSAULT = """
import asyncio, json
from pathlib import Path
from rpc.certificates import files_in
from rpc.tls import read_tls
from tests.support import hostile

tls = read_tls(files_in(Path("/certificates/orchestrator")))
target = hostile.{target}
aftermath = asyncio.run(hostile.assault("{service}:{port}", target, requests={requests}, seed=7, tls=tls))
print(json.dumps([dict(aftermath.statuses), dict(aftermath.health)]))
"""

pytestmark = pytest.mark.deployment


@pytest.mark.parametrize("service", SERVICES)
def test_a_container_outlives_whatever_is_sent_to_it(deployment: Deployment, service: str) -> None:
    script = ASSAULT.format(target=service.upper(), service=service, port=PORTS[service], requests=REQUESTS)
    volumes = {
        str(ROOT / "tests"): {"bind": "/attacker/tests", "mode": "ro"},
        f"{deployment.project}_orchestrator_certificate": {"bind": "/certificates/orchestrator", "mode": "ro"},
    }
    output = deployment.client.containers.run(
        ORCHESTRATOR_IMAGE,
        ["-c", script],
        entrypoint="python",
        environment={"PYTHONPATH": "/app:/attacker"},
        network=f"{deployment.project}_{service}_net",
        volumes=volumes,
        remove=True,
    )
    statuses, health = json.loads(output.decode().splitlines()[-1])
    assert sum(statuses.values()) == REQUESTS
    assert health.keys() == {"SERVING"}, health
    container = deployment.container(service)
    state = container.attrs["State"]
    assert (state["Running"], state["OOMKilled"], container.attrs["RestartCount"]) == (True, False, 0)
    assert "Traceback" not in container.logs().decode()
