"""`python -P -m recognizers.training`, in miniature: few people, one photograph each, one epoch."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from recognizers.checkpoints.loading import load_recognizer
from recognizers.errors import RecognizerError
from recognizers.networks.compact import CompactFaceNet
from recognizers.networks.label_set import LabelSet
from recognizers.training import command, loop
from recognizers.training.augmentation import AugmentedFaces
from recognizers.training.photographs import FacePhotograph, prepare_photographs, read_photographs
from synthetic_faces import Population

PEOPLE = Population(3)


@pytest.fixture(scope="module")
def photographs(tmp_path_factory: pytest.TempPathFactory) -> list[FacePhotograph]:
    folder = tmp_path_factory.mktemp("photographs")
    assert list(prepare_photographs(folder, PEOPLE, (1001, 1002), processes=1)) == [0, 1, 2, 3]
    assert list(prepare_photographs(folder, PEOPLE, (1001, 1002), processes=1)) == [3], "what is there is not made again"
    return read_photographs(folder, PEOPLE)


def test_photographs_come_with_their_faces(photographs: list[FacePhotograph]) -> None:
    assert [photograph.identity for photograph in photographs] == [0, 0, 1, 1, 2, 2]
    assert photographs[2].jpeg == PEOPLE.jpeg(2, 1001)
    assert all(0 <= photograph.square.left < photograph.square.right <= 256 for photograph in photographs)


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
    class Stopped(Exception):  # noqa: N818
        pass

    def on_epoch(result: loop.EpochResult) -> None:
        if result.epoch == stop_after:
            raise Stopped

    try:
        model, _ = loop.train(
            CompactFaceNet,
            LabelSet(PEOPLE.names),
            photographs,
            loop.Recipe(seed=5, epochs=epochs, batch=4, dropout=0.2),
            state=state,
            on_batch=lambda seen, loss: None,
            on_epoch=on_epoch,
        )
    except Stopped:
        return trained(photographs, state, epochs=epochs)
    return model


def test_an_interrupted_training_ends_as_an_uninterrupted_one(photographs: list[FacePhotograph], tmp_path: Path) -> None:
    whole = trained(photographs, tmp_path / "whole.pt").state_dict()
    resumed = trained(photographs, tmp_path / "resumed.pt", stop_after=1).state_dict()
    assert whole.keys() == resumed.keys()
    assert all(torch.equal(tensor, resumed[name]) for name, tensor in whole.items())


def test_the_state_of_another_training_is_refused(photographs: list[FacePhotograph], tmp_path: Path) -> None:
    trained(photographs, tmp_path / "state.pt", epochs=1)
    with pytest.raises(RecognizerError, match=r"state\.pt: is of another training"):
        trained(photographs, tmp_path / "state.pt", epochs=2)


def test_the_command_makes_weights_that_load_and_a_card(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    options = ["compact-senet", "--identities", "5", "--photographs", "1", "--epochs", "1", "--seed", "3"]
    places = ["--work", str(tmp_path / "work"), "--out", str(tmp_path / "out")]
    monkeypatch.setattr(sys, "argv", ["train", *options, *places])
    with pytest.raises(SystemExit) as ended:
        command.main()
    assert ended.value.code == 0
    assert "compact-senet epoch  1/1: loss" in capfd.readouterr().out
    weights = tmp_path / "out" / "compact-senet.safetensors"
    card = json.loads(weights.with_suffix(".card.json").read_text())
    loaded = load_recognizer(weights)
    assert loaded.recognizer.label_set.identities == Population(5).names
    assert card["sha256"] == loaded.checkpoint_sha256
    assert (card["seed"], card["epochs"], card["trained_on"]["photographs_of_each"]) == (3, 1, 1)
    assert set(card["held_out"]) == {"probe of 160 pixels", "probe of 224 pixels"}
    assert card["held_out"]["probe of 160 pixels"]["photographs"] == 20
    assert len(card["learning_curve"]) == 1
    assert np.isfinite(card["learning_curve"][0]["loss"])


def test_other_people_s_labels_are_not_overwritten(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "labels.txt").write_text("alice\nbob\n")
    monkeypatch.setattr(sys, "argv", ["train", "--work", str(tmp_path / "work"), "--out", str(tmp_path)])
    with pytest.raises(SystemExit) as stopped:
        command.main()
    assert stopped.value.code == 2
    assert "labels.txt: names other people than are to be trained for" in capfd.readouterr().err
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
def test_a_bad_number_is_refused(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], arguments: list[str], complaint: str
) -> None:
    monkeypatch.setattr(sys, "argv", ["train", *arguments])
    with pytest.raises(SystemExit) as stopped:
        command.main()
    assert stopped.value.code == 2
    assert complaint in capfd.readouterr().err
