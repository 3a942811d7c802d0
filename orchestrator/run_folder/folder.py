"""The folder of a run. Face photographs are biometric data: only the owner may read it."""

import hashlib
import json
import shutil
import time
from collections.abc import Mapping
from contextlib import suppress
from itertools import count
from pathlib import Path
from typing import Any

from orchestrator.errors import InputError, OrchestratorError
from orchestrator.experiment.plan import Plan
from orchestrator.files import UNFINISHED, replace_file, sync_folder
from orchestrator.run_folder.software import software

MANIFEST, OBSERVATIONS = "manifest.json", "observations.sqlite"
PSR_CSV, FPIR_CSV, VERIFICATION_CSV = "psr.csv", "fpir.csv", "verification.csv"
CLOAKS, LOGS = "cloaks", "logs"  # folders
GALLERIES = "gallery-"  # begins the names of folders that photos are enrolled from while a run lasts
REPORT, PAGE, FIGURES = "report", "report.html", "figures"  # a folder, and what lies in it

MAX_PNG_BYTES = 160_000  # of a cloak of 224 x 224 pixels
MAX_BOX_BYTES = 3_200_000  # of one of 1000 x 1000 pixels: how large the boxes of photos are is not known before
JPEG_SIGNATURE = b"\xff\xd8\xff"
ROOM_BESIDE_CLOAKS = 5_000_000  # observations, logs, tables
ABANDONED_SECONDS = 600.0  # after which nobody still writes a file: longer than any disk takes, and clocks of shares differ


class RunFolder:
    """All files of one run."""

    def __init__(self, root: Path, *, new: bool = False) -> None:
        """`new`: of a folder that nobody else has: where `root` is taken when it is made, `root-2` is, and so on."""
        self.root = root
        self._new = new

    @property
    def observations(self) -> Path:
        return self.root / OBSERVATIONS

    @property
    def begun(self) -> bool:
        """Whether it holds a run."""
        return (self.root / MANIFEST).exists()

    @property
    def name(self) -> str:
        """What the run is called where several share a store."""
        return self.root.resolve().name

    @property
    def pictures(self) -> Path:
        """The folder of all that shows a person. A run without it has all its figures still."""
        return self.root / CLOAKS

    def check(self) -> None:
        """Makes sure that it is new or holds a run; makes nothing.

        Raises:
            InputError: it holds something else.
            OrchestratorError: it cannot be listed.
        """
        if self._new:
            return
        own = MANIFEST, CLOAKS, LOGS  # another process may begin it at this moment
        begins = OBSERVATIONS, UNFINISHED, GALLERIES  # with the files that SQLite puts beside its own
        try:
            if self.begun or not self.root.is_dir():
                return
            names = sorted(path.name for path in self.root.iterdir())
        except OSError as error:
            raise OrchestratorError(f"--run: {self.root} cannot be read: {error.strerror or error}") from error
        others = [name for name in names if name not in own and not name.startswith(begins)]
        if others:
            raise InputError(f"--run: expected a new folder or one that holds a run, got {self.root} with {others[0]}")

    def create(self) -> None:
        """Makes the folder where it is not yet, readable by its owner only.

        Raises:
            InputError: it exists and holds something other than a run.
            OrchestratorError: it cannot be made or written.
        """
        self.check()
        try:
            if self._new:
                self._claim()
            for folder in (self.root, self.pictures, self.root / LOGS):
                folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            for file in (self.observations, self.log("protector"), self.log("invader")):
                file.touch(mode=0o600)
        except OSError as error:
            raise OrchestratorError(f"--run: {self.root} cannot be made: {error.strerror or error}") from error

    @property
    def syncs_names(self) -> bool:
        """Whether its file system can wait until the names of files are on the disk.

        Raises:
            OrchestratorError: it cannot be told.
        """
        try:
            return sync_folder(self.root)
        except OSError as error:
            raise OrchestratorError(f"--run: {self.root} cannot be written: {error.strerror or error}") from error

    def _claim(self) -> None:
        """Takes the first name that is free; of several that begin in the same second each makes another folder."""
        wanted = self.root
        wanted.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        for number in count(2):
            try:
                self.root.mkdir(mode=0o700)
            except FileExistsError:
                self.root = wanted.with_name(f"{wanted.name}-{number}")
            else:
                self._new = False
                return

    def check_room(self, *, cloaks: int, cloak_bytes: int = MAX_PNG_BYTES) -> None:
        """Makes sure before the work that its results will have room.

        Raises:
            InputError: the disk has not room for so many more cloaks of so many bytes each.
        """
        needed = room_needed(cloaks, cloak_bytes)
        free = shutil.disk_usage(self.root).free
        if free < needed:
            raise InputError(
                f"--run: expected {needed / 1e6:.0f} MB of free disk space for {self.root}, got {free / 1e6:.0f} MB"
                + ("; with --discard-cloaks it needs less" if cloaks else "")
            )

    def log(self, service: str) -> Path:
        """Where what a service logs goes."""
        return self.root / LOGS / f"{service}.log"

    def sweep(self) -> None:
        """Removes files that a process left unfinished; a younger one may be what another orchestrator is just writing."""
        for path in self.root.rglob(f"{UNFINISHED}*"):
            with suppress(OSError):  # it was not there any more, or has to stay
                if path.stat().st_mtime < time.time() - ABANDONED_SECONDS:
                    path.unlink()

    def check_same(self, plan: Plan) -> dict[str, Any] | None:
        """The manifest, which is the plan's, or None where there is none yet.

        Raises:
            InputError: the folder holds another run; the message names what differs.
        """
        found = self.manifest()
        if found is not None:
            plan.check_same(found, run=str(self.root))
        return found

    def bind(self, plan: Plan, *, store: str | None = None) -> None:
        """Writes the plan's manifest, or makes sure that the one found is the plan's, and has its observations there.

        Args:
            plan: What the run does.
            store: Name of the database that holds the observations; None for the file in this folder.

        Raises:
            InputError: the folder holds another run, or one that is kept elsewhere.
        """
        found = self.check_same(plan)
        if found is None:
            kept = {} if store is None else {"store": store}
            self.write_manifest(plan.manifest() | {"software": software()} | kept)
        elif found.get("store") != store:
            there, asked = (name or OBSERVATIONS for name in (found.get("store"), store))
            raise InputError(f"--store: {self.root} keeps its observations in {there}, got {asked}")

    def write_outcome(self, outcome: Mapping[str, Any]) -> None:
        """Has the manifest say what became of the run."""
        self.write_manifest((self.manifest() or {}) | {"outcome": dict(outcome)})

    def forget_outcome(self) -> None:
        """From now on the run is going on, until a session ends and says what became of it."""
        manifest = self.manifest()
        if manifest is not None and manifest.pop("outcome", None) is not None:
            self.write_manifest(manifest)

    def store_location(self, asked: str | None = None) -> Path | str:
        """Where the observations are: the database that was asked for, or that the run began with, or the folder's file."""
        return asked or (self.manifest() or {}).get("store") or self.observations

    def manifest(self) -> dict[str, Any] | None:
        """The manifest, or None where there is none yet.

        Raises:
            InputError: there is one that cannot be read.
        """
        path = self.root / MANIFEST
        try:
            found = json.loads(path.read_bytes())
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            raise InputError(f"{path}: half written or damaged: {error}") from error
        if not isinstance(found, dict):
            raise InputError(f"{path}: expected an object, got {type(found).__name__}")
        return found

    def write_manifest(self, manifest: Mapping[str, Any]) -> None:
        """Replaces the manifest, whole or not at all, whatever happens to the machine."""
        _write(self.root / MANIFEST, (json.dumps(manifest, indent=2) + "\n").encode(), durable=True)

    def write_table(self, name: str, csv: str) -> None:
        """Replaces `psr.csv` or another table, whole or not at all, whatever happens to the machine."""
        _write(self.root / name, csv.encode(), durable=True)

    def keep_cloak(self, sha256: str, encoded: bytes) -> None:
        """Keeps a cloak, a PNG or JPEG, whole or not at all."""
        if self.kept_cloak(sha256) is None:
            png, jpeg = self._cloak_files(sha256)
            # What a power cut makes of it is told by its digest, and it can be had again.
            _write(jpeg if encoded.startswith(JPEG_SIGNATURE) else png, encoded)

    def kept_cloak(self, sha256: str) -> bytes | None:
        """A cloak that was kept; None where it was not, or is not what it was."""
        for file in self._cloak_files(sha256):
            with suppress(OSError):
                encoded = file.read_bytes()
                if hashlib.sha256(encoded).hexdigest() == sha256:
                    return encoded
        return None

    def has_cloak(self, sha256: str) -> bool:
        """Whether there is a file of a cloak, sound or not."""
        return any(file.exists() for file in self._cloak_files(sha256))

    def _cloak_files(self, sha256: str) -> tuple[Path, Path]:
        """Where a cloak is kept: as PNG, or as the JPEG that another tool made."""
        stem = self.pictures / sha256[:2] / sha256
        return stem.with_suffix(".png"), stem.with_suffix(".jpg")


def room_needed(cloaks: int, cloak_bytes: int = MAX_PNG_BYTES) -> int:
    """The bytes that a run takes that keeps so many cloaks, at most."""
    return ROOM_BESIDE_CLOAKS + cloaks * cloak_bytes


def _write(path: Path, content: bytes, *, durable: bool = False) -> None:
    try:
        path.parent.mkdir(mode=0o700, exist_ok=True)
        replace_file(path, content, durable=durable)
    except OSError as error:
        raise OrchestratorError(f"{path}: cannot be written: {error.strerror or error}") from error
