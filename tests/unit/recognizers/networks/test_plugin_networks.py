"""Networks of plug-ins in a checkpoint folder: good ones load, broken ones are refused with a reason, files stay data.

Plug-ins are found once an interpreter, so these are looked at in one of their own.
"""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from recognizers.checkpoints import embedded
from recognizers.checkpoints.loading import load_recognizer
from tests.support.plugin_distributions import install

CLASSES = 3

NETWORKS = """
    from collections import OrderedDict
    import torch
    from torch import nn
    from recognizers.networks.network import Network
    from recognizers.networks.state_dict_format import StateDictFormat

    class Plain(Network):
        name, input_size, feature_size, head_name = "plain", 32, 4, "fc"
        formats = (StateDictFormat(known_by="plain.weight"),)
        mark = "plain"

        def __init__(self):
            super().__init__()
            self.backbone = nn.Sequential()
            self.backbone.add_module(self.mark, nn.Conv2d(3, 4, 3))
            self.backbone.add_module("pool", nn.AdaptiveAvgPool2d(1))
            self.backbone.add_module("flatten", nn.Flatten())

        def normalise(self, images):
            return images / 255

    class Branching(nn.Sequential):
        def forward(self, images):
            return super().forward(images if images.mean() > 0 else -images)

    class Untraceable(Plain):
        name, mark = "untraceable", "untraceable"
        formats = (StateDictFormat(known_by="untraceable.weight"),)
        traceable = False

        def __init__(self):
            super().__init__()
            self.backbone = Branching(OrderedDict(self.backbone.named_children()))

    class Branched(Untraceable):
        name, mark = "branched", "branched"
        formats = (StateDictFormat(known_by="branched.weight"),)
        traceable = True

    class Unbuildable(Plain):
        name, mark = "unbuildable", "unbuildable"
        formats = (StateDictFormat(known_by="unbuildable.weight"),)

        def __init__(self):
            raise ZeroDivisionError("not today")

    class Exiting(Plain):
        name, mark = "exiting", "exiting"
        formats = (StateDictFormat(known_by="exiting.weight"),)

        def __init__(self):
            raise SystemExit("no licence")

    class Narrow(Plain):
        name, mark, feature_size = "narrow", "narrow", 5
        formats = (StateDictFormat(known_by="narrow.weight"),)

    class Numberless(Plain):
        name, mark = "numberless", "numberless"
        formats = (StateDictFormat(known_by="numberless.weight"),)

        def normalise(self, images):
            return images * float("nan")

    class Severed(Plain):
        name, mark = "severed", "severed"
        formats = (StateDictFormat(known_by="severed.weight"),)

        def normalise(self, images):
            return images.detach()

    class RectifiedBehindItsBack(nn.Sequential):
        def forward(self, images):
            features = self[0](images)
            rectified = nn.functional.relu(features, inplace=True)
            return (features - 2 * rectified).mean((2, 3))

    class InPlace(Plain):
        name, mark = "in-place", "in-place"
        formats = (StateDictFormat(known_by="in-place.weight"),)

        def __init__(self):
            super().__init__()
            self.backbone = RectifiedBehindItsBack(OrderedDict(self.backbone.named_children()))

    class Raising(StateDictFormat):
        def matches(self, names):
            raise KeyError("format")

    class Confused(Plain):
        name, formats = "confused", (Raising(name="raising", known_by="raising"),)

    class Everything(StateDictFormat):
        def matches(self, names):
            return "contested.weight" in names or "stage1.0.convolutions.0.weight" in names

    class Greedy(Plain):
        name, formats = "greedy", (Everything(known_by="everything"),)

    class Contested(Plain):
        name, mark = "contested", "contested"
        formats = (StateDictFormat(known_by="contested.weight"),)

    class Payload:
        def __init__(self):
            self.weight = torch.zeros(1)

    torch.serialization.add_safe_globals([Payload])
"""
CLASS_OF = {
    "branched": "Branched",
    "confused": "Confused",
    "contested": "Contested",
    "exiting": "Exiting",
    "greedy": "Greedy",
    "in-place": "InPlace",
    "narrow": "Narrow",
    "numberless": "Numberless",
    "plain": "Plain",
    "severed": "Severed",
    "unbuildable": "Unbuildable",
    "untraceable": "Untraceable",
}
LOAD = """
import json, sys
from pathlib import Path
import torch
from recognizers.networks.registry import architectures
from recognizers.checkpoints.loading import load_folder

assert architectures().refused == (), architectures().refused
import plugin_networks
torch.save({"payload.weight": plugin_networks.Payload()}, Path(sys.argv[1]) / "payload.pt")
refused = []
loaded = load_folder(Path(sys.argv[1]), torch.device("cpu"), on_refused=lambda _, reason: refused.append(reason))
images = torch.linspace(0, 255, 3 * 32 * 32).view(1, 3, 32, 32)
logits = {name: loaded[name].recognizer.logits(images)[0].tolist() for name in ("plain", "untraceable")}
print(json.dumps({"loaded": sorted(loaded), "refused": refused, "logits": logits}))
"""


def state(mark: str, *, seed: int) -> dict[str, Tensor]:
    torch.manual_seed(seed)
    convolution, head = nn.Conv2d(3, 4, 3), nn.Linear(4, CLASSES)
    tensors = {f"{mark}.{name}": tensor for name, tensor in convolution.state_dict().items()}
    return tensors | {f"fc.{name}": tensor for name, tensor in head.state_dict().items()}


@pytest.fixture(scope="module")
def outcome(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What becomes of a folder with a file for every network, and one of this project's own."""
    root = tmp_path_factory.mktemp("plugins")
    site, checkpoints = root / "site", root / "checkpoints"
    entries = {name: f"plugin_networks:{kind}" for name, kind in CLASS_OF.items()}
    install(site, "many-networks", {"recognizers": entries}, plugin_networks=NETWORKS)
    checkpoints.mkdir()
    (checkpoints / "labels.txt").write_text("".join(f"identity_{place}\n" for place in range(CLASSES)))
    for place, mark in enumerate([*CLASS_OF, "unheard-of"]):
        torch.save(state(mark, seed=place), checkpoints / f"{mark}.pt")
    for suffix in (".safetensors", ".card.json"):
        (checkpoints / f"own{suffix}").write_bytes((embedded.FOLDER / f"compact-resnet{suffix}").read_bytes())
    (checkpoints / "own.labels.txt").write_bytes((embedded.FOLDER / "labels.txt").read_bytes())
    command = [sys.executable, "-c", LOAD, str(checkpoints)]
    environment = os.environ | {"PYTHONPATH": str(site)}
    finished = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=120)
    assert finished.returncode == 0, finished.stderr
    found: dict[str, Any] = json.loads(finished.stdout)
    found["reasons"] = {Path(reason.partition(":")[0]).stem: reason.partition(": ")[2] for reason in found["refused"]}
    return found


def test_the_good_ones_load_beside_the_broken_ones(outcome: dict[str, Any]) -> None:
    assert outcome["loaded"] == ["compact-resnet", "plain", "untraceable"]


@pytest.mark.parametrize("mark", ["plain", "untraceable"])
def test_what_loads_answers_as_its_weights_say(outcome: dict[str, Any], mark: str) -> None:
    """Folded and fused, or as it was built."""
    tensors = state(mark, seed=list(CLASS_OF).index(mark))
    images = torch.linspace(0, 255, 3 * 32 * 32).view(1, 3, 32, 32)
    features = nn.functional.conv2d(images / 255, tensors[f"{mark}.weight"], tensors[f"{mark}.bias"]).mean(dim=(2, 3))
    expected = features @ tensors["fc.weight"].T + tensors["fc.bias"]
    assert outcome["logits"][mark] == pytest.approx(expected[0].tolist(), abs=1e-4)


@pytest.mark.parametrize(
    ("file", "reason"),
    [
        ("branched", "the network branched failed: TraceError: "),
        ("unbuildable", "the network unbuildable failed: ZeroDivisionError: not today"),
        ("exiting", "the network exiting failed: SystemExit: no licence"),
        ("narrow", "the classifier fc: expected weight (classes, 5) and bias (classes,), got (3, 4) and (3,)"),
        ("numberless", "the network numberless: expected finite logits and gradients, got others"),
        ("severed", "the network severed failed: RuntimeError: "),
        (
            "in-place",
            "the network in-place: expected the logits that it gives as it was built, within roundings; got others, ",
        ),
        ("contested", "several architectures claim this file: contested, greedy; keep one of them installed"),
        ("payload", "the file holds Python objects other than tensors; refused, nothing of it was executed. "),
    ],
)
def test_a_file_whose_network_is_broken_is_refused_with_the_reason(outcome: dict[str, Any], file: str, reason: str) -> None:
    assert outcome["reasons"][file].startswith(reason)


def test_a_format_that_fails_is_named_where_nothing_else_knows_the_file(outcome: dict[str, Any]) -> None:
    reason = outcome["reasons"]["unheard-of"]
    assert reason.startswith("wrong architecture: expected one of ")
    assert reason.endswith("; confused's format raising failed: KeyError: 'format'")


def test_a_greedy_format_takes_no_file_from_this_project_s_own(outcome: dict[str, Any]) -> None:
    assert "own" not in outcome["reasons"]
    assert load_recognizer(embedded.FOLDER / "compact-resnet.safetensors").recognizer.name == "compact-resnet"
