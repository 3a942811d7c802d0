"""One JSON and one table for each benchmark."""

import json
import os
import platform
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Any

import torch
from rich.console import Console
from rich.table import Table

FOLDER = Path("build/benchmarks")


def machine() -> dict[str, Any]:
    """What was measured on."""
    capabilities = torch.cpu.get_capabilities()
    units = [name for name in ("avx2", "avx512_f", "avx512_bf16", "amx_bf16") if capabilities.get(name)]
    return {
        "processor": platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
        "vector_units": units,
        "torch": torch.__version__,
        "packages": {name: version(name) for name in ("torchattacks", "foolbox", "adversarial-robustness-toolbox")},
    }


def spread(values: Sequence[float], digits: int = 1) -> str:
    """Median and range."""
    if len(values) == 1:
        return f"{values[0]:.{digits}f}"
    return f"{median(values):.{digits}f} ({min(values):.{digits}f}–{max(values):.{digits}f})"


def report(name: str, title: str, columns: Sequence[str], rows: Sequence[Sequence[str]], raw: Mapping[str, Any]) -> None:
    """Prints the table and writes what was measured."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    path = FOLDER / f"{name}.json"
    content = {"benchmark": name, "machine": machine(), "columns": list(columns), "rows": [list(row) for row in rows], **raw}
    path.write_text(json.dumps(content, indent=1) + "\n")
    table = Table(title=title)
    for column in columns:
        table.add_column(column)
    for row in rows:
        table.add_row(*row)
    console = Console()
    Console(width=None if console.is_terminal else 140).print(table, f"written to {path}")
