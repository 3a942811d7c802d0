"""What the running containers can reach and do, tried from within."""

import socket
import subprocess
import sys
from collections.abc import Iterator

import pytest

from tests.support.deployment import ORCHESTRATOR_IMAGE, SERVICES, Deployment

PORTS = {"protector": 50051, "invader": 50052}

CONNECT = """
import os, socket
os.environ["RES_OPTIONS"] = "timeout:1 attempts:1"  # of a look-up that nobody answers
try:
    socket.create_connection(({host!r}, {port}), timeout=3)
    print("connected")
except socket.gaierror:
    print("unknown name")
except OSError:
    print("no answer")
"""
TRY_TO_WRITE = """
import os
for folder in {folders!r}:
    try:
        path = os.path.join(folder, ".probe")
        open(path, "w").close()
        os.remove(path)
        print(folder)
    except OSError:
        pass
"""
RIGHTS = """
import os
print(os.getuid(), *(line.split()[1] for line in open("/proc/self/status") if line.startswith(("CapEff", "NoNewPrivs"))))
"""
HEALTHCHECK = """
import runpy, sys
sys.argv = ["{service}-service", "healthcheck"]
try:
    runpy.run_module("{service}_service", run_name="__main__")
except SystemExit as end:
    print(end.code, "torch" in sys.modules)
"""
MODES = """
import os
print(*(oct(os.stat(f"/certificates/{service}/{{name}}").st_mode) for name in ("tls.key", "tls.crt")))
"""
FOLDERS = (
    *("/", "/app", "/opt/venv", "/etc", "/runs", "/certificates", "/tmp", "/ledger"),
    *("/certificates/protector", "/certificates/invader", "/certificates/orchestrator"),
)

pytestmark = pytest.mark.deployment


def connects(deployment: Deployment, service: str, host: str, port: int) -> str:
    """What a connection from within a service's container comes to."""
    return deployment.python(service, CONNECT.format(host=host, port=port))


@pytest.mark.parametrize(("service", "other"), [("protector", "invader"), ("invader", "protector")])
def test_a_service_cannot_reach_the_other(deployment: Deployment, service: str, other: str) -> None:
    assert connects(deployment, service, other, PORTS[other]) == "unknown name"
    assert connects(deployment, service, deployment.address(other), PORTS[other]) == "no answer"


@pytest.fixture
def outside(deployment: Deployment) -> Iterator[tuple[str, int]]:
    """Something that listens beyond the project's networks, and answers containers that are not confined."""
    network = deployment.client.networks.create(f"{deployment.project}_outside")
    network.reload()
    gateway = network.attrs["IPAM"]["Config"][0]["Gateway"]  # this machine, as containers see it
    try:
        with socket.create_server((gateway, 0)) as listener:
            port = listener.getsockname()[1]
            free = deployment.client.containers.run(
                ORCHESTRATOR_IMAGE,
                ["-c", CONNECT.format(host=gateway, port=port)],
                entrypoint="python",
                network=network.name,
                remove=True,
            )
            assert free.decode().strip() == "connected"
            yield gateway, port
    finally:
        network.remove()


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_cannot_reach_the_outside(deployment: Deployment, service: str, outside: tuple[str, int]) -> None:
    assert connects(deployment, service, *outside) == "no answer"
    assert connects(deployment, service, "example.org", 443) == "unknown name"


@pytest.mark.parametrize("service", SERVICES)
def test_the_way_to_try_is_good(deployment: Deployment, service: str) -> None:
    """Else everything above would pass for want of a network."""
    assert connects(deployment, service, service, PORTS[service]) == "connected"


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_writes_its_temporary_files_and_a_ledger_only(deployment: Deployment, service: str) -> None:
    writable = deployment.python(service, TRY_TO_WRITE.format(folders=FOLDERS)).split()
    assert set(writable) == ({"/tmp", "/ledger"} if service == "invader" else {"/tmp"})


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_has_no_rights(deployment: Deployment, service: str) -> None:
    assert deployment.python(service, RIGHTS) == "10001 0000000000000000 1"


@pytest.mark.parametrize("service", SERVICES)
def test_a_health_check_imports_no_torch(deployment: Deployment, service: str) -> None:
    assert deployment.python(service, HEALTHCHECK.format(service=service)) == "0 False"


@pytest.mark.parametrize("service", SERVICES)
def test_a_key_is_readable_by_its_program_alone(deployment: Deployment, service: str) -> None:
    assert deployment.python(service, MODES.format(service=service)) == "0o100400 0o100400"
    others = [name for name in ("protector", "invader", "orchestrator") if name != service]
    listed = deployment.python(service, f"import os; print([os.listdir('/certificates/' + name) for name in {others}])")
    assert listed == "[[], []]"


STRANGER = """
import grpc
authority = open("/certificates/{service}/ca.crt", "rb").read()
channel = grpc.secure_channel("{service}:{port}", grpc.ssl_channel_credentials(authority))
try:
    grpc.channel_ready_future(channel).result(timeout=3)
except grpc.FutureTimeoutError:
    print("refused")
"""


@pytest.mark.parametrize("service", SERVICES)
def test_a_stranger_is_refused_and_every_line_of_the_log_stays_json(deployment: Deployment, service: str) -> None:
    assert deployment.python(service, STRANGER.format(service=service, port=PORTS[service])) == "refused"
    lines = deployment.container(service).logs(stdout=False).decode().splitlines()
    assert lines
    assert [line for line in lines if not line.startswith('{"time": ')] == []


def doctor() -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "orchestrator", "doctor"]
    return subprocess.run(command, capture_output=True, text=True, timeout=120)


def test_the_doctor_finds_nothing_wrong(deployment: Deployment) -> None:
    examined = doctor()
    assert examined.returncode == 0, examined.stdout + examined.stderr
    assert " 0 wrong" in examined.stdout
    within = deployment.compose("run", "--rm", "orchestrator", "doctor")
    assert " 0 wrong" in within
    assert "300 identities that every model knows" in within


def test_the_doctor_sees_a_network_that_both_are_on(deployment: Deployment) -> None:
    network = deployment.client.networks.get(f"{deployment.project}_invader_net")
    network.connect(deployment.container("protector"))
    try:
        examined = doctor()
    finally:
        network.disconnect(deployment.container("protector"))
    assert examined.returncode == 1
    assert "share no network" in examined.stdout
    assert " 1 wrong" in examined.stdout
