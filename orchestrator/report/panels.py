"""What panels of figures show. matplotlib takes half a second to import, and an evaluation measures this without drawing."""

from collections.abc import Mapping
from dataclasses import dataclass

from orchestrator.experiment.condition import Condition
from orchestrator.metrics.averages import Average
from orchestrator.metrics.psr import Rate

OfMethods = Mapping[str, Average | None]  # mean PSR in percent, by method; None where nothing was observed


@dataclass(frozen=True)
class ConditionPanel:
    """By condition and method, the mean PSR of cloaks that a reader of one kind reads."""

    reader: str
    rows: Mapping[Condition, OfMethods]


@dataclass(frozen=True)
class ThreatPanel:
    """Cloaks of one source model, read by one matcher."""

    source_model: str
    target_model: str
    is_white_box: bool
    rows: Mapping[str, Mapping[str, Rate | None]]  # by what wears the cloak, and by method, controls too

    @property
    def rates(self) -> list[Rate]:
        """All that is drawn."""
        return [rate for row in self.rows.values() for rate in row.values() if rate is not None]
