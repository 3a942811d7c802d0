"""What the command line refuses: one line that names the option, what was expected and what came."""

import pkgutil
import sys
from importlib.metadata import version
from pathlib import Path

import click
import pytest

import orchestrator.commands
from orchestrator.__main__ import main
from orchestrator.cli import COMMANDS, cli
from orchestrator.commands.evaluate import evaluate_command

Output = pytest.CaptureFixture[str]


@pytest.fixture
def faces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data set of one photo; the working folder is empty."""
    photo = tmp_path / "faces" / "alice" / "a.jpg"
    photo.parent.mkdir(parents=True)
    photo.write_bytes(b"never opened here")
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    return tmp_path / "faces"


def refused(arguments: list[str], monkeypatch: pytest.MonkeyPatch, capfd: Output) -> str:
    """Runs the program, which is expected to refuse with exit status 2, and returns the line that says why."""
    monkeypatch.setattr(sys, "argv", ["orchestrator", *arguments])
    with pytest.raises(SystemExit) as stopped:
        main()
    captured = capfd.readouterr()
    assert stopped.value.code == 2, captured
    assert captured.out == ""
    assert "Traceback" not in captured.err
    *usage, reason = captured.err.strip().splitlines()
    assert all(line.startswith(("Usage: ", "Try ")) for line in usage if line), captured.err
    assert reason.lower().startswith("error: ")
    return reason


def both_services(faces: Path) -> list[str]:
    return ["evaluate", "--faces", str(faces), "--protector", "localhost:1", "--invader", "localhost:2"]


@pytest.mark.parametrize(
    ("arguments", "option", "expected", "got"),
    [
        (["--epsilons", "256"], "--epsilons", "1<=x<=255", "256"),
        (["--epsilons", "4,999999999999"], "--epsilons", "1<=x<=255", "999999999999"),
        (["--epsilons", "-4"], "--epsilons", "1<=x<=255", "-4"),
        (["--epsilons", "0"], "--epsilons", "1<=x<=255", "0"),
        (["--epsilons", "4,8,4"], "--epsilons", "expected no repetition", "got 4 twice"),
        (["--epsilons", "4,8,04"], "--epsilons", "expected no repetition", "got 4 twice"),
        (["--epsilons", "none"], "--epsilons", "integer", "'none'"),
        (["--epsilons", "4.5"], "--epsilons", "integer", "'4.5'"),
        (["--epsilons", ""], "--epsilons", "expected at least one epsilon", "got none"),
        (["--epsilons", " , "], "--epsilons", "expected at least one epsilon", "got none"),
        (["--k", "0"], "--k", "x>=1", "0"),
        (["--k", "-1"], "--k", "x>=1", "-1"),
        (["--k", "5,1,5"], "--k", "expected no repetition", "got 5 twice"),
        (["--k", ""], "--k", "expected at least one k", "got none"),
        (["--methods", ""], "--methods", "expected at least one method", "got none"),
        (["--methods", "bim,bim"], "--methods", "expected no repetition", "got bim twice"),
        (["--methods", "none"], "--methods", "expected methods beside the controls", "got none"),
        (["--methods", "bim,noise"], "--methods", "expected methods beside the controls", "got noise"),
        (["--source-models", ""], "--source-models", "expected at least one model", "got none"),
        (["--source-models", "facenet+"], "--source-models", "expected a model on both sides of +", "got facenet+"),
        (["--source-models", "+"], "--source-models", "expected a model on both sides of +", "got +"),
        (["--source-models", "a++b"], "--source-models", "expected a model on both sides of +", "got a++b"),
        (
            ["--source-models", "a+b+a"],
            "--source-models",
            "expected an ensemble of different models",
            "got a twice in a+b+a",
        ),
        (["--source-models", "a+b,b+a"], "--source-models", "expected no repetition", "got a+b twice"),
        (["--target-models", "facenet,facenet"], "--target-models", "expected no repetition", "got facenet twice"),
        (["--conditions", "webp:90"], "--conditions", "expected a storage first, jpeg:QUALITY, png or as-is", "'webp:90'"),
        (["--conditions", "jpeg:101"], "--conditions", "a whole number of 1..100", "101"),
        (["--conditions", "png,png"], "--conditions", "every condition once", "png twice"),
        (["--subjects", "0"], "--subjects", "x>=1", "0"),
        (["--subjects", "many"], "--subjects", "integer", "'many'"),
        (["--until-halfwidth", "0"], "--until-halfwidth", "expected more than 0 and at most 50 points", "got 0"),
        (["--until-halfwidth", "-2"], "--until-halfwidth", "expected more than 0 and at most 50 points", "got -2"),
        (["--until-halfwidth", "50.1"], "--until-halfwidth", "expected more than 0 and at most 50 points", "got 50.1"),
        (["--until-halfwidth", "nan"], "--until-halfwidth", "expected more than 0 and at most 50 points", "got nan"),
        (["--until-halfwidth", "2 %"], "--until-halfwidth", "valid float", "'2 %'"),
        (["--seed", "-1"], "--seed", "0<=x<=", "-1"),
        (["--seed", str(2**63)], "--seed", f"0<=x<={2**63 - 1}", str(2**63)),
        (["--in-flight", "0"], "--in-flight", "1<=x<=1024", "0"),
    ],
)
def test_a_bad_value_is_refused_by_its_option(
    faces: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: Output,
    arguments: list[str],
    option: str,
    expected: str,
    got: str,
) -> None:
    reason = refused([*both_services(faces), *arguments], monkeypatch, capfd)
    assert option in reason
    assert expected in reason
    assert got in reason
    assert list(Path.cwd().iterdir()) == [], "what is refused leaves nothing behind"


def test_the_members_of_an_ensemble_come_in_ascending_order_and_the_models_in_the_one_given() -> None:
    context = evaluate_command.make_context("evaluate", ["--source-models", "senet50, resnet50 + facenet,facenet"])
    assert context.params["source_models"] == ("senet50", "facenet+resnet50", "facenet")


@pytest.mark.parametrize("kind", ["protector", "invader"])
def test_a_service_is_not_both_running_and_started(
    faces: Path, monkeypatch: pytest.MonkeyPatch, capfd: Output, kind: str
) -> None:
    reason = refused([*both_services(faces), f"--{kind}-checkpoints", "weights"], monkeypatch, capfd)
    assert reason == f"error: --{kind}, --{kind}-checkpoints: expected at most one of the two, got both"


def test_synthetic_faces_that_cannot_be_are_refused(faces: Path, monkeypatch: pytest.MonkeyPatch, capfd: Output) -> None:
    reason = refused(["evaluate", "--faces", "synthetic:identities=0"], monkeypatch, capfd)
    assert reason == "error: --faces: synthetic:identities=0: identities: expected 1..9999, got 0"


def test_a_missing_data_set_is_refused_by_its_path(faces: Path, monkeypatch: pytest.MonkeyPatch, capfd: Output) -> None:
    reason = refused(both_services(faces / "absent"), monkeypatch, capfd)
    assert reason.startswith("error: --faces: ")
    assert str(faces / "absent") in reason


def test_a_data_set_without_photos_is_refused(faces: Path, monkeypatch: pytest.MonkeyPatch, capfd: Output) -> None:
    reason = refused(both_services(faces / "alice"), monkeypatch, capfd)
    expected = "a folder of identity folders with .jfif, .jpe, .jpeg, .jpg, .png files"
    assert reason.startswith(
        f"error: --faces: expected {expected}, got {faces / 'alice'} with none: photos lie in it itself"
    )


def test_a_run_folder_that_holds_something_else_is_refused(
    faces: Path, monkeypatch: pytest.MonkeyPatch, capfd: Output
) -> None:
    reason = refused([*both_services(faces), "--run", str(faces)], monkeypatch, capfd)
    assert reason == f"error: --run: expected a new folder or one that holds a run, got {faces} with alice"


def test_an_unknown_option_is_refused(faces: Path, monkeypatch: pytest.MonkeyPatch, capfd: Output) -> None:
    assert "--epsilon-list" in refused([*both_services(faces), "--epsilon-list", "4"], monkeypatch, capfd)


def test_a_run_folder_that_cannot_be_made_is_one_line(faces: Path, monkeypatch: pytest.MonkeyPatch, capfd: Output) -> None:
    run = faces / "alice" / "a.jpg" / "run"
    monkeypatch.setattr(sys, "argv", ["orchestrator", "evaluate", "--faces", str(faces), "--run", str(run)])
    with pytest.raises(SystemExit) as stopped:
        main()
    assert stopped.value.code == 1
    assert capfd.readouterr().err == f"error: --run: {run} cannot be made: Not a directory\n"


@pytest.mark.parametrize("option", ["--run", "--runs", "--protector-checkpoints", "--tls-key"])
def test_every_path_option_knows_the_home_of_its_user(option: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/ann")
    (parameter,) = [each for each in evaluate_command.params if option in each.opts]
    assert parameter.type.convert("~/x", parameter, None) == Path("/home/ann/x")
    assert parameter.type.convert("~nobody-of-that-name/x", parameter, None) == Path("~nobody-of-that-name/x")


def test_a_data_set_is_looked_for_in_the_home_of_its_user(
    faces: Path, monkeypatch: pytest.MonkeyPatch, capfd: Output
) -> None:
    monkeypatch.setenv("HOME", str(faces.parent))
    reason = refused(["evaluate", "--faces", "~/nowhere"], monkeypatch, capfd)
    assert str(faces.parent / "nowhere") in reason


def test_it_says_its_version(monkeypatch: pytest.MonkeyPatch, capfd: Output) -> None:
    monkeypatch.setattr(sys, "argv", ["orchestrator", "--version"])
    with pytest.raises(SystemExit) as end:
        main()
    assert (end.value.code, capfd.readouterr().out) == (0, f"orchestrator {version('face-deid-bench')}\n")


@pytest.mark.parametrize("name", COMMANDS)
def test_the_group_says_of_a_command_what_its_own_help_begins_with(name: str) -> None:
    command = cli.get_command(click.Context(cli), name)
    assert command is not None
    assert (command.help or "").startswith(COMMANDS[name])


def test_every_command_is_listed_in_order() -> None:
    with_commands = [
        module.name
        for module in pkgutil.iter_modules(orchestrator.commands.__path__)
        if "@click.command(" in (Path(orchestrator.commands.__path__[0]) / f"{module.name}.py").read_text()
    ]
    assert list(COMMANDS) == sorted(with_commands)
    assert cli.get_command(click.Context(cli), "options") is None
