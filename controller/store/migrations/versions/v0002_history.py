"""Telemetry history."""

import sqlalchemy as sa
from alembic import op

revision = "v0002"
down_revision = "v0001"
branch_labels = None
depends_on = None

_BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "history_blocks",
        sa.Column("id", _BIG, autoincrement=True, nullable=False),
        sa.Column("group_id", sa.String(length=200), nullable=False),
        sa.Column("metric", sa.String(length=60), nullable=False),
        sa.Column("start_unix_ns", _BIG, nullable=False),
        sa.Column("last_unix_ns", _BIG, nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_history_blocks")),
    )
    op.create_index(
        "ix_history_blocks_group_id", "history_blocks", ["group_id", "metric", "start_unix_ns"]
    )
    op.create_index(
        "ix_history_blocks_start_unix_ns", "history_blocks", ["start_unix_ns", "metric"]
    )

    if op.get_context().dialect.name == "postgresql":
        # The bodies are compressed already.
        op.execute("ALTER TABLE history_blocks ALTER COLUMN body SET STORAGE EXTERNAL")
