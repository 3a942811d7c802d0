"""The tables as this version knows them. `migrations/` makes them; a test holds both together."""

from typing import Any

from sqlalchemy import Boolean, Column, Float, Index, Integer, MetaData, String, Table, UniqueConstraint

# By hand, so that opening a store that is up to date need not import Alembic.
VERSIONS = ("0001", "0002")
VERSION = VERSIONS[-1]
VERSION_TABLE = "store_version"

# PostgreSQL would sort by the rules of the language that the database was made for, SQLite sorts by bytes.
Text = String().with_variant(String(collation="C"), "postgresql")

CLOAK_KEY = ("run", "probe", "source_model", "method", "epsilon")

schema = MetaData()


def _keys(*names: str) -> list[Column[Any]]:
    return [Column(name, Integer if name == "epsilon" else Text, primary_key=True) for name in names]


runs = Table(
    "runs",
    schema,
    *_keys("run"),  # the digest of its plan
    Column("name", Text, nullable=False),
    Column("manifest", Text, nullable=False),  # JSON
    Column("begun_at", Text, nullable=False),  # ISO 8601, UTC
    UniqueConstraint("name"),
)
draw = Table(  # the identities in the order in which they are drawn, and who works on which
    "draw",
    schema,
    *_keys("run"),
    Column("place", Integer, primary_key=True, autoincrement=False),
    Column("identity", Text, nullable=False),
    Column("due", Boolean, nullable=False),  # whether there is something left to ask
    Column("holder", Text),  # null where nobody works on it
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
    Column("largest_change", Integer, nullable=False),  # levels, before storage
    Column("zero_gradient_share", Float, nullable=False),  # 0..1
    Column("probe_sha256", Text, nullable=False),
    Column("cloak_sha256", Text, nullable=False),
)
observations = Table(
    "observations",
    schema,
    *_keys(*CLOAK_KEY, "target_model"),
    Column("outcome", Text, nullable=False),
    Column("rank", Integer),  # 1-based; null unless ranked
    Column("candidates", Integer, nullable=False),  # asked for
    Column("cloak_sha256", Text, nullable=False),
)
answers = Table(  # whom a target model took a cloak for; none where no face was found
    "answers",
    schema,
    *_keys(*CLOAK_KEY, "target_model"),
    Column("identity", Text, nullable=False),
)
probes = Table(  # whose lossless controls were kept
    "probes",
    schema,
    *_keys("run", "probe", "source_model"),
    Column("probe_sha256", Text, nullable=False),  # of the pixels
    Column("file_sha256", Text, nullable=False),  # of the PNG
)
quality = Table(  # of stored cloaks against lossless controls
    "quality",
    schema,
    *_keys(*CLOAK_KEY),
    Column("ssim", Float, nullable=False),  # -1..1
    Column("psnr", Float),  # dB; null where it is infinite: not one pixel differs
)
failures = Table(
    "failures",
    schema,
    Column("number", Integer, primary_key=True),
    Column("run", Text, nullable=False),
    Column("probe", Text, nullable=False),
    Column("what", Text, nullable=False),
    Column("message", Text, nullable=False),
    Column("call", Text),  # that recorded it: one that has to be repeated records it once
    Index("failures_call", "call", unique=True),
)
