"""What a run observed, as two runs are compared by it."""

from dataclasses import dataclass
from pathlib import Path

from orchestrator.metrics.observation import Observation
from orchestrator.protocol import Cell, CloakKey
from orchestrator.report.run import read_manifest
from orchestrator.run_folder import RunFolder
from orchestrator.store import Fate, Store


@dataclass(frozen=True)
class Observed:
    """All that an evaluation leaves behind."""

    subjects: frozenset[tuple[str, str, Fate]]
    cloaks: dict[tuple[str, CloakKey], str]  # digests, by probe and key
    answers: dict[tuple[str, Cell], tuple[str, int | None, int]]  # outcome, rank, candidates
    shown: dict[tuple[str, Cell], str]  # digest of the cloak that was shown
    psr: str
    duplicates: int  # observations beyond one for each key


def observed(run: Path, *, store: str | None = None) -> Observed:
    """Reads a run's folder, and its store."""
    folder = RunFolder(run)
    opened = Store(folder.store_location(store), run=read_manifest(run)["digest"])
    try:
        observations = opened.observations()
        cloaks = {(cloak.probe, cloak.key): cloak.sha256 for cloak in opened.cloaks()}
        return Observed(
            subjects=frozenset((each.identity, each.photo, each.fate) for each in opened.subjects()),
            cloaks=cloaks,
            answers={(each.probe, each.cell): (each.outcome.value, each.rank, each.candidates) for each in observations},
            shown={(each.probe, each.cell): cloaks[each.probe, each.cell.cloak] for each in observations},
            psr=(run / "psr.csv").read_text(),
            duplicates=len(observations) - len({_key(each) for each in observations}),
        )
    finally:
        opened.close()


def _key(observation: Observation) -> tuple[str, Cell]:
    return observation.probe, observation.cell


def differences(found: Observed, expected: Observed) -> list[str]:
    """What is not as it would have been undisturbed, a sentence each."""
    wrong = []
    for name in ("subjects", "cloaks", "answers", "psr"):
        if getattr(found, name) != getattr(expected, name):
            wrong.append(f"other {name} than undisturbed")
    if found.duplicates:
        wrong.append(f"{found.duplicates} observations twice")
    return wrong
