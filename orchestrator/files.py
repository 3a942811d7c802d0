"""Files that are whole or not there."""

import errno
import os
import tempfile
from contextlib import suppress
from pathlib import Path

UNFINISHED = ".part-"  # how the name of a file begins that is being written
# What file systems answer that cannot sync a folder.
_NO_SYNC = frozenset({errno.EINVAL, errno.EBADF, errno.EOPNOTSUPP, errno.ENOTSUP, errno.ENOSYS})


def replace_file(path: Path, content: bytes, *, durable: bool = False) -> None:
    """Writes a file whole or not at all, readable by its owner only.

    Args:
        path: Of the file.
        content: All of it.
        durable: Whether to wait for the disk, so that after a power cut too it is whole or as it was.

    Raises:
        OSError: it cannot be written, and one that was there is as it was; or it is written, and whether its name is on the
            disk cannot be told.
    """
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=UNFINISHED)  # readable by its owner only
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            if durable:
                file.flush()
                os.fsync(descriptor)
        Path(temporary).replace(path)
    except OSError:
        with suppress(OSError):  # of a folder that became read-only
            Path(temporary).unlink()
        raise
    if durable:
        sync_folder(path.parent)


def sync_folder(folder: Path) -> bool:
    """Waits until the names in a folder are on the disk; False where the file system, such as a share, has no way to.

    Raises:
        OSError: it has, and it failed.
    """
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in _NO_SYNC:
            raise
        return False
    finally:
        os.close(descriptor)
    return True
