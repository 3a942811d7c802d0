"""The end of a session with a run: its figures and its outcome are written first, and then shown."""

from collections.abc import Collection, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console, RenderableType
from rich.text import Text

from orchestrator.errors import OrchestratorError
from orchestrator.metrics.completeness import short_cells
from orchestrator.report.console_tables import answers, psr_tables, verification_answers
from orchestrator.report.fpir_csv import fpir_csv
from orchestrator.report.matchers import Matchers
from orchestrator.report.measured import measure
from orchestrator.report.psr_csv import psr_csv
from orchestrator.report.verification import Verified
from orchestrator.report.verification_csv import verification_csv
from orchestrator.run_folder.folder import FPIR_CSV, PSR_CSV, VERIFICATION_CSV
from orchestrator.run_folder.manifest import thresholds_of
from orchestrator.session.context import RunContext
from orchestrator.session.runner import StopDecision
from orchestrator.store.records import REPLACED, SubjectStatus

WARNING = "yellow"


@dataclass(frozen=True)
class RunResult:
    """What became of a run."""

    complete: bool  # every cell has the N that was asked for
    published: bool  # its figures were written
    folder: Path
    answers: Sequence[RenderableType]  # in sentences, and in one table
    tables: Sequence[RenderableType]  # of all cells, at every k
    remarks: Sequence[RenderableType]  # what failed or is missing, and where the results are


def show(finished: RunResult, console: Console, *, tables: bool = False) -> None:
    """Prints the results, with all tables or without."""
    for each in (*finished.answers, *(finished.tables if tables else ()), *finished.remarks):
        console.print(each)


def finalize(
    run: RunContext, decision: StopDecision | None, *, seconds: float, queries_left: int | None, allow_incomplete: bool
) -> RunResult:
    """Writes the results where they may be published, and the outcome; `decision` is None where the run broke off."""
    plan, folder = run.plan, run.folder
    subjects = plan.subjects if decision is None else decision.subjects
    matrix, manifest = run.store.rank_matrix(), plan.manifest()
    measured_at = {threshold: run.store.rank_matrix(threshold) for threshold in thresholds_of(manifest)}
    measured = measure(
        matrix,
        plan.grid,
        plan.interval_kind,
        matchers=Matchers.of(manifest),
        at=measured_at,
        non_mated=run.store.non_mated(),
    )
    short = short_cells(matrix, plan.grid, subjects=subjects)
    published = not short or allow_incomplete
    verified = Verified.of(measured_at, plan.grid) if plan.pairs is not None else None
    if published and verified is not None:
        table = verification_csv(verified.results, pairs=subjects, caveat=plan.caveat)
        folder.write_table(VERIFICATION_CSV, table)
    elif published:
        table = psr_csv(measured.results, subjects=subjects, caveat=plan.caveat, at=measured.at)
        folder.write_table(PSR_CSV, table)
        if measured.false_positives:
            galleries = measured.matchers.galleries
            folder.write_table(FPIR_CSV, fpir_csv(measured.false_positives, galleries=galleries, caveat=plan.caveat))
    wanted = decision.subjects if decision is not None and decision.decided else None
    complete = not short and wanted is not None
    outcome = {"invader_queries_left": queries_left, "subjects_wanted": wanted, "complete": complete}
    folder.write_outcome(_outcome(run, seconds) | outcome)
    remarks = list(_remarks(run))
    if short:
        what = _too_few_people(run, subjects) or f"The same command with --run {folder.root} asks again for what is missing."
        remarks.append(Text(_what_is_short(short.values(), subjects, what, published=published), "bold red"))
    total = Text(f"{matrix.observations} observations in {seconds:.0f} s; results in {folder.root}")
    return RunResult(
        complete=not short,
        published=published,
        folder=folder.root,
        answers=answers(measured, matrix, subjects=subjects, caveat=plan.caveat)
        if verified is None
        else verification_answers(verified, caveat=plan.caveat),
        tables=psr_tables(measured.results, plan.grid, subjects=subjects, caveat=plan.caveat) if verified is None else (),
        remarks=(*remarks, total),
    )


def record_stop(run: RunContext, *, why: str, seconds: float) -> None:
    """Writes the outcome of a run that stops before its end, as far as the store and the run folder let it.

    Another orchestrator may have come to its end meanwhile: its outcome stays.
    """
    with suppress(OrchestratorError), run.store.without_waiting():
        found = (run.folder.manifest() or {}).get("outcome")
        if found is None or "stopped_by" in found:
            run.folder.write_outcome(_outcome(run, seconds) | {"stopped_by": why})


def _remarks(run: RunContext) -> Iterator[Text]:
    for failure in run.tally.failures:
        yield Text(f"failed: {failure.probe}: {failure.what}: {failure.message}", WARNING)
    if (unfinished := run.store.observation_counts().unfinished) > 0:
        yield Text(f"{unfinished} observations are of subjects that are not done: they are recorded, and not counted yet")


def _too_few_people(run: RunContext, subjects: int) -> str:
    """What to do where everybody was drawn and too many had to be replaced; empty where somebody is left."""
    eligible = len(run.resolved.eligible)
    replaced = sum(1 for subject in run.store.subjects() if subject.status in REPLACED)
    usable = eligible - replaced
    if usable >= subjects:
        return ""
    return (
        f"Asking again does not help: of the {eligible} identities that every model knows, {replaced} have no "
        f"photo that can be used, and nobody is left to replace them. A run of --subjects {usable} or fewer, or more people "
        f"in --faces, can be complete."
    )


def _what_is_short(short: Collection[int], subjects: int, what_to_do: str, *, published: bool) -> str:
    return (
        f"INCOMPLETE: {len(short)} cells have fewer than {subjects} observations, the fewest {min(short)}. {what_to_do} "
        + (
            "Each figure's N stands beside it."
            if published
            else "No figures were written; --allow-incomplete writes them, with each one's N beside it."
        )
    )


def _outcome(run: RunContext, seconds: float) -> dict[str, Any]:
    drawn, tally = run.store.subjects(), run.tally
    return {
        "subjects": [subject.photo for subject in drawn if subject.status is SubjectStatus.SUBJECT],
        "replaced": {subject.identity: subject.status.value for subject in drawn if subject.status in REPLACED},
        "photos": {subject.photo: subject.photo_sha256 for subject in drawn if subject.photo},
        "excluded": list(run.resolved.excluded),
        "missing_models": list(run.resolved.missing),
        "caveat": run.plan.caveat,
        "skipped_files": list(run.plan.faces.skipped),
        "unreadable_photos": tally.unreadable_photos,
        "failed_calls": len(run.store.failures()),
        "last_session": {
            "craft_calls": tally.craft_calls,
            "classify_calls": tally.classify_calls,
            "seconds": round(seconds, 1),
        },
    }
