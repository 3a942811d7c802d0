"""LPIPS, a perceptual distance of images (Zhang et al. 2018): of what AlexNet's layers make of them."""

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate
from torchvision.models import alexnet

LAYERS = 5  # each ends in a ReLU
CHANNELS = (64, 192, 384, 256, 256)
SMALLEST = 63  # pixels: the side of an image
_EPSILON = 1e-10  # beside the length of a place's features, which may all be 0
# Of levels 0..1, about ImageNet's; -1..1 in the source, where they are -.030, -.088, -.188 and .458, .448, .450.
_MEAN, _DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


class Lpips:
    """d(x, x0) = sum_l mean over places of w_l . (y_l - y0_l)^2, y_l being layer l's features over their length (Eq. 1)."""

    def __init__(self, network: Mapping[str, Tensor], weights: Sequence[Tensor], *, device: torch.device) -> None:
        """Takes what was trained.

        Args:
            network: the tensors of torchvision's AlexNet, by name; those of its classifier are left aside.
            weights: w_l, (channels,), of each layer.
            device: where images will be.
        """
        prefix = "features."
        features = alexnet(weights=None).features
        features.load_state_dict(
            {name.removeprefix(prefix): tensor for name, tensor in network.items() if name.startswith(prefix)}
        )
        self._layers = _layers(features.eval().requires_grad_(False).to(device))
        self._weights = [each.to(device).view(1, -1, 1, 1) for each in weights]
        self._mean, self._deviation = (
            torch.tensor(values, device=device).view(1, 3, 1, 1) for values in (_MEAN, _DEVIATION)
        )

    def __call__(self, probe: Tensor) -> Callable[[Tensor], Tensor]:
        """The distance to a probe, as a function of images; both (3, H, W), in levels.

        Sides under 63 pixels, for which AlexNet's layers have no room, are enlarged to that.
        """
        with torch.no_grad():
            of_probe = self._features(probe)

        def distance(image: Tensor) -> Tensor:
            layers = zip(self._weights, self._features(image), of_probe, strict=True)
            each = [(weights * (one - other).square()).sum(1).mean() for weights, one, other in layers]
            return torch.stack(each).sum()

        return distance

    def _features(self, image: Tensor) -> list[Tensor]:
        """The features (1, C, H, W) of each layer, over their length at each place."""
        height, width = (max(side, SMALLEST) for side in image.shape[-2:])
        x = image[None].to(self._mean)
        if x.shape[-2:] != (height, width):
            x = interpolate(x, (height, width), mode="bilinear", align_corners=False)
        x = (x / 255 - self._mean) / self._deviation
        found = []
        for layer in self._layers:
            x = layer(x)
            # Not sqrt(sum) + epsilon as the authors' code has it, whose gradient is no number where all features are 0.
            found.append(x / (x.square().sum(1, keepdim=True) + _EPSILON**2).sqrt())
        return found


def _layers(features: nn.Sequential) -> list[nn.Sequential]:
    """AlexNet's convolutional part in pieces, each up to and with a ReLU; not in place, because features are kept."""
    pieces: list[list[nn.Module]] = [[]]
    for module in features:
        if isinstance(module, nn.ReLU):
            pieces[-1].append(nn.ReLU())
            pieces.append([])
        else:
            pieces[-1].append(module)
    return [nn.Sequential(*piece) for piece in pieces[:LAYERS]]
