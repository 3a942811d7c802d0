"""`observations.parquet` and `non_mated.parquet`: a row per observation, and per search of somebody who is not enrolled."""

import io
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as parquet
from numpy.typing import NDArray

from orchestrator.metrics.matrix import BEYOND, MISSING, NO_FACE, NOT_ENROLLED, RankMatrix
from orchestrator.metrics.non_mated import NonMatedSearch
from orchestrator.metrics.observation import Outcome

Indices = NDArray[np.int64]


def observations_parquet(matrix: RankMatrix, at: Mapping[str, RankMatrix] | None = None) -> bytes:
    """The observations as Parquet, cell by cell and probe by probe; the same observations give the same bytes.

    Columns: probe (IDENTITY/FILE), identity, source_model, method, epsilon (levels; 0 for the control), condition,
    target_model, outcome (ranked, beyond, no_face, not_enrolled), rank (1-based; null unless ranked), candidates (asked
    for); and for each threshold of `at`, such as `reached_fpir:0.01`, whether the true identity is among the candidates that
    reach it: null where the target model has no such threshold.
    """
    cells, probes = np.nonzero(matrix.ranks != MISSING)
    ranks = matrix.ranks[cells, probes]
    coded_as = {NO_FACE: Outcome.NO_FACE, BEYOND: Outcome.BEYOND, NOT_ENROLLED: Outcome.NOT_ENROLLED}
    outcomes = [*(outcome.value for outcome in coded_as.values()), Outcome.RANKED.value]
    coded = np.select([ranks == code for code in coded_as], list(range(len(coded_as))), len(coded_as)).astype(np.int64)
    table = pa.table(
        {
            "probe": _texts(list(matrix.probes), probes),
            "identity": _texts([probe.rpartition("/")[0] for probe in matrix.probes], probes),
            "source_model": _texts([cell.source_model for cell in matrix.cells], cells),
            "method": _texts([cell.method for cell in matrix.cells], cells),
            "epsilon": pa.array(np.array([cell.epsilon for cell in matrix.cells], dtype=np.int16)[cells]),
            "condition": _texts([str(cell.condition) for cell in matrix.cells], cells),
            "target_model": _texts([cell.target_model for cell in matrix.cells], cells),
            "outcome": _texts(outcomes, coded),
            "rank": pa.array(ranks, mask=(ranks < 1) | (ranks == NOT_ENROLLED)),
            "candidates": pa.array(np.full(len(ranks), matrix.candidates, dtype=np.int16)),
            **{f"reached_{threshold}": _reached(matrix, of, cells, probes) for threshold, of in (at or {}).items()},
        }
    )
    return _written(table)


def non_mated_parquet(searches: Sequence[NonMatedSearch]) -> bytes:
    """The searches of people who are not enrolled as Parquet, in their order.

    Columns: photo (IDENTITY/FILE), identity, condition, target_model, threshold, face_found, reached (candidates that reach
    the threshold; more than 0 is a false positive).
    """
    columns = {
        "photo": [each.photo for each in searches],
        "identity": [each.photo.rpartition("/")[0] for each in searches],
        "condition": [str(each.condition) for each in searches],
        "target_model": [each.target_model for each in searches],
        "threshold": [each.threshold for each in searches],
    }
    return _written(
        pa.table(
            {name: pa.array(texts, pa.string()) for name, texts in columns.items()}
            | {
                "face_found": pa.array([each.face_found for each in searches], pa.bool_()),
                "reached": pa.array([each.reached for each in searches], pa.int16()),
            }
        )
    )


def _written(table: Any) -> bytes:
    file = io.BytesIO()
    parquet.write_table(table, file)
    return file.getvalue()


def _reached(matrix: RankMatrix, at: RankMatrix, cells: Indices, probes: Indices) -> Any:
    of_probes = at.only(matrix.probes)
    ranks = np.stack([of_probes.row(cell) for cell in matrix.cells])[cells, probes] if matrix.cells else np.empty(0)
    return pa.array((ranks > BEYOND) & (ranks != NOT_ENROLLED), mask=ranks == MISSING)


def _texts(values: list[str], indices: Indices) -> Any:
    """Plain strings: a dictionary column would reach pandas and R as categories and factors."""
    return pa.DictionaryArray.from_arrays(pa.array(indices), pa.array(values, pa.string())).dictionary_decode()
