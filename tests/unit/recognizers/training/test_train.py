"""`python -P -m recognizers.training`, in miniature: few people, one photograph each, one epoch."""

import itertools
import json
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from recognizers.checkpoints.loading import load_recognizer
from recognizers.errors import RecognizerError
from recognizers.networks.label_set import LabelSet
from recognizers.networks.network import Network
from recognizers.training import __main__ as command
from recognizers.training import loop
from recognizers.training.augmentation import AugmentedFaces
from recognizers.training.photographs import FacePhotograph, prepare_photographs, read_photographs
from synthetic_faces import Population
from tests.support.programs import Answer, Program

PEOPLE = Population(3)


class TinyNetwork(Network):
    """All that a training needs."""

    name = "tiny"
    input_size = 32
    feature_size = 8
    head_name = "head"

    def __init__(self) -> None:
        super().__init__()
        self.backbone = nn.Sequential(nn.Conv2d(3, 8, 5, 4), nn.BatchNorm2d(8), nn.AdaptiveAvgPool2d(1), nn.Flatten())

    def normalise(self, images: Tensor) -> Tensor:
        return images / 255


@pytest.fixture(scope="module")
def photographs(tmp_path_factory: pytest.TempPathFactory) -> list[FacePhotograph]:
    folder = tmp_path_factory.mktemp("photographs")
    assert list(prepare_photographs(folder, PEOPLE, (1001, 1002), processes=1)) == [0, 1, 2, 3]
    assert list(prepare_photographs(folder, PEOPLE, (1001, 1002), processes=1)) == [3], "what is there is not made again"
    return read_photographs(folder, PEOPLE)


def test_photographs_come_with_their_faces(photographs: list[FacePhotograph]) -> None:
    assert [photograph.identity for photograph in photographs] == [0, 0, 1, 1, 2, 2]
    assert photographs[2].jpeg == PEOPLE.jpeg(2, 1001)
    assert all(0 <= photograph.box.left < photograph.box.right <= 256 for photograph in photographs)


def test_views_differ_by_epoch_and_not_by_chance(photographs: list[FacePhotograph]) -> None:
    faces, again = (AugmentedFaces(photographs, input_size=160, seed=7) for _ in range(2))
    faces.epoch = again.epoch = 1
    first, label = faces[3]
    assert (tuple(first.shape), first.dtype, label) == ((3, 160, 160), torch.uint8, 1)
    assert torch.equal(first, again[3][0])
    again.epoch = 2
    assert not torch.equal(first, again[3][0])


def trained(
    photographs: list[FacePhotograph], state: Path, *, epochs: int = 2, stop_after: int | None = None
) -> loop.Classifier:
    recipe = loop.Recipe(seed=5, epochs=epochs, batch=4, dropout=0.2)
    model = loop.new_classifier(TinyNetwork, LabelSet(PEOPLE.names), recipe)
    results = list(itertools.islice(loop.train(model, photographs, recipe, state=state), stop_after))
    assert [result.epoch for result in results] == list(range(1, (stop_after or epochs) + 1))
    return model


def test_an_interrupted_training_ends_as_an_uninterrupted_one(photographs: list[FacePhotograph], tmp_path: Path) -> None:
    whole = trained(photographs, tmp_path / "whole.pt").state_dict()
    trained(photographs, tmp_path / "resumed.pt", stop_after=1)
    resumed = trained(photographs, tmp_path / "resumed.pt").state_dict()
    assert whole.keys() == resumed.keys()
    assert all(torch.equal(tensor, resumed[name]) for name, tensor in whole.items())


def test_the_state_of_another_training_is_refused(photographs: list[FacePhotograph], tmp_path: Path) -> None:
    trained(photographs, tmp_path / "state.pt", epochs=1)
    with pytest.raises(RecognizerError, match=r"state\.pt: is of another training"):
        trained(photographs, tmp_path / "state.pt", epochs=2)


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Program:
    return Program(command.main, monkeypatch, capfd)


def check_trained(answer: Answer, out: Path, *, identities: int) -> None:
    """That compact-senet was trained for an epoch, on a photograph of each identity."""
    assert answer.status == 0, answer.err
    assert "compact-senet epoch  1/1: loss" in answer.out
    weights = out / "compact-senet.safetensors"
    card = json.loads(weights.with_suffix(".card.json").read_text())
    loaded = load_recognizer(weights)
    assert loaded.recognizer.label_set.identities == Population(identities).names
    assert card["sha256"] == loaded.checkpoint_sha256
    assert (card["seed"], card["epochs"], card["trained_on"]["photographs_of_each"]) == (3, 1, 1)
    assert set(card["held_out"]) == {"probe of 160 pixels", "probe of 224 pixels"}
    assert card["held_out"]["probe of 160 pixels"]["photographs"] == 4 * identities
    assert 0 <= card["held_out"]["probe of 224 pixels"]["top_1_percent"] <= 100
    assert len(card["learning_curve"]) == 1
    assert card["learning_curve"][0]["loss"] > 0


ONE_EPOCH = ("compact-senet", "--photographs", "1", "--epochs", "1", "--seed", "3")


def test_the_command_makes_weights_that_load_and_a_card(
    run: Program, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch, "get_num_threads", lambda: 1)  # photographs are made in this process
    answer = run(*ONE_EPOCH, "--identities", "2", "--work", tmp_path / "work", "--out", tmp_path / "out")
    check_trained(answer, tmp_path / "out", identities=2)


@pytest.mark.thorough
def test_photographs_are_made_in_several_processes(run: Program, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)
    answer = run(*ONE_EPOCH, "--identities", "3", "--work", tmp_path / "work", "--out", tmp_path / "out")
    check_trained(answer, tmp_path / "out", identities=3)


def test_other_people_s_labels_are_not_overwritten(run: Program, tmp_path: Path) -> None:
    (tmp_path / "labels.txt").write_text("alice\nbob\n")
    answer = run("--work", tmp_path / "work", "--out", tmp_path)
    assert answer.status == 2
    assert "labels.txt: names other people than are to be trained for" in answer.err
    assert (tmp_path / "labels.txt").read_text() == "alice\nbob\n"


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["compact-vgg"], "'compact-vgg' is not one of"),
        (["--identities", "1"], "2<=x<=9999"),
        (["--photographs", "0"], "1<=x<=5000"),
        (["--seed", "-1"], "0<=x<="),
    ],
)
def test_a_bad_number_is_refused(run: Program, arguments: list[str], complaint: str) -> None:
    answer = run(*arguments)
    assert answer.status == 2
    assert complaint in answer.err
