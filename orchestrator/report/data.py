"""`observations.parquet`: a row per observation, in plain columns."""

import io
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as parquet
from numpy.typing import NDArray

from orchestrator.metrics.matrix import BEYOND, MISSING, NO_FACE, RankMatrix
from orchestrator.metrics.observation import Outcome

Indices = NDArray[np.int64]


def observations_parquet(matrix: RankMatrix) -> bytes:
    """The observations as Parquet, cell by cell and probe by probe; the same observations give the same bytes.

    Columns: probe (IDENTITY/FILE), identity, source_model, method, epsilon (levels; 0 for the control), condition,
    target_model, outcome (ranked, beyond, no_face), rank (1-based; null unless ranked), candidates (asked for).
    """
    cells, probes = np.nonzero(matrix.ranks != MISSING)
    ranks = matrix.ranks[cells, probes]
    outcomes = [Outcome.NO_FACE.value, Outcome.BEYOND.value, Outcome.RANKED.value]
    coded = np.select([ranks == NO_FACE, ranks == BEYOND], [0, 1], 2).astype(np.int64)
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
            "rank": pa.array(ranks, mask=ranks < 1),
            "candidates": pa.array(np.full(len(ranks), matrix.candidates, dtype=np.int16)),
        }
    )
    file = io.BytesIO()
    parquet.write_table(table, file)
    return file.getvalue()


def _texts(values: list[str], indices: Indices) -> Any:
    """Plain strings: a dictionary column would reach pandas and R as categories and factors."""
    return pa.DictionaryArray.from_arrays(pa.array(indices), pa.array(values, pa.string())).dictionary_decode()
