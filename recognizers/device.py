"""Where networks run, and that they answer the same each time."""

import ctypes
from contextlib import suppress
from dataclasses import dataclass

import torch

from recognizers.errors import RecognizerError

CPU_WORKERS = 2  # small batches leave cores idle; two at a time fill them (docs/embedded-default.md has figures)

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # malloc.h
_ONE_GIBIBYTE = 2**30


@dataclass(frozen=True)
class PreparedDevice:
    """A device, and how it is shared."""

    device: torch.device
    workers: int  # threads of this process that use it at a time
    threads: int  # processor threads for each of them


def prepare_device(name: str, *, workers: int, threads: int) -> PreparedDevice:
    """The device of a name ("auto", "cpu", "cuda", "cuda:N"), set up for repeatable arithmetic.

    Args:
        name: "auto" takes a GPU where there is one.
        workers: threads that will use it at a time; 0 takes 2 on a CPU with several cores, else 1.
        threads: processor threads for each of them; 0 shares the cores out.

    Raises:
        RecognizerError: there is no such device.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:
        raise RecognizerError(f"device: expected auto, cpu or an available cuda device, got {name!r}") from error
    cores = torch.get_num_threads()
    workers = workers or (min(CPU_WORKERS, cores) if device.type == "cpu" else 1)
    threads = threads or max(1, cores // workers)
    torch.set_num_threads(threads)
    if device.type == "cpu":
        _keep_freed_memory()
    # As use_deterministic_algorithms(True, warn_only=True), which imports PyTorch's compiler to tell it too.
    torch.set_deterministic_debug_mode("warn")
    # It would write every new tensor twice.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    torch.backends.cudnn.benchmark = False
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = False
    return PreparedDevice(device, workers, threads)


def _keep_freed_memory() -> None:
    """Lets glibc reuse large blocks rather than give them back and have them zeroed again: a tenth of a network's time."""
    with suppress(OSError, AttributeError):  # another C library
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(_M_MMAP_THRESHOLD, _ONE_GIBIBYTE)
        mallopt(_M_TRIM_THRESHOLD, _ONE_GIBIBYTE)
