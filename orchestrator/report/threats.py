"""The threat matrix: how often people are missed, by which pictures wear the cloak, those searched or those enrolled.

A row is one kind of cloak, read by one matcher. Its columns are what a cloak is made for: the paper's cloaks are worn by the
picture that is searched, those of Fawkes and LowKey by the pictures that an invader enrols.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from orchestrator.experiment.carrier import Carrier
from orchestrator.experiment.condition import Condition
from orchestrator.experiment.grid import CONTROL, ELSEWHERE, Cell, Grid, without_own_network
from orchestrator.metrics.psr import CellResult, Rate
from orchestrator.report.measured import Measured
from orchestrator.report.panels import ThreatPanel
from orchestrator.report.sentences import headline_budget, listed
from orchestrator.report.titles import title

CLEAN = "both clean"
COLUMNS: Mapping[Carrier, str] = {
    Carrier.PROBE: "cloaked probe",
    Carrier.GALLERY: "cloaked gallery",
    Carrier.BOTH: "both cloaked",
    Carrier.ADAPTIVE: "adaptive",
}


@dataclass(frozen=True)
class Threat:
    """One kind of cloak, read by one matcher at one threshold."""

    cell: Cell  # in which the searched picture wears the cloak
    threshold: str  # empty: none, the closed set
    clean: CellResult | None  # no cloak at all; None where it was not observed
    cloaked: Mapping[Carrier, CellResult]  # those that were observed

    @property
    def not_enrolled(self) -> Rate | None:
        """Of whom nothing could be enrolled: the same pictures are enrolled by all carriers that enrol any."""
        return next((result.not_enrolled for result in self.cloaked.values() if result.not_enrolled is not None), None)

    @property
    def subjects(self) -> list[int]:
        """The fewest and the most that one of its figures is of; the one that these are; none where nothing was observed."""
        ns = {result.psr.n for result in (self.clean, *self.cloaked.values()) if result is not None}
        return sorted({min(ns), max(ns)}) if ns else []


def carried(cell: Cell, carrier: Carrier) -> Cell:
    """The same with another carrier. A region is one of the picture that is searched, if that wears the cloak."""
    chain = cell.condition if carrier.is_searched else cell.condition.chain
    return cell.cloak.read_by(cell.target_model, chain.carried_by(carrier))


def threats(measured: Measured, chain: Condition, *, k: int, threshold: str = "") -> list[Threat]:
    """The rows of what is stored, transformed and read in one way; those crafted with the matcher's own network first."""
    results = measured.at[threshold] if threshold else measured.results
    found = {result.cell: result for result in results if result.k == k}

    def threat(cell: Cell) -> Threat:
        cells = {carrier: found.get(carried(cell, carrier)) for carrier in Carrier}
        cloaked = {carrier: result for carrier, result in cells.items() if result is not None}
        return Threat(cell, threshold, found.get(cell.control), cloaked)

    return sorted(map(threat, _cells(measured.grid, chain)), key=lambda each: not each.cell.is_white_box)


def chains(grid: Grid) -> tuple[Condition, ...]:
    """What is stored, transformed and read in one way, and enrolled under some condition; that of headlines first."""
    enrolling = grid.carried_by(*(carrier for carrier in Carrier if carrier.enrols))
    found = {condition.carried_by(Carrier.PROBE) for condition in enrolling}
    headline = grid.condition.carried_by(Carrier.PROBE)
    return tuple(sorted(found, key=lambda each: (each != headline, each)))


def protects(result: CellResult) -> bool:
    """Whether the intervals show it: PSR is higher than without a cloak, and than with noise of the same size."""
    differences = result.minus_control, result.minus_noise
    return all(each is not None and each.interval.low > 0 for each in differences)


def lacking_white_box(grid: Grid) -> Iterator[str]:
    """What is missing where no matcher has the network of a source model, in a sentence."""
    sources = without_own_network(grid.source_models, grid.enrolling)
    if not sources:
        return
    named = listed([title(name) for name in sources])
    which = (
        "What the cloaks were crafted with is not known, so that none is known to be read by its own network"
        if sources == (ELSEWHERE,)
        else f"No matcher of this run has the network of {named}"
    )
    yield (
        f"{which}: without such a white-box cell, cloaked photos that are enrolled and change nothing cannot be told from "
        "an enrolment that is broken."
    )


def threat_panels(measured: Measured, chain: Condition, *, k: int) -> list[ThreatPanel]:
    """What the figure shows, of the epsilon that headlines are of: a panel for each source model and matcher."""
    grid = measured.grid
    found = {each.cell: each for each in threats(measured, chain, k=k)}
    by_cell = {result.cell: result.psr for result in measured.results if result.k == k}
    pairs = dict.fromkeys((cell.source_model, cell.target_model, cell.is_white_box) for cell in found)

    def rates(source_model: str, target_model: str, carrier: Carrier) -> dict[str, Rate | None]:
        cells = {
            method: Cell(source_model, method, headline_budget(grid, method), chain, target_model)
            for method in grid.all_methods
        }
        return {method: by_cell.get(carried(cell, carrier)) for method, cell in cells.items()}

    panels = []
    for source_model, target_model, is_white_box in pairs:
        clean = by_cell.get(Cell(source_model, CONTROL, 0, chain, target_model))
        rows = {COLUMNS[carrier]: rates(source_model, target_model, carrier) for carrier in Carrier}
        panels.append(ThreatPanel(source_model, target_model, is_white_box, {CLEAN: {CONTROL: clean}} | rows))
    return panels


def _cells(grid: Grid, chain: Condition) -> Iterator[Cell]:
    """With noise after each matcher's methods: what it does, too, is no cloak's doing."""
    for target_model in grid.enrolling:
        for source_model in grid.source_models:
            for method in (*grid.methods, *grid.noises):
                for epsilon in grid.budgets(method):
                    yield Cell(source_model, method, epsilon, chain, target_model)
