"""A matcher for tests: a small embedding network, with a gallery and impostors that are enrolled as the services' are."""

from collections.abc import Iterable
from functools import partial
from pathlib import Path

import torch
from torch import Tensor, nn

from recognizers.extraction import extract_face
from recognizers.galleries.embedding_cache import EmbeddingCache
from recognizers.galleries.enrolment import EmbeddingNetwork, Enroller
from recognizers.galleries.matchers import Calibration, Matcher, make_matchers
from recognizers.galleries.thresholds import Target
from recognizers.networks.network import Network
from recognizers.networks.recognizer import Embedder
from recognizers.precision import Precision
from rpc.images.decoding import decoded_image
from rpc.images.limits import ImageLimits
from tests.support.conforming import IDENTITIES
from tests.support.drawn_faces import draw_face, jpeg
from tests.support.services import CentreDetector

NAME = "tiny"
TARGETS = ("fmr:0.1", "fpir:0.1", "fpir:0.3")


class TinyNetwork(Network):
    """One layer of random weights, by cosine similarity."""

    name = NAME
    input_size = 8
    feature_size = 216
    head_name = None
    formats = ()

    def __init__(self) -> None:
        super().__init__()
        convolution = nn.Conv2d(3, 6, 3, bias=False)
        nn.init.normal_(convolution.weight, generator=torch.Generator().manual_seed(0))
        self.backbone = nn.Sequential(convolution, nn.Tanh(), nn.Flatten())

    def normalise(self, images: Tensor) -> Tensor:
        return (images - 127.5) / 128


def tiny_matchers(root: Path) -> dict[str, Matcher]:
    """A matcher that knows five people, each by the photo that `write_faces` draws of them and another."""
    _write(root / "gallery", ((identity, number) for number, identity in enumerate(IDENTITIES[:5])))
    _write(root / "impostors", ((f"stranger_{number}", number) for number in range(5, 25)))
    network = EmbeddingNetwork(Embedder(TinyNetwork()), "c" * 64, Precision.FLOAT32, torch.device("cpu"))
    enroller = Enroller(
        networks={NAME: network},
        decode=partial(decoded_image, limits=ImageLimits()),
        find_face=partial(extract_face, detector=CentreDetector()),
        cache=EmbeddingCache(None),
    )
    calibration = Calibration(root / "impostors", tuple(map(Target.parse, TARGETS)), {NAME: 0.9})
    return make_matchers(root / "gallery", enroller, calibration=calibration)


def _write(folder: Path, people: Iterable[tuple[str, int]]) -> None:
    for identity, number in people:
        (folder / identity).mkdir(parents=True)
        for photo in range(2):
            (folder / identity / f"{photo}.jpg").write_bytes(jpeg(draw_face(number, photo, side=64)))
