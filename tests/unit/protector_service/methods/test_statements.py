"""What methods say of themselves."""

import pytest

from protector_service.methods.asks import Crafting
from protector_service.methods.bim import BasicIterativeMethod
from protector_service.methods.method import MethodJob, stated
from protector_service.methods.mi import MomentumIterativeMethod
from tests.support.engines import METHODS

STEPS = {"alpha": "1 level", "n_iter": "floor(min(epsilon + 4, 1.25 epsilon))"}
MOMENTUM = STEPS | {"start": "the probe", "mu": "1"}
KERNEL = {"kernel": "Gaussian, 15 x 15, 3 standard deviations from centre to edge"}
DIVERSE = {
    "transform": "with probability 0.5 resized to a side of S to 1.1 S, padded with 0 at a random place, resized to S"
}

START_OF_PGD = "the probe, a whole number of levels drawn uniformly from -epsilon..epsilon added to each sample, clipped"


def test_every_method_says_what_it_does() -> None:
    assert {"bim", "fgsm", "illc", "mi", "ni", "di", "ti", "si", "ti-di-mi", "bsr", "noise", "none", "pgd"} <= set(METHODS)
    assert all(method.name == name for name, method in METHODS.items())
    assert all(method.description.endswith(".") for method in METHODS.values())
    assert len({method.description for method in METHODS.values()}) == len(METHODS)


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("none", {}),
        ("noise", {}),
        ("bim", STEPS | {"start": "the probe"}),
        ("illc", STEPS | {"start": "the probe"}),
        ("fgsm", {"alpha": "epsilon", "n_iter": "min(1, epsilon)", "start": "the probe"}),
        (
            "pgd",
            STEPS | {"start": START_OF_PGD},
        ),
        ("mi", MOMENTUM),
        ("ni", MOMENTUM),
        ("di", MOMENTUM | DIVERSE),
        ("ti", MOMENTUM | KERNEL),
        ("ti-di-mi", MOMENTUM | DIVERSE | KERNEL),
        ("si", MOMENTUM | {"scales": "1, 1/2, 1/4, 1/8, 1/16"}),
        (
            "bsr",
            MOMENTUM
            | {"transform": "20 copies of 3 x 3 blocks at random cuts, shuffled, each rotated by at most 24 degrees"},
        ),
    ],
)
def test_a_method_states_with_what_it_computes(name: str, parameters: dict[str, str]) -> None:
    assert METHODS[name].parameters() == parameters
    assert list(METHODS[name].parameters()) == sorted(parameters)


def test_what_is_stated_of_a_function_is_not_said_of_one_that_overrides_it() -> None:
    class Silent(BasicIterativeMethod):
        def craft(self, job: MethodJob) -> Crafting:
            return super().craft(job)

    class Talking(Silent):
        @stated(alpha="3 levels")
        def craft(self, job: MethodJob) -> Crafting:
            return super().craft(job)

    class Inheriting(MomentumIterativeMethod):
        """Overrides nothing."""

    assert BasicIterativeMethod().parameters() == STEPS | {"start": "the probe"}
    assert Silent().parameters() == {}
    assert Talking().parameters() == {"alpha": "3 levels"}
    assert Inheriting().parameters() == MOMENTUM
