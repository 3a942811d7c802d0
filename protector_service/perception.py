"""Offers the methods that measure pictures by a network, where its weights are."""

import logging
from collections.abc import Mapping
from pathlib import Path

import torch

from protector_service.methods.lowkey import LowKey
from protector_service.methods.lpips import CHANNELS, Lpips
from protector_service.methods.method import Method
from recognizers.checkpoints.lpips_weights import MissingWeightsError, read_lpips_weights
from recognizers.errors import CheckpointError, wrap_errors
from rpc.logs import log_refused

logger = logging.getLogger(__name__)


def seeing(methods: Mapping[str, Method], *, folder: Path | None, device: torch.device) -> Mapping[str, Method]:
    """Methods by name: `lowkey` with LPIPS of a checkpoint folder, or not among them; the log says what is missing."""
    method = methods.get(LowKey.name)
    if not isinstance(method, LowKey):
        return methods
    others = {name: each for name, each in methods.items() if each is not method}
    try:
        weights = read_lpips_weights(folder, channels=CHANNELS)
        with wrap_errors("LPIPS: AlexNet"):
            lpips = Lpips(weights.network, weights.layers, device=device)
    except MissingWeightsError as error:
        logger.info("method not offered", extra={"method": method.name, "reason": str(error)})
        return others
    except CheckpointError as error:
        log_refused("method", f"{method.name}: {error}")
        return others
    return dict(sorted({**others, method.name: method.seeing(lpips)}.items()))
