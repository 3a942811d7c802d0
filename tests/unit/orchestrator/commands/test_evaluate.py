"""What `evaluate` takes beside finished cloaks, and what it refuses."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from orchestrator.commands.evaluate import evaluate_command
from orchestrator.errors import InputError
from tests.support.plans import write_faces

# What is said when all of the cloaks was found good.
TAKEN = "--tls-certificate, --tls-key and --tls-authority: expected all three or none"


@pytest.fixture
def arguments(tmp_path: Path) -> list[str]:
    """A run with finished cloaks, and an invader that can only be asked with two more options."""
    write_faces(tmp_path / "faces", ("alice",))
    write_faces(tmp_path / "cloaks" / "fog", ("alice",))
    chosen = ["--faces", tmp_path / "faces", "--cloaks", tmp_path / "cloaks", "--run", tmp_path / "run"]
    return [*map(str, chosen), "--tls-certificate", "certificate.pem"]


def failure(arguments: list[str], **environment: str) -> str:
    result = CliRunner().invoke(evaluate_command, arguments, env=environment)
    assert result.exception is not None
    return str(result.exception) if isinstance(result.exception, Exception) else result.output


@pytest.mark.parametrize(
    ("option", "value"),
    [("--protector", "localhost:2"), ("--protector-checkpoints", "weights"), ("--source-models", "a"), ("--epsilons", "8")],
)
def test_what_is_asked_of_a_protector_is_refused_beside_finished_cloaks(
    arguments: list[str], option: str, value: str
) -> None:
    assert failure([*arguments, option, value]).startswith(f"{option}: expected none beside --cloaks: ")


def test_a_protector_that_the_environment_names_is_no_objection(arguments: list[str]) -> None:
    assert failure(arguments, DEID_ORCHESTRATOR_PROTECTOR="localhost:2") == TAKEN


def test_a_table_of_names_needs_the_folder_that_they_are_in(arguments: list[str]) -> None:
    assert failure(["--names", "names.csv"]).startswith("--names: expected --cloaks beside it")


def test_files_can_be_left_as_they_are_where_there_are_some(arguments: list[str]) -> None:
    assert failure([*arguments, "--conditions", "as-is,jpeg:95"]) == TAKEN
    assert failure(["--conditions", "as-is+resize:112"]) == (
        "--conditions: as-is+resize:112: expected jpeg:QUALITY or png first: only the finished pictures of --cloaks can be "
        "left as they are"
    )


def test_methods_are_those_of_the_folder(arguments: list[str], tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"--methods: expected one of .*cloaks \(fog\), got bim$"):
        CliRunner().invoke(evaluate_command, [*arguments, "--methods", "bim"], catch_exceptions=False)
    assert not (tmp_path / "run").exists()
