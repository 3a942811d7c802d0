"""As many replicas as are wanted, and files that list where they listen."""

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from command_line.errors import OperatorError
from deploy.ray.address_list import AddressList
from deploy.ray.fleet import Fleet, follow
from deploy.ray.replica import ReplicaSpec, ReplicaStatus
from orchestrator.services.addresses import replica_addresses

SPEC = ReplicaSpec("protector", ("--threads", "1"), None, 30.0)


def listening(port: int) -> ReplicaStatus:
    return ReplicaStatus(SPEC, "10.0.0.1", 1, f"10.0.0.1:{port}", False, 0, None)


@dataclass
class FakeCluster:
    """One on which a replica is what a test says; those that are started have no place before."""

    replicas: dict[str, ReplicaStatus | None] = field(default_factory=dict)
    started: list[tuple[str, ReplicaSpec]] = field(default_factory=list)
    ended: list[str] = field(default_factory=list)
    on_end: Callable[[], None] = lambda: None

    def names(self) -> Collection[str]:
        return list(self.replicas)

    def start(self, name: str, spec: ReplicaSpec) -> None:
        self.started.append((name, spec))
        self.replicas[name] = None

    def describe(self, names: Iterable[str]) -> Mapping[str, ReplicaStatus | None]:
        return {name: self.replicas.get(name) for name in names}

    def end(self, names: Collection[str]) -> None:
        self.on_end()
        self.ended += sorted(names)
        for name in names:
            self.replicas.pop(name, None)


@dataclass
class Scene:
    """Two protectors that are wanted."""

    folder: Path
    number: int = 2
    cluster: FakeCluster = field(default_factory=FakeCluster)
    notes: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.path = self.folder / "protectors"
        self.fleet = Fleet(self.cluster, self.number, SPEC, AddressList(self.path), self.notes.append)

    async def listed(self) -> tuple[str, ...]:
        """As the orchestrator reads them."""
        return await replica_addresses("protector", f"@{self.path}")()


async def test_those_that_are_missing_are_started_and_listed_when_they_listen(tmp_path: Path) -> None:
    scene = Scene(tmp_path, cluster=FakeCluster({"protector-0": listening(1)}))
    scene.fleet.begin()
    assert scene.cluster.started == [("protector-1", SPEC)]
    assert scene.fleet.look()
    assert await scene.listed() == ("10.0.0.1:1",)
    scene.cluster.replicas["protector-1"] = replace(listening(2), address=None)
    assert scene.fleet.look()
    assert await scene.listed() == ("10.0.0.1:1",)
    scene.cluster.replicas["protector-1"] = listening(2)
    assert scene.fleet.look()
    assert await scene.listed() == ("10.0.0.1:1", "10.0.0.1:2")
    assert scene.notes[-2:] == ["protector-1: listens at 10.0.0.1:2 on 10.0.0.1", f"{scene.path}: 2 of 2 protectors"]


async def test_one_that_moves_is_listed_where_it_is_and_not_while_it_is_nowhere(tmp_path: Path) -> None:
    scene = Scene(tmp_path, cluster=FakeCluster({"protector-0": listening(1), "protector-1": listening(2)}))
    found = []
    for status in (listening(2), None, listening(3)):
        scene.cluster.replicas["protector-1"] = status
        scene.fleet.look()
        found.append(await scene.listed())
    assert found == [("10.0.0.1:1", "10.0.0.1:2"), ("10.0.0.1:1",), ("10.0.0.1:1", "10.0.0.1:3")]
    assert "protector-1: has no place on a node yet, or has just lost it" in scene.notes


def test_a_list_that_did_not_change_is_not_written_again(tmp_path: Path) -> None:
    scene = Scene(tmp_path, cluster=FakeCluster({"protector-0": listening(1)}))
    scene.fleet.look()
    scene.path.unlink()
    scene.fleet.look()
    assert not scene.path.exists()


async def test_those_that_are_too_many_are_unlisted_before_they_are_ended(tmp_path: Path) -> None:
    there = {f"protector-{number}": listening(1 + number) for number in range(4)}
    scene = Scene(tmp_path, cluster=FakeCluster({**there, "invader-0": listening(9)}))
    at_the_end: list[str] = []
    scene.cluster.on_end = lambda: at_the_end.append(scene.path.read_text())
    scene.fleet.begin()
    assert scene.cluster.ended == ["protector-2", "protector-3"]
    (then,) = at_the_end
    assert then.splitlines()[1:] == ["10.0.0.1:1", "10.0.0.1:2"]
    scene.fleet.look()
    assert await scene.listed() == ("10.0.0.1:1", "10.0.0.1:2")


def test_replicas_that_were_started_with_other_options_are_not_adopted(tmp_path: Path) -> None:
    other = replace(listening(1), spec=replace(SPEC, options=("--threads", "2")))
    scene = Scene(tmp_path, cluster=FakeCluster({"protector-0": other}))
    with pytest.raises(OperatorError, match=r"^protector-0 runs with --threads 2, .*, expected --threads 1, .*protector$"):
        follow([scene.fleet])
    assert scene.cluster.started == []


REFUSED = ReplicaStatus(SPEC, "10.0.0.1", 1, None, False, 1, "protector_service did not start: --nonsense")


def test_where_the_first_does_not_start_all_that_were_made_are_ended_and_the_reason_is_told(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    scene.fleet.begin()
    scene.cluster.replicas["protector-1"] = REFUSED
    with pytest.raises(OperatorError, match=r"^protector-1 on 10\.0\.0\.1: protector_service did not start: --nonsense$"):
        scene.fleet.look()
    assert scene.cluster.ended == ["protector-0", "protector-1"]


def test_where_others_listen_one_that_does_not_start_is_told_of_and_tried_on(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    scene.fleet.begin()
    scene.cluster.replicas.update({"protector-0": listening(1), "protector-1": REFUSED})
    assert scene.fleet.look()
    assert scene.cluster.ended == []
    said = "protector-1: starts on 10.0.0.1; ended 1 times there, the last: protector_service did not start: --nonsense"
    assert said in scene.notes


def test_the_lists_are_kept_until_all_replicas_were_ended_by_somebody_else(tmp_path: Path) -> None:
    scene = Scene(tmp_path, number=1)
    pauses = 0

    def pause(seconds: float) -> None:
        nonlocal pauses
        pauses += 1
        scene.cluster.replicas["protector-0"] = listening(pauses)
        if pauses == 3:
            scene.cluster.replicas.clear()

    follow([scene.fleet], pause=pause)
    assert pauses == 3
    assert scene.notes[-2:] == ["protector-0: ended", f"{scene.path}: 0 of 1 protectors"]


def test_a_folder_that_cannot_be_written_is_refused_before_anything_is_started(tmp_path: Path) -> None:
    with pytest.raises(OperatorError, match=r"^--lists: .*missing: cannot be written: No such file or directory$"):
        AddressList(tmp_path / "missing" / "protectors")
