"""The smallest budget that protects."""

from collections.abc import Mapping

from orchestrator.metrics.psr import Rate

HIGH = 95.0  # percent: what the paper calls highly protective (section IV-C)


def smallest_epsilon(rates: Mapping[int, Rate]) -> int | None:
    """The smallest epsilon, in levels, from which on PSR@k stays high; None where it is not reached.

    It is high there, and so it is at every larger epsilon: a budget whose success a larger one does not keep is an accident
    of few probes, not an answer. `rates` has the PSR of every epsilon that was observed, in any order.
    """
    smallest = None
    for epsilon in sorted(rates, reverse=True):
        if rates[epsilon].percent < HIGH:
            break
        smallest = epsilon
    return smallest
