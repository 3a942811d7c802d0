"""Checks a Craft request before anything is computed for it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np
from deid.protector.v1 import protector_pb2
from numpy.typing import NDArray

from protector_service.methods.method import Control, GradientMethod, Method
from rpc.errors import invalid_argument
from rpc.images.decoding import encode_jpeg, encode_png
from rpc.lookup import distinct, look_up

MAX_EPSILON = 255  # levels

Encoder = Callable[[NDArray[np.uint8]], bytes]


@dataclass(frozen=True)
class CraftOrder:
    """A Craft request, understood."""

    controls: tuple[Control, ...]
    methods: tuple[GradientMethod, ...]
    epsilons: tuple[int, ...]
    encode: Encoder
    seed: int

    @property
    def cloaks(self) -> int:
        return sum(len(method.budgets(self.epsilons)) for method in (*self.controls, *self.methods))


def parse_craft_request(request: protector_pb2.CraftRequest, *, methods: Mapping[str, Method]) -> CraftOrder:
    """Checks methods, epsilons and storage.

    Raises:
        ServiceError: INVALID_ARGUMENT or NOT_FOUND, with the field at fault.
    """
    chosen = distinct("methods", request.methods, partial(look_up, known=methods))
    if not chosen:
        raise invalid_argument("methods", expected="at least one method", actual="none")
    epsilons = distinct("epsilons", request.epsilons, _epsilon)
    if not epsilons and not all(isinstance(method, Control) and method.budgets(()) for method in chosen):
        raise invalid_argument("epsilons", expected="at least one budget", actual="none")
    return CraftOrder(
        controls=tuple(method for method in chosen if isinstance(method, Control)),
        methods=tuple(method for method in chosen if isinstance(method, GradientMethod)),
        epsilons=epsilons,
        encode=_encoder(request.storage),
        seed=request.seed,
    )


def _epsilon(field: str, epsilon: int) -> int:
    if not 0 <= epsilon <= MAX_EPSILON:
        raise invalid_argument(field, expected=f"0..{MAX_EPSILON} levels", actual=str(epsilon))
    return epsilon


def _encoder(storage: protector_pb2.Storage) -> Encoder:
    chosen = storage.WhichOneof("format")
    if chosen == "png":
        return encode_png
    if chosen == "jpeg":
        quality = storage.jpeg.quality
        if not 1 <= quality <= 100:
            raise invalid_argument("storage.jpeg.quality", expected="1..100", actual=str(quality))
        return lambda pixels: encode_jpeg(pixels, quality=quality)
    raise invalid_argument("storage", expected="jpeg or png", actual="neither")
