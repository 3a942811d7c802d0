"""The tables of a store, made where there are none, and refused where another version of them is."""

from typing import Any

from sqlalchemy import (
    Boolean,
    Column,
    Connection,
    Float,
    Integer,
    MetaData,
    String,
    Table,
    UniqueConstraint,
    insert,
    inspect,
    select,
    text,
)

from orchestrator.store.database import Database
from orchestrator.store.errors import NoStoreError, StoreError

VERSION = 6  # of all that stands below; one more with every change of it

_CREATION_LOCK = 0x64656964  # PostgreSQL's advisory locks are numbers; "deid"

# PostgreSQL would sort by the rules of the language that the database was made for, SQLite sorts by bytes.
Text = String().with_variant(String(collation="C"), "postgresql")

CLOAK_KEY = ("run", "probe", "source_model", "method", "epsilon")
OBSERVATION_KEY = (*CLOAK_KEY, "condition", "target_model")

schema = MetaData()

schema_version = Table("schema_version", schema, Column("version", Integer, nullable=False))  # one row


def _keys(*names: str) -> list[Column[Any]]:
    return [Column(name, Integer if name == "epsilon" else Text, primary_key=True) for name in names]


runs = Table(
    "runs",
    schema,
    *_keys("run"),  # the digest of its plan
    Column("name", Text, nullable=False),
    Column("manifest", Text, nullable=False),  # JSON
    UniqueConstraint("name"),
)
draw = Table(  # the identities in the order in which they are drawn, and who works on which
    "draw",
    schema,
    *_keys("run"),
    Column("position", Integer, primary_key=True, autoincrement=False),
    Column("identity", Text, nullable=False),
    Column("due", Boolean, nullable=False),  # whether there is something left to ask
    Column("owner", Text),  # of the lease; null where nobody works on it
    Column("expires", Float),  # seconds since 1970
    Column("claim", Text),  # of the call that took the lease
    UniqueConstraint("run", "identity"),
)
subjects = Table(
    "subjects",
    schema,
    *_keys("run", "identity"),
    Column("photo", Text),  # IDENTITY/FILE; empty where no photo of the identity could be read
    Column("photo_sha256", Text),
    Column("status", Text, nullable=False),
)


cloaks = Table(
    "cloaks",
    schema,
    *_keys(*CLOAK_KEY),
    Column("n_iter", Integer, nullable=False),
    Column("gradients", Integer, nullable=False),  # as if it had been crafted alone
    Column("forward_passes", Integer, nullable=False),  # beside those of the gradients
    Column("largest_change", Integer, nullable=False),  # levels, before storage
    Column("zero_gradient_share", Float, nullable=False),  # 0..1
    Column("probe_sha256", Text, nullable=False),  # of the pixels
    Column("cloak_sha256", Text, nullable=False),  # of the file, a PNG
    Column("left", Integer),  # pixels; where in the upright photo the cloak lies: null of a crop, as are the next five
    Column("top", Integer),
    Column("width", Integer),
    Column("height", Integer),
    Column("photo_width", Integer),
    Column("photo_height", Integer),
    Column("ssim", Float),  # -1..1, of the cloak as it is stored, against the control; null until it was measured
    Column("psnr", Float),  # dB; infinite where not one pixel differs
)
observations = Table(
    "observations",
    schema,
    *_keys(*OBSERVATION_KEY),
    Column("outcome", Text, nullable=False),
    Column("rank", Integer),  # 1-based; null unless ranked
    Column("candidates", Integer, nullable=False),  # asked for
    Column("answer", Text),  # whom the target model took the cloak for; null where no face was found
    Column(
        "picture_sha256", Text, nullable=False
    ),  # of what was searched: the cloak under the condition, or a photo as it is
    Column("gallery_sha256", Text),  # of the gallery that it was searched in; null: the invader's own
)
reached = Table(  # of a matcher's thresholds; none of a classifier
    "reached",
    schema,
    *_keys(*OBSERVATION_KEY, "threshold"),
    Column("candidates", Integer, nullable=False),  # that reach it, the first ones of those asked for; 0 without a face
)
non_mated = Table(  # searches of people who are not enrolled
    "non_mated",
    schema,
    *_keys("run", "photo", "condition", "target_model", "threshold"),
    Column("face_found", Boolean, nullable=False),
    Column("reached", Integer, nullable=False),  # candidates that reach the threshold: false positives
    Column("answer", Text),  # whom the target model took the person for, whatever the threshold; null without a face
    Column("picture_sha256", Text, nullable=False),  # of what was sent: the photo under the condition
)
failures = Table(
    "failures",
    schema,
    Column("number", Integer, primary_key=True),
    Column("run", Text, nullable=False),
    Column("probe", Text, nullable=False),
    Column("what", Text, nullable=False),
    Column("message", Text, nullable=False),
    Column("call", Text, nullable=False),  # that recorded it: one that has to be repeated records it once
    UniqueConstraint("call"),
)


def open_schema(database: Database, *, create: bool) -> None:
    """Makes sure that a database holds the tables of this version.

    Args:
        database: of the store.
        create: whether they are made where there are none.

    Raises:
        NoStoreError: there are none, and none are to be made.
        StoreError: they are of another version, or cannot be read or made.
    """
    found = database.read(_found_version) if create or database.exists else None
    if found is not None:
        _check_version(found, database)
    elif create:
        database.write(lambda connection: _create(connection, database))
    else:
        raise NoStoreError(f"{database.name}: expected the store of a run, got a database that holds none")


def _found_version(connection: Connection) -> str | None:
    """None where there is no table of a store, of whatever version."""
    there = inspect(connection).get_table_names()
    if schema_version.name in there:
        return f"version {connection.scalar(select(schema_version.c.version))}"
    return "tables without a version" if schema.tables.keys() & set(there) else None


def _check_version(found: str, database: Database) -> None:
    if found != f"version {VERSION}":
        raise StoreError(
            f"{database.name}: expected a store of version {VERSION}, got {found}: go on with the release of this program "
            f"that made it, or have the run begin anew, in another --run folder or --store"
        )


def _create(connection: Connection, database: Database) -> None:
    """One process at a time; on SQLite, whoever writes is alone."""
    if database.is_shared:
        connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _CREATION_LOCK})
    found = _found_version(connection)
    if found is not None:  # another process was faster
        _check_version(found, database)
        return
    schema.create_all(connection, checkfirst=False)
    connection.execute(insert(schema_version).values(version=VERSION))
