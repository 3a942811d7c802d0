"""The protection success rate (Ghafourian et al., Eq. 6) and what stands beside it."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from orchestrator.errors import MetricError
from orchestrator.metrics.intervals import Interval, PairedCounts, newcombe, paired_difference, wilson
from orchestrator.metrics.observation import Observation, Outcome
from orchestrator.protocol import CONTROL, NOISE, Cell

Observed = Mapping[str, Observation]  # by probe


@dataclass(frozen=True)
class Rate:
    """A share of observations, in percent, with its Wilson interval."""

    successes: int
    n: int

    @property
    def percent(self) -> float:
        if self.n == 0:
            raise MetricError("a rate of no observations is not defined")
        return 100 * self.successes / self.n

    @property
    def interval(self) -> Interval:
        return _percent(wilson(self.successes, self.n))


@dataclass(frozen=True)
class Difference:
    """A paired difference of two PSRs over the probes observed in both cells, in points, with Newcombe's interval."""

    counts: PairedCounts

    @property
    def points(self) -> float:
        return 100 * paired_difference(self.counts)

    @property
    def interval(self) -> Interval:
        return _percent(newcombe(self.counts))


@dataclass(frozen=True)
class CellResult:
    """PSR@k of one cell."""

    cell: Cell
    k: int
    psr: Rate  # no face counts as protected
    detected: Rate  # faces the invader found
    psr_of_detected: Rate | None  # PSR over those alone; None where there are none
    minus_control: Difference | None  # None where no probe is observed in both
    minus_noise: Difference | None


def psr(observations: Iterable[Observation], *, k: int) -> Rate:
    """PSR@k = 100 - (100 / N) sum_i 1[ y_true_i in top-k of C(Adv_eps(x_i)) ], Ghafourian et al., Eq. 6.

    N is the number of observations; failed calls are none.

    Raises:
        MetricError: there are no observations, or k is beyond the candidates asked for.
    """
    protected = [observation.protected(k) for observation in observations]
    if not protected:
        raise MetricError("PSR of no observations is not defined")
    return Rate(sum(protected), len(protected))


def by_cell(observations: Iterable[Observation]) -> dict[Cell, Observed]:
    """Observations by cell and probe."""
    cells: defaultdict[Cell, dict[str, Observation]] = defaultdict(dict)
    for observation in observations:
        cells[observation.cell][observation.probe] = observation
    return dict(cells)


def results(observations: Iterable[Observation], *, ks: Sequence[int]) -> Iterator[CellResult]:
    """PSR@k of every cell that has observations, in the cells' order, with its differences from both controls."""
    cells = by_cell(observations)
    for cell, observed in sorted(cells.items()):
        control = cells.get(Cell(cell.source_model, CONTROL, 0, cell.target_model), {})
        noise = cells.get(Cell(cell.source_model, NOISE, cell.epsilon, cell.target_model), {})
        found = [observation for observation in observed.values() if observation.outcome is not Outcome.NO_FACE]
        for k in ks:
            yield CellResult(
                cell=cell,
                k=k,
                psr=psr(observed.values(), k=k),
                detected=Rate(len(found), len(observed)),
                psr_of_detected=psr(found, k=k) if found else None,
                minus_control=difference(observed, control, k=k),
                minus_noise=difference(observed, noise, k=k),
            )


def difference(first: Observed, second: Observed, *, k: int) -> Difference | None:
    """PSR@k of the first minus that of the second, over the probes observed in both; None where there are none."""
    pairs = [(first[probe].protected(k), second[probe].protected(k)) for probe in first.keys() & second.keys()]
    if not pairs:
        return None
    return Difference(
        PairedCounts(
            both=pairs.count((True, True)),
            first_only=pairs.count((True, False)),
            second_only=pairs.count((False, True)),
            neither=pairs.count((False, False)),
        )
    )


def _percent(interval: Interval) -> Interval:
    return Interval(100 * interval.low, 100 * interval.high)
