"""Budgets, pixel by pixel: lossless cloaks against the lossless control."""

import numpy as np
from numpy.typing import NDArray

from conformance.check import Failed, NotApplicable, Problems, check
from conformance.images import decoded
from conformance.protector.methods import (
    BIM,
    CONTROL,
    DEEPFOOL,
    FGSM,
    GRADIENTS_PER_STEP,
    ILLC,
    MI,
    NI,
    NOISE,
    ONE_LEVEL_FROM_THE_PROBE,
    n_iter,
)
from conformance.protector.service import EPSILONS, Protector, probe_of

# By epsilon: so many steps, odd in number, only the last of which can meet the bound.
ODD = {1: 1, 4: 5}
STEPPING = (BIM, ILLC, MI, NI)  # along a gradient that is 0 in a channel only where that of the image is
STANDARD_ERRORS = 6  # that a fair coin exceeds once in a thousand million
# The same for the correlations of independent signs at all distances, of which there are as many as samples.
STANDARD_ERRORS_OF_MANY = 7


@check(
    "budget",
    demands="No pixel of a lossless cloak differs from the probe by more than epsilon, or, where the method has a budget of "
    "its own, by more than the largest change that this states.",
    why="Methods are compared at equal budgets; one level more is another experiment.",
)
async def budget(service: Protector) -> Problems:
    for cloak in await service.cloaks():
        bound = service.bound(cloak.response)
        if cloak.largest_change > bound:
            beyond = f"{(np.abs(cloak.change) > bound).sum()} of {cloak.change.size} channels are beyond"
            yield f"{cloak.name}: expected at most {bound} levels of change, got {cloak.largest_change} ({beyond})"


@check(
    "largest-change",
    demands="largest_change equals the difference measured between the lossless cloak and the probe.",
    why="It is all that is known of the budget of a cloak stored as JPEG.",
)
async def largest_change(service: Protector) -> Problems:
    for cloak in await service.cloaks():
        if cloak.response.largest_change != cloak.largest_change:
            yield f"{cloak.name}: stated {cloak.response.largest_change} levels, measured {cloak.largest_change}"


@check(
    "steps",
    demands="bim, illc, pgd, mi, ni, di, ti, si, ti-di-mi and bsr take floor(min(epsilon + 4, 1.25 epsilon)) steps, fgsm "
    "takes one, none and noise take none; all of these but pgd, fgsm and noise change no pixel by more than n_iter.",
    why="These names stand for these methods; with other steps their figures are not comparable.",
)
async def steps(service: Protector) -> Problems:
    for cloak in await service.cloaks():
        method, taken = cloak.response.method, cloak.response.n_iter
        expected = n_iter(method, cloak.response.epsilon)
        if expected is not None and taken != expected:
            yield f"{cloak.name}: expected {expected} steps, got {taken}"
        if method in ONE_LEVEL_FROM_THE_PROBE and cloak.largest_change > taken:
            yield f"{cloak.name}: expected at most {taken} levels of change after as many steps, got {cloak.largest_change}"


@check(
    "whole-levels",
    demands="bim, illc, mi and ni step by whole levels: with epsilon 1 every channel moves by one, with epsilon 4 by an odd "
    "number or by four. fgsm moves every channel by epsilon. Channels with a zero gradient, or at the end of the "
    "range, are excepted.",
    why="A cloak that was truncated instead of rounded is up to one level darker than it was crafted, which breaks "
    "budgets and weakens cloaks; other steps make another method.",
)
async def whole_levels(service: Protector) -> Problems:
    if not {*STEPPING, FGSM} & set(service.crafting):
        raise NotApplicable(f"it has none of the methods whose steps are known: {', '.join(STEPPING)}, fgsm")
    for cloak in await service.cloaks():
        each, change = cloak.response, cloak.change
        if each.method == FGSM:
            reach, good = each.epsilon, np.abs(change) == each.epsilon
        elif each.method in STEPPING and each.epsilon in ODD:
            reach, good = ODD[each.epsilon], (change % 2 == 1) | (np.abs(change) == each.epsilon)
        else:
            continue
        # At most so many channels had a zero gradient at some step.
        zero = round(each.zero_gradient_share * each.n_iter * change.size)
        other = int((~good & (cloak.probe >= reach) & (cloak.probe <= 255 - reach)).sum())
        if other > zero:
            got = f"at most {zero} channels, those of zero gradient, got {other} of {change.size}"
            yield f"{cloak.name}: expected other changes in {got}"


@check(
    "budget-zero",
    demands="With epsilon 0 every method returns the probe, unless its budget is its own.",
    why="Zero is a budget like any other: what changes pixels without a budget is not the method.",
)
async def budget_zero(service: Protector) -> Problems:
    for name, changes in service.samples().items():
        row = await service.answers(**changes, methods=service.affordable(0), epsilons=[0])
        probe = probe_of(row, name)
        for each in row:
            levels = decoded(each.cloak, name).levels
            if levels.shape == probe.shape and (levels != probe).any():
                yield f"{name}: {each.method}: changes pixels"


@check(
    "noise",
    demands="noise adds plus or minus epsilon to every channel, each equally often and independently, clipped to 0..255.",
    why="It shows what any noise of this size does. Weaker noise, a pattern that a filter removes, or values that "
    "wrap around would flatter every method.",
)
async def noise(service: Protector) -> Problems:
    if NOISE not in service.method_names:
        raise NotApplicable("it has no noise control; protector.methods says so")
    for epsilon in (4, 255):
        what = f"epsilon {epsilon}"
        row = await service.answers(methods=[CONTROL, NOISE], epsilons=[epsilon])
        probe, came = probe_of(row, what), [each.cloak for each in row if each.method == NOISE]
        if not came:
            raise Failed(f"{what}: expected noise, got none")
        cloak = decoded(came[0], NOISE).levels
        if cloak.shape != probe.shape:
            raise Failed(f"{what}: the noise is of another size than the probe")
        up, down = cloak == np.minimum(probe + epsilon, 255), cloak == np.maximum(probe - epsilon, 0)
        if not (up | down).all():
            yield f"{what}: {int((~(up | down)).sum())} of {cloak.size} channels have neither plus nor minus epsilon"
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
    """The largest autocorrelation of signs (H, W, C), which are -1, 1, or 0 if unknown, and the distance that it is at."""
    power = np.abs(np.fft.fftn(signs)) ** 2
    products = np.fft.ifftn(power).real  # by the Wiener-Khinchin theorem, with distances around the edges
    products.flat[0] = 0
    place = np.unravel_index(np.abs(products).argmax(), products.shape)
    known = max(float(np.abs(signs).sum()), 1)
    return float(products[place]) / known, tuple(map(int, place))


@check(
    "zero-gradients",
    demands="zero_gradient_share is a share, and 0 where no step was taken.",
    why="It distinguishes an attack that stalled at a saturated network from one that found nothing.",
)
async def zero_gradients(service: Protector) -> Problems:
    for cloak in await service.cloaks():
        share, taken = cloak.response.zero_gradient_share, cloak.response.n_iter
        if not 0 <= share <= 1 or (share > 0 and taken == 0):
            yield f"{cloak.name}: got {share} after {taken} steps"


@check(
    "effect",
    demands=f"With epsilon {max(EPSILONS)} no method but the controls and deepfool returns the probe of every photo; bim, "
    "illc, fgsm, pgd, mi, ni, di, ti, si, ti-di-mi and bsr return a probe only where every gradient was zero.",
    why="A method that returns the probe would be measured as one that does not protect.",
)
async def effect(service: Protector) -> Problems:
    changed: dict[str, list[bool]] = {}
    for cloak in await service.cloaks():
        each = cloak.response
        if each.method not in service.controls and each.epsilon == max(EPSILONS):
            changed.setdefault(each.method, []).append(bool(cloak.change.any()))
            if each.method in GRADIENTS_PER_STEP and not cloak.change.any() and each.zero_gradient_share != 1:
                yield f"{cloak.name}: the cloak is the probe"
    for method, rows in changed.items():
        if method != DEEPFOOL and not any(rows):  # which leaves a probe that is not classified as the identity
            yield f"{method}: the cloak is the probe in all {len(rows)} rows"
