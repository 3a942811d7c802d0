"""What to say when memory runs out. Imports nothing heavy: it must work where torch itself cannot be loaded."""

import errno
import re
from collections.abc import Iterator

# Measured on Linux with the embedded recognizers, torch 2.15 and two cores: 3.6 GiB of address space, 0.85 GiB resident.
# Each core adds some address space, and each full-size checkpoint about 0.3 GB of memory.
NEEDED = (
    "about 4 GB of address space and 1 GB of memory are needed with the embedded recognizers, and more for full-size "
    "checkpoints and many cores"
)
NEEDED_ADDRESS_SPACE = 4 * 10**9  # bytes
WAY_OUT = "raise the limit (`ulimit -v`, a scheduler's or a container's memory limit) or free memory"

# What the dynamic loader, torch's and the C++ library's allocators, and safetensors say of it, none by a type of its own.
_LOADER = re.compile(r"failed to map segment|cannot map zero-fill pages|cannot (?:allocate|create) .*memory", re.IGNORECASE)
_ALLOCATOR = re.compile(
    r"DefaultCPUAllocator: (?:can't|not enough)|can't start new thread|bad_alloc|cannot allocate memory", re.IGNORECASE
)


def memory_advice(error: BaseException) -> str | None:
    """What a person can do about an error that says that memory ran out, in a sentence; None of any other error.

    An error that was raised because of another is judged by that one too.
    """
    if not any(_says_memory(cause) for cause in _causes(error)):
        return None
    return f"not enough memory to start: {NEEDED}; {WAY_OUT}"


def limit_note() -> str | None:
    """That the limit on address space is lower than what is needed, if it is.

    Some libraries end the process themselves where their memory cannot be had: nothing can be said of it any more then.
    """
    try:
        import resource  # there is none on Windows
    except ImportError:
        return None
    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    if limit == resource.RLIM_INFINITY or limit >= NEEDED_ADDRESS_SPACE:
        return None
    return f"address space is limited to {limit / 10**9:.1f} GB (`ulimit -v`): {NEEDED}; {WAY_OUT}"


def _causes(error: BaseException) -> Iterator[BaseException]:
    seen: list[BaseException] = []
    at: BaseException | None = error
    while at is not None and not any(at is one for one in seen):
        yield at
        seen.append(at)
        at = at.__cause__ or at.__context__


def _says_memory(error: BaseException) -> bool:
    if isinstance(error, MemoryError):
        return True
    if isinstance(error, ImportError):
        return bool(_LOADER.search(str(error)))
    if isinstance(error, OSError):
        return error.errno == errno.ENOMEM or bool(_LOADER.search(str(error)))
    return isinstance(error, RuntimeError) and bool(_ALLOCATOR.search(str(error)))
