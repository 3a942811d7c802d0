"""The precision that networks compute in."""

from enum import StrEnum

import torch

AUTO = "auto"


class Precision(StrEnum):
    """What a network's convolutions multiply. Images, logits, losses and image gradients are float32 in either."""

    FLOAT32 = "float32"
    BFLOAT16 = "bfloat16"

    @property
    def dtype(self) -> torch.dtype:
        """The type of the network's weights and activations."""
        return torch.bfloat16 if self is Precision.BFLOAT16 else torch.float32


def choose_precision(wanted: str, device: torch.device) -> Precision:
    """The precision of a name; "auto" is bfloat16 on a device that multiplies it natively, else float32."""
    if wanted != AUTO:
        return Precision(wanted)
    # Emulated, it is several times slower than float32.
    if device.type == "cuda":
        native = torch.cuda.is_bf16_supported(including_emulation=False)
    else:
        capabilities = torch.cpu.get_capabilities()
        native = capabilities.get("amx_bf16") or capabilities.get("avx512_bf16")
    return Precision.BFLOAT16 if native else Precision.FLOAT32
