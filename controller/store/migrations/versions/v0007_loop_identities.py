"""What loops turned out to be."""

import sqlalchemy as sa
from alembic import op

revision = "v0007"
down_revision = "v0006"
branch_labels = None
depends_on = None

_BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "loop_identities",
        sa.Column("loop_id", sa.String(length=200), nullable=False),
        sa.Column("at_unix_ns", _BIG, nullable=False),
        sa.Column("document", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("loop_id", name=op.f("pk_loop_identities")),
    )
