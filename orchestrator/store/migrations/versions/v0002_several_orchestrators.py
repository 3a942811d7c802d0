"""Runs by name, and the draw with its leases, so that several orchestrators can work on one run."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

_Text = sa.String().with_variant(sa.String(collation="C"), "postgresql")


def upgrade() -> None:
    """Makes both tables; failures learn which call recorded them."""
    op.create_table(
        "runs",
        sa.Column("run", _Text, primary_key=True),
        sa.Column("name", _Text, nullable=False),
        sa.Column("manifest", _Text, nullable=False),
        sa.Column("begun_at", _Text, nullable=False),
        sa.UniqueConstraint("name"),
    )
    op.create_table(
        "draw",
        sa.Column("run", _Text, primary_key=True),
        sa.Column("place", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("identity", _Text, nullable=False),
        sa.Column("due", sa.Boolean, nullable=False),
        sa.Column("holder", _Text),
        sa.Column("expires", sa.Float),
        sa.Column("claim", _Text),
        sa.UniqueConstraint("run", "identity"),
    )
    op.add_column("failures", sa.Column("call", _Text))
    op.create_index("failures_call", "failures", ["call"], unique=True)
