"""The services of an evaluation behind proxies, where each can be killed, stopped, cut off and started anew."""

import json
import signal
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.support.processes import ServiceProcess, service_process
from tests.support.tcp_proxy import TcpProxy, tcp_proxy

PATIENCE_SECONDS = 120  # of the orchestrator with a service that is starting again
MAX_SECONDS = 300.0  # of one evaluation
MODELS = ("--source-models", "compact-facenet,compact-resnet", "--target-models", "compact-facenet,compact-senet")
OF_ALL = (*MODELS, "--methods", "bim", "--k", "1,5", "--conditions", "jpeg:95")
GRID = (*OF_ALL, "--subjects", "6", "--epsilons", "4,8,16")
SMALL_GRID = (*OF_ALL, "--subjects", "3", "--epsilons", "4,8")


@dataclass
class Actor:
    """A service behind its proxy; whoever looks at it from outside sees one address, whatever happens behind it."""

    module: str
    arguments: Sequence[str]
    log: Path
    proxy: TcpProxy = field(init=False)
    _service: ServiceProcess = field(init=False)
    _lifetime: ExitStack = field(init=False)
    _thawing: threading.Timer | None = None

    def start(self) -> None:
        """Starts it where the proxy finds it."""
        self._lifetime = ExitStack()
        self._service = self._lifetime.enter_context(service_process(self.module, *self.arguments, log=self.log))
        if hasattr(self, "proxy"):
            self.proxy.point_at(self._service.address)

    @property
    def address(self) -> str:
        """Its own, without the proxy."""
        return self._service.address

    def kill(self) -> None:
        """SIGKILL; nothing starts it again."""
        self._service.process.kill()
        self._service.process.wait()

    def restart(self) -> None:
        """Starts it again after it was killed; returns when it listens."""
        self._lifetime.close()
        self.start()

    def freeze(self, seconds: float) -> None:
        """SIGSTOP, and SIGCONT later; returns at once."""
        self._service.process.send_signal(signal.SIGSTOP)
        self._thawing = threading.Timer(seconds, self._service.process.send_signal, (signal.SIGCONT,))
        self._thawing.start()

    def settle(self) -> None:
        """Until nothing that was done to it is still going on, or to come."""
        self.proxy.forget()
        if self._thawing is not None:
            self._thawing.join()
            self._thawing = None

    def end(self) -> None:
        """Stops it."""
        self._lifetime.close()


@dataclass(frozen=True)
class Stage:
    """A protector and an invader of the embedded recognizers, and the command that evaluates them."""

    protector: Actor
    invader: Actor
    audit: Path
    grid: Sequence[str]

    def command(self, run: Path, *extra: str) -> list[str]:
        """The evaluation of the grid in a run folder; the same every time."""
        return [
            *(sys.executable, "-m", "orchestrator", "evaluate", "--no-report", "--run", str(run)),
            *("--protector", self.protector.proxy.address, "--invader", self.invader.proxy.address),
            *("--outage-timeout", str(PATIENCE_SECONDS), *self.grid, *extra),
        ]

    def begin(self, run: Path, *extra: str) -> subprocess.Popen[str]:
        """Starts an evaluation, in a session of its own."""
        return subprocess.Popen(
            self.command(run, *extra),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def questions(self, *, since: int = 0) -> list[dict[str, Any]]:
        """The lines of the invader's audit log from a byte of it on."""
        lines = self.audit.read_bytes()[since:].decode().splitlines()
        return [json.loads(line) for line in lines if line]

    def asked(self, *, since: int = 0) -> Counter[str]:
        """How often each image was shown to the invader, by digest."""
        return Counter(line["image_sha256"] for line in self.questions(since=since))

    def audited(self) -> int:
        """How long the audit log is, in bytes."""
        return self.audit.stat().st_size


@contextmanager
def stage(folder: Path, *, grid: Sequence[str]) -> Iterator[Stage]:
    """Both services, started, while the context lasts; their logs go to a folder."""
    audit = folder / "audit.jsonl"
    protector = Actor("protector_service", (), folder / "protector.log")
    invader = Actor("invader_service", ("--audit-log", str(audit)), folder / "invader.log")
    with ExitStack() as proxies:
        for actor in (protector, invader):
            actor.start()
            proxies.callback(actor.end)
            actor.proxy = proxies.enter_context(tcp_proxy(actor.address))
        yield Stage(protector, invader, audit, grid)
