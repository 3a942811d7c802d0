"""What each program brings with it when a fresh interpreter starts it."""

import json
import os
import pkgutil
import resource
import subprocess
import sys
from collections.abc import Iterable
from functools import cache
from importlib.metadata import version
from pathlib import Path

import pytest

import rpc
from orchestrator.experiment.grid import Grid
from rpc.roles import ROLES
from tests.support.reported import MODELS, changed, make_run

LIBRARIES = {"PIL", "cryptography", "grpc", "matplotlib", "numpy", "pydantic", "scipy", "sqlalchemy"}
SMALLEST = changed(subjects=1, grid=Grid(MODELS[:1], MODELS[:1], ("bim",), (4,), (1,)))
HEAVY = {"torch", "torchvision", "facenet_pytorch", "timm", "recognizers", "gallery_service"}


def imported_with(*modules: str) -> set[str]:
    """The top-level packages that a fresh interpreter has imported after these modules."""
    return imported_by(f"import {', '.join(modules)}")


def imported_by(script: str, **environment: str) -> set[str]:
    """The top-level packages that a fresh interpreter has imported once it has run a script."""
    return tops(modules_imported_by(script, **environment))


def tops(modules: Iterable[str]) -> set[str]:
    """The packages and modules at the top of these."""
    return {name.partition(".")[0] for name in modules}


@cache
def modules_imported_by(script: str, **environment: str) -> list[str]:
    """The modules that a fresh interpreter has imported once it has run a script, sorted."""
    bare = {name: value for name, value in os.environ.items() if not name.startswith(("OTEL_", "DEID_"))}
    finished = subprocess.run(
        [sys.executable, "-c", f"{script}\nimport json, sys; print(json.dumps(sorted(sys.modules)))"],
        env=bare | environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    modules: list[str] = json.loads(finished.stdout.splitlines()[-1])
    return modules


def test_an_evaluation_starts_without_torch_and_without_the_recognizers() -> None:
    imported = imported_with("orchestrator.__main__", "orchestrator.commands.evaluate")
    assert {"orchestrator", "rpc", "grpc"} <= imported
    assert imported & (HEAVY | {"protector_service", "invader_service"}) == set()


def test_an_evaluation_is_observed_without_what_draws_its_report() -> None:
    imported = imported_with("orchestrator.__main__", "orchestrator.commands.evaluate", "orchestrator.session.evaluate")
    assert imported & {"matplotlib", "jinja2", "pyarrow", "skimage"} == set()


def test_the_plumbing_brings_no_torch_and_no_program() -> None:
    plumbing = [f"rpc.{module.name}" for module in pkgutil.iter_modules(rpc.__path__)]
    assert "rpc.server" in plumbing
    assert imported_with(*plumbing) & (HEAVY | {"orchestrator", "protector_service", "invader_service"}) == set()


def test_an_evaluation_starts_without_what_only_other_commands_need() -> None:
    imported = imported_with("orchestrator.__main__", "orchestrator.commands.evaluate")
    assert imported & {"docker", "requests", "opentelemetry", "prometheus_client"} == set()


OPEN_CHANNEL = """
import asyncio
from rpc.channel import open_channel
from rpc.tracing import server_interceptors

async def main():
    server_interceptors("a-service")
    await open_channel("127.0.0.1:1").close()

asyncio.run(main())
"""


def test_nothing_of_tracing_is_imported_until_the_environment_names_a_collector() -> None:
    assert "opentelemetry" not in imported_by(OPEN_CHANNEL)
    assert "opentelemetry" in imported_by(OPEN_CHANNEL, OTEL_EXPORTER_OTLP_ENDPOINT="http://127.0.0.1:1")


def test_services_start_without_what_they_do_not_use() -> None:
    starts = [f"from {role.name}_service.__main__ import main; main()" for role in ROLES]
    imported = set(
        modules_imported_by("\n".join(["import sys; sys.argv = ['a-service', '--stop-with-stdin', 'true']", *starts]))
    )
    assert {"torch", "facenet_pytorch", *(f"{role.name}_service.servicer" for role in ROLES)} <= imported
    unused = {"torch._dynamo", "torch._inductor", "sympy", "timm", "opentelemetry", "matplotlib", "onnx", "onnxruntime"}
    assert imported & unused == set()


@pytest.mark.parametrize("program", ["protector_service", "invader_service"])
def test_a_healthcheck_starts_without_torch_and_asks(program: str) -> None:
    script = f"""
import sys
from {program}.__main__ import main

sys.argv = ["a-service", "healthcheck", "--health-port", "1"]
try:
    main()
except SystemExit as ended:
    assert ended.code == 1, "nobody listens on port 1"
"""
    imported = imported_by(script)
    assert "grpc_health" in imported
    assert imported & HEAVY == set()


@pytest.mark.parametrize("program", ["protector_service", "invader_service"])
def test_a_service_says_its_version_without_torch_and_without_grpc(program: str) -> None:
    finished = subprocess.run([sys.executable, "-m", program, "--version"], capture_output=True, text=True, timeout=120)
    name = program.replace("_", "-")
    assert (finished.returncode, finished.stdout, finished.stderr) == (0, f"{name} {version('face-deid-bench')}\n", "")
    script = f"""
import sys
from {program}.__main__ import main

sys.argv = ["a-service", "--version"]
main()
"""
    assert imported_by(script) & (HEAVY | {"grpc", "pydantic"}) == set()


def orchestrating(*arguments: str | Path) -> list[str]:
    """The modules that a fresh interpreter has imported once the orchestrator did well on these arguments."""
    script = f"""
import sys
from orchestrator.__main__ import main

sys.argv = {["orchestrator", *map(str, arguments)]!r}
try:
    main()
except SystemExit as ended:
    assert not ended.code, ended.code
"""
    return modules_imported_by(script)


@pytest.mark.parametrize("option", ["--help", "--version"])
def test_the_orchestrator_says_what_it_is_without_its_commands_and_their_libraries(option: str) -> None:
    modules = orchestrating(option)
    assert [name for name in modules if name.startswith("orchestrator.commands.")] == ["orchestrator.commands.interruption"]
    assert tops(modules) & {*LIBRARIES, "rich", "rpc"} == set()
    assert len(modules) < 300, "Python, click and asyncio have about 220"


@pytest.fixture
def finished(tmp_path: Path) -> Path:
    """A finished run in a folder of runs, as far as its manifest says too."""
    return make_run(tmp_path / "runs" / "run", plan=SMALLEST, outcome={"complete": True})


def test_a_run_that_is_complete_is_listed_without_looking_at_its_observations(finished: Path) -> None:
    assert tops(orchestrating("runs", "--runs", finished.parent)) & LIBRARIES == set()


@pytest.mark.parametrize("command", ["report", "runs", "compare", "purge"])
def test_a_finished_run_is_read_without_grpc(finished: Path, command: str) -> None:
    other = make_run(finished.parent / "other", plan=SMALLEST)
    arguments: dict[str, list[str | Path]] = {
        "report": [finished],
        "runs": ["--runs", finished.parent],
        "compare": [finished, other],
        "purge": [finished, "--yes"],
    }
    imported = tops(orchestrating(command, *arguments[command]))
    assert "orchestrator" in imported
    assert imported & {"grpc", "deid", "cryptography", "pydantic"} == set()


MEMORY = 1_500_000 * 1024  # bytes of address space: enough for Python and gRPC, and too few for torch


@pytest.mark.parametrize("program", ["protector_service", "invader_service"])
def test_a_service_that_has_too_little_memory_to_start_says_so_without_a_stack_trace(program: str) -> None:
    finished = subprocess.run(
        [sys.executable, "-m", program],
        capture_output=True,
        text=True,
        timeout=120,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY)),
    )
    warning, line = finished.stderr.splitlines()
    assert json.loads(warning)["event"] == "memory may not suffice"
    assert (finished.returncode, finished.stdout) == (2, "")
    assert line.startswith(f"{program.replace('_', '-')}: not enough memory")


@pytest.mark.parametrize("program", ["orchestrator", "protector_service", "invader_service"])
def test_every_program_says_what_it_can_be_told(program: str) -> None:
    command = [sys.executable, "-m", program, "--help"]
    finished = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert finished.returncode == 0, finished.stderr
    assert "usage" in finished.stdout.lower()
    assert ("evaluate" if program == "orchestrator" else "--checkpoints") in finished.stdout
    assert finished.stderr == ""
