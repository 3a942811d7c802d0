"""A PostgreSQL server of the tests' own, on loopback and in a folder that goes when they end."""

import contextlib
import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from itertools import count
from pathlib import Path

import pytest

DEBIAN = Path("/usr/lib/postgresql")  # Debian's package puts only psql on the PATH
USER = "bench"


class Cluster:
    """A server that can be stopped and started. What it stores does not outlive a power cut: it waits for no disk."""

    def __init__(self, folder: Path, *, programs: Path, user: str | None) -> None:
        """Makes a cluster in an empty folder.

        Args:
            folder: of `user`, or readable by it.
            programs: where `initdb` and `pg_ctl` are.
            user: of the machine, whom the server runs as; None for this one.
        """
        self._programs = programs
        self._user = user
        self._folder = folder
        self._numbers = count(1)
        self._port = _free_port()
        self._run("initdb", "--pgdata", str(folder / "data"), "--username", USER, "--auth", "trust", "--no-sync")

    def start(self) -> None:
        """Returns when it answers."""
        settings = (
            f"-c listen_addresses=127.0.0.1 -c port={self._port} -c fsync=off -c unix_socket_directories={self._folder}"
        )
        self._pg_ctl("start", "--options", settings, "--log", str(self._folder / "log"), "--wait")

    def stop(self, *, mode: str = "immediate") -> None:
        """`immediate` is as if it were killed; `fast` ends all connections in order."""
        self._pg_ctl("stop", "--mode", mode, "--wait")

    def restart(self, *, mode: str = "immediate") -> None:
        """Returns when it answers again."""
        self.stop(mode=mode)
        self.start()

    def new_database(self) -> str:
        """The URL of a database that was not there before."""
        import psycopg

        name = f"database_{next(self._numbers)}"
        with psycopg.connect(self.address("postgres"), autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}")
        return self.url(name)

    def url(self, database: str) -> str:
        """As `--store` takes it."""
        return f"postgresql+psycopg://{USER}@127.0.0.1:{self._port}/{database}"

    def address(self, database: str) -> str:
        """As psycopg takes it."""
        return f"postgresql://{USER}@127.0.0.1:{self._port}/{database}"

    def _pg_ctl(self, command: str, *arguments: str) -> None:
        self._run("pg_ctl", command, "--pgdata", str(self._folder / "data"), *arguments)

    def _run(self, program: str, *arguments: str) -> None:
        command: Sequence[str] = [str(self._programs / program), *arguments]
        # To a file: the server that pg_ctl starts would keep a pipe open.
        with (self._folder / "programs.log").open("ab") as log:
            status = subprocess.run(command, user=self._user, cwd="/", stdout=log, stderr=log, check=False).returncode
        if status != 0:
            raise RuntimeError(f"{program} {arguments[0]} failed: {(self._folder / 'programs.log').read_text()[-2000:]}")


@contextlib.contextmanager
def running_cluster() -> Iterator[Cluster]:
    """One that runs while the context lasts; the test is skipped where PostgreSQL is not installed."""
    programs = _programs()
    if programs is None:
        pytest.skip("PostgreSQL is not installed: NO STORE ON POSTGRESQL WAS TESTED (Debian: apt-get install postgresql)")
    user = _user()
    folder = Path(tempfile.mkdtemp(prefix="postgres-", dir="/tmp"))  # the way there is open to the user
    try:
        if user is not None:
            shutil.chown(folder, user)
        cluster = Cluster(folder, programs=programs, user=user)
        cluster.start()
        try:
            yield cluster
        finally:
            cluster.stop()
    finally:
        shutil.rmtree(folder)


def _programs() -> Path | None:
    found = shutil.which("initdb")
    if found is not None:
        return Path(found).resolve().parent
    versions = sorted(DEBIAN.glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    return versions[-1].parent if versions else None


def _user() -> str | None:
    """The server refuses to run as root."""
    if os.geteuid() != 0:
        return None
    names = {entry.pw_name for entry in pwd.getpwall()}
    return "postgres" if "postgres" in names else "nobody"


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
