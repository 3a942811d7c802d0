"""How services end, and come back; the last tests of the deployment, which find it down afterwards."""

from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from tests.support.deployment import SERVICES, Deployment

pytestmark = pytest.mark.deployment


CERTIFICATE = "import hashlib; print(hashlib.sha256(open('/certificates/protector/tls.crt', 'rb').read()).hexdigest())"
SCRAPE = """
from urllib.request import urlopen
try:
    print(urlopen("http://{}:9464/metrics", timeout=3).read().decode())
except OSError:
    print("no answer")
"""
WITH_METRICS = ("docker-compose.yml", "docker-compose.metrics.yml")


@dataclass(frozen=True)
class Before:
    """What services were before they came back."""

    certificate: str
    exit_codes: dict[str, int]
    last_lines: dict[str, str]  # of the logs


@pytest.fixture(scope="module")
def before(deployment: Deployment) -> Iterator[Before]:
    """Both services are stopped, taken down and brought up again, with metrics as long as these tests run."""
    certificate = deployment.python("protector", CERTIFICATE)
    exit_codes, last_lines = {}, {}
    for service in SERVICES:
        container = deployment.container(service)
        container.stop(timeout=30)
        container.reload()
        exit_codes[service] = container.attrs["State"]["ExitCode"]
        last_lines[service] = container.logs(tail=1).decode()
    deployment.compose("down")
    deployment.up(files=WITH_METRICS)
    yield Before(certificate, exit_codes, last_lines)
    deployment.compose("down", files=WITH_METRICS)


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_that_is_stopped_drains_and_ends_in_order(before: Before, service: str) -> None:
    assert before.exit_codes[service] == 0
    assert '"event": "stopped"' in before.last_lines[service]


def test_certificates_are_kept_when_services_come_back(deployment: Deployment, before: Before) -> None:
    assert deployment.python("protector", CERTIFICATE) == before.certificate
    assert "there already" in deployment.container("certificates").logs().decode()


@pytest.mark.parametrize("service", SERVICES)
def test_metrics_are_on_a_network_of_their_own(deployment: Deployment, before: Before, service: str) -> None:
    networks = deployment.container(service).attrs["NetworkSettings"]["Networks"]
    addresses = {name.removeprefix(f"{deployment.project}_"): each["IPAddress"] for name, each in networks.items()}
    assert addresses.keys() == {f"{service}_net", f"{service}_metrics"}
    shown = deployment.python(service, SCRAPE.format(addresses[f"{service}_metrics"]))
    assert "deid_queue_depth 0.0" in shown
    assert deployment.python(service, SCRAPE.format(addresses[f"{service}_net"])) == "no answer"
