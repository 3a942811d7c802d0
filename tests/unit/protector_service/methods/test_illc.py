"""ILLC beside the trajectory that it shares with BIM."""

from tests.support.engines import craft
from tests.support.networks import SmallRecognizer, probe


def test_every_cloak_counts_the_forward_pass_that_finds_the_least_likely_class() -> None:
    cloaks = craft(SmallRecognizer(), probe(side=8), ["illc"], (0, 4, 8))
    assert [(cloak.effort.gradients, cloak.effort.forward_passes) for cloak in cloaks] == [(0, 1), (5, 1), (10, 1)]
