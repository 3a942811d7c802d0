"""dlib's serialization: a tiny network's file, written here, is read exactly; others are refused by what differs."""

import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from recognizers.checkpoints import embedded, installed_weights
from recognizers.checkpoints.checkpoint import read_checkpoint
from recognizers.checkpoints.dlib_dat import read_dlib_network
from recognizers.checkpoints.installed_weights import dlib_resnet_file
from recognizers.checkpoints.loading import load_folder, load_models
from recognizers.errors import CheckpointError
from recognizers.networks.dlib_resnet import MEAN_RGB, SCALE
from tests.support.checkpoints import refusal_of
from tests.support.dlib_files import (
    BLOCK,
    HALVING,
    STEM,
    TRAINED,
    file_of,
    integer,
    pieces,
    pool,
    real,
    tensor,
    text,
    tiny_backbone,
    tiny_network,
    versions,
)

CPU = torch.device("cpu")
NEEDS_A_GALLERY = "dlib without a classifier is an embedding network: it needs a gallery (--gallery)"


def read(path: Path, content: bytes) -> dict[str, Tensor]:
    path.write_bytes(content)
    return read_dlib_network(path, tiny_backbone)


def refused(path: Path, content: bytes) -> str:
    with pytest.raises(CheckpointError) as refusal:
        read(path, content)
    assert "\n" not in str(refusal.value)
    return str(refusal.value)


def test_a_network_is_read_as_dlib_computes_it(tmp_path: Path) -> None:
    """Against the layers one by one: affine layers, unpadded strides, and what is added to a residual that shrinks."""
    network = tiny_network()
    backbone = tiny_backbone()
    backbone.load_state_dict(read(tmp_path / "tiny.dat", file_of(pieces(network))))
    crops = torch.randint(0, 256, (2, 3, 195, 195), generator=torch.Generator().manual_seed(0)).float()
    expected = network.features(crops[:, :, 35:185, 23:173].double())
    with torch.no_grad():
        features = backbone((crops - torch.tensor(MEAN_RGB).view(1, 3, 1, 1)) / SCALE)
    assert float((expected[0] - expected[1]).abs().max()) > 0.01
    assert float((features - expected).abs().max()) < 1e-5


@pytest.mark.parametrize(
    ("piece", "content", "reason"),
    [
        ("version", integer(2), "its beginning: expected version 1, got 2"),
        ("loss", text("loss_mmod_"), "its beginning: expected loss loss_metric_2, got loss_mmod_"),
        ("loss", integer(10**9), "its beginning: expected loss loss_metric_2, got a name of 1000000000 characters"),
        ("loss", text("loss\n\x1b[31m"), "its beginning: expected loss loss_metric_2, got loss\\n\\x1b[31m"),
        (
            "versions",
            versions([3] + 9 * [2]),
            "expected the 47 layers of dlib_face_recognition_resnet_model_v1.dat, got 10: another",
        ),
        (
            "versions",
            versions(99 * [2]),
            "expected the 47 layers of dlib_face_recognition_resnet_model_v1.dat, got more than 93: another",
        ),
        ("input", text("input_rgb_image"), "expected input input_rgb_image_sized, got input_rgb_image"),
        ("means", real(122.782) + real(117.001) + real(103.9), "expected mean of blue 104.298, got 103.9"),
        ("means", integer(1) + integer(10**9), "expected mean of red 122.782, got nan"),
        ("size", integer(150) + integer(227), "expected columns of the input 150, got 227"),
        ("4 content", pool(2, 2), "layer 4 of 47 (max_pool_2): expected rows 3, got 2"),
        ("14 name", text("con_5"), "layer 14 of 47 (con_4): expected a layer con_4, got con_5"),
        (
            "14 content",
            tensor(np.zeros(3, np.float32), shape=(3, 1, 1, 1)),
            "layer 14 of 47 (con_4): expected parameters of the shape (9537, 1, 1, 1), got (3, 1, 1, 1)",
        ),
        (
            "14 content",
            b"".join(map(integer, (2, 10**6, 10**6, 10**6, 10**6))),
            "expected parameters of the shape (9537, 1, 1, 1), got (1000000, 1000000, 1000000, 1000000)",
        ),
        ("14 training", TRAINED, "layer 14 of 47 (con_4): expected a network without what training left in it"),
        ("47 content", integer(128), "layer 47 of 47 (fc_2): expected outputs 5, got 128"),
    ],
)
def test_another_network_is_refused_by_what_differs_first(tmp_path: Path, piece: str, content: bytes, reason: str) -> None:
    assert reason in refused(tmp_path / "other.dat", file_of(pieces(tiny_network()) | {piece: content}))


def test_another_nesting_of_as_many_layers_is_refused(tmp_path: Path) -> None:
    block = [*BLOCK[:-1], 1, 2, *HALVING[1:]]  # the second block's tag, one layer earlier
    nested = versions([*STEM, *block, *HALVING, *HALVING, 2, 2])
    reason = refused(tmp_path / "other.dat", file_of(pieces(tiny_network()) | {"versions": nested}))
    assert "layer 13 of 47: expected a tag of version 1, got version 2" in reason


def test_a_truncated_file_says_where_it_ends(tmp_path: Path) -> None:
    whole = file_of(pieces(tiny_network()))
    for end in [*range(0, 200, 7), *np.random.default_rng(0).integers(200, len(whole), 60).tolist(), len(whole) - 1]:
        reason = refused(tmp_path / "short.dat", whole[:end])
        assert "the dlib file is truncated: it ends in " in reason
        assert f"after {end} bytes; download it again" in reason


def test_a_file_that_goes_on_is_refused(tmp_path: Path) -> None:
    assert "goes on after the last layer" in refused(tmp_path / "long.dat", file_of(pieces(tiny_network())) + b"\0")


def test_damage_is_refused_or_leaves_weights(tmp_path: Path) -> None:
    """No other error comes of it, and no memory is taken for what a file only claims to hold."""
    whole = file_of(pieces(tiny_network()))
    random = np.random.default_rng(0)
    places = [*random.integers(0, 120, 60).tolist(), *random.integers(120, len(whole), 60).tolist()]
    readable = 0
    for place in places:
        damaged = bytearray(whole)
        damaged[place] ^= int(random.integers(1, 256))
        try:
            readable += set(read(tmp_path / "damaged.dat", bytes(damaged))) == set(tiny_backbone().state_dict())
        except CheckpointError:
            continue
    assert 0 < readable < len(places)


def test_a_file_of_another_size_is_not_dlibs_published_network(tmp_path: Path) -> None:
    """As people come upon it: by `read_checkpoint`, which recognises the file by its content."""
    reason = refusal_of(tmp_path / "weights", file_of(pieces(tiny_network())))
    assert "expected the 130 layers of dlib_face_recognition_resnet_model_v1.dat, got 47" in reason


def test_services_leave_an_embedding_network_out_and_go_on(tmp_path: Path) -> None:
    for file in embedded.FOLDER.glob("compact-resnet.*"):
        (tmp_path / file.name).symlink_to(file)
    (tmp_path / "labels.txt").symlink_to(embedded.FOLDER / "labels.txt")
    (tmp_path / "embeddings.dat").symlink_to(installed())
    refusals: list[tuple[str, str]] = []
    assert set(load_folder(tmp_path, CPU, on_refused=lambda *refusal: refusals.append(refusal))) == {"compact-resnet"}
    assert refusals == [("checkpoint", f"{tmp_path / 'embeddings.dat'}: {NEEDS_A_GALLERY}")]


def test_nothing_but_an_embedding_network_is_no_usable_checkpoint(tmp_path: Path) -> None:
    (tmp_path / "embeddings.dat").symlink_to(installed())
    with pytest.raises(CheckpointError) as refusal:
        load_folder(tmp_path, CPU)
    assert str(refusal.value) == (f"{tmp_path}: no usable checkpoint: {tmp_path / 'embeddings.dat'}: {NEEDS_A_GALLERY}")


def test_the_installed_package_is_found_and_not_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    assert read_checkpoint(installed()).published_as is not None
    assert "face_recognition_models" not in sys.modules
    monkeypatch.setattr(installed_weights, "_FILE", Path("models/absent.dat"))
    assert dlib_resnet_file() is None
    monkeypatch.setattr(installed_weights, "_PACKAGE", "no_such_package")
    assert dlib_resnet_file() is None


def installed() -> Path:
    path = dlib_resnet_file()
    assert path is not None, "requirements.lock has face-recognition-models"
    return path


def test_with_a_gallery_embedding_networks_are_loaded_the_installed_one_among_them(tmp_path: Path) -> None:
    """A file whose classes have no names is one too: people hold such, of facenet-pytorch's casia-webface for example."""
    for file in embedded.FOLDER.glob("compact-resnet.safetensors"):
        (tmp_path / file.name).symlink_to(file)
    models = load_models(tmp_path, CPU, embedders=True)
    assert models.recognizers == {}
    assert list(models.embedders) == ["compact-resnet", "dlib"]
    assert models.embedders["dlib"].path == installed()
    features = models.embedders["compact-resnet"].recognizer.features(torch.full((1, 3, 224, 224), 127.5))
    (tmp_path / "labels.txt").symlink_to(embedded.FOLDER / "labels.txt")
    named = load_models(tmp_path, CPU, embedders=True)
    assert list(named.recognizers) == ["compact-resnet"]
    assert torch.equal(
        named.recognizers["compact-resnet"].recognizer.features(torch.full((1, 3, 224, 224), 127.5)), features
    )


def test_a_file_of_the_folder_replaces_the_installed_one(tmp_path: Path) -> None:
    (tmp_path / "weights.dat").symlink_to(installed())
    assert load_models(tmp_path, CPU, embedders=True).embedders["dlib"].path == tmp_path / "weights.dat"
