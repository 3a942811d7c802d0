"""Small networks of the three families, for the embedded default, with their input sizes and conventions."""

from recognizers.networks.compact.inception import CompactFaceNet
from recognizers.networks.compact.residual import CompactResNet, CompactSENet

__all__ = ["CompactFaceNet", "CompactResNet", "CompactSENet"]
