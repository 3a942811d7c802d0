"""Replicas as actors on a Ray cluster. The only file that knows Ray."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import asdict
from typing import Any

from command_line.errors import OperatorError
from deploy.ray import replica, supervisor
from deploy.ray.replica import Replica, ReplicaSpec, ReplicaStatus

NAMESPACE = "deid-bench"
EXTRA = "pip install 'face-deid-bench[ray]'"
ASK_SECONDS = 5.0  # for all replicas to say how they are
MARGIN_SECONDS = 10.0  # beyond its grace, until a replica is ended that does not say that it has

try:
    import ray
except ModuleNotFoundError as error:
    raise OperatorError(f"Ray is not installed ({error}): {EXTRA}") from error


class RayCluster:
    """A cluster that this machine is a node of."""

    def __init__(self, address: str, *, cpus: float = 1, gpus: float = 0) -> None:
        """Connects to it.

        Args:
            address: `host:port` of its head, or `auto` for the one that runs here.
            cpus: processors that are set aside for each replica.
            gpus: of each replica; a part of one is shared.

        Raises:
            OperatorError: there is no cluster.
        """
        try:
            ray.init(address=address, namespace=NAMESPACE, log_to_driver=False, logging_level="error")
        except (ConnectionError, RuntimeError, ValueError) as error:
            way_out = "start it with ray start --head, and further nodes with ray start --address HEAD:6379"
            reason = next(iter(str(error).strip().splitlines()), "").rstrip(".")
            raise OperatorError(f"--address: no Ray cluster answers at {address}: {reason}; {way_out}") from error
        for module in (replica, supervisor):  # nodes do not have this folder
            ray.cloudpickle.register_pickle_by_value(module)
        self._options = {"num_cpus": cpus, "num_gpus": gpus}
        self._asked: dict[str, Any] = {}  # answers that are waited for

    @property
    def node_addresses(self) -> frozenset[str]:
        """Of the nodes that are up."""
        return frozenset(node["NodeManagerAddress"] for node in ray.nodes() if node["Alive"])

    def places(self) -> int | None:
        """How many replicas the nodes that are up can hold; None if they need nothing."""
        there = ray.cluster_resources()
        needed = {"CPU": self._options["num_cpus"], "GPU": self._options["num_gpus"]}
        return min((int(there.get(name, 0) / each) for name, each in needed.items() if each), default=None)

    def names(self) -> Collection[str]:
        """See `Cluster`."""
        names: list[str] = ray.util.list_named_actors()
        return names

    def start(self, name: str, spec: ReplicaSpec) -> None:
        """See `Cluster`.

        Raises:
            OperatorError: somebody else has just started it.
        """
        options = {
            "name": name,
            "lifetime": "detached",  # it outlives this program
            "max_restarts": -1,
            "max_task_retries": 0,
            "max_concurrency": 2,  # to be asked how it is while it drains
            "scheduling_strategy": "SPREAD",
            **self._options,
        }
        try:
            ray.remote(Replica).options(**options).remote(asdict(spec), node=ray.util.get_node_ip_address)
        except ValueError as error:
            raise OperatorError(f"{name}: {error}") from error

    def describe(self, names: Iterable[str]) -> Mapping[str, ReplicaStatus | None]:
        """See `Cluster`."""
        wanted = list(names)
        for name in wanted:
            if name not in self._asked and (actor := _actor(name)) is not None:
                self._asked[name] = actor.describe.remote()
        asked = {name: self._asked[name] for name in wanted if name in self._asked}
        if asked:
            ray.wait(list(asked.values()), num_returns=len(asked), timeout=ASK_SECONDS)
        return {name: self._answer(name) for name in wanted}

    def end(self, names: Collection[str]) -> None:
        """See `Cluster`."""
        found = self.describe(names)
        draining = {}
        for name, status in found.items():
            if status is not None and (actor := _actor(name)) is not None:
                draining[actor.drain.remote()] = status.spec.grace_seconds
        if draining:
            ray.wait(list(draining), num_returns=len(draining), timeout=max(draining.values()) + MARGIN_SECONDS)
        for name in names:
            if (actor := _actor(name)) is not None:
                ray.kill(actor, no_restart=True)

    def _answer(self, name: str) -> ReplicaStatus | None:
        """The answer to the last question, if it is there; a question that got none is asked again the next time."""
        if name not in self._asked or not ray.wait([self._asked[name]], timeout=0)[0]:
            return None
        try:
            values = ray.get(self._asked.pop(name))
        except ray.exceptions.RayError:  # it has just gone, and is started again
            return None
        return ReplicaStatus(**{**values, "spec": ReplicaSpec(**values["spec"])})


def _actor(name: str) -> Any | None:
    """The actor with a name; None if it was ended."""
    try:
        return ray.get_actor(name)
    except ValueError:
        return None
