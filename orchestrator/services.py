"""Starts the two services as child processes on free loopback ports."""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from orchestrator.errors import OrchestratorError

_LISTENING = "listening on "
_STOP_SECONDS = 15.0


@dataclass(frozen=True)
class Service:
    """A service that this process started."""

    address: str
    complaints: Sequence[str]  # what it logged as errors while starting, such as refused checkpoints
    ended: Callable[[], str | None]  # how its process came to its end; None while it runs


@asynccontextmanager
async def child_service(module: str, *, arguments: Sequence[str], log: Path) -> AsyncIterator[Service]:
    """Runs `python -m MODULE` while the context lasts; its standard error goes to `log`.

    Raises:
        OrchestratorError: it stopped before it was ready; the message is its last line.
    """
    with log.open("ab") as errors:
        begun = errors.tell()
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-m", module, "--port", "0", "--stop-with-stdin", "true", *arguments),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=errors,
            # Threads that wait by spinning would take the other service's cores.
            env=os.environ | {"OMP_WAIT_POLICY": "PASSIVE"},
            # Ctrl-C is this process's to handle; it then stops its children in order.
            start_new_session=True,
        )
    try:
        assert process.stdout is not None
        line = (await process.stdout.readline()).decode()
        if not line.startswith(_LISTENING):
            status = await process.wait()
            raise OrchestratorError(f"{module} did not start (exit status {status}): {_last_line(log)}")

        def ended() -> str | None:
            if process.returncode is None:
                return None
            return f"the {module} that was started ended (exit status {process.returncode}): {_last_line(log)}"

        yield Service(line.removeprefix(_LISTENING).strip(), _complaints(log, begun), ended)
    finally:
        await _stop(process)


async def _stop(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        process.terminate()
        try:
            await asyncio.wait_for(process.wait(), _STOP_SECONDS)
        except TimeoutError:
            process.kill()
            await process.wait()


def _last_line(log: Path) -> str:
    lines = [line for line in log.read_text(errors="replace").splitlines() if line.strip()]
    return lines[-1].strip() if lines else f"it said nothing; see {log}"


def _complaints(log: Path, begun: int) -> list[str]:
    complaints = []
    for line in log.read_bytes()[begun:].decode(errors="replace").splitlines():
        try:
            record = json.loads(line)
        except ValueError:
            continue
        if isinstance(record, dict) and record.get("level") == "error":
            complaints.append(f"{record.get('event')}: {record.get('reason', '')}")
    return complaints
