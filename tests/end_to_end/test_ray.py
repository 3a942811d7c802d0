"""An evaluation through replicas on a Ray cluster of three nodes: a service, an actor and a node are killed midway."""

import os
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from pathlib import Path

import pytest

from orchestrator.run_folder.folder import RunFolder
from rpc.certificates import files_in, make_certificates
from tests.support.faults.observed import differences, observed

KINDS = ("protector", "invader")
EACH = 2  # replicas
SECONDS = 300.0  # until something that hangs fails
STRIKES = 3  # of tests.support.ray_nodes
SUBJECTS, BUDGETS, TARGETS = 16, ("4", "8"), ("compact-facenet", "compact-senet")
OBSERVATIONS = SUBJECTS * (1 + 2 * len(BUDGETS)) * len(TARGETS)

pytestmark = pytest.mark.thorough("deploy/", "orchestrator/", "rpc/", "protector_service/", "invader_service/")


@dataclass(frozen=True)
class Deployment:
    """A cluster, whose nodes are processes of this machine, and what is on it."""

    nodes: "subprocess.Popen[str]"  # tests.support.ray_nodes
    folder: Path  # of lists and certificates
    environment: dict[str, str]

    def started(self, module: str, *arguments: str) -> "subprocess.Popen[str]":
        command = [sys.executable, "-m", module, *arguments]
        return subprocess.Popen(command, env=self.environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    def says(self, *arguments: str) -> str:
        words, _ = self.started("deploy.ray", *arguments).communicate(timeout=SECONDS)
        return words

    def evaluate(self, run: Path, **addresses: str) -> "subprocess.Popen[str]":
        own = files_in(self.folder / "certificates" / "orchestrator")
        return self.started(
            *("orchestrator", "evaluate", "--run", str(run), "--no-report", "--subjects", str(SUBJECTS)),
            *("--methods", "bim", "--epsilons", ",".join(BUDGETS), "--k", "1", "--conditions", "jpeg:95"),
            *("--source-models", "compact-facenet", "--target-models", ",".join(TARGETS)),
            *("--tls-certificate", str(own.certificate), "--tls-key", str(own.key), "--tls-authority", str(own.authority)),
            *(word for kind in KINDS for word in (f"--{kind}", addresses[kind], f"--{kind}-tls-name", kind)),
        )

    def listed(self, kind: str) -> list[str]:
        path = self.folder / f"{kind}s"
        return path.read_text().splitlines()[1:] if path.exists() else []

    def all_are_listed(self) -> bool:
        return all(len(self.listed(kind)) == EACH for kind in KINDS)

    def do(self, what: str) -> None:
        """Has the program of the cluster do something; see there."""
        assert self.nodes.stdin is not None
        assert self.nodes.stdout is not None
        self.nodes.stdin.write(f"{what}\n")
        self.nodes.stdin.flush()
        for line in self.nodes.stdout:
            if line == "done\n":
                return
        pytest.fail("the program of the cluster ended")


def wait_until(holds: Callable[[], bool], *, running: "subprocess.Popen[str]") -> None:
    """Waits, as long as a process runs, for what other processes do: nothing tells of it."""
    deadline = time.monotonic() + SECONDS
    while not holds():
        if running.poll() is not None:
            words, _ = running.communicate()
            pytest.fail(f"it ended before: {words}")
        assert time.monotonic() < deadline
        time.sleep(0.05)


def has_observed(run: Path, number: int) -> bool:
    file = RunFolder(run).observations
    if not file.exists():
        return False
    with closing(sqlite3.connect(f"{file.as_uri()}?mode=ro", uri=True)) as connection:
        try:
            (count,) = connection.execute("SELECT count(*) FROM observations").fetchone()
        except sqlite3.OperationalError:  # it is just being made
            return False
    return bool(count >= number)


@pytest.fixture
def deployment(tmp_path: Path) -> Iterator[Deployment]:
    if find_spec("ray") is None:  # not imported, which would change this process
        pytest.skip("Ray is not installed (`make oracles`): NOTHING WAS TESTED ON A RAY CLUSTER")
    environment = {
        **os.environ,
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_prestart_worker_first_driver": "0",  # processes that nobody needs here
        "RAY_agent_register_timeout_ms": "60000",
    }
    make_certificates(tmp_path / "certificates")
    with (
        (tmp_path / "nodes").open("wb") as errors,
        subprocess.Popen(
            [sys.executable, "-m", "tests.support.ray_nodes"],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        ) as nodes,
    ):
        assert nodes.stdout is not None
        address = nodes.stdout.readline().strip()
        assert address, (tmp_path / "nodes").read_text()
        yield Deployment(nodes, tmp_path, {**environment, "RAY_ADDRESS": address})


def test_a_service_an_actor_and_a_node_that_are_killed_midway_change_nothing(deployment: Deployment, tmp_path: Path) -> None:
    up = deployment.started(
        *("deploy.ray", "up", *(word for kind in KINDS for word in (f"--{kind}s", str(EACH)))),
        *("--certificates", str(tmp_path / "certificates"), "--lists", str(tmp_path)),
        *("--protector-options", "--batch-rows 4", "--", "--workers", "1", "--threads", "1"),
    )
    try:
        wait_until(deployment.all_are_listed, running=up)
        first = {kind: deployment.listed(kind) for kind in KINDS}
        alone = deployment.evaluate(tmp_path / "alone", **{kind: addresses[0] for kind, addresses in first.items()})
        words, _ = alone.communicate(timeout=SECONDS)
        assert alone.returncode == 0, words

        deployment.do("choose")
        run = tmp_path / "together"
        together = deployment.evaluate(run, **{kind: f"@{tmp_path / kind}s" for kind in KINDS})
        for strike in range(STRIKES):
            wait_until(partial(has_observed, run, (strike + 1) * OBSERVATIONS // 5), running=together)
            deployment.do(str(strike))
        assert together.poll() is None, "the last came too late"
        words, _ = together.communicate(timeout=SECONDS)
        assert together.returncode == 0, words
        expected, found = observed(tmp_path / "alone"), observed(run)
        assert len(expected.answers) == OBSERVATIONS
        assert differences(found, expected) == []

        def others_are_listed() -> bool:
            return deployment.all_are_listed() and all(deployment.listed(kind) != first[kind] for kind in KINDS)

        wait_until(others_are_listed, running=up)
        said = deployment.says("status")
        assert said.count(": listens at ") == EACH * len(KINDS), said
        # Among what Ray itself may print, at any time, of the node that was killed.
        assert "ended: invader-0, invader-1, protector-0, protector-1" in deployment.says("down").splitlines()
        said = deployment.says("status")
        assert "no replica runs" in said.splitlines(), said
        assert ": listens at " not in said
        words, _ = up.communicate(timeout=SECONDS)
        assert "; ended 1 times there, the last: the protector_service that was started ended (exit status -9)" in words
        assert words.splitlines()[-1] == "no replica is there any more"
        assert up.returncode == 0
    finally:
        up.kill()
        up.wait()
