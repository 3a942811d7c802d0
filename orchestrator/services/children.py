"""Starts the two services as child processes on free loopback ports."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from orchestrator.errors import OrchestratorError
from orchestrator.services.child_output import ServiceOutput

START_SECONDS = 300.0  # in which full-size networks are read from a slow disk
_STOP_SECONDS = 15.0
_LOOK_SECONDS = 0.05
_READ_SECONDS = 1.0  # for what a process that ended has left in its pipes


@dataclass(frozen=True)
class Endpoint:
    """Where a service listens, and how one that this process started fares."""

    address: str
    complaints: Sequence[str] = ()  # what it logged as errors while starting, such as refused checkpoints
    ended: Callable[[], str | None] = lambda: None  # how its process came to its end; None while it runs


@asynccontextmanager
async def child_service(
    module: str, *, arguments: Sequence[str], log: Path, start_seconds: float = START_SECONDS
) -> AsyncIterator[Endpoint]:
    """Runs `python -P -m MODULE` while the context lasts; all that it prints goes to `log`.

    Raises:
        OrchestratorError: it stopped before it was ready, or was not ready in time; the message ends with its last line.
        OSError: the log cannot be written.
    """
    with log.open("ab", buffering=0) as file:
        process = await _started(module, arguments)
        output = ServiceOutput(process, log=file)

        def last_words() -> str:
            return f"{output.last_line or f'it said nothing; see {log}'}{_killed(process.returncode)}"

        try:
            try:
                address = await asyncio.wait_for(_address(process, output), start_seconds)
            except TimeoutError:
                raise OrchestratorError(
                    f"{module} was not ready {start_seconds:.0f} s after it was started: {last_words()}"
                ) from None
            if address is None:
                await output.close(within=_READ_SECONDS)
                raise OrchestratorError(f"{module} did not start (exit status {process.returncode}): {last_words()}")

            def ended() -> str | None:
                if process.returncode is None:
                    return None
                return f"the {module} that was started ended (exit status {process.returncode}): {last_words()}"

            yield Endpoint(address, list(output.complaints), ended)
        finally:
            await _stop(process)
            await output.close(within=_READ_SECONDS)
            _close_pipes(process)


def _started(module: str, arguments: Sequence[str]) -> Coroutine[None, None, asyncio.subprocess.Process]:
    # -P: else the modules of the folder that the user happens to be in would come first.
    command = (sys.executable, "-P", "-m", module, "--port", "0", "--stop-with-stdin", "true", *arguments)
    pipe = asyncio.subprocess.PIPE
    # Threads that wait by spinning would take the other service's cores.
    environment = os.environ | {"OMP_WAIT_POLICY": "PASSIVE"}
    # A session of its own: Ctrl-C is this process's to handle; it then stops its children in order.
    return asyncio.create_subprocess_exec(
        *command, stdin=pipe, stdout=pipe, stderr=pipe, env=environment, start_new_session=True
    )


async def _address(process: asyncio.subprocess.Process, output: ServiceOutput) -> str | None:
    """Where the service listens, as soon as it says so; None where its process ends without."""
    said, ended = asyncio.create_task(output.address()), asyncio.create_task(_end(process))
    try:
        await asyncio.wait({said, ended}, return_when=asyncio.FIRST_COMPLETED)
        if said.done() and (address := said.result()) is not None:
            return address
        await ended
        return None
    finally:
        said.cancel()
        ended.cancel()


async def _end(process: asyncio.subprocess.Process) -> None:
    """Waits for a process alone; `Process.wait` waits for its pipes too, which what it started may hold open."""
    while process.returncode is None:  # noqa: ASYNC110 - asyncio tells of the end of a process alone in no other way
        await asyncio.sleep(_LOOK_SECONDS)


def _close_pipes(process: asyncio.subprocess.Process) -> None:
    """Those that are still open at the other end; asyncio has no public way to."""
    cast("Any", process)._transport.close()


async def _stop(process: asyncio.subprocess.Process) -> None:
    if process.returncode is not None:
        return
    process.terminate()
    try:
        await asyncio.wait_for(_end(process), _STOP_SECONDS)
    except TimeoutError:
        pass
    finally:  # also where nobody waits any more
        if process.returncode is None:
            process.kill()
    await _end(process)


def _killed(status: int | None) -> str:
    """What a process that was killed cannot say itself."""
    if status == -signal.SIGKILL:
        return "; it was killed, as the system does to what takes more memory than there is"
    return ""
