"""Budgets, by pixel: lossless cloaks against the lossless control."""

import numpy as np
from numpy.typing import NDArray

from conformance.check import Failed, NotApplicable, check, fail_for
from conformance.pictures import Levels, seen
from conformance.protector.service import EPSILONS, Cloaks, Protector, Response, by_budget, probe_of
from orchestrator.experiment.grid import CONTROL, METHODS, NOISE

# By epsilon: so many steps, odd in number, only the last of which can meet the bound.
ODD = {1: 1, 4: 5}
OF_GRADIENTS = (*METHODS, "fgsm", "pgd")
STANDARD_ERRORS = 6  # within which a fair coin's share stays, but for one in a thousand million
# Within which the correlations of independent signs stay at all distances, of which there are as many as samples.
STANDARD_ERRORS_OF_MANY = 7


def changes(cloaks: Cloaks, probe: Levels) -> list[tuple[str, Response, Levels]]:
    """Every lossless cloak of a row, named, with what it changes in levels; those of another size are left to geometry."""
    changed = []
    for (method, epsilon), each in cloaks.items():
        name = f"{method}, epsilon {epsilon}"
        levels = seen(each.cloak, name).levels
        if levels.shape == probe.shape:
            changed.append((name, each, levels - probe))
    return changed


@check(
    "protector.budget",
    demands="No pixel of a lossless cloak is further from the probe than epsilon.",
    why="Budgets are what methods are compared at; one level more is another experiment.",
)
async def budget(service: Protector) -> None:
    problems = []
    async for row, cloaks, probe in service.rows():
        for name, each, change in changes(cloaks, probe):
            beyond = np.abs(change) > each.epsilon
            if beyond.any():
                problems.append(
                    f"{row}: {name}: expected at most {each.epsilon} levels of change, got {np.abs(change).max()} "
                    f"({beyond.sum()} of {beyond.size} channels are beyond)"
                )
    fail_for(problems)


@check(
    "protector.largest-change",
    demands="largest_change is what is measured between the lossless cloak and the probe.",
    why="Of cloaks stored as JPEG it is all that is known of the budget.",
)
async def largest_change(service: Protector) -> None:
    problems = []
    async for row, cloaks, probe in service.rows():
        for name, each, change in changes(cloaks, probe):
            if each.largest_change != (measured := np.abs(change).max()):
                problems.append(f"{row}: {name}: stated {each.largest_change} levels, measured {measured}")
    fail_for(problems)


def n_iter(method: str, epsilon: int) -> int | None:
    """Steps that a method of a reserved name takes; None where the name is free."""
    if method in (*METHODS, "pgd"):
        return min(epsilon + 4, 5 * epsilon // 4)
    return {"fgsm": min(1, epsilon), CONTROL: 0, NOISE: 0}.get(method)


@check(
    "protector.steps",
    demands="bim, illc and pgd take floor(min(epsilon + 4, 1.25 epsilon)) steps, fgsm takes one, none and noise take "
    "none; bim and illc change no pixel by more than n_iter.",
    why="These names mean those methods; with other steps their figures are not comparable.",
)
async def steps(service: Protector) -> None:
    problems = []
    async for row, cloaks, probe in service.rows():
        for name, each, change in changes(cloaks, probe):
            expected = n_iter(each.method, each.epsilon)
            if expected is not None and each.n_iter != expected:
                problems.append(f"{row}: {name}: expected {expected} steps, got {each.n_iter}")
            if each.method in METHODS and (largest := int(np.abs(change).max())) > each.n_iter:
                problems.append(f"{row}: {name}: expected at most {each.n_iter} levels after as many steps, got {largest}")
    fail_for(problems)


@check(
    "protector.whole-levels",
    demands="bim and illc step by whole levels: with epsilon 1 every channel moves by one, and with epsilon 4 by an odd "
    "number or by four; fgsm moves every channel by epsilon; but where a gradient was zero or the range ends.",
    why="A cloak that is cut instead of rounded is up to one level darker than was crafted, which breaks budgets and "
    "weakens cloaks; other steps are another method.",
)
async def whole_levels(service: Protector) -> None:
    if not {*METHODS, "fgsm"} & set(service.crafting):
        raise NotApplicable("it has none of bim, illc and fgsm, whose steps are known")
    problems = []
    async for row, cloaks, probe in service.rows():
        for name, each, change in changes(cloaks, probe):
            if each.method == "fgsm":
                reach, good = each.epsilon, np.abs(change) == each.epsilon
            elif each.method in METHODS and each.epsilon in ODD:
                reach, good = ODD[each.epsilon], (change % 2 == 1) | (np.abs(change) == each.epsilon)
            else:
                continue
            # One channel in so many met a zero gradient at some step, at most.
            zero = round(each.zero_gradient_share * each.n_iter * change.size)
            other = int((~good & (probe >= reach) & (probe <= 255 - reach)).sum())
            if other > zero:
                problems.append(
                    f"{row}: {name}: expected other changes of at most {zero} channels, those of zero gradient, got "
                    f"{other} of {change.size}"
                )
    fail_for(problems)


@check(
    "protector.budget-zero",
    demands="With epsilon 0 every method returns the probe.",
    why="It is a budget like others, and what is changed without one is changed by something else than the method.",
)
async def budget_zero(service: Protector) -> None:
    problems = []
    for model in service.source_models:
        row = await service.craft(service.request(model.name, epsilons=[0]))
        probe = probe_of(row, model.name)
        problems += [
            f"{model.name}: {name}: changes pixels" for name, _, change in changes(by_budget(row), probe) if change.any()
        ]
    fail_for(problems)


@check(
    "protector.noise",
    demands="noise is plus or minus epsilon on every channel, both equally often and independently of one another, cut at 0 "
    "and 255.",
    why="It is what any noise of that size does: weaker noise, or a pattern that a filter takes out, flatters every method, "
    "and values that wrap around are no noise.",
)
async def noise(service: Protector) -> None:
    if NOISE not in service.method_names:
        raise NotApplicable("it has no noise control; protector.methods says so")
    problems = []
    for epsilon in (4, 255):
        request = service.request(methods=[CONTROL, NOISE], epsilons=[epsilon])
        row = await service.craft(request)
        probe, came = probe_of(row, service.model), by_budget(row).get((NOISE, epsilon))
        if came is None:
            raise Failed(f"epsilon {epsilon}: expected noise, got none")
        cloak = seen(came.cloak, NOISE).levels
        if cloak.shape != probe.shape:
            raise Failed(f"epsilon {epsilon}: the noise is of another size than the probe")
        up, down = cloak == np.minimum(probe + epsilon, 255), cloak == np.maximum(probe - epsilon, 0)
        if not (up | down).all():
            problems.append(f"epsilon {epsilon}: {int((~(up | down)).sum())} of {cloak.size} channels are neither")
        told = up != down
        share = float(up[told].mean()) if told.any() else 0.5
        number = max(int(told.sum()), 1)
        if abs(share - 0.5) > STANDARD_ERRORS * 0.5 / number**0.5:
            problems.append(f"epsilon {epsilon}: expected about half of the channels brighter, got {share:.1%}")
        correlation, distance = _largest_correlation(np.where(told, np.where(up, 1.0, -1.0), 0.0))
        if abs(correlation) > STANDARD_ERRORS_OF_MANY / number**0.5:
            problems.append(
                f"epsilon {epsilon}: expected independent signs, got a correlation of {correlation:.2f} between those "
                f"{distance} (rows, columns, channels) apart"
            )
    fail_for(problems)


def _largest_correlation(signs: NDArray[np.float64]) -> tuple[float, tuple[int, ...]]:
    """Of signs (H, W, C), each -1, 1 or 0 where it is not known, with themselves at any distance but 0, and where it is."""
    power = np.abs(np.fft.fftn(signs)) ** 2
    products = np.fft.ifftn(power).real  # the Wiener-Khinchin theorem: of all pairs at each distance, around the edges
    products.flat[0] = 0
    place = np.unravel_index(np.abs(products).argmax(), products.shape)
    known = max(float(np.abs(signs).sum()), 1)
    return float(products[place]) / known, tuple(map(int, place))


@check(
    "protector.zero-gradients",
    demands="zero_gradient_share is a share, and 0 where no step was taken.",
    why="It tells an attack that stalled at a saturated network from one that found nothing.",
)
async def zero_gradients(service: Protector) -> None:
    problems = []
    async for row, cloaks, _ in service.rows():
        for (method, epsilon), each in cloaks.items():
            share = each.zero_gradient_share
            if not 0 <= share <= 1 or (share > 0 and each.n_iter == 0):
                problems.append(f"{row}: {method}, epsilon {epsilon}: got {share} after {each.n_iter} steps")
    fail_for(problems)


@check(
    "protector.effect",
    demands=f"With epsilon {max(EPSILONS)}, no method that is no control returns the probe of every photo; bim, illc, fgsm "
    "and pgd return one only where every gradient was zero.",
    why="A method that returns the probe is measured as one that does not protect.",
)
async def effect(service: Protector) -> None:
    problems = []
    rows_changed: dict[str, list[bool]] = {}
    async for row, cloaks, probe in service.rows():
        for name, each, change in changes(cloaks, probe):
            if each.method not in service.crafting or each.epsilon != max(EPSILONS):
                continue
            rows_changed.setdefault(each.method, []).append(bool(change.any()))
            if each.method in OF_GRADIENTS and not change.any() and each.zero_gradient_share != 1:
                problems.append(f"{row}: {name}: is the probe")
    problems += [
        f"{method}: is the probe in all of {len(changed)} rows"
        for method, changed in rows_changed.items()
        if not any(changed)
    ]
    fail_for(problems)
