"""Crafting alone: gradient steps and six-budget sweeps, beside a loop in plain PyTorch, torchattacks, foolbox and ART.

BIM is measured beside all of these; of other methods the steps, beside torchattacks where it has them.

These run the networks as they are built; all of them, ours too, start from the same random weights.
"""

import itertools
import threading
import time
from collections.abc import Sequence
from statistics import median
from typing import Any

import torch
from torch.nn.functional import cross_entropy
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.children import Measured, in_child, in_plain_child, peak_mebibytes
from benchmarks.networks import random_probes, random_recognizer
from benchmarks.results import report, spread
from protector_service.batched_model import BatchedModel, suitable_batch_rows
from protector_service.engine import Engine
from protector_service.job import CraftJob
from protector_service.methods.trajectory import iterations
from protector_service.registry import find_methods
from recognizers.checkpoints.loading import to_device
from recognizers.device import prepare_device
from recognizers.precision import choose_precision

PAPER = (4, 8, 16, 32, 64, 128)  # levels
GRADIENTS = 10  # at least so many of a probe, to count gradient steps with
PEER_BATCH = {"facenet": 8}  # of 1, 4, 8 and 16 images the fastest for the plain networks on two cores, within 5 %
OTHER_PEER_BATCH = 4
LABEL = 0

OURS = {"ours, auto": "auto", "ours, float32": "float32"}
PLAIN = {"PyTorch, auto": "auto", "PyTorch, float32": "float32"}
REFERENCE = "torchattacks"
THEIRS = (REFERENCE, "foolbox", "ART")
BIM = "bim"
COLUMNS = (
    *("network", "method", "contender", "peak MiB", "gradient steps/s", "/ PyTorch in this precision", "/ torchattacks"),
    *("a six-budget sweep, s", "/ torchattacks", "of the matrix rate"),
)


def ours(network: str, method: str, precision: str, probes: int, epsilons: Sequence[int]) -> Measured:
    """The engine as the service runs it, `precision` being "auto" or "float32"."""
    prepared = prepare_device("cpu", workers=0, threads=0)
    chosen = choose_precision(precision, prepared.device)
    recognizer = random_recognizer(network)
    to_device(recognizer, prepared.device, precision=chosen)
    model = BatchedModel(recognizer, batch_rows=suitable_batch_rows(prepared.device, chosen))
    engine = Engine({network: model}, workers=prepared.workers)
    methods = find_methods().usable

    def craft(budgets: Sequence[int], count: int) -> None:
        jobs = [
            CraftJob((network,), probe, LABEL, (methods[method],), tuple(budgets))
            for probe in random_probes(recognizer.input_size, count)
        ]
        clients = [threading.Thread(target=lambda job: list(engine.craft(job)), args=(job,)) for job in jobs]
        for client in clients:
            client.start()
        for client in clients:
            client.join()

    craft((1,), model.batch_rows)
    before, started = model.gradients, time.perf_counter()
    craft(epsilons, probes)
    measured = Measured(time.perf_counter() - started, model.gradients - before, peak_mebibytes())
    engine.close()
    return measured


def plain(network: str, precision: str, probes: int, epsilons: Sequence[int]) -> Measured:
    """BIM's steps by autograd on the network as it is built, all cores."""
    chosen = choose_precision(precision, torch.device("cpu"))
    recognizer = random_recognizer(network)
    recognizer.network.backbone.to(chosen.dtype)
    images = torch.stack([torch.from_numpy(probe) for probe in random_probes(recognizer.input_size, probes)])
    batches = torch.split(images.permute(0, 3, 1, 2).float().contiguous(), peer_batch(network))

    def craft(probe: torch.Tensor, epsilon: int, steps: int) -> None:
        image, labels = probe, torch.full((len(probe),), LABEL)
        for _ in range(steps):
            image = image.detach().requires_grad_()
            loss = cross_entropy(recognizer.logits(image), labels, reduction="sum")
            (gradient,) = torch.autograd.grad(loss, image)
            image = (image + gradient.sign()).clamp(probe - epsilon, probe + epsilon).clamp(0, 255)

    craft(batches[0], 1, 1)
    started = time.perf_counter()
    for batch in batches:
        for epsilon in epsilons:
            craft(batch, epsilon, iterations(epsilon))
    gradients = probes * sum(iterations(epsilon) for epsilon in epsilons)
    return Measured(time.perf_counter() - started, gradients, peak_mebibytes())


def theirs(peer: str, network: str, method: str, probes: int, epsilons: Sequence[int]) -> Measured:
    """A peer library on the plain network, float32, all cores."""
    from benchmarks.peers import PEERS

    recognizer = random_recognizer(network)
    attack = PEERS[method][peer](recognizer)
    images = torch.stack([torch.from_numpy(probe) for probe in random_probes(recognizer.input_size, probes)])
    batches = torch.split((images.permute(0, 3, 1, 2).float() / 255).contiguous(), peer_batch(network))
    attack(batches[0], torch.full((len(batches[0]),), LABEL), 1, 1)
    started = time.perf_counter()
    for batch in batches:
        for epsilon in epsilons:
            attack(batch, torch.full((len(batch),), LABEL), epsilon, iterations(epsilon))
    gradients = probes * sum(iterations(epsilon) for epsilon in epsilons)
    return Measured(time.perf_counter() - started, gradients, peak_mebibytes())


def matrix_rate(dtype: torch.dtype) -> float:
    """The machine's matrix products, in GFLOP/s, on all cores."""
    side = 4096
    one, other = torch.randn(side, side).to(dtype), torch.randn(side, side).to(dtype)
    seconds = []
    for _ in range(8):
        started = time.perf_counter()
        torch.mm(one, other)
        seconds.append(time.perf_counter() - started)
    return 2 * side**3 / median(seconds) / 1e9


def gradient_work(network: str) -> float:
    """GFLOP of one image gradient: the forward pass, and as much again for the gradient with respect to activations."""
    recognizer = random_recognizer(network)
    side = recognizer.input_size
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        recognizer.logits(torch.zeros(1, 3, side, side))
    return float(2 * counter.get_total_flops()) / 1e9


def measure(contender: str, network: str, method: str, epsilons: Sequence[int], probes: int) -> Measured:
    """One contender, in a process of its own."""
    if contender in OURS:
        return in_child(ours, network, method, OURS[contender], probes, epsilons)
    if contender in PLAIN:
        return in_plain_child(plain, network, PLAIN[contender], probes, epsilons)
    return in_plain_child(theirs, contender, network, method, probes, epsilons)


def contenders(method: str) -> Sequence[str]:
    """Who has a method."""
    if method == BIM:
        return (*OURS, *PLAIN, *THEIRS)
    from benchmarks.peers import PEERS

    return (*OURS, *PEERS.get(method, ()))


def budget_of_steps(method: str) -> int:
    """The smallest, in levels, that takes enough gradients to count."""
    usable = find_methods().usable
    return next(epsilon for epsilon in range(1, 256) if usable[method].cost(epsilon).gradients >= GRADIENTS)


def run(networks: Sequence[str], methods: Sequence[str], *, probes: int, repetitions: int, sweeps: int) -> None:
    """Measures every contender in turn, `repetitions` times over."""
    rates = {"auto": in_plain_child(matrix_rate, torch.bfloat16), "float32": in_plain_child(matrix_rate, torch.float32)}
    rows: list[Sequence[str]] = []
    raw: list[dict[str, Any]] = []
    for network, method in itertools.product(networks, methods):
        epsilons = (budget_of_steps(method),)
        steps: dict[str, list[Measured]] = {contender: [] for contender in contenders(method)}
        whole: dict[str, list[Measured]] = {contender: [] for contender in (*OURS, REFERENCE) if method == BIM}
        for _ in range(repetitions):
            for contender in steps:
                of_it = _probes(contender, network, probes)
                steps[contender].append(measure(contender, network, method, epsilons, of_it))
        for _ in range(sweeps):
            for contender in whole:
                whole[contender].append(measure(contender, network, method, PAPER, _probes(contender, network, probes)))
        work = gradient_work(network)
        for contender in steps:
            rate = rates[precision_of(contender)]
            figures = _figures(contender, network, steps, whole, probes=probes)
            rows.append((network, method, contender, *figures, _share(work, steps[contender], rate)))
            raw.append(
                {
                    "network": network,
                    "method": method,
                    "contender": contender,
                    "steps": [vars(each) for each in steps[contender]],
                    "sweeps": [vars(each) for each in whole.get(contender, ())],
                }
            )
        report("craft", f"{probes} probes", COLUMNS, rows, {"gflops": rates, "measured": raw})


def _probes(contender: str, network: str, probes: int) -> int:
    """All of them where bfloat16 may need them to fill its batches; half suffice for float32, and one batch for a peer."""
    if contender in OURS:
        return probes if OURS[contender] == "auto" else probes // 2
    return peer_batch(network)


def precision_of(contender: str) -> str:
    """What a contender computes in: "auto" or "float32"."""
    return (OURS | PLAIN).get(contender, "float32")


def peer_batch(network: str) -> int:
    """Images that a peer attacks together: all its batches are alike."""
    return PEER_BATCH.get(network, OTHER_PEER_BATCH)


def _figures(
    contender: str, network: str, steps: dict[str, list[Measured]], whole: dict[str, list[Measured]], *, probes: int
) -> tuple[str, ...]:
    rates = {name: [each.gradients / each.seconds for each in measured] for name, measured in steps.items()}
    (in_pytorch,) = (name for name, precision in PLAIN.items() if precision == precision_of(contender))
    peak = str(max(each.peak_mebibytes for each in steps[contender]))
    ratios = (
        f"{median(rates[contender]) / median(rates[other]):.1f}x" if other in rates else ""
        for other in (in_pytorch, REFERENCE)
    )
    if not whole.get(contender):
        return peak, spread(rates[contender]), *ratios, "", ""
    a_sweep = [each.seconds / _probes(contender, network, probes) for each in whole[contender]]
    reference_sweep = median([each.seconds / peer_batch(network) for each in whole[REFERENCE]])
    times = f"{reference_sweep / median(a_sweep):.1f}x"
    return peak, spread(rates[contender]), *ratios, spread(a_sweep, 2), times


def _share(work: float, steps: Sequence[Measured], rate: float) -> str:
    return f"{100 * work * median([each.gradients / each.seconds for each in steps]) / rate:.0f} %"
