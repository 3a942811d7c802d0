"""A Ray cluster of three nodes on this machine, as a program: Ray changes the process that imports it, its log records too.

It says the address of the head, and then does what each line of its standard input says: `choose` looks where replicas run,
and 0, 1 and 2 end a service, an actor, and a node that has replicas and is not the head. After each it says `done`.
"""

import os
import signal
import sys
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import ray
from ray.cluster_utils import Cluster

from deploy.ray.cluster import RayCluster

TRIES = 3  # to start a cluster
PLACES = 2  # of a node: two nodes have places for all
NODE = {"num_cpus": PLACES, "num_gpus": 0, "object_store_memory": 80 * 2**20}
SAID = "done"


def three_nodes(stack: ExitStack) -> Any:
    """A cluster of them, which ends with the stack. Ray gives a node 30 s to start; a busy machine may need another try."""
    for _ in range(TRIES):
        nodes = Cluster()
        stack.callback(nodes.shutdown)
        try:
            for further in ({"include_dashboard": False}, {}, {}):
                nodes.add_node(**NODE, **further)
        except Exception as error:  # noqa: BLE001 - Ray has no other for it
            stack.close()
            reason = error
        else:
            return nodes
    raise reason


def strikes(nodes: Any) -> tuple[Callable[[], None], ...]:
    """The ends of a service, of an actor, and of a node that has replicas and is not the head."""
    replicas = RayCluster(nodes.address)
    actors = {name: status.pid for name, status in replicas.describe(sorted(replicas.names())).items() if status}
    (service,) = children_of(actors["protector-0"])
    raylets = {parent_of(actor) for actor in actors.values()}
    node = next(node for node in nodes.worker_nodes if raylet_of(node) in raylets)
    return (
        partial(os.kill, service, signal.SIGKILL),
        partial(os.kill, actors["invader-0"], signal.SIGKILL),
        partial(nodes.remove_node, node, allow_graceful=False),
    )


def parent_of(pid: int) -> int:
    """Whose child a process is."""
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def children_of(pid: int) -> list[int]:
    """The processes that a process has started."""
    return [int(child) for path in Path(f"/proc/{pid}/task").glob("*/children") for child in path.read_text().split()]


def raylet_of(node: Any) -> int:
    """The process that a node is."""
    (raylet,) = node.all_processes["raylet"]
    return int(raylet.process.pid)


def main() -> None:
    """Until standard input ends."""
    with ExitStack() as stack:
        nodes = three_nodes(stack)
        stack.callback(ray.shutdown)
        sys.stdout.write(f"{nodes.address}\n")
        sys.stdout.flush()
        chosen: tuple[Callable[[], None], ...] = ()
        for line in sys.stdin:
            if line.strip() == "choose":
                chosen = strikes(nodes)
            else:
                chosen[int(line)]()
            sys.stdout.write(f"{SAID}\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main()
