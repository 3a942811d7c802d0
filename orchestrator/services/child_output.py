"""Reads what a started service prints: its address, its errors, how far it is, and the output of its libraries."""

import asyncio
import io
import json
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from typing import Any

from rpc.addresses import LISTENING

_LISTENING = LISTENING.encode()
_ENROLLING = ("gallery", "impostors")  # the events that say how many photos were taken in
_CHUNK = 2**16  # bytes
_MAX_LINE = 2**20  # bytes that are kept of a line without end


class ServiceOutput:
    """Reads both output pipes of a process as long as it lives, so that nothing it prints can block it.

    All lines go to the log except the one with the address. Libraries and plug-ins print when they are imported and while
    they work, so before that line and after it.
    """

    def __init__(
        self, process: asyncio.subprocess.Process, *, log: io.FileIO, on_enrolling: Callable[[int, int], None]
    ) -> None:
        """Starts reading the standard output and standard error of `process`, which must be pipes.

        `on_enrolling` is told how many photos the service has enrolled, and of how many, whenever it says so.
        """
        assert process.stdout is not None
        assert process.stderr is not None
        self.errors: list[str] = []  # that were logged, such as a refused checkpoint
        self._printed = self._logged = b""  # the last line of each that is not blank
        self.address: str | None = None  # where the service listens, as soon as it says so
        self._log = log
        self._on_enrolling = on_enrolling
        self._reading = [
            asyncio.create_task(reading)
            for reading in (self._read_output(process.stdout), self._read_errors(process.stderr))
        ]

    @property
    def last_line(self) -> str:
        """The last line of standard error; that of standard output where there is none; empty where there is neither."""
        return (self._logged or self._printed).decode(errors="replace").strip()

    async def close(self, *, within: float) -> None:
        """Reads the rest for at most so many seconds, because a process that the service started may keep its pipes open."""
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
            record = _record(line)
            if record.get("level") == "error":
                self.errors.append(f"{record.get('event')}: {record.get('reason', '')}")
            done, of = record.get("done"), record.get("of")
            if record.get("event") in _ENROLLING and isinstance(done, int) and isinstance(of, int):
                self._on_enrolling(done, of)
            _append(self._log, line)


async def _lines(stream: asyncio.StreamReader) -> AsyncIterator[bytes]:
    """Lines with their ends; a line that is too long comes in pieces."""
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


def _record(line: bytes) -> dict[str, Any]:
    """What a line of a service's log says; nothing where it is none."""
    try:
        record = json.loads(line)
    except (ValueError, RecursionError):
        return {}
    return record if isinstance(record, dict) else {}


def _append(log: io.FileIO, line: bytes) -> None:
    with suppress(OSError, ValueError):  # a full disk or a closed log must not block the service
        log.write(line)
