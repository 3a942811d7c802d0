"""Measurements in processes of their own, so that none inherits another's threads, memory or caches."""

import multiprocessing
import os
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import ParamSpec, TypeVar

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")


@dataclass(frozen=True)
class Measured:
    """What one measurement took."""

    seconds: float
    gradients: int
    peak_mebibytes: int  # of the whole process


def in_child(function: Callable[Arguments, Result], *arguments: Arguments.args, **keywords: Arguments.kwargs) -> Result:
    """Calls a top-level function in a fresh process, whose threads wait without spinning, as those of the services do."""
    os.environ["OMP_WAIT_POLICY"] = "PASSIVE"
    return _in_child(function, *arguments, **keywords)


def in_plain_child(
    function: Callable[Arguments, Result], *arguments: Arguments.args, **keywords: Arguments.kwargs
) -> Result:
    """Calls a top-level function in a fresh process with the defaults that everybody has."""
    os.environ.pop("OMP_WAIT_POLICY", None)
    return _in_child(function, *arguments, **keywords)


def _in_child(function: Callable[Arguments, Result], *arguments: Arguments.args, **keywords: Arguments.kwargs) -> Result:
    with ProcessPoolExecutor(max_workers=1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return pool.submit(function, *arguments, **keywords).result()


def peak_mebibytes() -> int:
    """The most memory that this process has held; not getrusage's figure, which is never below what its parent held."""
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    kibibytes = next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM:"))
    return int(kibibytes) // 1024
