"""Checkpoint files: what is recognised, by content alone, and what is refused, for which reason."""

import argparse
import datetime
import hashlib
import io
import os
import pickle
import re
import zipfile
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torchvision
from torch import Tensor, nn

from recognizers.checkpoints.checkpoint import Checkpoint, read_checkpoint
from recognizers.checkpoints.loading import build_recognizer, load_folder, load_recognizer
from recognizers.checkpoints.tensor_file import read_tensor_file
from recognizers.errors import CheckpointError, LabelSetError
from recognizers.networks.compact import CompactFaceNet
from recognizers.networks.head import LinearHead
from recognizers.networks.label_set import LabelSet
from recognizers.networks.recognizer import NeuralRecognizer
from recognizers.networks.registry import architectures
from tests.support.checkpoints import (
    CONTAINERS,
    Container,
    Format,
    arrays,
    as_they_are,
    hollow_checkpoint,
    hollow_weights,
    marked_weights,
    matconvnet,
    pickle_of_python_2,
    pickle_protocol_2,
    pickle_protocol_5,
    refusal,
    refusal_of,
    safetensors_file,
    timm,
    torch_legacy,
    torch_zip,
    write_labels,
)
from tests.support.networks import write_checkpoint
from tests.support.plain_networks import (
    CLASSES,
    Weights,
    library_weights,
    plain_logits,
    random_weights,
    relative_difference,
    sample_images,
)

PUBLISHED = ("facenet", "resnet50", "senet50")
LABEL_SET = LabelSet(tuple(f"identity_{index}" for index in range(CLASSES)))
FORMATS = [
    *(Format("facenet", kind, as_they_are, "facenet-pytorch") for kind in (torch_zip, torch_legacy, safetensors_file)),
    *(Format("resnet50", kind, as_they_are, "VGGFace2-pytorch") for kind in CONTAINERS),
    *(
        Format("senet50", kind, as_they_are, "VGGFace2-pytorch")
        for kind in (torch_zip, pickle_of_python_2, pickle_protocol_2, pickle_protocol_5)
    ),
    *(Format("resnet50", kind, matconvnet, "MatConvNet export") for kind in (torch_zip, torch_legacy)),
    *(Format("senet50", kind, matconvnet, "MatConvNet export") for kind in (torch_zip, torch_legacy)),
    *(Format("senet50", kind, timm, "timm") for kind in (torch_zip, safetensors_file)),
]

# Each naming once, and nearly each container; in float32 and with random weights.
FORMATS_TO_RUN = [
    Format("facenet", torch_legacy, as_they_are, "facenet-pytorch"),
    Format("resnet50", pickle_of_python_2, as_they_are, "VGGFace2-pytorch"),
    Format("senet50", pickle_protocol_5, as_they_are, "VGGFace2-pytorch"),
    Format("resnet50", torch_zip, matconvnet, "MatConvNet export"),
    Format("senet50", torch_legacy, matconvnet, "MatConvNet export"),
    Format("senet50", safetensors_file, timm, "timm"),
]


@pytest.mark.parametrize(
    ("case", "precision"),
    [
        *((case, torch.float16) for case in FORMATS),
        # More in float32 are run, below.
        *((case, torch.float32) for case in FORMATS if case.container is torch_zip),
    ],
    ids=str,
)
def test_a_format_is_recognised_by_its_content(folder: Path, case: Format, precision: torch.dtype) -> None:
    weights = marked_weights(case.architecture, precision)
    path = case.write(folder / "weights", weights)
    checkpoint = read_checkpoint(path)
    assert checkpoint.path == path
    assert checkpoint.architecture == case.architecture
    assert checkpoint.file_format == f"{CONTAINERS[case.container]}, {case.naming_called} names"
    assert checkpoint.classes == CLASSES
    assert checkpoint.precision == str(precision).removeprefix("torch.")
    assert checkpoint.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert checkpoint.published_as is None
    expected = library_weights(case.architecture, weights)
    assert checkpoint.tensors.keys() == expected.keys()
    for name, tensor in checkpoint.tensors.items():
        assert tensor.dtype == precision, name
        assert torch.equal(tensor, expected[name]), name


@pytest.mark.thorough
@pytest.mark.parametrize("case", FORMATS_TO_RUN, ids=str)
def test_full_size_weights_give_the_logits_of_the_network_they_came_from(folder: Path, case: Format) -> None:
    path = case.write(folder / "checkpoint.pth", random_weights(case.architecture))
    checkpoint = read_checkpoint(path)
    assert checkpoint.precision == "float32"
    assert checkpoint.file_format == f"{CONTAINERS[case.container]}, {case.naming_called} names"
    recognizer = build_recognizer(checkpoint, LABEL_SET)
    with torch.no_grad():
        logits = recognizer.logits(sample_images(recognizer.input_size))
    assert relative_difference(logits, plain_logits(case.architecture)) < 1e-4


@pytest.fixture
def compact() -> NeuralRecognizer:
    """A small recognizer with random weights."""
    torch.manual_seed(0)
    network = CompactFaceNet()
    return NeuralRecognizer(network, LinearHead(network.feature_size, LABEL_SET))


def test_a_checkpoint_answers_like_the_recognizer_that_it_was_written_of(folder: Path, compact: NeuralRecognizer) -> None:
    write_checkpoint(compact, folder / "checkpoint")
    read = build_recognizer(read_checkpoint(folder / "checkpoint"), LABEL_SET)
    images = sample_images(160)
    assert torch.equal(read.logits(images), compact.logits(images))


def test_half_precision_weights_are_run_in_single_precision(folder: Path, compact: NeuralRecognizer) -> None:
    images = sample_images(160)
    unrounded = compact.logits(images)
    write_checkpoint(compact.half(), folder / "checkpoint.pt")
    write_labels(folder / "labels.txt")
    read = load_recognizer(folder / "checkpoint.pt").recognizer.logits(images)
    assert torch.equal(read, compact.float().logits(images))
    assert relative_difference(read, unrounded) > 1e-6, "half precision makes no difference"


@pytest.mark.parametrize("name", ["facenet.pkl", "weights.safetensors", "page.html", "no_ending"])
def test_the_name_of_a_file_does_not_matter(folder: Path, name: str) -> None:
    assert read_checkpoint(hollow_checkpoint(folder / name, "senet50")).architecture == "senet50"


def data_parallel(weights: Weights) -> dict[str, Tensor]:
    return {f"module.{name}": tensor for name, tensor in weights.items()}


def with_step_counters(weights: Weights) -> dict[str, Tensor]:
    counters = {
        name.replace(".running_mean", ".num_batches_tracked"): torch.tensor(1234)
        for name in weights
        if name.endswith(".running_mean")
    }
    assert counters
    return dict(weights) | counters


def data_parallel_with_step_counters(weights: Weights) -> dict[str, Tensor]:
    return data_parallel(with_step_counters(weights))


@pytest.mark.parametrize(
    ("architecture", "dress"),
    [
        ("resnet50", data_parallel),
        ("resnet50", with_step_counters),
        *((architecture, data_parallel_with_step_counters) for architecture in PUBLISHED),
    ],
)
def test_a_data_parallel_prefix_and_step_counters_make_no_difference(
    folder: Path, architecture: str, dress: Callable[[Weights], dict[str, Tensor]]
) -> None:
    check_marked(folder, torch_zip(dress(marked_weights(architecture))), architecture)


@pytest.mark.parametrize("container", [safetensors_file, pickle_of_python_2], ids=lambda kind: kind.__name__)
def test_nor_do_they_in_the_other_containers(folder: Path, container: Container) -> None:
    check_marked(folder, container(data_parallel_with_step_counters(marked_weights("resnet50"))), "resnet50")


def check_marked(folder: Path, content: bytes, architecture: str) -> Checkpoint:
    """That a file holds the marked weights, under the library's names; what was read."""
    path = folder / "checkpoint"
    path.write_bytes(content)
    checkpoint = read_checkpoint(path)
    expected = library_weights(architecture, marked_weights(architecture))
    assert checkpoint.precision == "float16"
    assert checkpoint.tensors.keys() == expected.keys()
    assert all(torch.equal(tensor, expected[name]) for name, tensor in checkpoint.tensors.items())
    return checkpoint


@pytest.mark.parametrize(("architecture", "legacy"), [("facenet", False), ("resnet50", True), ("senet50", False)])
def test_a_wrapped_state_dict_is_unwrapped(folder: Path, architecture: str, legacy: bool) -> None:
    state_dict = data_parallel(marked_weights(architecture))
    buffer = io.BytesIO()
    torch.save(
        {"epoch": 12, "state_dict": state_dict, "best": 0.5, "args": {"lr": 0.1}},
        buffer,
        _use_new_zipfile_serialization=not legacy,
    )
    check_marked(folder, buffer.getvalue(), architecture)


def test_a_wrapped_pickle_is_unwrapped(folder: Path) -> None:
    wrapped = {"state_dict": arrays(marked_weights("resnet50")), "epoch": 3, "accuracy": np.float32(0.5), "losses": [1.5]}
    check_marked(folder, pickle.dumps(wrapped, 2), "resnet50")


def prefixed(prefix: str) -> dict[str, Tensor]:
    return {f"{prefix}{name}": tensor for name, tensor in marked_weights("resnet50").items()}


def averaged() -> dict[str, Tensor]:
    """As `torch.optim.swa_utils.AveragedModel` has it."""
    return {"n_averaged": torch.tensor(7)} | prefixed("module.")


OPTIMIZER = {
    "state": {0: {"step": torch.tensor(3.0), "exp_avg": torch.zeros(3)}},
    "param_groups": [{"lr": 0.1, "params": [0]}],
}


@pytest.mark.parametrize(
    ("content", "unwrapped"),
    [
        (
            lambda: {"epoch": 3, "model_state_dict": prefixed(""), "optimizer_state_dict": OPTIMIZER},
            "under 'model_state_dict'",
        ),
        (lambda: {"model": prefixed(""), "optimizer": OPTIMIZER, "epoch": 3}, "under 'model'"),
        (lambda: {"net": prefixed(""), "acc": 0.9}, "under 'net'"),
        (lambda: {"some key of your own": prefixed("")}, "under 'some key of your own'"),
        (lambda: {"model": {"state_dict": OrderedDict(prefixed(""))}}, "under 'model' -> 'state_dict'"),
        # PyTorch's ImageNet example keeps the best accuracy as a tensor.
        (
            lambda: {
                "arch": "resnet50",
                "state_dict": prefixed("module."),
                "best_acc1": torch.tensor(76.2),
                "rng": torch.zeros(9),
            },
            "under 'state_dict', without the prefix 'module.' of all names",
        ),
        (
            lambda: {"state_dict": prefixed("model."), "pytorch-lightning_version": "2", "callbacks": {"best": None}},
            "under 'state_dict', without the prefix 'model.' of all names",
        ),
        (lambda: prefixed("_orig_mod."), "without the prefix '_orig_mod.' of all names"),
        (lambda: prefixed("module.model."), "without the prefix 'module.model.' of all names"),
        (lambda: prefixed("_orig_mod.module.backbone."), "without the prefix '_orig_mod.module.backbone.' of all names"),
        (averaged, "without the prefix 'module.' of all names"),
        (lambda: {"model": (once := prefixed("")), "alias": once}, "under 'model'"),
    ],
)
@pytest.mark.parametrize("legacy", [False, True])
def test_what_training_loops_write_is_unwrapped_and_told(
    folder: Path, content: Callable[[], dict[str, Any]], unwrapped: str, legacy: bool
) -> None:
    buffer = io.BytesIO()
    torch.save(content(), buffer, _use_new_zipfile_serialization=not legacy)
    assert check_marked(folder, buffer.getvalue(), "resnet50").unwrapped == unwrapped


def test_of_a_plain_state_dict_nothing_is_unwrapped(folder: Path) -> None:
    assert read_checkpoint(hollow_checkpoint(folder / "checkpoint")).unwrapped is None


def test_a_prefix_goes_in_safetensors_too(folder: Path) -> None:
    check_marked(folder, safetensors_file(prefixed("model.")), "resnet50")


def test_a_checkpoint_of_several_networks_is_refused_with_their_keys(folder: Path) -> None:
    other = {name: tensor + 1 for name, tensor in marked_weights("resnet50").items()}
    torch.save({"state_dict": prefixed(""), "state_dict_ema": other}, folder / "checkpoint")
    reason = refusal(folder / "checkpoint")
    assert reason.startswith(
        "holds 2 networks (under 'state_dict'; under 'state_dict_ema'), and does not say which is meant"
    )
    assert 'torch.save(torch.load("FILE", weights_only=True)["KEY"], "OUT")' in reason


def test_a_prefix_that_not_all_names_have_is_refused_with_the_others(folder: Path) -> None:
    torch.save({"state_dict": prefixed("model.") | {"criterion.weight": torch.zeros(3)}}, folder / "checkpoint")
    reason = refusal(folder / "checkpoint")
    assert reason.startswith(
        "looks like resnet50 without the prefix 'model.' of all names, but other tensors stand beside it"
    )
    assert "(criterion.weight): save the network's state_dict() alone" in reason


class Meter:
    """Such as training loops have."""

    value = 1.0


@pytest.mark.parametrize("legacy", [False, True])
@pytest.mark.parametrize(
    ("beside", "named"),
    [
        (Meter(), f"{__name__}.Meter"),
        (argparse.Namespace(lr=0.1), "argparse.Namespace"),
        (Path("runs"), "pathlib."),
        (np.float64(0.5), "scalar"),
        (datetime.timedelta(1), "datetime.timedelta"),
    ],
    ids=["meter", "namespace", "path", "number of numpy", "timedelta"],
)
def test_an_object_beside_the_weights_is_named_with_the_way_to_the_weights(
    folder: Path, beside: object, named: str, legacy: bool
) -> None:
    content = {"epoch": 3, "model_state_dict": prefixed(""), "optimizer": OPTIMIZER, "beside": beside}
    torch.save(content, folder / "checkpoint", _use_new_zipfile_serialization=not legacy)
    reason = refusal(folder / "checkpoint")
    assert "refused, nothing of it was executed. There is " in reason
    assert named in reason
    command = re.search(r"python -c '(.*)'$", reason)
    assert command is not None
    # What the command does, it does.
    statement = command[1].replace('"FILE"', repr(str(folder / "checkpoint"))).replace('"OUT"', repr(str(folder / "out")))
    exec(statement)
    assert read_checkpoint(folder / "out").architecture == "resnet50"


def test_the_way_out_of_a_whole_network_works(folder: Path) -> None:
    torch.save({"epoch": 3, "net": torchvision.models.resnet18()}, folder / "checkpoint")
    reason = refusal(folder / "checkpoint")
    assert "torchvision.models.resnet.ResNet" in reason
    assert 'weights_only=False)["net"].state_dict(), "OUT")' in reason


def test_no_word_of_a_file_gets_into_the_command_that_people_copy_but_a_plain_one(folder: Path) -> None:
    torch.save({"x'; touch /tmp/canary; '": {"a": torch.zeros(3)}, "beside": Meter()}, folder / "checkpoint")
    reason = refusal(folder / "checkpoint")
    assert "canary" not in reason
    assert '["KEY"]' in reason


def test_many_classes_are_named_by_the_first(folder: Path) -> None:
    torch.save(torchvision.models.resnet18(), folder / "checkpoint")
    reason = refusal(folder / "checkpoint")
    assert re.search(r"There is torchvision\.models\.resnet\.ResNet, [^ ]+, [^ ]+, [^ ]+, \.\.\. in it", reason)


def torch_file_of(pickled: bytes) -> bytes:
    """A PyTorch file whose content is given by its pickle."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("archive/data.pkl", pickled)
        archive.writestr("archive/version", b"3\n")
    return buffer.getvalue()


def test_the_files_that_are_made_hostile_below_are_read(folder: Path) -> None:
    path = folder / "checkpoint"
    path.write_bytes(torch_file_of(b"\x80\x02}."))
    assert read_tensor_file(path).tensors == {}


@pytest.mark.parametrize(
    "pickled",
    [
        b"\x80\x02}N" + b"2\x86" * 60 + b"K\x01s.",
        b"\x80\x02}(N" + b"2\x86" * 60 + b"K\x01u.",
        b"\x80\x02ccollections\nOrderedDict\n](](N" + b"2\x86" * 60 + b"K\x01ee\x85R.",
        b"\x80\x02ccollections\nCounter\n(N" + b"2\x86" * 60 + b"t\x85R.",
        b"\x80\x02cbuiltins\nbytearray\n\x8a\x06\x00\x00\x00\x00\x00\x01\x85R.",
        b"\x80\x02ctorch\nTensor\n\x8a\x06\x00\x00\x00\x00\x00\x01\x85R.",
        b"\x80\x02ccollections\nOrderedDict\n)R}X\x03\x00\x00\x00getNsb.",
        b"\x80\x02(X\x07\x00\x00\x00storagectorch\nFloatStorage\nX\x01\x00\x00\x000X\x03\x00\x00\x00cpuJ\xff\xff\xff\x7ftQ.",
    ],
    ids=[
        "a key of pairs",
        "keys of pairs",
        "pairs of a key of pairs",
        "what is counted",
        "a byte array of a terabyte",
        "a tensor of a terabyte",
        "a dict's own method",
        "more numbers than the file has",
    ],
)
def test_what_a_pytorch_file_asks_torch_for_is_looked_at_first(folder: Path, pickled: bytes) -> None:
    """Of a pair of a pair, sixty deep and each of one thing twice, hashing would take 2^60 steps."""
    assert len(refusal_of(folder / "checkpoint", torch_file_of(pickled))) < 1000


def test_what_is_declared_safe_for_all_of_the_process_is_not_touched(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another thread may be reading by it."""
    path = hollow_checkpoint(folder / "checkpoint")
    for change in ("clear_safe_globals", "add_safe_globals"):
        monkeypatch.setattr(torch.serialization, change, lambda *_: pytest.fail("what is declared safe was changed"))
    assert read_checkpoint(path).architecture == "facenet"


def test_memory_that_does_not_suffice_is_not_called_damage(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = hollow_checkpoint(folder / "checkpoint")

    def starved(*_: object, **__: object) -> object:
        raise RuntimeError("[enforce fail at alloc_cpu.cpp:128] . DefaultCPUAllocator: can't allocate memory: you tried")

    monkeypatch.setattr(torch, "load", starved)
    assert refusal(path).startswith("not enough memory")


def test_a_name_that_is_not_in_utf_8_does_not_matter_either(folder: Path) -> None:
    path = Path(os.fsdecode(os.fsencode(folder) + b"/weights\xff.safetensors"))
    path.write_bytes(safetensors_file(marked_weights("resnet50")))
    assert read_checkpoint(path).architecture == "resnet50"


def test_a_checkpoint_s_own_words_are_printed_short_and_on_one_line(folder: Path) -> None:
    names = ["a\nb", "\x1b[31m", "c" * 100_000]
    reason = refusal_of(folder / "checkpoint", torch_zip({name: torch.zeros(3) for name in names}))
    assert "a\\nb" in reason
    assert "\x1b" not in reason
    assert len(reason) < 600


@pytest.mark.parametrize("classes", [1, 8631])
@pytest.mark.parametrize("case", [FORMATS_TO_RUN[0], FORMATS_TO_RUN[3]], ids=str)
def test_any_number_of_classes_will_do(folder: Path, case: Format, classes: int) -> None:
    weights = hollow_weights(case.architecture, classes=classes)
    (folder / "checkpoint").write_bytes(torch_zip(case.naming(weights)))
    assert read_checkpoint(folder / "checkpoint").classes == classes


def test_mixed_precision_is_reported(folder: Path) -> None:
    weights = hollow_weights("facenet")
    weights["logits.bias"] = weights["logits.bias"].double()
    weights["logits.weight"] = weights["logits.weight"].bfloat16()
    (folder / "checkpoint").write_bytes(torch_zip(weights))
    assert read_checkpoint(folder / "checkpoint").precision == "bfloat16, float32, float64"


@pytest.mark.parametrize(
    ("sha256", "file"),
    [
        ("281cebca8662831adb987a874bdcb36e73f5b1c6dc5ee5878f305e985625d99b", "20180402-114759-vggface2.pt"),
        ("9a954e4046df21aea62b46c032de4b56f7230dfc3705b6b1bda348983e0eb26e", "resnet50_ft_weight.pkl"),
        ("ad98acb4475df0949cc4357c971f68d0eb944f8323ecef387a0be5b10a2dbca0", "senet50_ft_weight.pkl"),
    ],
)
def test_the_published_files_are_known_by_their_digest(sha256: str, file: str) -> None:
    checkpoint = Checkpoint(Path("weights"), sha256, "pickle", "resnet50", 8631, "float32", note=None, tensors={})
    assert file in (checkpoint.published_as or "")
    assert replace(checkpoint, sha256=sha256[::-1]).published_as is None


def test_resnet50_comes_with_the_warning_that_torchvisions_weights_look_the_same(folder: Path) -> None:
    notes = {name: read_checkpoint(hollow_checkpoint(folder / name, name)).note for name in PUBLISHED}
    assert "torchvision" in (notes["resnet50"] or "")
    assert notes["facenet"] is notes["senet50"] is None


def hollow_state(network: Callable[[], nn.Module]) -> dict[str, Tensor]:
    with torch.device("meta"):
        state = network().state_dict()
    return {name: torch.zeros(()).expand(tensor.shape) for name, tensor in state.items()}


@pytest.mark.parametrize(
    ("network", "named"),
    [
        (torchvision.models.resnet18, "bn1.bias"),
        (lambda: nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2)), "0.bias, 0.weight, 2.bias, 2.weight"),
        (nn.ReLU, "nothing"),
    ],
    ids=["resnet18", "mlp", "empty"],
)
@pytest.mark.parametrize("container", [torch_zip, safetensors_file, pickle_protocol_2], ids=lambda kind: kind.__name__)
def test_another_architecture_is_refused_with_its_names(
    folder: Path, network: Any, named: str, container: Container
) -> None:
    reason = refusal_of(folder / "checkpoint", container(hollow_state(network)))
    assert reason.startswith(f"wrong architecture: expected one of {', '.join(architectures().usable)}, got ")
    assert named in reason


def test_a_deeper_resnet_is_refused(folder: Path) -> None:
    state = hollow_state(torchvision.models.resnet101)
    reason = refusal_of(folder / "checkpoint", torch_zip(state))
    assert "looks like resnet50" in reason
    assert "255 unexpected (layer3.10.bn1.bias, " in reason  # 17 blocks, each 3 convolutions of 1 and 3 BatchNorms of 4
    assert "missing" not in reason


def test_a_wider_resnet_is_refused_with_both_shapes(folder: Path) -> None:
    reason = refusal_of(folder / "checkpoint", torch_zip(hollow_state(torchvision.models.wide_resnet50_2)))
    assert re.search(r"looks like resnet50 .*has the shape \(128,.*expected \(64,", reason)


@pytest.mark.parametrize("architecture", PUBLISHED)
def test_missing_and_unexpected_keys_are_named(folder: Path, architecture: str) -> None:
    weights = hollow_weights(architecture)
    lost = {
        "facenet": "repeat_2.7.conv2d.bias",
        "resnet50": "layer3.4.bn2.running_var",
        "senet50": "layer3.4.bn2.running_var",
    }
    del weights[lost[architecture]]
    weights["extra.weight"] = torch.zeros(3)
    reason = refusal_of(folder / "checkpoint", torch_zip(weights))
    assert f"looks like {architecture}" in reason
    assert f"1 missing ({lost[architecture]})" in reason
    assert "1 unexpected (extra.weight)" in reason


def test_a_key_that_only_misses_is_named(folder: Path) -> None:
    weights = hollow_weights("senet50")
    del weights["layer2.1.conv5.bias"]
    reason = refusal_of(folder / "checkpoint", torch_zip(weights))
    assert "1 missing (layer2.1.se_module.fc2.bias)" in reason
    assert "unexpected" not in reason


def test_of_many_missing_keys_the_first_are_named(folder: Path) -> None:
    weights = {name: tensor for name, tensor in hollow_weights("resnet50").items() if not name.startswith("layer4")}
    reason = refusal_of(folder / "checkpoint", torch_zip(weights))
    # 3 blocks of 3 convolutions with BatchNorm, and the projection with its own: 10 times 5 tensors.
    assert re.search(r"50 missing \(layer4\.0\.bn1\.bias, layer4\.0\.bn1\.running_mean, .*, \.\.\.\)", reason)


@pytest.mark.parametrize(("architecture", "head"), [("facenet", "logits."), ("resnet50", "fc."), ("senet50", "fc.")])
def test_a_checkpoint_without_its_classifier_is_an_embedding_network(folder: Path, architecture: str, head: str) -> None:
    weights = {name: tensor for name, tensor in hollow_weights(architecture).items() if not name.startswith(head)}
    (folder / "checkpoint").write_bytes(torch_zip(weights))
    checkpoint = read_checkpoint(folder / "checkpoint")
    assert (checkpoint.architecture, checkpoint.classes) == (architecture, None)


def test_half_a_classifier_is_refused(folder: Path) -> None:
    weights = {name: tensor for name, tensor in hollow_weights("facenet").items() if name != "logits.bias"}
    assert "1 missing (logits.bias)" in refusal_of(folder / "checkpoint", torch_zip(weights))


@pytest.mark.parametrize(
    ("weight", "bias"),
    [((5, 511), (5,)), ((5, 512), (4,)), ((0, 512), (0,)), ((), ())],
)
def test_a_classifier_of_another_shape_is_refused_with_what_was_expected(
    folder: Path, weight: tuple[int, ...], bias: tuple[int, ...]
) -> None:
    weights = hollow_weights("facenet") | {"logits.weight": torch.zeros(weight), "logits.bias": torch.zeros(bias)}
    reason = refusal_of(folder / "checkpoint", torch_zip(weights))
    assert "the classifier logits: expected weight (classes, 512) and bias (classes,)" in reason
    assert f"got {weight} and {bias}" in reason


@pytest.mark.parametrize(
    ("value", "precision"), [(float("nan"), torch.float32), (float("inf"), torch.float16), (float("-inf"), torch.float32)]
)
def test_values_that_are_not_finite_are_refused(folder: Path, value: float, precision: torch.dtype) -> None:
    weights = hollow_weights("facenet")
    spoilt = torch.zeros(weights["last_bn.running_mean"].shape, dtype=precision)
    spoilt[17] = value
    reason = refusal_of(folder / "checkpoint", torch_zip(weights | {"last_bn.running_mean": spoilt}))
    assert reason == "last_bn.running_mean: holds values that are not finite numbers"


@pytest.mark.parametrize("number_type", [torch.int32, torch.complex64])
def test_numbers_other_than_floating_point_are_refused(folder: Path, number_type: torch.dtype) -> None:
    weights = hollow_weights("facenet")
    weights["last_bn.weight"] = weights["last_bn.weight"].to(number_type)
    reason = refusal_of(folder / "checkpoint", torch_zip(weights))
    assert reason.startswith("last_bn.weight: expected floating point, got ")


@pytest.mark.parametrize("unfit", [lambda: torch.zeros(512).to_sparse(), lambda: torch.zeros(512, device="meta")])
@pytest.mark.filterwarnings("ignore:Validating sparse tensor invariants:UserWarning")
def test_tensors_that_hold_no_plain_numbers_are_refused(folder: Path, unfit: Callable[[], Tensor]) -> None:
    refusal_of(folder / "checkpoint", torch_zip(hollow_weights("facenet") | {"last_bn.weight": unfit()}))


def test_numbers_wider_than_pytorch_has_are_refused(folder: Path) -> None:
    content = {"layer1.0.conv3.weight": np.zeros((256, 64, 1, 1), np.longdouble)}
    refusal_of(folder / "checkpoint", pickle.dumps(content, 2))


SMALL_STATE = {"a.weight": torch.arange(6.0).reshape(2, 3), "b": torch.ones(3)}


@pytest.mark.parametrize("container", CONTAINERS, ids=lambda kind: kind.__name__)
def test_a_file_cut_short_anywhere_is_called_truncated(folder: Path, container: Container) -> None:
    path, content = folder / "checkpoint", container(SMALL_STATE)
    path.write_bytes(content)
    assert read_tensor_file(path).tensors.keys() == SMALL_STATE.keys()
    for length in range(1, len(content), 1 if len(content) < 1000 else 5):
        assert "truncated or damaged" in refusal_of(path, content[:length]), length


@pytest.mark.parametrize("container", [torch_zip, torch_legacy], ids=lambda kind: kind.__name__)
@pytest.mark.parametrize("share", [0.01, 0.5, 0.999])
def test_half_a_download_is_called_truncated(folder: Path, container: Container, share: float) -> None:
    content = container(hollow_weights("facenet"))
    assert "truncated or damaged" in refusal_of(folder / "checkpoint", content[: int(share * len(content))])


def test_an_empty_file_is_called_empty(folder: Path) -> None:
    assert refusal_of(folder / "checkpoint.pth", b"") == "the file is empty"


def test_a_missing_file_and_a_folder_cannot_be_read(folder: Path) -> None:
    assert refusal(folder / "absent.pth").startswith("cannot be read: ")
    assert refusal(folder).startswith("cannot be read: ")


@pytest.mark.parametrize(
    "page",
    [
        "<!DOCTYPE html><html><head><title>Google Drive - Virus scan warning</title></head></html>",
        "\n\n  <html lang='en'>Not found</html>",
        "<HTML><BODY>404</BODY></HTML>",
        '<?xml version="1.0" encoding="UTF-8"?><Error><Code>AccessDenied</Code></Error>',
        "\ufeff<!DOCTYPE html><html></html>",
    ],
    ids=["a warning", "indented", "upper case", "xml", "with a byte order mark"],
)
def test_a_saved_web_page_is_called_one(folder: Path, page: str) -> None:
    assert refusal_of(folder / "resnet50_ft_weight.pkl", page.encode()).startswith("this is a web page")


@pytest.mark.parametrize("content", [[torch.zeros(3)], torch.zeros(3), {"a": 1}, {"state_dict": 7}, {3: torch.zeros(3)}])
@pytest.mark.parametrize("legacy", [False, True])
def test_a_pytorch_file_that_is_no_state_dict_is_refused(folder: Path, content: object, legacy: bool) -> None:
    torch.save(content, folder / "checkpoint", _use_new_zipfile_serialization=not legacy)
    assert refusal(folder / "checkpoint").startswith("expected a state dict of name -> tensor, got ")


class Trap(nn.Module):
    """A network that makes a file when it is unpickled."""

    def __init__(self, canary: Path) -> None:
        super().__init__()
        self.linear = nn.Linear(2, 2)
        self.canary = str(canary)

    def __setstate__(self, state: dict[str, Any]) -> None:
        Path(state["canary"]).touch()
        super().__setstate__(state)  # type: ignore[no-untyped-call]


class Shell:
    """Makes a file by the system's shell when it is unpickled."""

    def __init__(self, canary: Path) -> None:
        self._canary = canary

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (f"touch '{self._canary}'",)


@pytest.mark.parametrize("content", [Trap, Shell, lambda canary: {"a": torch.zeros(3), "b": Shell(canary)}])
@pytest.mark.parametrize("legacy", [False, True])
def test_a_pytorch_file_that_would_run_code_is_refused_and_runs_none(folder: Path, content: Any, legacy: bool) -> None:
    canary, path = folder / "canary", folder / "checkpoint.pt"
    torch.save(content(canary), path, _use_new_zipfile_serialization=not legacy)
    reason = refusal(path)
    assert "Python objects other than tensors" in reason
    assert "refused, nothing of it was executed" in reason
    assert not canary.exists()
    torch.load(path, weights_only=False)
    assert canary.exists(), "the file is harmless, so the test proves nothing"


def test_a_pickle_that_would_run_code_is_refused_and_runs_none(folder: Path) -> None:
    canary, path = folder / "canary", folder / "checkpoint.pkl"
    path.write_bytes(pickle.dumps({"conv1.weight": Shell(canary)}, 2))
    assert "refused, nothing of it was executed" in refusal(path)
    assert not canary.exists()
    pickle.loads(path.read_bytes())
    assert canary.exists(), "the file is harmless, so the test proves nothing"


def test_a_whole_network_is_refused_with_the_way_out(folder: Path) -> None:
    torch.save(torchvision.models.resnet18(), folder / "checkpoint.pt")
    assert "state_dict()" in refusal(folder / "checkpoint.pt")


def test_a_checkpoint_without_labels_is_refused_with_the_names_they_may_have(folder: Path) -> None:
    path = hollow_checkpoint(folder / "face.net.pt")
    with pytest.raises(LabelSetError) as refused:
        load_recognizer(path)
    message = str(refused.value)
    for expected in (str(path), "face.net.labels.txt", "labels.txt", f"{CLASSES} lines", "identity_meta.csv"):
        assert expected in message


@pytest.mark.parametrize("labels", [1, CLASSES - 1, CLASSES + 1])
def test_labels_of_another_number_than_the_classes_are_refused_with_both(folder: Path, labels: int) -> None:
    path = hollow_checkpoint(folder / "facenet.pt")
    labels_file = write_labels(folder / "labels.txt", classes=labels)
    with pytest.raises(LabelSetError) as refused:
        load_recognizer(path)
    assert str(refused.value) == f"{labels_file}: names {labels} identities, but facenet.pt has {CLASSES} classes"


def test_the_labels_named_after_the_checkpoint_win(folder: Path) -> None:
    path = hollow_checkpoint(folder / "facenet.pt", "compact-facenet", classes=2)
    write_labels(folder / "labels.txt", classes=9)
    (folder / "facenet.labels.txt").write_text("zoe\nanna\n")
    loaded = load_recognizer(path)
    assert loaded.recognizer.label_set.identities == ("zoe", "anna")
    assert loaded.checkpoint_sha256 == hashlib.sha256(path.read_bytes()).hexdigest()


def test_a_folder_gives_a_recognizer_per_checkpoint(folder: Path) -> None:
    for name, ending in (("compact-facenet", "PT"), ("compact-resnet", "pth")):
        hollow_checkpoint(folder / f"{name}.{ending}", name)
    write_labels(folder / "labels.txt")
    (folder / "README.md").write_text("not a checkpoint")
    (folder / "old.pth").mkdir()
    content = load_folder(folder, torch.device("cpu"), on_refused=lambda _, reason: pytest.fail(reason))
    assert set(content) == {"compact-facenet", "compact-resnet"}
    for name, loaded in content.items():
        assert loaded.recognizer.name == name
        assert len(loaded.recognizer.label_set) == CLASSES


def test_a_broken_checkpoint_keeps_no_other_from_loading_and_is_reported(folder: Path) -> None:
    hollow_checkpoint(folder / "good.pt", "compact-facenet")
    hollow_checkpoint(folder / "more_classes.pt", "compact-resnet", classes=7)
    (folder / "broken.pth").write_bytes(torch_zip(SMALL_STATE)[:100])
    write_labels(folder / "labels.txt")
    refused: list[tuple[str, str]] = []
    content = load_folder(folder, torch.device("cpu"), on_refused=lambda *what: refused.append(what))
    assert set(content) == {"compact-facenet"}
    assert [kind for kind, _ in refused] == ["checkpoint"] * 2
    broken, more_classes = (reason for _, reason in refused)
    assert broken.startswith(f"{folder / 'broken.pth'}: ")
    assert "truncated" in broken
    assert "more_classes.pt has 7 classes" in more_classes


def test_two_checkpoints_of_one_network_are_refused(folder: Path) -> None:
    for name in ("new.pt", "old.pt"):
        hollow_checkpoint(folder / name, "compact-resnet")
    write_labels(folder / "labels.txt")
    with pytest.raises(CheckpointError, match=r"two checkpoints of compact-resnet: new\.pt and old\.pt; keep one"):
        load_folder(folder, torch.device("cpu"))


def test_an_empty_folder_is_refused(folder: Path) -> None:
    write_labels(folder / "labels.txt")
    with pytest.raises(CheckpointError, match=r"no usable checkpoint: it holds no file that could be one"):
        load_folder(folder, torch.device("cpu"))


def test_a_folder_of_refused_files_is_refused_with_every_reason(folder: Path) -> None:
    (folder / "a.pt").touch()
    (folder / "b.pkl").write_bytes(b"<html>")
    with pytest.raises(CheckpointError) as refused:
        load_folder(folder, torch.device("cpu"))
    assert "a.pt: the file is empty" in str(refused.value)
    assert "b.pkl: this is a web page" in str(refused.value)


@pytest.mark.parametrize("name", ["absent", "file"])
def test_a_folder_that_cannot_be_listed_is_refused(folder: Path, name: str) -> None:
    (folder / "file").touch()
    with pytest.raises(CheckpointError, match="cannot be listed"):
        load_folder(folder / name, torch.device("cpu"))


def test_a_folder_s_checkpoints_are_found_whatever_they_are_called(tmp_path: Path) -> None:
    for name in ("facenet", "weights.model", "net.pt"):
        (tmp_path / name).write_bytes(b"<html></html>")
    for name in ("labels.txt", "identity_meta.csv", "README.md", ".DS_Store"):
        (tmp_path / name).write_bytes(b"not a checkpoint")
    with pytest.raises(CheckpointError) as refused:
        load_folder(tmp_path, torch.device("cpu"))
    assert str(refused.value).count("this is a web page, not a checkpoint") == 3
