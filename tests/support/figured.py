"""A small hand-made run, for tests of what figures draw."""

from orchestrator.experiment.grid import Grid
from orchestrator.metrics.observation import Observation
from orchestrator.metrics.psr import CellResult
from tests.support.cells import paper_cell
from tests.support.observed import BEYOND, NO_FACE, observations, results

KS = (1, 5)

GRID = Grid(
    source_models=("facenet", "resnet50"),
    target_models=("facenet", "resnet50"),
    methods=("bim", "illc"),
    epsilons=(4, 8, 16),
    ks=KS,
)

# Crafted with FaceNet, four photographs. With ResNet-50, nothing but one cloak of one photograph.
TABLE: list[Observation] = [
    *observations(paper_cell("facenet", "none", 0, "facenet"), a=1, b=1, c=1, d=1),
    *observations(paper_cell("facenet", "none", 0, "resnet50"), a=1, b=1, c=1, d=2),
    *observations(paper_cell("facenet", "noise", 4, "facenet"), a=1, b=1, c=1, d=1),
    *observations(paper_cell("facenet", "noise", 8, "facenet"), a=1, b=1, c=2, d=6),
    *observations(paper_cell("facenet", "noise", 16, "facenet"), a=NO_FACE, b=1, c=2, d=6),
    *observations(paper_cell("facenet", "bim", 4, "facenet"), a=1, b=1, c=1, d=7),
    *observations(paper_cell("facenet", "bim", 8, "facenet"), a=1, b=3, c=BEYOND, d=7),
    *observations(paper_cell("facenet", "bim", 16, "facenet"), a=NO_FACE, b=9, c=BEYOND, d=7),
    *observations(paper_cell("facenet", "bim", 4, "resnet50"), a=1, b=1, c=1, d=1),
    # BIM at 8 was not read by ResNet-50: a gap.
    *observations(paper_cell("facenet", "bim", 16, "resnet50"), b=2, c=BEYOND),  # two calls failed
    *observations(paper_cell("facenet", "illc", 4, "facenet"), a=1, b=1, c=1, d=1),
    *observations(paper_cell("facenet", "illc", 8, "facenet"), a=1, b=1, c=1, d=2),
    *observations(paper_cell("facenet", "illc", 16, "facenet"), a=1, b=1, c=6, d=2),
    *observations(paper_cell("resnet50", "bim", 8, "facenet"), a=BEYOND),
]


def table_results(table: list[Observation] = TABLE) -> list[CellResult]:
    return results(table, ks=KS)
