"""Cells, for tests in which conditions play no part."""

from orchestrator.experiment.condition import PAPERS
from orchestrator.experiment.grid import Cell


def paper_cell(source_model: str, method: str, epsilon: int, target_model: str) -> Cell:
    """The cell under the paper's condition."""
    return Cell(source_model, method, epsilon, PAPERS, target_model)
