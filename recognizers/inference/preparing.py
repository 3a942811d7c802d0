"""Makes a loaded recognizer ready to serve: the same function, faster."""

import torch
from torch.fx import GraphModule, symbolic_trace
from torch.fx.experimental.optimization import fuse

from recognizers.inference.channels import give_scales
from recognizers.inference.frozen_convolution import runs_frozen
from recognizers.inference.frozen_linear import freeze_linears
from recognizers.inference.fusing import fold_scales, fuse_convolutions, give_each_call_its_module, replace_norms
from recognizers.inference.squeeze import replace_se_modules
from recognizers.inference.tape import ManualBackward
from recognizers.networks.recognizer import Embedder
from recognizers.precision import Precision


def prepare(recognizer: Embedder, device: torch.device, *, precision: Precision = Precision.FLOAT32) -> None:
    """Folds what can be folded, then takes the recognizer to a device, a precision and the layout its convolutions like.

    Its network is `traceable`. It answers as before up to rounding.
    """
    backbone = fold(recognizer)
    recognizer.to(device).to(memory_format=torch.channels_last)
    backbone.to(precision.dtype)
    if device.type == "cpu" and runs_frozen(precision.dtype):
        side = recognizer.input_size
        freeze_linears(recognizer)
        fuse_convolutions(backbone, torch.zeros(1, 3, side, side, dtype=precision.dtype))
        recognizer.network.backbone = ManualBackward(backbone)
    recognizer.freeze()


def fold(recognizer: Embedder) -> GraphModule:
    """Every convolution takes over the BatchNorm (Jacob et al. 2018, section 3.2) and the constant that follow it.

    In evaluation mode all are one linear map, so that what it answers stays the same up to rounding. Any other BatchNorm is
    a scale and a shift.
    """
    network = recognizer.network
    replace_se_modules(network.backbone)
    give_scales(network.backbone)
    traced = symbolic_trace(network.backbone)
    give_each_call_its_module(traced)
    with torch.no_grad():
        backbone = fuse(traced)
    assert isinstance(backbone, GraphModule)
    fold_scales(backbone)
    replace_norms(backbone)
    network.backbone = backbone
    recognizer.freeze()
    return backbone
