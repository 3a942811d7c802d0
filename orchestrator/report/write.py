"""The report of a run: page, figures and files in one folder."""

from collections.abc import Collection, Iterator, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from pathlib import Path

from orchestrator.errors import InputError, OrchestratorError
from orchestrator.experiment.grid import PAPERS_KS
from orchestrator.files import replace_file
from orchestrator.metrics.verification import verifications
from orchestrator.report import facts, tables
from orchestrator.report.claims import claims
from orchestrator.report.cloaks_shown import CloaksShown, cloaks_shown
from orchestrator.report.conditions import conditions_notices, conditions_table
from orchestrator.report.crafting import STALLED_SHARE, Summaries, crafting_table, stalled_notices
from orchestrator.report.data import non_mated_parquet, observations_parquet
from orchestrator.report.drawing import Drawings, drawings
from orchestrator.report.effort import effort_table
from orchestrator.report.facts import Fact
from orchestrator.report.fpir_csv import fpir_csv
from orchestrator.report.gallery_facts import gallery_facts
from orchestrator.report.matchers import Matchers
from orchestrator.report.measured import Measured, measure
from orchestrator.report.page import rendered
from orchestrator.report.pairs_facts import pairs_facts
from orchestrator.report.photo_facts import photo_facts, photo_notices
from orchestrator.report.psr_csv import psr_csv
from orchestrator.report.recognition import false_positives_table, recognition_table
from orchestrator.report.run import Run
from orchestrator.report.sentences import headlines
from orchestrator.report.threat_sentences import threat_sentences
from orchestrator.report.threat_table import threat_table
from orchestrator.report.verification import Verified, verification_sentences, verification_tables
from orchestrator.report.verification_csv import verification_csv
from orchestrator.run_folder.folder import FIGURES, FPIR_CSV, MANIFEST, PAGE, PSR_CSV, VERIFICATION_CSV
from orchestrator.run_folder.pictures import picture_figures
from orchestrator.store.store import Store

PARQUET, NON_MATED_PARQUET = "observations.parquet", "non_mated.parquet"
OF_NON_MATED = (FPIR_CSV, NON_MATED_PARQUET)  # only where people were searched who are not enrolled
NOBODY_NAMED = (
    "Each probe was compared with one person, so that nobody else could be named: observations.parquet says of each, at "
    "every threshold, whether that person was accepted. Example cloaks are among the figures, if pictures may be shown."
)
FILES = (
    Fact(PSR_CSV, "a row for every cell and k: n, protected, PSR with its interval, controls, differences, faces found"),
    Fact(FPIR_CSV, "a row for every condition, matcher and threshold: people who are not enrolled, FPIR with its interval"),
    Fact(
        VERIFICATION_CSV,
        "a row for every cell and threshold: pairs compared, successes of obfuscation or impersonation with their interval, "
        "the clean control, differences",
    ),
    Fact(PARQUET, "a row for every observation: which cloak, which target model, which rank"),
    Fact(NON_MATED_PARQUET, "a row for every search of somebody who is not enrolled, at each threshold"),
    Fact(MANIFEST, "the protocol, the data, the models, the software, and what became of the run"),
    Fact(
        f"{FIGURES}/", "every figure as the page shows it, and in the formats that `orchestrator report RUN --formats` names"
    ),
)


def write_report(
    run: Run,
    *,
    out: Path,
    with_pictures: bool,
    magnified: bool = False,
    formats: Collection[str] = (),
    processes: Executor,
) -> Path:
    """Writes the report of a run, whole or not, into `out`, which is made where it is not yet; returns the page.

    `with_pictures` is whether people may be shown, and those who do not exist always are; `magnified` whether example cloaks
    have their perturbations under them; figures are written in `formats` beside the one on the page, and drawn in
    `processes`.

    Raises:
        InputError: `out` holds something other than a report.
        OrchestratorError: something cannot be read or written.
    """
    _check_out(out)
    pictures = run.synthetic or with_pictures
    matchers = Matchers.of(run.manifest)
    measured = measure(run.matrix, run.grid, run.interval_kind, matchers=matchers, at=run.at, non_mated=run.non_mated)
    if run.has_pairs:  # who is alone in a gallery is the first: PSR says nothing
        measured = replace(measured, k=None)
    store = Store(run.store, run=run.digest, create=False)
    try:
        out.mkdir(mode=0o700, parents=True, exist_ok=True)
        for path in picture_figures(out / FIGURES):
            path.unlink()
        crafting = store.crafting_summaries(stalled_above=STALLED_SHARE)
        figures = drawings(
            *(run, measured, crafting, store),
            pictures=pictures,
            magnified=magnified,
            formats=formats,
            processes=processes,
        )
        _write_data(run, measured, out)
        page = _page(run, measured, crafting, figures, store, out=out, pictures=pictures)
        replace_file(out / PAGE, page.encode())
    except OSError as error:
        raise OrchestratorError(f"{out}: cannot be written: {error.strerror or error}") from error
    finally:
        store.close()
    return out / PAGE


def _absent(run: Run) -> Sequence[str]:
    """The files that the report of a run does not have."""
    return (*(() if run.non_mated else OF_NON_MATED), PSR_CSV if run.has_pairs else VERIFICATION_CSV)


def _check_out(out: Path) -> None:
    """Makes sure that a folder is new, or holds a report."""
    if out.exists() and not out.is_dir():
        raise InputError(f"--out: expected a folder, got the file {out}")
    if out.is_dir() and not (out / PAGE).exists():
        others = sorted({path.name for path in out.iterdir()} - {file.term.rstrip("/") for file in FILES})
        if others:
            raise InputError(f"--out: expected a new folder or one that holds a report, got {out} with {others[0]}")


def _page(
    run: Run, measured: Measured, crafting: Summaries, drawn: Drawings, store: Store, *, out: Path, pictures: bool
) -> str:
    verdicts = None
    if measured.k is not None and measured.results:
        verdicts = claims(run.matrix, run.grid, k=measured.k, matchers=measured.matchers)
    nothing = "Nothing was written about it yet." if run.going_on else "Nobody and nothing: every identity drawn took part."
    shown = _shown(run, measured, crafting, store, pictures=pictures)
    return rendered(
        title=f"De-identification report: {run.name}",
        subtitle=facts.subtitle(run),
        notices=[
            *facts.notices(run),
            *photo_notices(run),
            *stalled_notices(crafting, run.grid),
            *([] if run.has_pairs else _notices_of_conditions(run, measured)),
        ],
        headlines=shown.sentences,
        claims=None if verdicts is None else tables.claims_table(verdicts, kind=run.interval_kind),
        facts=[
            *facts.facts(run),
            *pairs_facts(run.manifest),
            *photo_facts(run, store.boxes()),
            *([] if run.has_pairs else gallery_facts(run.manifest)),
        ],
        models=facts.models_table(run),
        not_drawn=drawn.not_drawn,
        tables=[*shown.tables, *([crafting_table(crafting, run.grid)] if crafting else [])],
        cloaks=shown.cloaks,
        left_out=facts.left_out_table(run),
        nothing_left_out=nothing,
        reproduce=facts.reproduction(run),
        software=facts.software(run),
        files=[file for file in FILES if file.term not in _absent(run)],
        interval_sources=facts.INTERVAL_SOURCES[run.interval_kind],
        figures=drawn.written(out),  # last: it waits for them
    )


@dataclass(frozen=True)
class _Shown:
    """What differs between a run in which people are searched for and one of pairs."""

    sentences: Sequence[str]
    tables: Sequence[tables.Table]
    cloaks: CloaksShown


def _shown(run: Run, measured: Measured, crafting: Summaries, store: Store, *, pictures: bool) -> _Shown:
    if run.has_pairs:
        verified = Verified.of(run.at, run.grid)
        return _Shown(
            verification_sentences(verified), verification_tables(verified, run.manifest), CloaksShown(NOBODY_NAMED)
        )
    return _Shown(
        [*headlines(measured), *threat_sentences(measured)],
        _tables(run, measured, crafting),
        cloaks_shown(run, store, pictures=pictures),
    )


def _tables(run: Run, measured: Measured, crafting: Summaries) -> Sequence[tables.Table]:
    headline = measured.headline
    results, grid, k = headline.results, headline.grid, measured.k
    shown = [tables.psr_table(results, grid, subjects=run.subjects)]
    if k is None:
        return shown
    ks = [each for each in PAPERS_KS if each in grid.ks and each <= run.matrix.candidates] or [k]
    shown += [
        tables.added_table(results, grid, k=k),
        *([tables.threshold_table(results, grid, ks=ks)] if grid.budgeted else []),
        tables.transfer_table(results, grid, k=k),
    ]
    if measured.paired:
        shown.append(
            tables.methods_table(measured.paired, k=k, first=measured.first, second=measured.second, kind=run.interval_kind)
        )
    further = (
        recognition_table(measured, k=min(grid.ks)),
        false_positives_table(measured, asked=(run.manifest["protocol"]["gallery"] or {}).get("non_mated", 0)),
        threat_table(measured, run.matrix, run.at, k=min(grid.ks), kind=run.interval_kind),
        conditions_table(run.matrix, run.grid, k=min(grid.ks), kind=run.interval_kind),
        effort_table(run.matrix, grid, crafting, k=min(grid.ks), kind=run.interval_kind),
    )
    return [*shown, *(table for table in further if table is not None)]


def _notices_of_conditions(run: Run, measured: Measured) -> Iterator[Fact]:
    if measured.k is not None:
        yield from conditions_notices(run.matrix, run.grid, k=min(run.grid.ks))


def _write_data(run: Run, measured: Measured, out: Path) -> None:
    if run.has_pairs:
        table = verification_csv(verifications(run.at), pairs=run.subjects, caveat=run.caveat)
        replace_file(out / VERIFICATION_CSV, table.encode())
    else:
        table = psr_csv(measured.results, subjects=run.subjects, caveat=run.caveat, at=measured.at)
        replace_file(out / PSR_CSV, table.encode())
    replace_file(out / PARQUET, observations_parquet(run.matrix, run.at))
    replace_file(out / MANIFEST, (run.root / MANIFEST).read_bytes())
    for name in OF_NON_MATED:
        (out / name).unlink(missing_ok=True)
    if run.non_mated:
        fpir = fpir_csv(measured.false_positives, galleries=measured.matchers.galleries, caveat=run.caveat)
        replace_file(out / FPIR_CSV, fpir.encode())
        replace_file(out / NON_MATED_PARQUET, non_mated_parquet(run.non_mated))
