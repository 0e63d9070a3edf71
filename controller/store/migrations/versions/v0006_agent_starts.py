"""What agents say when they begin."""

import sqlalchemy as sa
from alembic import op

revision = "v0006"
down_revision = "v0005"
branch_labels = None
depends_on = None

_BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "agent_starts",
        sa.Column("agent", sa.String(length=200), nullable=False),
        sa.Column("epoch", _BIG, nullable=False),
        sa.Column("loss_window_s", sa.Float(), nullable=False),
        sa.Column("at_unix_ns", _BIG, nullable=False),
        sa.PrimaryKeyConstraint("agent", name=op.f("pk_agent_starts")),
    )
