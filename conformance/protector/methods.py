"""What the reserved names of methods stand for, as far as it shows from outside."""

CONTROL, NOISE = "none", "noise"
BIM, ILLC, FGSM, PGD = "bim", "illc", "fgsm", "pgd"
MI, NI, DI, TI, SI, TI_DI_MI, BSR = "mi", "ni", "di", "ti", "si", "ti-di-mi", "bsr"
DEEPFOOL, JSMA = "deepfool", "jsma"

GRADIENTS_PER_STEP = {BIM: 1, ILLC: 1, FGSM: 1, PGD: 1, MI: 1, NI: 1, DI: 1, TI: 1, SI: 5, TI_DI_MI: 1, BSR: 20}
ONE_LEVEL_FROM_THE_PROBE = (BIM, ILLC, MI, NI, DI, TI, SI, TI_DI_MI, BSR)  # whose steps are of one level and start there
WITH_ANOTHER_INPUT = (DI, TI_DI_MI, BSR)  # which they draw at each step
WITHOUT_CHANCE = (CONTROL, BIM, ILLC, FGSM, MI, NI, TI, SI, DEEPFOOL, JSMA)  # which draw nothing


def n_iter(method: str, epsilon: int) -> int | None:
    """Number of steps of a method with a reserved name; None for names that leave it open."""
    if method == PGD or method in ONE_LEVEL_FROM_THE_PROBE:
        return min(epsilon + 4, 5 * epsilon // 4)
    return {FGSM: min(1, epsilon), CONTROL: 0, NOISE: 0}.get(method)
