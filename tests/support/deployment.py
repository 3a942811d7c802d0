"""The compose deployment under test: built from a clean copy of the tree, with a project name of its own."""

import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from secrets import token_hex

import docker
from docker.models.containers import Container

ROOT = Path(__file__).parents[2]
ORCHESTRATOR_IMAGE = "face-deid-bench/orchestrator"
SERVICES = ("protector", "invader")
BUILD_SECONDS, CALL_SECONDS = 1800, 900


@dataclass(frozen=True)
class Deployment:
    """A compose project, and the engine it runs on."""

    client: docker.DockerClient
    project: str
    context: Path

    def compose(self, *arguments: str, files: Sequence[str] = ("docker-compose.yml",), timeout: int = CALL_SECONDS) -> str:
        """Runs a compose command that must succeed, and returns its standard output."""
        return self.piped(*arguments, files=files, timeout=timeout).decode()

    def piped(self, *arguments: str, files: Sequence[str] = ("docker-compose.yml",), timeout: int = CALL_SECONDS) -> bytes:
        """The standard output as it is."""
        command = self.command(*arguments, files=files)
        finished = subprocess.run(command, cwd=self.context, capture_output=True, timeout=timeout)
        assert finished.returncode == 0, f"{command}\n{finished.stdout[-4000:]!r}\n{finished.stderr.decode()[-4000:]}"
        return finished.stdout

    def command(self, *arguments: str, files: Sequence[str] = ("docker-compose.yml",)) -> list[str]:
        """A compose command, to be run in the context."""
        named = [part for file in files for part in ("-f", file)]
        return [*_compose_command(), "-p", self.project, *named, *arguments]

    def up(self, *, files: Sequence[str] = ("docker-compose.yml",)) -> None:
        """Brings both services up and waits until they are healthy, as an orchestrator does."""
        self.compose("up", "-d", files=files)
        self.compose("run", "--rm", "orchestrator", "--help", files=files)

    def container(self, service: str) -> Container:
        """The container of a service, as it is now."""
        labels = [f"com.docker.compose.project={self.project}", f"com.docker.compose.service={service}"]
        (found,) = self.client.containers.list(all=True, filters={"label": [*labels, "com.docker.compose.oneoff=False"]})
        return found

    def python(self, service: str, script: str) -> str:
        """What a Python script prints in the running container of a service."""
        status, output = self.container(service).exec_run(["python", "-c", script])
        assert isinstance(output, bytes)
        assert status == 0, output.decode()
        return output.decode().strip()

    def address(self, service: str) -> str:
        """The address of a service's container in its own network."""
        (network,) = self.container(service).attrs["NetworkSettings"]["Networks"].values()
        return str(network["IPAddress"])


@contextmanager
def deployed() -> Iterator[Deployment]:
    """Builds the images and brings both services up while the context lasts."""
    client = docker.from_env(timeout=CALL_SECONDS)
    with tempfile.TemporaryDirectory() as folder:
        deployment = Deployment(client, f"deid{token_hex(4)}", Path(folder))
        _copy_tree(deployment.context)
        try:
            deployment.compose("build", timeout=BUILD_SECONDS)
            deployment.up()
            yield deployment
        finally:
            deployment.compose("down", "--volumes", "--remove-orphans")
            left = [volume.name for volume in client.volumes.list() if volume.name.startswith(deployment.project)]
            client.close()
        assert not left, f"faces and certificates stay behind in {left}"


def _copy_tree(context: Path) -> None:
    """What is in the repository or could be, and nothing that lies around."""
    listed = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(listed, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for name in filter(None, names.split("\0")):
        if (ROOT / name).is_file():
            (context / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, context / name)


def _compose_command() -> Sequence[str]:
    """`docker compose`, or where the engine does not have it the older program."""
    plugin = subprocess.run(["docker", "compose", "version"], capture_output=True)
    return ("docker", "compose") if plugin.returncode == 0 else ("docker-compose",)
