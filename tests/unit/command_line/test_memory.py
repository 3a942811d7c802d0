"""What is said when memory runs out, and of which errors."""

import errno
import resource

import pytest

from command_line.memory import limit_note, memory_advice
from recognizers.errors import CheckpointError, wrap_errors


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        MemoryError("Cannot allocate memory (os error 12)"),
        ImportError("libtorch_cuda.so: failed to map segment from shared object"),
        ImportError("libtorch_cpu.so: cannot map zero-fill pages"),
        OSError(errno.ENOMEM, "Cannot allocate memory"),
        OSError("libtorch_cpu.so: failed to map segment from shared object"),
        RuntimeError(
            "[enforce fail at alloc_cpu.cpp:128] . DefaultCPUAllocator: can't allocate memory: you tried to allocate"
        ),
        RuntimeError("[enforce fail at alloc_cpu.cpp:117] . DefaultCPUAllocator: not enough memory: you tried to allocate"),
        RuntimeError("can't start new thread"),
        RuntimeError("std::bad_alloc"),
    ],
    ids=str,
)
def test_what_says_that_memory_ran_out_is_answered_with_what_is_needed_and_the_way_out(error: Exception) -> None:
    advice = memory_advice(error)
    assert advice is not None
    assert advice.startswith("not enough memory to start: about 4 GB of address space and 1 GB of memory are needed")
    assert "`ulimit -v`" in advice
    assert "container's memory limit" in advice


@pytest.mark.parametrize(
    "error",
    [
        ImportError("No module named torch"),
        ImportError("libfoo.so: cannot open shared object file"),
        OSError(errno.ENOENT, "No such file or directory"),
        RuntimeError("mat1 and mat2 shapes cannot be multiplied"),
        ValueError("std::bad_alloc"),
        KeyboardInterrupt(),
    ],
    ids=str,
)
def test_other_errors_get_no_advice(error: BaseException) -> None:
    assert memory_advice(error) is None


def test_an_error_is_judged_by_what_it_came_from_too() -> None:
    with (
        pytest.raises(CheckpointError, match=r"^the network failed: not enough memory") as refused,
        wrap_errors("the network"),
    ):
        raise MemoryError
    assert memory_advice(refused.value) is not None
    circular = ValueError("a")
    circular.__context__ = KeyError("b")
    circular.__context__.__context__ = circular
    assert memory_advice(circular) is None


@pytest.mark.parametrize(
    ("limit", "noted"), [(3_000_000_000, True), (5_000_000_000, False), (resource.RLIM_INFINITY, False)]
)
def test_a_limit_that_is_too_low_is_noted_beforehand(monkeypatch: pytest.MonkeyPatch, limit: int, noted: bool) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _: (limit, resource.RLIM_INFINITY))
    note = limit_note()
    assert (note is not None) == noted
    assert note is None or note.startswith("address space is limited to 3.0 GB (`ulimit -v`): about 4 GB")
