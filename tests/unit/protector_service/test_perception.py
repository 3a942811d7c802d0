"""`lowkey` is offered where its weights lie beside the checkpoints, and else the log says what is missing."""

import logging
from pathlib import Path

import pytest
import torch
from torchvision.models import alexnet

from protector_service.methods.lowkey import LowKey
from protector_service.methods.lpips import CHANNELS, Lpips
from protector_service.perception import seeing
from recognizers.checkpoints.loading import load_folder
from tests.support.engines import METHODS

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with both files, of random weights."""
    folder = tmp_path_factory.mktemp("weights")
    convolutions = {name: each for name, each in alexnet(weights=None).state_dict().items() if name.startswith("features.")}
    torch.save(convolutions, folder / "alexnet-owt-7be5be79.pth")
    torch.save(
        {f"lin{place}.model.1.weight": torch.rand(1, count, 1, 1) for place, count in enumerate(CHANNELS)},
        folder / "lpips-alex.pth",
    )
    return folder


def test_with_both_files_it_is_offered_and_measures_by_lpips(weights: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        offered = seeing(METHODS, folder=weights, device=CPU)
    assert offered.keys() == METHODS.keys()
    method = offered["lowkey"]
    assert isinstance(method, LowKey)
    assert isinstance(method.perception, Lpips)
    assert not caplog.records
    assert list(offered) == sorted(offered)


@pytest.mark.parametrize(
    ("kept", "missing"),
    [
        ("", "needs AlexNet's weights (alexnet*.pth, from torchvision) in the checkpoint folder"),
        ("lpips-alex.pth", "needs AlexNet's weights"),
        ("alexnet-owt-7be5be79.pth", "needs the package lpips, or its weights/v0.1/alex.pth as lpips-alex.pth"),
    ],
)
def test_without_a_file_it_is_not_offered_and_the_log_says_which(
    weights: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch, kept: str, missing: str
) -> None:
    monkeypatch.setattr("recognizers.checkpoints.lpips_weights.find_spec", lambda name: None)
    if kept:
        (tmp_path / kept).symlink_to(weights / kept)
    with caplog.at_level(logging.INFO):
        offered = seeing(METHODS, folder=tmp_path, device=CPU)
    assert offered.keys() == METHODS.keys() - {"lowkey"}
    (record,) = caplog.records
    assert record.getMessage() == "method not offered"
    assert missing in record.__dict__["reason"]


@pytest.mark.parametrize(
    ("file", "content", "reason"),
    [
        ("alexnet-owt-7be5be79.pth", {"features.0.weight": torch.zeros(2)}, "LPIPS: AlexNet failed"),
        ("lpips-alex.pth", {"lin0.model.1.weight": torch.zeros(3)}, "expected lin0.model.1.weight with 64 numbers, got 3"),
    ],
)
def test_a_file_that_is_another_is_refused_with_the_reason(
    weights: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture, file: str, content: object, reason: str
) -> None:
    for path in weights.iterdir():
        (tmp_path / path.name).symlink_to(path)
    (tmp_path / file).unlink()
    torch.save(content, tmp_path / file)
    offered = seeing(METHODS, folder=tmp_path, device=CPU)
    assert "lowkey" not in offered
    (record,) = caplog.records
    assert record.getMessage() == "method refused"
    assert reason in record.__dict__["reason"]


def test_an_embedded_folder_has_none(caplog: pytest.LogCaptureFixture) -> None:
    assert "lowkey" not in seeing(METHODS, folder=None, device=CPU)
    assert "lowkey-dssim" in seeing(METHODS, folder=None, device=CPU)


def test_the_files_are_not_taken_for_checkpoints(weights: Path, tmp_path: Path) -> None:
    for path in [*weights.iterdir(), *(Path(__file__).parents[3] / "recognizers" / "checkpoints" / "weights").iterdir()]:
        (tmp_path / path.name).symlink_to(path)
    refused: list[str] = []
    assert load_folder(tmp_path, CPU, on_refused=lambda kind, reason: refused.append(reason))
    assert refused == []
