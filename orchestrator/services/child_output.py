"""What a service that was started prints: where it listens, what it complains of, and whatever its libraries have to say."""

import asyncio
import io
import json
from collections.abc import AsyncIterator
from contextlib import suppress

from rpc.addresses import LISTENING

_LISTENING = LISTENING.encode()
_CHUNK = 2**16  # bytes
_MAX_LINE = 2**20  # bytes that are kept of a line without end


class ServiceOutput:
    """Reads both of a process's output pipes for as long as it lives, so that nothing it prints can block it.

    Everything goes to the log but the line that says where it listens. Libraries and plug-ins print when they are imported
    and while they work, before that line and after it.
    """

    def __init__(self, process: asyncio.subprocess.Process, *, log: io.FileIO) -> None:
        """Starts reading the standard output and standard error of `process`, which must be pipes."""
        assert process.stdout is not None
        assert process.stderr is not None
        self.complaints: list[str] = []  # what was logged as an error, such as a refused checkpoint
        self._printed = self._logged = b""  # the last line of each that is not blank
        self.address: str | None = None  # where the service listens, as soon as it says so
        self._log = log
        self._reading = [
            asyncio.create_task(reading)
            for reading in (self._read_output(process.stdout), self._read_errors(process.stderr))
        ]

    @property
    def last_line(self) -> str:
        """What the process logged last; where it logged nothing, what it printed; empty where it said nothing at all."""
        return (self._logged or self._printed).decode(errors="replace").strip()

    async def close(self, *, within: float) -> None:
        """Reads what is left, for at most so many seconds: something that the service started may hold its pipes open."""
        await asyncio.wait(self._reading, timeout=within)
        for reading in self._reading:
            reading.cancel()
        await asyncio.wait(self._reading)

    async def _read_output(self, stream: asyncio.StreamReader) -> None:
        async for line in _lines(stream):
            if self.address is None and line.startswith(_LISTENING):
                self.address = line.removeprefix(_LISTENING).decode(errors="replace").strip()
                continue
            self._printed = line if line.strip() else self._printed
            _append(self._log, line)

    async def _read_errors(self, stream: asyncio.StreamReader) -> None:
        async for line in _lines(stream):
            self._logged = line if line.strip() else self._logged
            if (complaint := _complaint(line)) is not None:
                self.complaints.append(complaint)
            _append(self._log, line)


async def _lines(stream: asyncio.StreamReader) -> AsyncIterator[bytes]:
    """Lines with their ends; one that is too long comes in pieces."""
    partial = b""
    while chunk := await stream.read(_CHUNK):
        *lines, partial = (partial + chunk).splitlines(keepends=True)
        if partial.endswith(b"\n") or len(partial) > _MAX_LINE:
            lines.append(partial)
            partial = b""
        for line in lines:
            yield line
    if partial:
        yield partial


def _complaint(line: bytes) -> str | None:
    try:
        record = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if not isinstance(record, dict) or record.get("level") != "error":
        return None
    return f"{record.get('event')}: {record.get('reason', '')}"


def _append(log: io.FileIO, line: bytes) -> None:
    with suppress(OSError, ValueError):  # neither a full disk nor a log that is closed must block the service
        log.write(line)
