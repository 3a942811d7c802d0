"""What runs as an actor on a node: one replica of a service, unmodified, as a child process.

Nodes have the distribution, and not this folder, whose classes travel with the actor: it takes and gives plain values alone.
"""

import asyncio
import os
import sys
import threading
import traceback
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

from deploy.ray.supervisor import Child, Supervisor
from orchestrator.services.children import child_service
from rpc.addresses import LOOPBACK
from rpc.certificates import files_in

LOG = Path("/dev/stderr")  # of the actor: the file of a worker in Ray's own folder of logs


@dataclass(frozen=True)
class ReplicaSpec:
    """What is to run."""

    kind: str  # "protector" or "invader"
    options: tuple[str, ...]  # of the service's command line
    certificates: str | None  # folder on the nodes, as `python -m rpc.certificates` makes it; None: plain text on loopback
    grace_seconds: float  # that a service is given to end by itself

    def service(self, node: str) -> AbstractAsyncContextManager[Child]:
        """Runs it on the node with this address while the context lasts; see `child_service`."""
        if self.certificates is None:
            given = ["--host", LOOPBACK]
        else:
            files = files_in(Path(self.certificates) / self.kind)
            given = ["--host", node, "--tls-certificate", str(files.certificate)]
            given += ["--tls-key", str(files.key), "--tls-authority", str(files.authority)]
        return child_service(
            f"{self.kind}_service", arguments=(*given, *self.options), log=LOG, stop_seconds=self.grace_seconds
        )


@dataclass(frozen=True)
class ReplicaStatus:
    """What an actor says of its replica."""

    spec: ReplicaSpec
    node: str  # its address
    pid: int  # of the actor
    address: str | None  # where the service listens; None while it starts or is told to stop
    drains: bool  # whether it is
    ends: int  # of services that were not told to, since the actor started
    last_end: str | None


class Replica:
    """The body of an actor."""

    def __init__(self, values: dict[str, Any], *, node: Callable[[], str]) -> None:
        """Starts the service, and waits for nothing. `values` are a `ReplicaSpec`'s."""
        self._spec = ReplicaSpec(**values)
        self._node = node()
        self._supervisor = Supervisor(partial(self._spec.service, self._node), note=self._note)
        self._drains = False
        self._loop = asyncio.new_event_loop()
        self._running = self._loop.create_task(self._supervisor.run())
        # A thread of its own: nobody needs to ask an actor that was started anew for anything.
        self._thread = threading.Thread(target=self._run, name="supervisor", daemon=True)
        self._thread.start()

    def describe(self) -> dict[str, Any]:
        """The values of a `ReplicaStatus`."""
        supervisor = self._supervisor
        return {
            "spec": asdict(self._spec),
            "node": self._node,
            "pid": os.getpid(),
            "address": supervisor.address,
            "drains": self._drains,
            "ends": supervisor.ends,
            "last_end": supervisor.last_end,
        }

    def drain(self) -> None:
        """Tells the service to stop; returns when it has ended."""
        self._drains = True
        self._loop.call_soon_threadsafe(self._running.cancel)
        self._thread.join()

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_until_complete(self._running)
        except asyncio.CancelledError:
            pass
        except Exception:  # noqa: BLE001 - whatever it is, Ray starts the actor anew
            traceback.print_exc()
            os._exit(1)

    def _note(self, how: str) -> None:
        print(how, file=sys.stderr, flush=True)  # noqa: T201
