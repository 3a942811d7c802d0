"""What no other choice beats in both of two things at once."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import isnan

from orchestrator.errors import MetricError


@dataclass(frozen=True)
class Point:
    """One choice, say a method at an epsilon: what it keeps of a picture, how well it protects. More is better in both."""

    quality: float  # SSIM, or PSNR in dB
    psr: float  # percent
    label: str


def pareto_front(points: Sequence[Point]) -> list[Point]:
    """The points that no other dominates: none is at least as good in both and better in one. By rising quality.

    Of points that agree in both all stay, in the given order.

    Raises:
        MetricError: a value is not a number.
    """
    for point in points:
        if isnan(point.quality) or isnan(point.psr):
            raise MetricError(f"{point.label}: quality {point.quality} and PSR {point.psr} cannot be compared")
    front: list[Point] = []
    for point in sorted(points, key=lambda point: (-point.quality, -point.psr)):
        if not front or point.psr > front[-1].psr or (point.quality, point.psr) == (front[-1].quality, front[-1].psr):
            front.append(point)
    return sorted(front, key=lambda point: point.quality)  # stable: ties keep the given order
