"""A file is written whole or not at all, and where it matters it is on the disk before anybody goes on."""

import errno
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from orchestrator.files import replace_file, sync_folder

BEFORE, AFTER = b"what was there", b"what is to be there, and longer"


@dataclass
class Disk:
    """Notes what is waited for: the content of a file, or what a folder names by then."""

    target: Path
    folder_error: int | None = None
    waits: list[tuple[str, bytes]] = field(default_factory=list)
    really: Callable[[int], None] = os.fsync

    def wait(self, descriptor: int) -> None:
        path = Path(f"/proc/self/fd/{descriptor}").readlink()
        if path == self.target.parent:
            self.waits.append(("folder", self.target.read_bytes()))
            if self.folder_error is not None:
                raise OSError(self.folder_error, os.strerror(self.folder_error))
        else:
            self.waits.append(("file", path.read_bytes()))
            assert self.target.read_bytes() == BEFORE, "it is replaced afterwards"
        self.really(descriptor)


@pytest.fixture
def disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Disk:
    path = tmp_path / "manifest.json"
    path.write_bytes(BEFORE)
    disk = Disk(path)
    monkeypatch.setattr(os, "fsync", disk.wait)
    return disk


def test_a_durable_file_is_on_the_disk_before_it_takes_its_name_and_the_name_is_before_anybody_goes_on(disk: Disk) -> None:
    replace_file(disk.target, AFTER, durable=True)
    assert disk.waits == [("file", AFTER), ("folder", AFTER)]


def test_any_other_file_waits_for_no_disk(disk: Disk) -> None:
    replace_file(disk.target, AFTER)
    assert disk.waits == []
    assert disk.target.read_bytes() == AFTER


@pytest.mark.parametrize("code", [errno.EINVAL, errno.EBADF, errno.EOPNOTSUPP, errno.ENOSYS])
def test_a_file_system_that_syncs_no_folders_will_do(disk: Disk, code: int) -> None:
    disk.folder_error = code
    replace_file(disk.target, AFTER, durable=True)
    assert disk.target.read_bytes() == AFTER
    assert not sync_folder(disk.target.parent)


def test_a_disk_that_fails_is_not_passed_over(disk: Disk) -> None:
    disk.folder_error = errno.EIO
    with pytest.raises(OSError, match="Input/output error"):
        replace_file(disk.target, AFTER, durable=True)


def test_what_cannot_be_written_leaves_what_was_there_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "manifest.json"
    path.write_bytes(BEFORE)

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left on device"):
        replace_file(path, AFTER, durable=True)
    assert path.read_bytes() == BEFORE
    assert list(tmp_path.iterdir()) == [path]
