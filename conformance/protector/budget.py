"""Budgets, by pixel: lossless cloaks against the lossless control."""

from collections.abc import AsyncIterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from conformance.check import Failed, NotApplicable, Problems, check
from conformance.images import Levels, decoded
from conformance.protector.service import (
    BIM,
    CONTROL,
    EPSILONS,
    FGSM,
    ILLC,
    NOISE,
    PGD,
    Protector,
    Response,
    by_budget,
    probe_of,
)

# By epsilon: so many steps, odd in number, only the last of which can meet the bound.
ODD = {1: 1, 4: 5}
STANDARD_ERRORS = 6  # within which a fair coin's share stays, but for one in a thousand million
# Within which the correlations of independent signs stay at all distances, of which there are as many as samples.
STANDARD_ERRORS_OF_MANY = 7


@dataclass(frozen=True)
class Cloak:
    """A lossless cloak of the probe's size."""

    name: str
    response: Response
    change: Levels  # from the probe
    probe: Levels

    @property
    def largest_change(self) -> int:
        """In levels, as measured."""
        return int(np.abs(self.change).max())


async def cloaks_of(service: Protector) -> AsyncIterator[Cloak]:
    """Every lossless cloak of every row; those of another size than the probe are left to geometry."""
    async for row, cloaks, probe in service.rows():
        for (method, epsilon), response in cloaks.items():
            name = f"{row}: {method}, epsilon {epsilon}"
            levels = decoded(response.cloak, name).levels
            if levels.shape == probe.shape:
                yield Cloak(name, response, levels - probe, probe)


@check(
    "budget",
    demands="No pixel of a lossless cloak is further from the probe than epsilon.",
    why="Budgets are what methods are compared at; one level more is another experiment.",
)
async def budget(service: Protector) -> Problems:
    async for cloak in cloaks_of(service):
        epsilon = cloak.response.epsilon
        if cloak.largest_change > epsilon:
            beyond = f"{(np.abs(cloak.change) > epsilon).sum()} of {cloak.change.size} channels are beyond"
            yield f"{cloak.name}: expected at most {epsilon} levels of change, got {cloak.largest_change} ({beyond})"


@check(
    "largest-change",
    demands="largest_change is what is measured between the lossless cloak and the probe.",
    why="Of cloaks stored as JPEG it is all that is known of the budget.",
)
async def largest_change(service: Protector) -> Problems:
    async for cloak in cloaks_of(service):
        if cloak.response.largest_change != cloak.largest_change:
            yield f"{cloak.name}: stated {cloak.response.largest_change} levels, measured {cloak.largest_change}"


def n_iter(method: str, epsilon: int) -> int | None:
    """Steps that a method of a reserved name takes; None where the name is free."""
    if method in (BIM, ILLC, PGD):
        return min(epsilon + 4, 5 * epsilon // 4)
    return {FGSM: min(1, epsilon), CONTROL: 0, NOISE: 0}.get(method)


@check(
    "steps",
    demands="bim, illc and pgd take floor(min(epsilon + 4, 1.25 epsilon)) steps, fgsm takes one, none and noise take "
    "none; bim and illc change no pixel by more than n_iter.",
    why="These names mean those methods; with other steps their figures are not comparable.",
)
async def steps(service: Protector) -> Problems:
    async for cloak in cloaks_of(service):
        method, taken = cloak.response.method, cloak.response.n_iter
        expected = n_iter(method, cloak.response.epsilon)
        if expected is not None and taken != expected:
            yield f"{cloak.name}: expected {expected} steps, got {taken}"
        if method in (BIM, ILLC) and cloak.largest_change > taken:
            yield f"{cloak.name}: expected at most {taken} levels after as many steps, got {cloak.largest_change}"


@check(
    "whole-levels",
    demands="bim and illc step by whole levels: with epsilon 1 every channel moves by one, and with epsilon 4 by an odd "
    "number or by four; fgsm moves every channel by epsilon; but where a gradient was zero or the range ends.",
    why="A cloak that is cut instead of rounded is up to one level darker than was crafted, which breaks budgets and "
    "weakens cloaks; other steps are another method.",
)
async def whole_levels(service: Protector) -> Problems:
    if not {BIM, ILLC, FGSM} & set(service.crafting):
        raise NotApplicable("it has none of bim, illc and fgsm, whose steps are known")
    async for cloak in cloaks_of(service):
        each, change = cloak.response, cloak.change
        if each.method == FGSM:
            reach, good = each.epsilon, np.abs(change) == each.epsilon
        elif each.method in (BIM, ILLC) and each.epsilon in ODD:
            reach, good = ODD[each.epsilon], (change % 2 == 1) | (np.abs(change) == each.epsilon)
        else:
            continue
        # One channel in so many met a zero gradient at some step, at most.
        zero = round(each.zero_gradient_share * each.n_iter * change.size)
        other = int((~good & (cloak.probe >= reach) & (cloak.probe <= 255 - reach)).sum())
        if other > zero:
            got = f"at most {zero} channels, those of zero gradient, got {other} of {change.size}"
            yield f"{cloak.name}: expected other changes of {got}"


@check(
    "budget-zero",
    demands="With epsilon 0 every method returns the probe.",
    why="It is a budget like others, and what is changed without one is changed by something else than the method.",
)
async def budget_zero(service: Protector) -> Problems:
    for name, changes in service.samples().items():
        row = await service.answers(**changes, epsilons=[0])
        probe = probe_of(row, name)
        for each in row:
            levels = decoded(each.cloak, name).levels
            if levels.shape == probe.shape and (levels != probe).any():
                yield f"{name}: {each.method}: changes pixels"


@check(
    "noise",
    demands="noise is plus or minus epsilon on every channel, both equally often and independently of one another, cut at 0 "
    "and 255.",
    why="It is what any noise of that size does: weaker noise, or a pattern that a filter takes out, flatters every method, "
    "and values that wrap around are no noise.",
)
async def noise(service: Protector) -> Problems:
    if NOISE not in service.method_names:
        raise NotApplicable("it has no noise control; protector.methods says so")
    for epsilon in (4, 255):
        what = f"epsilon {epsilon}"
        row = await service.answers(methods=[CONTROL, NOISE], epsilons=[epsilon])
        probe, came = probe_of(row, what), by_budget(row).get((NOISE, epsilon))
        if came is None:
            raise Failed(f"{what}: expected noise, got none")
        cloak = decoded(came.cloak, NOISE).levels
        if cloak.shape != probe.shape:
            raise Failed(f"{what}: the noise is of another size than the probe")
        up, down = cloak == np.minimum(probe + epsilon, 255), cloak == np.maximum(probe - epsilon, 0)
        if not (up | down).all():
            yield f"{what}: {int((~(up | down)).sum())} of {cloak.size} channels are neither"
        told = up != down
        share = float(up[told].mean()) if told.any() else 0.5
        number = max(int(told.sum()), 1)
        if abs(share - 0.5) > STANDARD_ERRORS * 0.5 / number**0.5:
            yield f"{what}: expected about half of the channels brighter, got {share:.1%}"
        correlation, distance = _largest_correlation(np.where(told, np.where(up, 1.0, -1.0), 0.0))
        if abs(correlation) > STANDARD_ERRORS_OF_MANY / number**0.5:
            between = f"{correlation:.2f} between those {distance} (rows, columns, channels) apart"
            yield f"{what}: expected independent signs, got a correlation of {between}"


def _largest_correlation(signs: NDArray[np.float64]) -> tuple[float, tuple[int, ...]]:
    """Of signs (H, W, C), each -1, 1 or 0 where it is not known, with themselves at any distance but 0, and where it is."""
    power = np.abs(np.fft.fftn(signs)) ** 2
    products = np.fft.ifftn(power).real  # the Wiener-Khinchin theorem: of all pairs at each distance, around the edges
    products.flat[0] = 0
    place = np.unravel_index(np.abs(products).argmax(), products.shape)
    known = max(float(np.abs(signs).sum()), 1)
    return float(products[place]) / known, tuple(map(int, place))


@check(
    "zero-gradients",
    demands="zero_gradient_share is a share, and 0 where no step was taken.",
    why="It tells an attack that stalled at a saturated network from one that found nothing.",
)
async def zero_gradients(service: Protector) -> Problems:
    async for row, cloaks, _ in service.rows():
        for (method, epsilon), each in cloaks.items():
            share = each.zero_gradient_share
            if not 0 <= share <= 1 or (share > 0 and each.n_iter == 0):
                yield f"{row}: {method}, epsilon {epsilon}: got {share} after {each.n_iter} steps"


@check(
    "effect",
    demands=f"With epsilon {max(EPSILONS)}, no method that is no control returns the probe of every photo; bim, illc, fgsm "
    "and pgd return one only where every gradient was zero.",
    why="A method that returns the probe is measured as one that does not protect.",
)
async def effect(service: Protector) -> Problems:
    changed: dict[str, list[bool]] = {}
    async for cloak in cloaks_of(service):
        each = cloak.response
        if each.method in service.crafting and each.epsilon == max(EPSILONS):
            changed.setdefault(each.method, []).append(bool(cloak.change.any()))
            if each.method in (BIM, ILLC, FGSM, PGD) and not cloak.change.any() and each.zero_gradient_share != 1:
                yield f"{cloak.name}: is the probe"
    for method, rows in changed.items():
        if not any(rows):
            yield f"{method}: is the probe in all of {len(rows)} rows"
