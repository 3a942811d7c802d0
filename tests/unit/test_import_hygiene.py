"""What each program brings with it when a fresh interpreter starts it."""

import json
import subprocess
import sys

import pytest

HEAVY = {"torch", "torchvision", "facenet_pytorch", "timm", "recognizers"}


def imported_with(*modules: str) -> set[str]:
    """The top-level packages that a fresh interpreter has imported after these modules."""
    script = f"import {', '.join(modules)}; import json, sys; print(json.dumps(sorted(sys.modules)))"
    finished = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=120)
    return {name.partition(".")[0] for name in json.loads(finished.stdout)}


def test_the_orchestrator_starts_without_torch_and_without_the_recognizers() -> None:
    imported = imported_with("orchestrator.cli", "orchestrator.__main__")
    assert {"orchestrator", "rpc", "grpc"} <= imported
    assert imported & (HEAVY | {"protector_service", "invader_service"}) == set()


def test_the_plumbing_brings_no_torch_and_no_program() -> None:
    plumbing = (f"rpc.{name}" for name in ("channel", "images", "logs", "paging", "server", "settings", "status", "worker"))
    assert imported_with(*plumbing) & (HEAVY | {"orchestrator", "protector_service", "invader_service"}) == set()


@pytest.mark.parametrize("program", ["orchestrator", "protector_service", "invader_service"])
def test_every_program_says_what_it_can_be_told(program: str) -> None:
    command = [sys.executable, "-m", program, "--help"]
    finished = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert finished.returncode == 0, finished.stderr
    assert "usage" in finished.stdout.lower()
    assert ("evaluate" if program == "orchestrator" else "--checkpoints") in finished.stdout
    assert finished.stderr == ""
