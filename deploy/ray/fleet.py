"""Keeps as many replicas as are asked for, and files that list where they listen. Knows no Ray: a `Cluster` runs them."""

import time
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from command_line.errors import OperatorError
from deploy.ray.address_list import AddressList
from deploy.ray.replica import ReplicaSpec, ReplicaStatus

FOLLOW_SECONDS = 1.0  # between looks at the replicas


class Cluster(Protocol):
    """Runs replicas by their names, and starts again elsewhere those whose nodes are gone."""

    def names(self) -> Collection[str]:
        """Of all replicas that were started and not ended."""
        ...

    def start(self, name: str, spec: ReplicaSpec) -> None:
        """Returns before it has a place."""
        ...

    def describe(self, names: Iterable[str]) -> Mapping[str, ReplicaStatus | None]:
        """What they say; None of those that have no place, or have just lost it."""
        ...

    def end(self, names: Collection[str]) -> None:
        """Lets them end the calls that they have, and ends them."""
        ...


@dataclass
class Fleet:
    """All replicas of one kind that are wanted."""

    cluster: Cluster
    number: int
    spec: ReplicaSpec
    addresses: AddressList
    note: Callable[[str], None]
    _made: set[str] = field(default_factory=set)  # by this program
    _listened: bool = False  # whether any of them ever has
    _said: dict[str, str] = field(default_factory=dict)  # the last that was noted of each

    def check(self) -> None:
        """Makes sure that the replicas that are there are what is wanted.

        Raises:
            OperatorError: they were started with other options.
        """
        for name, status in self.cluster.describe(self._there()).items():
            if status is not None and status.spec != self.spec:
                raise OperatorError(
                    f"{name} runs with {_shown(status.spec)}, expected {_shown(self.spec)}: replicas have to be alike; end "
                    f"those that are there first: python -m deploy.ray down {self.spec.kind}"
                )

    def begin(self) -> None:
        """Starts those that are missing; ends those that are too many, when they are listed no more."""
        there = self._there()
        wanted = [f"{self.spec.kind}-{number}" for number in range(self.number)]
        for name in wanted:
            if name not in there:
                self.cluster.start(name, self.spec)
                self._made.add(name)
        if surplus := [name for name in there if name not in wanted]:
            self._look(wanted)
            self.note(f"ending {', '.join(surplus)}")
            self.cluster.end(surplus)

    def look(self) -> bool:
        """Looks at the replicas, and writes the list where it has changed; False where none is there any more.

        Raises:
            OperatorError: one that was made by this program does not start, and no other ever listened; those that were
                made are ended.
            OSError: the list cannot be written.
        """
        there = self._there()
        self._look(there)
        return bool(there)

    def _there(self) -> list[str]:
        return sorted(name for name in self.cluster.names() if kind_of(name) == self.spec.kind)

    def _look(self, names: Iterable[str]) -> None:
        found = self.cluster.describe(names)
        listening = [status.address for status in found.values() if status is not None and status.address is not None]
        self._listened = self._listened or bool(listening)
        for name, status in found.items():
            if name in self._made and not self._listened and status is not None and status.last_end is not None:
                self.cluster.end(self._made)
                raise OperatorError(f"{name} on {status.node}: {status.last_end}")
            self._tell(name, state_of(status))
        for name in self._said.keys() - found.keys():
            self._tell(name, "ended")
        if self.addresses.write(listening):
            self.note(f"{self.addresses.path}: {len(listening)} of {self.number} {self.spec.kind}s")

    def _tell(self, name: str, state: str) -> None:
        if self._said.get(name) != state:
            self._said[name] = state
            self.note(f"{name}: {state}")


def follow(fleets: Iterable[Fleet], *, pause: Callable[[float], None] = time.sleep) -> None:
    """Begins, and keeps the lists as long as there are replicas.

    Raises:
        OperatorError: see `Fleet`.
        OSError: a list cannot be written.
    """
    left = list(fleets)
    for fleet in left:
        fleet.check()
    for fleet in left:
        fleet.begin()
    while left := [fleet for fleet in left if fleet.look()]:
        pause(FOLLOW_SECONDS)


def kind_of(name: str) -> str:
    """The kind of the replica with a name."""
    return name.rpartition("-")[0]


def state_of(status: ReplicaStatus | None) -> str:
    """What can be said of a replica, in a line."""
    if status is None:
        return "has no place on a node yet, or has just lost it"
    silent = "ends its calls" if status.drains else "starts"
    state = silent if status.address is None else f"listens at {status.address}"
    ends = f"; ended {status.ends} times there, the last: {status.last_end}" if status.ends else ""
    return f"{state} on {status.node}{ends}"


def _shown(spec: ReplicaSpec) -> str:
    certificates = "no certificates" if spec.certificates is None else f"certificates of {spec.certificates}"
    return f"{' '.join(spec.options) or 'no options'}, {certificates}, a grace of {spec.grace_seconds:g} s"
