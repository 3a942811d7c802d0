"""Brings the tables of a store up to date, or refuses those of a newer version."""

from pathlib import Path

from sqlalchemy import Connection, column, inspect, select, table, text

from orchestrator.store.database import Database
from orchestrator.store.errors import NoStoreError, StoreError
from orchestrator.store.schema import VERSION, VERSION_TABLE, VERSIONS, observations, subjects

_LOCK = 0x64656964  # PostgreSQL's advisory locks are numbers; "deid"


def bring_up_to_date(database: Database, *, make: bool = True) -> None:
    """Makes what tables are missing, and changes what older versions made.

    Args:
        database: of the store.
        make: whether a store is made where there is none.

    Raises:
        NoStoreError: there is none, and none is to be made.
        StoreError: the store is of a newer version, cannot be reached, or cannot be written and is not up to date.
    """
    if not make and not (database.is_there and database.read(_holds_a_store, patience=0)):
        raise NoStoreError(f"{database.name}: expected the store of a run, got a database that holds none")
    found = database.read(_version, patience=0)  # nobody waits a minute to learn of a wrong address
    _check_known(found, database)
    if found == VERSION:
        return
    if database.read_only:
        raise StoreError(
            f"{database.name}: its schema is of version {found or 'none'}, this program's {VERSION}, and it cannot be "
            f"brought up to date where it may not be written; copy its folder to where it may"
        )
    database.write(lambda connection: _upgrade(connection, database))


def _holds_a_store(connection: Connection) -> bool:
    """Of whatever version, or made before there were any."""
    found = inspect(connection)
    return found.has_table(VERSION_TABLE) or (found.has_table(subjects.name) and found.has_table(observations.name))


def _version(connection: Connection) -> str | None:
    if not inspect(connection).has_table(VERSION_TABLE):
        return None
    return connection.execute(select(column("version_num")).select_from(table(VERSION_TABLE))).scalar()


def _check_known(version: str | None, database: Database) -> None:
    if version is not None and version not in VERSIONS:
        raise StoreError(
            f"{database.name}: its schema is of version {version}, written by a newer program; this one knows versions "
            f"up to {VERSION}. Use the newer program, or another store"
        )


def _upgrade(connection: Connection, database: Database) -> None:
    """One process at a time: on SQLite, whoever writes is alone."""
    if database.is_shared:
        connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
    _check_known(_version(connection), database)  # another process may have been faster
    from alembic import command  # here, because a store that is up to date does not need it
    from alembic.config import Config

    configuration = Config(attributes={"connection": connection})
    scripts = Path(__file__).parent / "migrations"
    configuration.set_main_option("script_location", str(scripts).replace("%", "%%"))
    command.upgrade(configuration, "head")
