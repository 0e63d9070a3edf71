"""The tables of the first release."""

import sqlalchemy as sa
from alembic import op

revision = "v0001"
down_revision = None
branch_labels = None
depends_on = None

_BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "audit",
        sa.Column("id", _BIG, autoincrement=True, nullable=False),
        sa.Column("at_unix_ns", _BIG, nullable=False),
        sa.Column("actor", sa.String(length=200), nullable=False),
        sa.Column("action", sa.String(length=60), nullable=False),
        sa.Column("subject", sa.String(length=200), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("cause", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_audit")),
    )
    op.create_index(op.f("ix_audit_at_unix_ns"), "audit", ["at_unix_ns"], unique=False)
    op.create_table(
        "cordons",
        sa.Column("sled_id", sa.String(length=200), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("since_unix_ns", _BIG, nullable=False),
        sa.Column("incident_id", sa.String(length=200), nullable=True),
        sa.PrimaryKeyConstraint("sled_id", name=op.f("pk_cordons")),
    )
    op.create_table(
        "guard_resets",
        sa.Column("id", _BIG, autoincrement=True, nullable=False),
        sa.Column("sled_id", sa.String(length=200), nullable=False),
        sa.Column("actor", sa.String(length=200), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("requested_at_unix_ns", _BIG, nullable=False),
        sa.Column("taken_at_unix_ns", _BIG, nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_guard_resets")),
    )
    op.create_index(
        op.f("ix_guard_resets_taken_at_unix_ns"),
        "guard_resets",
        ["taken_at_unix_ns"],
        unique=False,
    )
    op.create_table(
        "idempotency_keys",
        sa.Column("key", sa.String(length=200), nullable=False),
        sa.Column("request", sa.String(length=64), nullable=False),
        sa.Column("created_at_unix_ns", _BIG, nullable=False),
        sa.Column("status", sa.Integer(), nullable=True),
        sa.Column("response", sa.LargeBinary(), nullable=True),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_idempotency_keys")),
    )
    op.create_index(
        op.f("ix_idempotency_keys_created_at_unix_ns"),
        "idempotency_keys",
        ["created_at_unix_ns"],
        unique=False,
    )
    op.create_table(
        "incidents",
        sa.Column("id", sa.String(length=200), nullable=False),
        sa.Column("state", sa.String(length=20), nullable=False),
        sa.Column("opened_at_unix_ns", _BIG, nullable=False),
        sa.Column("resolved_at_unix_ns", _BIG, nullable=True),
        sa.Column("ack_actor", sa.String(length=200), nullable=True),
        sa.Column("ack_comment", sa.Text(), nullable=True),
        sa.Column("document", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_incidents")),
    )
    op.create_index(
        op.f("ix_incidents_opened_at_unix_ns"), "incidents", ["opened_at_unix_ns"], unique=False
    )
    op.create_index(op.f("ix_incidents_state"), "incidents", ["state"], unique=False)
    op.create_table(
        "ingest_marks",
        sa.Column("agent", sa.String(length=200), nullable=False),
        sa.Column("epoch", _BIG, autoincrement=False, nullable=False),
        sa.Column("last_seq", _BIG, nullable=False),
        sa.Column("missing", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("agent", "epoch", name=op.f("pk_ingest_marks")),
    )
    op.create_table(
        "ingest_offsets",
        sa.Column("topic", sa.String(length=200), nullable=False),
        sa.Column("partition", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("next_offset", _BIG, nullable=False),
        sa.PrimaryKeyConstraint("topic", "partition", name=op.f("pk_ingest_offsets")),
    )
    op.create_table(
        "interlock_resets",
        sa.Column("id", _BIG, autoincrement=True, nullable=False),
        sa.Column("loop_id", sa.String(length=200), nullable=False),
        sa.Column("actor", sa.String(length=200), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("requested_at_unix_ns", _BIG, nullable=False),
        sa.Column("taken_at_unix_ns", _BIG, nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_interlock_resets")),
    )
    op.create_index(
        op.f("ix_interlock_resets_taken_at_unix_ns"),
        "interlock_resets",
        ["taken_at_unix_ns"],
        unique=False,
    )
    op.create_table(
        "jobs",
        sa.Column("id", sa.String(length=200), nullable=False),
        sa.Column("state", sa.String(length=20), nullable=False),
        sa.Column("submitted_at_unix_ns", _BIG, nullable=False),
        sa.Column("cancel_requested", sa.Boolean(), nullable=False),
        sa.Column("document", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_jobs")),
    )
    op.create_index(op.f("ix_jobs_state"), "jobs", ["state"], unique=False)
    op.create_index(
        op.f("ix_jobs_submitted_at_unix_ns"), "jobs", ["submitted_at_unix_ns"], unique=False
    )
    op.create_table(
        "leases",
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("holder", sa.String(length=200), nullable=False),
        sa.Column("term", _BIG, nullable=False),
        sa.Column("expires_at_unix_ns", _BIG, nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_leases")),
    )
    op.create_table(
        "loop_trips",
        sa.Column("loop_id", sa.String(length=200), nullable=False),
        sa.Column("reason", sa.String(length=100), nullable=False),
        sa.Column("since_unix_ns", _BIG, nullable=False),
        sa.Column("level", sa.Integer(), nullable=False),
        sa.Column("cause", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("loop_id", "reason", name=op.f("pk_loop_trips")),
    )
    op.create_table(
        "webhooks",
        sa.Column("id", sa.String(length=200), nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("url", sa.Text(), nullable=False),
        sa.Column("secret", sa.Text(), nullable=False),
        sa.Column("enabled", sa.Boolean(), nullable=False),
        sa.Column("disabled_reason", sa.Text(), nullable=False),
        sa.Column("created_at_unix_ns", _BIG, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_webhooks")),
    )
    op.create_table(
        "deliveries",
        sa.Column("id", sa.String(length=200), nullable=False),
        sa.Column("webhook_id", sa.String(length=200), nullable=False),
        sa.Column("incident_id", sa.String(length=200), nullable=True),
        sa.Column("subject_key", sa.Text(), nullable=False),
        sa.Column("kind", sa.String(length=20), nullable=False),
        sa.Column("urgent", sa.Boolean(), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.Column("created_at_unix_ns", _BIG, nullable=False),
        sa.Column("state", sa.String(length=20), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("next_attempt_at_unix_ns", _BIG, nullable=False),
        sa.Column("finished_at_unix_ns", _BIG, nullable=True),
        sa.Column("last_status", sa.Integer(), nullable=True),
        sa.Column("last_error", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["webhook_id"],
            ["webhooks.id"],
            name=op.f("fk_deliveries_webhook_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_deliveries")),
        sa.UniqueConstraint("webhook_id", "subject_key", name=op.f("uq_deliveries_webhook_id")),
    )
    op.create_index(
        "ix_deliveries_state", "deliveries", ["state", "next_attempt_at_unix_ns"], unique=False
    )
    op.create_table(
        "incident_events",
        sa.Column("id", _BIG, autoincrement=True, nullable=False),
        sa.Column("incident_id", sa.String(length=200), nullable=False),
        sa.Column("at_unix_ns", _BIG, nullable=False),
        sa.Column("kind", sa.String(length=40), nullable=False),
        sa.Column("actor", sa.String(length=200), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("cause", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["incident_id"],
            ["incidents.id"],
            name=op.f("fk_incident_events_incident_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_incident_events")),
    )
    op.create_index(
        "ix_incident_events_incident_id", "incident_events", ["incident_id", "id"], unique=False
    )
