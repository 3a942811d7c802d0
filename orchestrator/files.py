"""Files that are whole or not there."""

import os
import tempfile
from pathlib import Path

UNFINISHED = ".part-"  # how the name of a file begins that is being written


def replace_file(path: Path, content: bytes) -> None:
    """Writes a file whole or not at all, readable by its owner only.

    Raises:
        OSError: it cannot be written; one that was there is as it was.
    """
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=UNFINISHED)  # readable by its owner only
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
        Path(temporary).replace(path)
    except OSError:
        Path(temporary).unlink(missing_ok=True)
        raise
