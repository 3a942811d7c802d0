"""Observations and what belongs to them: what stores held before their schema had versions.

Such a store has some or all of these tables, and no version.
"""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

_CLOAK_KEY = ("run", "probe", "source_model", "method", "epsilon")
_Text = sa.String().with_variant(sa.String(collation="C"), "postgresql")


def upgrade() -> None:
    """Makes those of the tables that are missing."""
    _create("subjects", "run", "identity", _optional("photo"), _optional("photo_sha256"), _required("status"))
    _create(
        "cloaks",
        *_CLOAK_KEY,
        sa.Column("n_iter", sa.Integer, nullable=False),
        sa.Column("largest_change", sa.Integer, nullable=False),
        sa.Column("zero_gradient_share", sa.Float, nullable=False),
        _required("probe_sha256"),
        _required("cloak_sha256"),
    )
    _create(
        "observations",
        *_CLOAK_KEY,
        "target_model",
        _required("outcome"),
        sa.Column("rank", sa.Integer),
        sa.Column("candidates", sa.Integer, nullable=False),
        _required("cloak_sha256"),
    )
    _create("answers", *_CLOAK_KEY, "target_model", _required("identity"))
    _create("probes", "run", "probe", "source_model", _required("probe_sha256"), _required("file_sha256"))
    _create("quality", *_CLOAK_KEY, sa.Column("ssim", sa.Float, nullable=False), sa.Column("psnr", sa.Float))
    _create(
        "failures",
        sa.Column("number", sa.Integer, primary_key=True),
        _required("run"),
        _required("probe"),
        _required("what"),
        _required("message"),
    )


def _create(name: str, *columns: "str | sa.Column[object]") -> None:
    """A table; a bare name is that of a part of its key."""
    made = [_key(column) if isinstance(column, str) else column for column in columns]
    op.create_table(name, *made, if_not_exists=True)


def _key(name: str) -> "sa.Column[object]":
    return sa.Column(name, sa.Integer if name == "epsilon" else _Text, primary_key=True)


def _required(name: str) -> "sa.Column[object]":
    return sa.Column(name, _Text, nullable=False)


def _optional(name: str) -> "sa.Column[object]":
    return sa.Column(name, _Text)
