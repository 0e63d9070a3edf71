"""Which hardware is enrolled for which sled."""

import sqlalchemy as sa
from alembic import op

revision = "v0004"
down_revision = "v0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "enrolments",
        sa.Column("sled_id", sa.String(length=200), nullable=False),
        sa.Column("state", sa.String(length=20), nullable=False),
        sa.Column("document", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("sled_id", name=op.f("pk_enrolments")),
    )
    op.create_index("ix_enrolments_state", "enrolments", ["state"])
    op.create_table(
        "sled_serials",
        sa.Column("serial", sa.String(length=200), nullable=False),
        sa.Column("sled_id", sa.String(length=200), nullable=False),
        sa.PrimaryKeyConstraint("serial", name=op.f("pk_sled_serials")),
    )
    op.create_index("ix_sled_serials_sled_id", "sled_serials", ["sled_id"])
