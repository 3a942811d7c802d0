"""How crafting went: how far each attack moved the pictures, and whether it had gradients to follow.

An attack stalls where gradients are exactly zero: a network that is saturated (its probability of the true identity is 1 in
float32) gives no others. Its PSR is then low because it never moved, not because a recognizer withstands it.
"""

from collections.abc import Iterator, Mapping

from orchestrator.experiment.grid import CloakKey, Grid
from orchestrator.report.facts import Fact
from orchestrator.report.tables import ABSENT, Table, Value, budget, decimal, integer, method_title, number
from orchestrator.report.titles import title as title_of
from orchestrator.store.crafting import CraftingSummary

Summaries = Mapping[CloakKey, CraftingSummary]

# Of a cloak's gradients, over all its steps; where more are zero, its attack stalled. One that works meets 4 % with FaceNet,
# whose strides leave three rows and columns at the edge unread, and none with the ResNets; on a saturated network all are
# zero from the first step on. Hardly anything lies between, so that one half tells the two apart whatever the network.
STALLED_SHARE = 0.5
PERCENT = f"{100 * STALLED_SHARE:.0f} %"
TITLE = "How crafting went"


def stalled(summary: CraftingSummary) -> bool:
    """Whether the attack stalled in most of the cloaks, so that their PSR says little about the method."""
    return 2 * summary.stalled > summary.cloaks


def stalled_notices(summaries: Summaries, grid: Grid) -> Iterator[Fact]:
    """The warning on top of a page that attacks stalled; nothing where none did."""
    epsilons: dict[tuple[str, str], list[str]] = {}
    for key in _attacks(grid):
        if key in summaries and stalled(summaries[key]):
            epsilons.setdefault((key.source_model, key.method), []).append(str(key.epsilon or ""))
    if epsilons:
        named = "; ".join(
            f"{method_title(method)} with {title_of(source_model)}"
            + (f" at ε {', '.join(of_attack)}" if any(of_attack) else "")
            for (source_model, method), of_attack in epsilons.items()
        )
        yield Fact(
            "Attacks stalled:",
            f"{named}. In most of these cloaks more than {PERCENT} of the gradients were exactly zero, so that the attack "
            f"hardly moved: their PSR says little, and a low one is no sign of a strong recognizer. The shares stand under "
            f"“{TITLE}”.",
        )


def crafting_table(summaries: Summaries, grid: Grid) -> Table:
    """A row for each source model, method and epsilon; the controls, which follow no gradient, have none."""
    return Table(
        name="crafting",
        title=TITLE,
        note="Over the subjects: the number of iterations; the gradients of source models that a cloak takes, as if it were "
        "crafted alone, and the forward passes beside them; the largest change of a pixel before storage (in levels); the "
        f"mean share of gradients that were exactly zero, and in how many cloaks more than {PERCENT} were: these stalled. "
        "Where most did, PSR says little. A method that uses no gradients shows 0.",
        columns=(
            *("source model", "method", "ε", "cloaks"),
            *("iterations", "gradients", "forward passes", "largest change", "zero gradients, %", "stalled"),
        ),
        rows=tuple(_row(key, summaries.get(key)) for key in _attacks(grid)),
    )


def _attacks(grid: Grid) -> list[CloakKey]:
    return [key for name in grid.source_models for key in grid.cloaks(name) if key.method in grid.methods]


def _row(key: CloakKey, summary: CraftingSummary | None) -> tuple[Value, ...]:
    names = (Value(title_of(key.source_model)), Value(method_title(key.method)), budget(key.method, key.epsilon))
    if summary is None:
        return (*names, integer(0), *[ABSENT] * 6)
    alarm = "number verdict refuted" if stalled(summary) else "number"
    return (
        *names,
        integer(summary.cloaks),
        _range(summary.min_n_iter, summary.max_n_iter),
        _range(summary.min_gradients, summary.max_gradients),
        _range(summary.min_forward_passes, summary.max_forward_passes),
        _range(summary.min_change, summary.max_change),
        decimal(100 * summary.zero_gradient_share),
        Value(f"{summary.stalled} of {summary.cloaks}", sort=summary.stalled / summary.cloaks, classes=alarm),
    )


def _range(low: int, high: int) -> Value:
    return number(f"{high}" if low == high else f"{low}–{high}", sort=high)
