"""The file of addresses that orchestrators read, `--protector @FILE`."""

import tempfile
from collections.abc import Collection
from pathlib import Path

from command_line.errors import OperatorError
from orchestrator.files import replace_file
from orchestrator.services.addresses import COMMENT


class AddressList:
    """One such file, which is whole at any time."""

    def __init__(self, path: Path) -> None:
        """Writes nothing yet.

        Raises:
            OperatorError: the file could not be written.
        """
        self.path = path
        self._written: tuple[str, ...] | None = None
        try:
            with tempfile.TemporaryFile(dir=path.parent):
                pass
        except OSError as error:
            raise OperatorError(f"--lists: {path.parent}: cannot be written: {error.strerror or error}") from error

    def write(self, addresses: Collection[str]) -> bool:
        """Has the file list these addresses; returns whether it did not.

        Raises:
            OSError: it cannot be written.
        """
        wanted = tuple(sorted(addresses))
        if wanted == self._written:
            return False
        lines = (f"{COMMENT} written by python -m deploy.ray up", *wanted, "")
        replace_file(self.path, "\n".join(lines).encode())
        self._written = wanted
        return True
