"""`python -m deploy.ray`: what it refuses before it asks a cluster for anything."""

import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from command_line.errors import OperatorError
from deploy.ray.__main__ import cli
from deploy.ray.replica import ReplicaSpec


@pytest.fixture(autouse=True)
def no_ray(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    monkeypatch.delitem(sys.modules, "deploy.ray.cluster", raising=False)


def refusal(*arguments: str) -> str:
    with pytest.raises(OperatorError) as refused:
        CliRunner().invoke(cli, arguments, standalone_mode=False, catch_exceptions=False)
    return str(refused.value)


def test_without_ray_the_extra_is_named(tmp_path: Path) -> None:
    for arguments in (("up", "--invaders", "1", "--lists", str(tmp_path)), ("status",), ("down", "invader")):
        said = refusal(*arguments)
        assert said.startswith("Ray is not installed (")
        assert said.endswith("): pip install 'face-deid-bench[ray]'")


def test_no_replica_is_no_deployment() -> None:
    assert refusal("up") == "--protectors, --invaders: expected at least one replica, got none"


@pytest.mark.parametrize(
    ("option", "way_out"),
    [
        ("--port", "replicas listen on a free port of their node"),
        ("--host=::1", "replicas listen on a free port of their node"),
        ("--tls-key", "give --certificates"),
        ("--stop-with-stdin", "replicas end with their actors"),
    ],
)
def test_an_option_that_is_given_to_replicas_here_is_not_passed_through(option: str, way_out: str, tmp_path: Path) -> None:
    name = option.partition("=")[0]
    wanted = ("up", "--protectors", "1", "--lists", str(tmp_path))
    expected = f"{name}: expected none for a protector: {way_out}"
    assert refusal(*wanted, "--", option, "1") == expected
    assert refusal(*wanted, "--protector-options", f"{option} 1") == expected
    assert refusal(*wanted, "--invader-options", f"{option} 1").startswith("Ray is not installed"), "there is none"


def test_options_that_no_shell_would_take_are_refused(tmp_path: Path) -> None:
    said = refusal("up", "--invaders", "1", "--lists", str(tmp_path), "--invader-options", "--checkpoints 'a")
    assert said == "--invader-options: --checkpoints 'a: No closing quotation"


def test_a_folder_of_lists_that_is_missing_is_refused(tmp_path: Path) -> None:
    said = refusal("up", "--invaders", "1", "--lists", str(tmp_path / "missing"))
    assert said == f"--lists: {tmp_path / 'missing'}: cannot be written: No such file or directory"


async def test_a_service_that_a_node_refuses_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its certificates, too, are those of its kind, by path."""
    monkeypatch.setattr("deploy.ray.replica.LOG", tmp_path / "log")
    spec = ReplicaSpec("invader", ("--threads", "1"), "/nowhere", 1.0)
    with pytest.raises(Exception, match=r"/nowhere/invader/"):
        async with spec.service("127.0.0.1"):
            pass
