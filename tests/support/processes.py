"""Services as processes of their own, which a test can look at, stop and kill."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from rpc.addresses import LISTENING

_SECONDS = 60.0  # until a process that hangs is killed


@dataclass(frozen=True)
class ServiceProcess:
    """A service that listens at an address."""

    process: subprocess.Popen[str]
    address: str

    @property
    def peak_memory(self) -> int:
        """The most bytes that it has had in memory at a time."""
        return self._memory("VmHWM")

    @property
    def memory(self) -> int:
        """The bytes that it has in memory."""
        return self._memory("VmRSS")

    def _memory(self, field: str) -> int:
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        (line,) = (line for line in status.splitlines() if line.startswith(f"{field}:"))
        return int(line.split()[1]) * 1024


@contextmanager
def service_process(module: str, *arguments: str, log: Path) -> Iterator[ServiceProcess]:
    """Runs `python -P -m MODULE` on a free port while the context lasts; its standard error goes to `log`."""
    command = [sys.executable, "-P", "-m", module, "--port", "0", "--stop-with-stdin", "true", *arguments]
    with (
        log.open("ab") as errors,
        subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, text=True, start_new_session=True
        ) as process,
    ):
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            assert line.startswith(LISTENING), log.read_text()
            yield ServiceProcess(process, line.removeprefix(LISTENING).strip())
        finally:
            process.terminate()
            try:
                process.wait(_SECONDS)
            finally:
                process.kill()
