"""`python -P -m recognizers`: what it reports, what it writes, and how it refuses."""

import hashlib
import os
import re
import resource
import runpy
import subprocess
import sys
import warnings
from importlib import metadata
from pathlib import Path

import click
import pytest
import safetensors
import torch
from PIL import Image
from rich.console import Console
from rich.progress import Progress
from torch import Tensor

import recognizers
from command_line.output import OUTPUT_LOST
from command_line.program import run_program
from recognizers.__main__ import main, report
from recognizers.checkpoints import embedded
from recognizers.checkpoints.checkpoint import Checkpoint, read_checkpoint
from recognizers.checkpoints.installed_weights import dlib_resnet_file
from recognizers.checkpoints.loading import build_network, load_recognizer
from recognizers.galleries.embedding_cache import FILE, EmbeddingCache
from recognizers.networks.label_set import LabelSet
from synthetic_faces import Population
from tests.support.checkpoints import (
    hollow_checkpoint,
    hollow_weights,
    marked_weights,
    matconvnet,
    torch_zip,
    write_labels,
)
from tests.support.filled_networks import write_filled
from tests.support.output import FULL, HEAD, standard_output
from tests.support.plain_networks import (
    CLASSES,
    plain_logits,
    random_weights,
    relative_difference,
    sample_images,
)
from tests.support.programs import Answer, Program


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Program:
    return Program(main, monkeypatch, capfd)


def check_refused_in_a_line(answer: Answer, *expected: str) -> None:
    assert answer.status == 2
    assert answer.out == ""
    (line,) = answer.err.splitlines()
    assert line.startswith("error: ")
    for words in expected:
        assert words in line


def test_inspect_compares_three_photos_by_any_network(run: Program, tmp_path: Path) -> None:
    people = Population(2)
    photos = [tmp_path / f"{place}.png" for place in range(3)]
    for photo, (person, number) in zip(photos, ((1, 1), (1, 2), (2, 1)), strict=True):
        Image.fromarray(people.photograph(person, number)).save(photo)
    answer = run("inspect", embedded.FOLDER / "compact-facenet.safetensors", "--self-test", *photos)
    assert answer.status == 0
    assert answer.facts["self-test"].startswith("passed: cosine similarity ")


def test_inspect_reports_what_a_checkpoint_is(run: Program, folder: Path) -> None:
    path = hollow_checkpoint(folder / "weights.dat", "resnet50")
    labels_file = write_labels(folder / "labels.txt")
    answer = run("inspect", path)
    assert answer.status == 0
    assert answer.err == ""
    labels = LabelSet(tuple(f"identity_{place}" for place in range(CLASSES)))
    facts = answer.facts
    assert "torchvision" in facts.pop("note")
    assert facts == {
        "file": str(path),
        "format": "PyTorch file, VGGFace2-pytorch names",
        "architecture": "resnet50",
        "input": "224 x 224, square faces",
        "classes": str(CLASSES),
        "precision": "float32",
        "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        "published": "no: not one of the known published files",
        "labels": f"{labels_file}, sha256 {labels.sha256}",
    }


@pytest.mark.parametrize(("labels", "expected"), [(None, "no labels file beside it"), (3, "names 3 identities")])
def test_inspect_reports_a_checkpoint_whose_labels_are_unusable(
    run: Program,
    folder: Path,
    labels: int | None,
    expected: str,
) -> None:
    path = hollow_checkpoint(folder / "facenet.pt")
    if labels:
        write_labels(folder / "labels.txt", classes=labels)
    answer = run("inspect", path)
    assert answer.status == 0
    assert answer.facts["labels"].startswith("unusable: ")
    assert expected in answer.facts["labels"]
    assert "note" not in answer.facts


def test_a_published_file_is_reported_as_such(tmp_path: Path) -> None:
    sha256 = "9a954e4046df21aea62b46c032de4b56f7230dfc3705b6b1bda348983e0eb26e"
    checkpoint = Checkpoint(tmp_path / "a.pkl", sha256, "pickle", "resnet50", 8631, "float32", note=None, tensors={})
    assert "published:    resnet50_ft_weight.pkl of VGGFace2-pytorch" in report(checkpoint).splitlines()


def test_dlibs_network_is_reported_and_converted(run: Program, folder: Path) -> None:
    path, out = dlib_resnet_file(), folder / "dlib.safetensors"
    assert path is not None
    facts = run("inspect", path).facts
    published = facts.pop("published")
    assert published.startswith("dlib_face_recognition_resnet_model_v1.dat of dlib-models, trained on about 3 million ")
    assert published.endswith("in the public domain or under CC0 1.0")
    stated = {
        "architecture": "dlib",
        "input": "195 x 195, square faces",
        "classes": "none: an embedding network, which needs a gallery",
        "features": "128, compared by Euclidean distance; 5,607,488 parameters",
        "precision": "float32",
        "note": "its users take two faces whose features are less than 0.6 apart for one person's",
    }
    assert facts == stated | {
        "file": str(path),
        "format": "dlib file, dlib-resnet names",
        "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
    }
    converted = run("convert", path, out).facts
    assert converted.items() >= (stated | {"file": str(out), "format": "safetensors, dlib-resnet names"}).items()
    before, after = (build_network(read_checkpoint(each)) for each in (path, out))
    images = sample_images(before.input_size)
    with torch.no_grad():
        assert torch.equal(before(images), after(images))


def test_a_network_for_aligned_faces_is_reported_and_converted(run: Program, folder: Path) -> None:
    path, out = write_filled("mobilefacenet", folder / "mobile_face.pth"), folder / "out.safetensors"
    stated = {
        "architecture": "mobilefacenet",
        "classes": "none: an embedding network, which needs a gallery",
        "input": "112 x 112, aligned faces",
        "features": "512, compared by cosine distance; 1,220,864 parameters",
        "precision": "float32",
    }
    assert run("inspect", path).facts.items() >= stated.items()
    assert run("convert", path, out).facts.items() >= stated.items()
    before, after = (read_checkpoint(each).tensors for each in (path, out))
    assert before.keys() == after.keys()
    assert all(torch.equal(tensor, after[name]) for name, tensor in before.items())


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (None, "cannot be read"),
        (b"", "the file is empty"),
        (b"<!DOCTYPE html>", "this is a web page"),
        (torch_zip({"weight": torch.zeros(3)}), "wrong architecture"),
        (torch_zip(hollow_weights("facenet") | {"extra": torch.zeros(3)}), "1 unexpected (extra)"),
        (torch_zip({"weight": torch.zeros(3)})[:-10], "truncated or damaged"),
    ],
    ids=["missing", "empty", "web page", "wrong architecture", "unexpected key", "truncated"],
)
@pytest.mark.parametrize("command", ["inspect", "convert"])
def test_a_file_that_is_no_checkpoint_is_refused_in_one_line(
    run: Program,
    folder: Path,
    command: str,
    content: bytes | None,
    reason: str,
) -> None:
    path, out = folder / "checkpoint.pt", folder / "out.safetensors"
    if content is not None:
        path.write_bytes(content)
    answer = run(command, path, *([out] if command == "convert" else []))
    check_refused_in_a_line(answer, str(path), reason)
    assert not out.exists()


def test_convert_writes_a_file_that_answers_the_same(run: Program, folder: Path) -> None:
    path, out = embedded.FOLDER / "compact-senet.safetensors", folder / "compact-senet.safetensors"
    (folder / "labels.txt").write_bytes((embedded.FOLDER / "labels.txt").read_bytes())
    answer = run("convert", path, out)
    assert answer.status == 0
    assert answer.err == ""
    assert answer.facts["file"] == str(out)
    assert answer.facts["format"] == "safetensors, compact names"
    assert answer.facts["architecture"] == "compact-senet"
    assert answer.facts["classes"] == str(embedded.IDENTITIES)
    assert answer.facts["precision"] == "float16, float32"
    assert answer.facts["sha256"] == hashlib.sha256(out.read_bytes()).hexdigest()
    assert torch.equal(logits(path), logits(out))


@pytest.mark.thorough
def test_a_converted_full_size_network_answers_like_the_plain_one(run: Program, folder: Path) -> None:
    path, out = folder / "resnet50_ft_dag.pth", folder / "resnet50.safetensors"
    path.write_bytes(torch_zip(matconvnet(random_weights("resnet50"))))
    write_labels(folder / "labels.txt")
    assert run("convert", path, out).facts["format"] == "safetensors, VGGFace2-pytorch names"
    before, after = logits(path), logits(out)
    assert torch.equal(before, after)
    assert relative_difference(after, plain_logits("resnet50")) < 1e-4


def logits(path: Path) -> Tensor:
    recognizer = load_recognizer(path).recognizer
    with torch.no_grad():
        return recognizer.logits(sample_images(recognizer.input_size))


def test_convert_keeps_the_precision_and_every_tensor(run: Program, folder: Path) -> None:
    path, out = folder / "network.pt", folder / "network.safetensors"
    path.write_bytes(torch_zip(marked_weights("compact-facenet", torch.float16)))
    assert run("convert", path, out).facts["precision"] == "float16"
    before, after = read_checkpoint(path).tensors, read_checkpoint(out).tensors
    assert after.keys() == before.keys()
    assert all(torch.equal(after[name], tensor) and after[name].dtype == tensor.dtype for name, tensor in before.items())


def test_a_converted_file_says_what_it_was_converted_from(run: Program, folder: Path) -> None:
    path, out = hollow_checkpoint(folder / "senet.pth", "compact-senet"), folder / "senet.safetensors"
    assert run("convert", path, out).status == 0
    with safetensors.safe_open(out, framework="pt") as file:
        stated = file.metadata()
    assert stated == {"architecture": "compact-senet", "source_sha256": hashlib.sha256(path.read_bytes()).hexdigest()}


def test_tensors_that_share_memory_are_converted(run: Program, folder: Path) -> None:
    path, out = folder / "network.pt", folder / "network.safetensors"
    ones = torch.ones(8)
    shared = {f"stage1.0.convolutions.{number}.weight": ones for number in (1, 4)}
    path.write_bytes(torch_zip(hollow_weights("compact-resnet") | shared))
    assert run("convert", path, out).status == 0
    assert torch.equal(read_checkpoint(out).tensors["stage1.0.convolutions.4.weight"], ones)


def test_convert_overwrites_nothing(run: Program, folder: Path) -> None:
    path, out = hollow_checkpoint(folder / "facenet.pt"), folder / "facenet.safetensors"
    out.write_text("precious")
    answer = run("convert", path, out)
    assert answer.status == 2
    assert f"{out} exists; it is not overwritten" in answer.err.splitlines()[-1]
    assert "Traceback" not in answer.err
    assert out.read_text() == "precious"


def test_convert_writes_safetensors_only(run: Program, folder: Path) -> None:
    answer = run("convert", hollow_checkpoint(folder / "facenet.pt"), folder / "out.pt")
    assert answer.status == 2
    assert "ends in .safetensors, got out.pt" in answer.err.splitlines()[-1]
    assert not (folder / "out.pt").exists()


def test_a_place_that_cannot_be_written_to_is_reported_in_one_line(run: Program, folder: Path) -> None:
    out = folder / "absent" / "facenet.safetensors"
    answer = run("convert", hollow_checkpoint(folder / "facenet.pt"), out)
    assert answer.status != 0
    (line,) = answer.err.splitlines()
    assert f"{out}: cannot be written: " in line


def test_the_package_runs_as_a_program(run: Program, folder: Path) -> None:
    def program() -> object:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that the module is imported already
            return runpy.run_module("recognizers", run_name="__main__")

    check_refused_in_a_line(run("inspect", folder / "absent.pt", main=program), "absent.pt: cannot be read")


def test_the_version_is_that_of_the_distribution(run: Program) -> None:
    answer = run("--version")
    assert answer.status == 0
    assert answer.out.strip().endswith(metadata.version("face-deid-bench"))


@pytest.mark.parametrize("arguments", [["--help"], ["inspect", "--help"], ["convert", "--help"]])
def test_the_exit_status_is_documented(run: Program, arguments: list[str]) -> None:
    answer = run(*arguments)
    assert answer.status == 0
    assert "Exit status: 0 done" in " ".join(answer.out.split())


def test_inspect_says_what_was_unwrapped(run: Program, folder: Path) -> None:
    torch.save(
        {"model": {f"module.{name}": tensor for name, tensor in hollow_weights("facenet").items()}}, folder / "net.pt"
    )
    assert run("inspect", folder / "net.pt").facts["unwrapped"] == "under 'model', without the prefix 'module.' of all names"


def test_a_name_that_no_encoding_has_is_printed(run: Program, folder: Path) -> None:
    path = Path(os.fsdecode(os.fsencode(folder) + b"/\xff.pt"))
    answer = run("inspect", hollow_checkpoint(path))
    assert answer.status == 0
    assert answer.facts["file"].endswith(r"\udcff.pt")
    check_refused_in_a_line(run("inspect", path.with_name("absent" + path.name)), r"absent\udcff.pt: cannot be read")


@pytest.mark.parametrize(("output", "status"), [(HEAD, 0), (FULL, OUTPUT_LOST)])
def test_work_outlives_the_output_that_its_progress_is_shown_on(run: Program, output: str, status: int) -> None:
    done = []

    @click.command
    def training() -> None:
        with Progress(console=Console()) as progress:
            for epoch in progress.track(range(3)):
                progress.console.print(f"epoch {epoch}")
                done.append(epoch)

    with standard_output(output):
        assert run(main=lambda: run_program(training)).status == status
    assert done == [0, 1, 2]


def test_memory_that_does_not_suffice_is_reported_in_one_line(
    run: Program, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def starved(_path: Path) -> Checkpoint:
        raise ImportError("libtorch_cuda.so: failed to map segment from shared object")

    monkeypatch.setattr("recognizers.checkpoints.checkpoint.read_checkpoint", starved)
    check_refused_in_a_line(run("inspect", folder / "facenet.pt"), "not enough memory to start: about 4 GB", "ulimit -v")


def test_a_file_that_breaks_off_as_it_is_written_does_not_stay(run: Program, folder: Path) -> None:
    path, out = hollow_checkpoint(folder / "facenet.pt", "compact-facenet"), folder / "facenet.safetensors"
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, before[1]))
    try:
        answer = run("convert", path, out)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    check_refused_in_a_line(answer, f"{out}: cannot be written: File too large")
    assert list(folder.iterdir()) == [path], "nothing is left of it"


@pytest.mark.parametrize(
    "arguments",
    [["recognizers", "--version"], pytest.param(["recognizers.training", "--help"], marks=pytest.mark.thorough)],
)
def test_the_documented_commands_import_nothing_of_the_current_folder(folder: Path, arguments: list[str]) -> None:
    for name in ("random", "torch", "click", "numpy"):
        (folder / f"{name}.py").write_text("raise SystemExit('the current folder was imported')")
    command = [sys.executable, "-P", "-m", *arguments]
    program = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert program.returncode == 0, program.stderr


def test_every_documented_command_of_the_package_is_one_of_these() -> None:
    root = Path(recognizers.__file__).parents[1]
    pages = [root / "README.md", *(root / "docs").glob("*.md"), root / "recognizers/checkpoints/weights/README.md"]
    for page in pages:
        commands = re.findall(r"python (?:-P )?-m recognizers\b.*", page.read_text(encoding="utf-8"))
        assert all(command.startswith("python -P ") for command in commands), page


@pytest.mark.parametrize("arguments", [["inspect"], ["convert", "in.pt"], ["explain"]])
def test_a_command_that_makes_no_sense_is_a_usage_error(run: Program, arguments: list[str]) -> None:
    answer = run(*arguments)
    assert answer.status == 2
    assert answer.err.startswith("Usage: ")


def test_kept_embeddings_are_deleted_and_named(run: Program, tmp_path: Path) -> None:
    EmbeddingCache(tmp_path)
    (tmp_path / "other").touch()
    first, second = (run("purge", tmp_path) for _ in range(2))
    assert (first.out, first.status) == (f"{tmp_path / FILE}\n", 0)
    assert (second.out, second.status) == ("there are none\n", 0)
    assert [path.name for path in tmp_path.iterdir()] == ["other"]
