"""Starts the two services as child processes on free loopback ports."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from orchestrator.errors import OrchestratorError
from orchestrator.services.child_output import ServiceOutput

START_SECONDS = 300.0  # in which full-size networks are read from a slow disk, or the next photos are enrolled
_STOP_SECONDS = 15.0
_POLL_SECONDS = 0.05
_READ_SECONDS = 1.0  # for the rest in the pipes of a process that ended


@dataclass(frozen=True)
class Endpoint:
    """Where a service listens; the rest is of a service that this process started."""

    address: str
    errors: Sequence[str] = ()  # that it logged while it started, such as refused checkpoints
    ended: Callable[[], str | None] = lambda: None  # how its process ended; None while it runs


@asynccontextmanager
async def child_service(
    module: str,
    *,
    arguments: Sequence[str],
    log: Path,
    start_seconds: float = START_SECONDS,
    stop_seconds: float = _STOP_SECONDS,
    on_enrolling: Callable[[int, int], None] = lambda *_: None,
) -> AsyncIterator[Endpoint]:
    """Runs `python -P -m MODULE` while the context lasts; all that it prints goes to `log`.

    Args:
        module: of the service.
        arguments: of its command line.
        log: file that is written on.
        start_seconds: in which it has to be ready, or to say that it has enrolled further photos.
        stop_seconds: that it is given to end by itself when it is told to, before it is killed.
        on_enrolling: is told how many photos it has enrolled, and of how many.

    Raises:
        OrchestratorError: the service ended before it was ready, or was not ready in time; the message ends with its last
            line.
        OSError: the log cannot be written.
    """
    with log.open("ab", buffering=0) as file:
        process = await _started(module, arguments)
        deadline = asyncio.timeout(start_seconds)
        sign = "it was started"  # the last of its progress

        def enrolling(done: int, of: int) -> None:
            nonlocal sign
            if output.address is None:
                sign = f"it had enrolled {done} of {of} photos"
                deadline.reschedule(asyncio.get_running_loop().time() + start_seconds)
                on_enrolling(done, of)

        output = ServiceOutput(process, log=file, on_enrolling=enrolling)

        def last_words() -> str:
            status = "" if process.returncode is None else f" (exit status {process.returncode})"
            words = f"{status}: {output.last_line or f'it said nothing; see {log}'}"
            if process.returncode == -signal.SIGKILL:  # about which it cannot print anything itself
                words += "; it was killed, as the system does to what takes more memory than there is"
            return words

        try:
            with suppress(TimeoutError):
                async with deadline:
                    await _end(process, or_when=lambda: output.address is not None)
            if process.returncode is not None:
                await output.close(within=_READ_SECONDS)
            if output.address is None:
                late = f"was not ready {start_seconds:.0f} s after {sign}"
                raise OrchestratorError(f"{module} {late if process.returncode is None else 'did not start'}{last_words()}")

            def ended() -> str | None:
                return None if process.returncode is None else f"the {module} that was started ended{last_words()}"

            yield Endpoint(output.address, list(output.errors), ended)
        finally:
            await _stop(process, stop_seconds)
            await output.close(within=_READ_SECONDS)
            # Closes the pipes that are still open at the other end; asyncio has no public way to.
            cast("Any", process)._transport.close()


async def _started(module: str, arguments: Sequence[str]) -> asyncio.subprocess.Process:
    # -P: otherwise modules of the working directory would come first.
    command = (sys.executable, "-P", "-m", module, "--port", "0", "--stop-with-stdin", "true", *arguments)
    pipe = asyncio.subprocess.PIPE
    # Threads that spin while they wait would take the other service's cores.
    environment = os.environ | {"OMP_WAIT_POLICY": "PASSIVE"}
    # A session of its own: this process handles Ctrl-C, and then stops its children in order.
    return await asyncio.create_subprocess_exec(
        *command, stdin=pipe, stdout=pipe, stderr=pipe, env=environment, start_new_session=True
    )


async def _end(process: asyncio.subprocess.Process, *, or_when: Callable[[], bool] = lambda: False) -> None:
    """Waits for the process only; `Process.wait` also waits for its pipes, which a process that it started may keep open."""
    while process.returncode is None and not or_when():  # noqa: ASYNC110 - asyncio tells of its end in no other way
        await asyncio.sleep(_POLL_SECONDS)


async def _stop(process: asyncio.subprocess.Process, seconds: float) -> None:
    if process.returncode is not None:
        return
    process.terminate()
    try:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await _end(process)
    finally:  # also where this task is cancelled
        if process.returncode is None:
            process.kill()
    await _end(process)
