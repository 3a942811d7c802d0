"""Who works on a run is told from who is dead by a lock that lasts as long as the process."""

import errno
import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from orchestrator.errors import OrchestratorError
from orchestrator.session.lease_owner import LeaseOwner

NOBODY = 65534


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "holders"


@pytest.fixture
def unprivileged() -> Iterator[Path]:
    """A folder of its own, and no right to write what permissions forbid."""
    folder = Path(tempfile.mkdtemp(dir="/tmp"))  # the way to others is closed to anybody else
    with ExitStack() as stack:
        stack.callback(shutil.rmtree, folder)
        if os.geteuid() == 0:
            shutil.chown(folder, NOBODY)
            stack.callback(os.seteuid, 0)
            os.seteuid(NOBODY)
        yield folder
        folder.chmod(0o700)


def leave_behind(folder: Path, name: str) -> Path:
    """What a process that was killed leaves."""
    folder.mkdir(exist_ok=True)
    path = folder / f"{name}.lock"
    path.touch()
    return path


def open_files(folder: Path) -> list[Path]:
    """Those within a folder that this process has open."""
    targets = [path.readlink() for path in Path("/proc/self/fd").iterdir() if path.is_symlink()]
    return [target for target in targets if target.is_relative_to(folder)]


def test_the_living_are_no_dead_and_whoever_ends_in_order_leaves_nothing(folder: Path) -> None:
    with LeaseOwner(folder) as one:
        assert one.alone()
        with LeaseOwner(folder) as other:
            assert not one.alone()
            assert not other.alone()
            assert one.dead([one.name, other.name, "of another machine"]) == frozenset()
        assert one.alone()
    assert list(folder.iterdir()) == []
    assert open_files(folder) == []


def test_a_file_that_nobody_locks_is_a_dead_one_s_and_forgotten_when_no_lease_names_it(folder: Path) -> None:
    leave_behind(folder, "named")
    unnamed = leave_behind(folder, "unnamed")
    with LeaseOwner(folder) as holder:
        assert holder.dead(["named", "unnamed", "never here"]) == {"named", "unnamed"}
        assert holder.alone()
        holder.forget(but=["named"])
        assert not unnamed.exists()
        assert holder.dead(["named", "unnamed"]) == {"named"}


def test_a_process_that_is_about_to_take_its_lock_is_not_taken_for_dead(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock = fcntl.flock
    looked: list[frozenset[str]] = []
    with LeaseOwner(folder) as one:
        beginning = LeaseOwner(folder)

        def looked_at_first(descriptor: int, operation: int) -> None:
            if operation == fcntl.LOCK_EX and not looked:
                looked.append(one.dead([beginning.name]))
                one.forget(but=())
            lock(descriptor, operation)

        monkeypatch.setattr(fcntl, "flock", looked_at_first)
        with beginning:
            assert looked == [frozenset()]
            assert not one.alone()
            assert not beginning.alone()
            assert {path.name for path in folder.iterdir()} == {f"{one.name}.lock", f"{beginning.name}.lock"}


def test_what_others_write_is_younger_than_the_lock_of_whoever_was_alone(folder: Path) -> None:
    with LeaseOwner(folder) as one:
        assert one.alone()
        with LeaseOwner(folder) as other:
            written = folder / "written"
            written.touch()
            assert one.since_ns <= other.since_ns <= written.stat().st_mtime_ns


def test_a_lock_that_cannot_be_taken_is_an_error_of_one_line_and_leaves_nothing(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(descriptor: int, operation: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(fcntl, "flock", broken)
    with pytest.raises(OrchestratorError, match=r"\.lock: cannot be locked: Input/output error$"):
        LeaseOwner(folder).__enter__()
    assert list(folder.iterdir()) == []
    assert open_files(folder) == []


def test_what_ended_the_work_is_not_hidden_where_the_folder_became_read_only(unprivileged: Path) -> None:
    def work() -> None:
        with LeaseOwner(unprivileged):
            unprivileged.chmod(0o500)
            raise OrchestratorError("the disk cannot be written")

    with pytest.raises(OrchestratorError, match=r"^the disk cannot be written$"):
        work()
    assert open_files(unprivileged) == []


def test_the_dead_stay_where_the_folder_became_read_only(unprivileged: Path) -> None:
    left = leave_behind(unprivileged, "dead")
    with LeaseOwner(unprivileged) as holder:
        unprivileged.chmod(0o500)
        holder.forget(but=())
        assert left.exists()
        unprivileged.chmod(0o700)
        holder.forget(but=())
    assert list(unprivileged.iterdir()) == []


@pytest.mark.parametrize("code", [errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOLCK])
def test_where_a_file_system_has_no_locks_nobody_is_taken_for_dead_or_knows_that_it_is_alone(
    folder: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    def flock(*_: int) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(fcntl, "flock", flock)
    with LeaseOwner(folder) as one, LeaseOwner(folder) as other:
        assert not one.can_lock
        assert not one.alone()
        assert one.dead([other.name, "somebody-1-2"]) == frozenset()
        one.forget(but=())
        assert len(list(folder.iterdir())) == 2
    assert list(folder.iterdir()) == []
