"""The probe as it is, and noise of the size of a budget."""

import numpy as np
import torch
from torch import Tensor

from protector_service.methods.asks import Cloak
from protector_service.methods.method import MethodJob
from protector_service.methods.noise import RandomNoise, random_signs
from protector_service.methods.none import NoCloak

# SHAKE-256 of b"0 4 " and twelve zero bytes begins with these twelve bits.
SIGNS_OF_ZEROS = np.unpackbits(np.frombuffer(bytes.fromhex("7e21"), dtype=np.uint8))[:12].astype(np.float32) * 2 - 1


def noisy(x_0: Tensor, *, epsilon: int, seed: int) -> Tensor:
    (cloak,) = RandomNoise().craft(MethodJob("noise", x_0, (epsilon,), 0, seed))
    assert isinstance(cloak, Cloak)
    return cloak.image


def test_the_control_is_the_probe_at_budget_zero_whatever_is_asked() -> None:
    x_0 = torch.arange(12.0).view(3, 2, 2)
    assert NoCloak().budgets([4, 8]) == (0,)
    (cloak,) = NoCloak().craft(MethodJob("none", x_0, (0,), 0, 1))
    assert isinstance(cloak, Cloak)
    assert cloak.epsilon == 0
    assert torch.equal(cloak.image, x_0)


def test_noise_moves_every_unclipped_pixel_by_epsilon_either_way_about_equally_often() -> None:
    x_0 = torch.full((3, 64, 64), 100.0)
    moved = noisy(x_0, epsilon=16, seed=7) - x_0
    assert set(moved.flatten().tolist()) == {-16.0, 16.0}
    assert abs(float((moved > 0).double().mean()) - 0.5) < 0.02


def test_noise_stays_within_the_pixel_range() -> None:
    x_0 = torch.tensor([0.0, 3.0, 254.0, 255.0]).view(1, 1, 4).expand(3, 64, 4).contiguous()
    found = noisy(x_0, epsilon=5, seed=7)
    assert [sorted(set(found[..., place].flatten().tolist())) for place in range(4)] == [
        [0, 5],
        [0, 8],
        [249, 255],
        [250, 255],
    ]


def test_noise_depends_on_seed_budget_and_probe_and_on_nothing_else() -> None:
    x_0, other = torch.full((3, 16, 16), 100.0), torch.full((3, 16, 16), 101.0)
    signs = random_signs(x_0, epsilon=8, seed=1)
    assert torch.equal(signs, random_signs(x_0.double(), epsilon=8, seed=1).float())
    for different in (
        random_signs(x_0, epsilon=8, seed=2),
        random_signs(x_0, epsilon=16, seed=1),
        random_signs(other, epsilon=8, seed=1),
    ):
        assert 0.3 < float((signs == different).double().mean()) < 0.7


def test_noise_is_the_same_on_every_machine() -> None:
    signs = random_signs(torch.zeros(3, 2, 2), epsilon=4, seed=0)
    assert np.array_equal(signs.flatten().numpy(), SIGNS_OF_ZEROS)
