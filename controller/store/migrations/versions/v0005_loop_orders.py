"""People's overrides of cooling loops."""

import sqlalchemy as sa
from alembic import op

revision = "v0005"
down_revision = "v0004"
branch_labels = None
depends_on = None

_BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "loop_orders",
        sa.Column("loop_id", sa.String(length=200), nullable=False),
        sa.Column("until_unix_ns", _BIG, nullable=False),
        sa.Column("document", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("loop_id", name=op.f("pk_loop_orders")),
    )


def downgrade() -> None:
    op.drop_table("loop_orders")
