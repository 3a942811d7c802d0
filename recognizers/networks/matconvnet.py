"""The names that MatConvNet's exports to PyTorch have: `resnet50_ft_dag.pth`, `senet50_ft_dag.pth` and their like."""

import re
from dataclasses import dataclass

from torch import Tensor

from recognizers.networks.state_dict_format import StateDictFormat

_PARTS = {
    "1x1_reduce": "conv1",
    "1x1_reduce_bn": "bn1",
    "3x3": "conv2",
    "3x3_bn": "bn2",
    "1x1_increase": "conv3",
    "1x1_increase_bn": "bn3",
    "1x1_proj": "downsample.0",
    "1x1_proj_bn": "downsample.1",
    "1x1_down": "se_module.fc1",
    "1x1_up": "se_module.fc2",
}


@dataclass(frozen=True, kw_only=True)
class MatConvNetExport(StateDictFormat):
    """Tensors named `conv{stage}_{block}_{part}`, for RGB input, with a 1x1 convolution as the classifier."""

    name: str = "MatConvNet export"
    stem: str  # what stands before conv1 and bn1 in the module
    classifier: str

    def rename(self, name: str) -> str:
        if stem := re.fullmatch(r"conv1_7x7_s2(_bn)?\.(\w+)", name):
            return f"{self.stem}{'bn1' if stem[1] else 'conv1'}.{stem[2]}"
        block = re.fullmatch(r"conv(\d)_(\d)_(\w+)\.(\w+)", name)
        if block and block[3] in _PARTS:
            return f"layer{int(block[1]) - 1}.{int(block[2]) - 1}.{_PARTS[block[3]]}.{block[4]}"
        return re.sub(r"^classifier\.", f"{self.classifier}.", name)

    def translate(self, name: str, tensor: Tensor) -> Tensor:
        if name == "conv1_7x7_s2.weight" and tensor.ndim == 4:
            return tensor.flip(1)  # RGB -> BGR, the order that the network is fed in here
        if name == "classifier.weight" and tensor.shape[2:] == (1, 1):
            return tensor[:, :, 0, 0]
        return tensor
