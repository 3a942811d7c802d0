"""Random numbers that depend on nothing but what they are for."""

import hashlib

import torch
from torch import Tensor


def drawn_bytes(purpose: str, probe: Tensor, *, epsilon: int, seed: int, count: int) -> bytes:
    """Uniform bytes, independent between purposes, seeds, budgets and probes (3, S, S).

    They are SHAKE-256 of these four, so that they are the same on every machine and in every version of every library, and
    whatever else is drawn.
    """
    key = hashlib.shake_256(f"{purpose}{seed} {epsilon} ".encode())
    key.update(probe.to(torch.uint8).cpu().contiguous().numpy().tobytes())
    return key.digest(count)
