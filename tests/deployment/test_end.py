"""How services end, and come back."""

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


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_that_is_stopped_drains_and_ends_in_order(deployment: Deployment, service: str) -> None:
    container = deployment.container(service)
    container.stop(timeout=30)
    container.reload()
    assert container.attrs["State"]["ExitCode"] == 0
    assert '"event": "stopped"' in container.logs(tail=1).decode()
    deployment.up()


def test_certificates_are_kept_when_services_come_back(deployment: Deployment) -> None:
    before = deployment.python("protector", CERTIFICATE)
    deployment.compose("down")
    deployment.up()
    assert deployment.python("protector", CERTIFICATE) == before
    assert "there already" in deployment.container("certificates").logs().decode()


def test_metrics_are_on_a_network_of_their_own(deployment: Deployment) -> None:
    files = ("docker-compose.yml", "docker-compose.metrics.yml")
    deployment.up(files=files)
    try:
        for service in SERVICES:
            networks = deployment.container(service).attrs["NetworkSettings"]["Networks"]
            addresses = {name.removeprefix(f"{deployment.project}_"): each["IPAddress"] for name, each in networks.items()}
            assert addresses.keys() == {f"{service}_net", f"{service}_metrics"}
            shown = deployment.python(service, SCRAPE.format(addresses[f"{service}_metrics"]))
            assert "deid_queue_depth 0.0" in shown
            assert deployment.python(service, SCRAPE.format(addresses[f"{service}_net"])) == "no answer"
    finally:
        deployment.compose("down", files=files)
        deployment.up()
