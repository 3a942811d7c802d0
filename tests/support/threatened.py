"""A run in which cloaks are enrolled, too, as `evaluate` leaves it, for tests of what is made of it."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from orchestrator.experiment.carrier import Carrier
from orchestrator.experiment.condition import PAPERS
from orchestrator.experiment.grid import Cell, is_control
from orchestrator.experiment.plan import Plan
from tests.support.matched import CLASSIFIER, LOOSE, MATCHER, STRICT, matcher
from tests.support.matched import PLAN as MATCHED
from tests.support.observed import BEYOND, NOT_ENROLLED, Seen
from tests.support.reported import make_run, model

OWN = f"{CLASSIFIER}-features"  # the matcher with the network of the source model
SUBJECTS = 9
PROTECTED = {  # by whether the matcher has the source model's network, and the carrier: of the subjects, the last so many
    True: {Carrier.PROBE: 9, Carrier.GALLERY: 8, Carrier.BOTH: 9, Carrier.ADAPTIVE: 2},
    False: {Carrier.PROBE: 7, Carrier.GALLERY: 1, Carrier.BOTH: 7, Carrier.ADAPTIVE: 0},
}


def threat_plan(*carriers: Carrier, own: bool = True) -> Plan:
    """Cloaks of one source model, with these carriers, read by a classifier and by matchers, its own network's if `own`."""
    enrolling = (MATCHER, OWN) if own else (MATCHER,)
    grid = replace(
        MATCHED.grid,
        source_models=(CLASSIFIER,),
        target_models=(CLASSIFIER, *enrolling),
        epsilons=(16, 64),
        conditions=tuple(sorted(map(PAPERS.carried_by, carriers))),
        enrolling=enrolling,
    )
    cards = {CLASSIFIER: model(CLASSIFIER, kind="classifier")} | {name: matcher(name) for name in enrolling}
    return replace(
        MATCHED,
        grid=grid,
        subjects=SUBJECTS,
        source_models={CLASSIFIER: model(CLASSIFIER, input_size=160)},
        target_models=cards,
    )


def answered(subject: int, cell: Cell) -> Seen:
    """BIM protects by its carrier, ILLC nobody; of the first subject's photos cloaked at 64 levels none is enrolled."""
    carrier = cell.condition.carrier
    if carrier.enrols and cell.method == "illc" and cell.epsilon == 64 and subject == 0:
        return NOT_ENROLLED
    if is_control(cell.method) or cell.method == "illc":
        return 1
    return BEYOND if subject >= SUBJECTS - PROTECTED[cell.is_white_box][carrier] else 1


def reached(subject: int, cell: Cell) -> dict[str, int]:
    """The first subject reaches the strict threshold of no matcher, and everybody the loose one."""
    return {} if cell.target_model == CLASSIFIER else {STRICT: int(subject > 0), LOOSE: 2}


def threatened_run(root: Path, *carriers: Carrier, own: bool = True, **options: Any) -> Path:
    """The run's folder, with its observations; with all carriers where none is named."""
    usual: dict[str, Any] = {"answered": answered, "reached": reached, "pictures": False}
    return make_run(root, **{"plan": threat_plan(*(carriers or tuple(Carrier)), own=own)} | usual | options)
