"""What a run observed, as two runs are compared by it."""

from dataclasses import dataclass, fields
from pathlib import Path

from sqlalchemy import create_engine, select

from orchestrator.experiment.condition import Condition
from orchestrator.experiment.grid import Cell, CloakKey
from orchestrator.run_folder.folder import RunFolder
from orchestrator.run_folder.manifest import read_manifest
from orchestrator.store.location import store_url
from orchestrator.store.records import SubjectStatus
from orchestrator.store.schema import observations
from orchestrator.store.store import Store


@dataclass(frozen=True)
class Observed:
    """All that an evaluation leaves behind."""

    subjects: frozenset[tuple[str, str, SubjectStatus]]
    cloaks: dict[tuple[str, CloakKey], str]  # digests, by probe and key
    answers: dict[tuple[str, Cell], tuple[str, int | None, int]]  # outcome, rank, candidates
    shown: dict[tuple[str, Cell], str]  # digest of the picture that was shown, as its observation says
    psr: str


def observed(run: Path, *, store: str | None = None) -> Observed:
    """Reads a run's folder, and its store."""
    location, digest = RunFolder(run).store_location(store), read_manifest(run)["digest"]
    opened = Store(location, run=digest)
    try:
        return Observed(
            subjects=frozenset((each.identity, each.photo, each.status) for each in opened.subjects()),
            cloaks={(cloak.probe, cloak.key): cloak.sha256 for cloak in opened.cloaks()},
            answers={
                (each.probe, each.cell): (each.outcome.value, each.rank, each.candidates) for each in opened.observations()
            },
            shown=_shown(location, digest),
            psr=(run / "psr.csv").read_text(),
        )
    finally:
        opened.close()


def _shown(location: Path | str, digest: str) -> dict[tuple[str, Cell], str]:
    engine = create_engine(store_url(location))
    try:
        with engine.connect() as connection:
            return {
                (
                    row.probe,
                    Cell(row.source_model, row.method, row.epsilon, Condition.parse(row.condition), row.target_model),
                ): row.picture_sha256
                for row in connection.execute(select(observations).where(observations.c.run == digest))
            }
    finally:
        engine.dispose()


def differences(found: Observed, expected: Observed) -> list[str]:
    """What is not as it would have been undisturbed, a sentence each."""
    return [
        f"other {field.name} than undisturbed"
        for field in fields(Observed)
        if getattr(found, field.name) != getattr(expected, field.name)
    ]
