"""Statistics of history over steps, and the ledger of gaps."""

import sqlalchemy as sa
from alembic import op

revision = "v0003"
down_revision = "v0002"
branch_labels = None
depends_on = None

_BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_BODIES = ("min_body", "max_body", "mean_body", "last_body", "count_body", "nan_count_body")


def upgrade() -> None:
    op.create_table(
        "history_rollups",
        sa.Column("step_s", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("group_id", sa.String(length=200), nullable=False),
        sa.Column("metric", sa.String(length=60), nullable=False),
        sa.Column("start_unix_ns", _BIG, autoincrement=False, nullable=False),
        *(sa.Column(body, sa.LargeBinary(), nullable=False) for body in _BODIES),
        sa.PrimaryKeyConstraint(
            "step_s", "group_id", "metric", "start_unix_ns", name=op.f("pk_history_rollups")
        ),
    )
    op.create_index(
        "ix_history_rollups_step_s", "history_rollups", ["step_s", "start_unix_ns", "metric"]
    )
    op.create_table(
        "history_dirty",
        sa.Column("step_s", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("group_id", sa.String(length=200), nullable=False),
        sa.Column("start_unix_ns", _BIG, autoincrement=False, nullable=False),
        sa.Column("version", _BIG, nullable=False),
        sa.PrimaryKeyConstraint(
            "step_s", "group_id", "start_unix_ns", name=op.f("pk_history_dirty")
        ),
    )
    op.create_table(
        "history_kept",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("since_unix_ns", _BIG, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_history_kept")),
    )
    op.create_table(
        "ingest_gaps",
        sa.Column("id", _BIG, autoincrement=True, nullable=False),
        sa.Column("agent", sa.String(length=200), nullable=False),
        sa.Column("epoch", _BIG, nullable=False),
        sa.Column("first_seq", _BIG, nullable=False),
        sa.Column("last_seq", _BIG, nullable=False),
        sa.Column("state", sa.String(length=20), nullable=False),
        sa.Column("reason", sa.String(length=100), nullable=False),
        sa.Column("noted_at_unix_ns", _BIG, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_ingest_gaps")),
    )
    op.create_index("ix_ingest_gaps_agent", "ingest_gaps", ["agent", "epoch", "first_seq"])

    if op.get_context().dialect.name == "postgresql":
        # The bodies are compressed already.
        for body in _BODIES:
            op.execute(f"ALTER TABLE history_rollups ALTER COLUMN {body} SET STORAGE EXTERNAL")
