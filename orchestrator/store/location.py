"""Where a store is: a SQLite file, or a database behind a URL."""

import os
from importlib import import_module
from pathlib import Path

from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError

from orchestrator.errors import InputError

EXPECTED = "--store: expected sqlite:///FILE or postgresql+psycopg://USER:PASSWORD@HOST:PORT/DATABASE"


def store_url(location: Path | str) -> URL:
    """The URL of a SQLite file (a path), or one that is given in words; that of a file is made absolute.

    Raises:
        InputError: it is no URL of a database that can be a store, or what it needs is not installed.
    """
    if isinstance(location, Path):
        return _of_file(location)
    try:
        url = make_url(location)
    except (ArgumentError, ValueError):
        # No cause: its message may hold the password.
        raise InputError(f"{EXPECTED}, got {_scheme(location)} that cannot be read as a URL") from None
    if url.drivername in ("sqlite", "sqlite+pysqlite"):
        if url.database in (None, "", ":memory:"):
            raise InputError(f"{EXPECTED}, got a SQLite URL without a file: what is in memory dies with the program")
        return _of_file(url.database)
    if url.drivername in ("postgresql", "postgresql+psycopg"):
        if not url.database:
            raise InputError(f"{EXPECTED}, got {_scheme(location)} without a database")
        _check_psycopg()
        return url.set(drivername="postgresql+psycopg")
    raise InputError(f"{EXPECTED}, got {_scheme(location)}")


def store_name(location: Path | str) -> str:
    """What a store is called: a path as it is; a URL without its password, and absolute, so that it can be opened again.

    Raises:
        InputError: see `store_url`.
    """
    url = store_url(location)
    if isinstance(location, Path):
        return str(location)
    query = {name: value for name, value in url.query.items() if "password" not in name}
    return URL.create(url.drivername, url.username, None, url.host, url.port, url.database, query).render_as_string()


def _of_file(path: Path | str) -> URL:
    return URL.create("sqlite", database=os.path.abspath(path))  # noqa: PTH100 - a link stays the name it is


def _scheme(location: str) -> str:
    scheme, separator, _ = location.partition("://")
    return f"one of {scheme}://" if separator else "something without ://"


def _check_psycopg() -> None:
    try:
        import_module("psycopg")
    except ImportError as error:
        raise InputError(
            "--store: a PostgreSQL store needs psycopg, which is not installed: pip install 'face-deid-bench[postgresql]'"
        ) from error
