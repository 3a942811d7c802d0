"""What cloaks depend on, and what they must not depend on."""

from conformance.check import Problems, check
from conformance.protector.methods import NOISE, PGD, WITH_ANOTHER_INPUT, WITHOUT_CHANCE
from conformance.protector.service import EPSILONS, SEED, Protector, by_budget

MIN_DRAWN_SIDE = 10  # pixels
SEEDS = (SEED, SEED + 1, SEED + 2**32, SEED + 2**63, 2**64 - 1, 2**64 - 2)


@check(
    "alone",
    demands="A cloak is the same whether it is requested alone or with all methods and budgets.",
    why="After a broken stream only what is missing is requested again.",
)
async def alone(service: Protector) -> Problems:
    row = {key: each.cloak for key, each in by_budget(await service.answers()).items()}
    for method in service.method_names:
        for epsilon in service.budgets(method, EPSILONS):
            responses = await service.ask(service.request(methods=[method], epsilons=[epsilon]))
            if [each.cloak for each in responses] != [row.get((method, epsilon))]:
                yield f"{method}, epsilon {epsilon}: the cloak differs when it is requested alone"


@check(
    "seed",
    demands="Another seed gives other noise and another pgd cloak, even where only the lowest or the highest of its 64 "
    f"bits differs, and other cloaks of epsilon {max(EPSILONS)} by di, ti-di-mi and bsr; control, bim, illc, fgsm, mi, ni, "
    "ti, si, deepfool and jsma stay the same.",
    why="The latter draw nothing; noise that ignores the seed is a single draw for a whole run.",
)
async def seed(service: Protector) -> Problems:
    before = by_budget(await service.answers())
    for key, each in by_budget(await service.answers(seed=SEED + 1)).items():
        same = key in before and before[key].cloak == each.cloak
        if each.method in WITHOUT_CHANCE and not same:
            yield f"{each.method}, epsilon {each.epsilon}: depends on the seed"
        # In 11 steps some input is changed, but for one chance in a million; below 10 pixels none is, as floor(1.1 S) is S.
        drawn = each.method in WITH_ANOTHER_INPUT and each.epsilon == max(EPSILONS) and each.side >= MIN_DRAWN_SIDE
        if drawn and same and each.zero_gradient_share < 1:
            yield f"{each.method}, epsilon {each.epsilon}: the seeds {SEED} and {SEED + 1} give the same cloak"
    for method in (name for name in service.method_names if name in (NOISE, PGD)):
        cloaks: dict[bytes, int] = {}
        for number in SEEDS:
            responses = await service.answers(methods=[method], epsilons=[8], seed=number)
            cloak = responses[0].cloak if responses else b""
            if cloak in cloaks:
                yield f"{method}: the seeds {cloaks[cloak]} and {number} give the same cloak"
            cloaks.setdefault(cloak, number)
