"""Every table. Times are nanoseconds since 1970-01-01 UTC; `document` columns hold a whole domain
object in msgpack, the columns beside it are those that are searched or written by others.
"""

from typing import Final

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
)

METADATA: Final = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "ix": "ix_%(table_name)s_%(column_0_name)s",
        "uq": "uq_%(table_name)s_%(column_0_name)s",
    }
)

_BIG: Final = BigInteger().with_variant(Integer(), "sqlite")  # SQLite counts up INTEGER keys only
_ID: Final = String(200)

JOBS: Final = Table(
    "jobs",
    METADATA,
    Column("id", _ID, primary_key=True),
    Column("state", String(20), nullable=False, index=True),
    Column("submitted_at_unix_ns", _BIG, nullable=False, index=True),
    # The API's word; the controller reads it and never writes it back.
    Column("cancel_requested", Boolean(), nullable=False, default=False),
    Column("document", LargeBinary(), nullable=False),
)

CORDONS: Final = Table(
    "cordons",
    METADATA,
    Column("sled_id", _ID, primary_key=True),
    Column("reason", Text(), nullable=False),
    Column("since_unix_ns", _BIG, nullable=False),
    Column("incident_id", _ID, nullable=True),
)

INCIDENTS: Final = Table(
    "incidents",
    METADATA,
    Column("id", _ID, primary_key=True),
    Column("state", String(20), nullable=False, index=True),
    Column("opened_at_unix_ns", _BIG, nullable=False, index=True),
    Column("resolved_at_unix_ns", _BIG, nullable=True),
    # A person's acknowledgement waits here until the controller has taken it.
    Column("ack_actor", _ID, nullable=True),
    Column("ack_comment", Text(), nullable=True),
    Column("document", LargeBinary(), nullable=False),
)

INCIDENT_EVENTS: Final = Table(
    "incident_events",
    METADATA,
    Column("id", _BIG, primary_key=True, autoincrement=True),
    Column("incident_id", _ID, ForeignKey("incidents.id", ondelete="CASCADE"), nullable=False),
    Column("at_unix_ns", _BIG, nullable=False),
    Column("kind", String(40), nullable=False),
    Column("actor", _ID, nullable=False),
    Column("text", Text(), nullable=False),
    Column("cause", Text(), nullable=False),
    Index("ix_incident_events_incident_id", "incident_id", "id"),
)

WEBHOOKS: Final = Table(
    "webhooks",
    METADATA,
    Column("id", _ID, primary_key=True),
    Column("name", _ID, nullable=False),
    Column("url", Text(), nullable=False),
    Column("secret", Text(), nullable=False),
    Column("enabled", Boolean(), nullable=False),
    Column("disabled_reason", Text(), nullable=False),
    Column("created_at_unix_ns", _BIG, nullable=False),
)

DELIVERIES: Final = Table(
    "deliveries",
    METADATA,
    Column("id", _ID, primary_key=True),
    Column("webhook_id", _ID, ForeignKey("webhooks.id", ondelete="CASCADE"), nullable=False),
    Column("incident_id", _ID, nullable=True),
    Column("subject_key", Text(), nullable=False),
    Column("kind", String(20), nullable=False),
    Column("urgent", Boolean(), nullable=False),
    Column("body", LargeBinary(), nullable=False),
    Column("created_at_unix_ns", _BIG, nullable=False),
    Column("state", String(20), nullable=False),
    Column("attempts", Integer(), nullable=False),
    Column("next_attempt_at_unix_ns", _BIG, nullable=False),
    Column("finished_at_unix_ns", _BIG, nullable=True),
    Column("last_status", Integer(), nullable=True),
    Column("last_error", Text(), nullable=False),
    # One event is told to one receiver once, however often a controller starts again.
    UniqueConstraint("webhook_id", "subject_key"),
    Index("ix_deliveries_state", "state", "next_attempt_at_unix_ns"),
)

IDEMPOTENCY_KEYS: Final = Table(
    "idempotency_keys",
    METADATA,
    Column("key", _ID, primary_key=True),
    Column("request", String(64), nullable=False),
    Column("created_at_unix_ns", _BIG, nullable=False, index=True),
    Column("status", Integer(), nullable=True),
    Column("response", LargeBinary(), nullable=True),
)

LEASES: Final = Table(
    "leases",
    METADATA,
    Column("name", _ID, primary_key=True),
    Column("holder", _ID, nullable=False),
    Column("term", _BIG, nullable=False),
    Column("expires_at_unix_ns", _BIG, nullable=False),
)

INGEST_OFFSETS: Final = Table(
    "ingest_offsets",
    METADATA,
    Column("topic", _ID, primary_key=True),
    Column("partition", Integer(), primary_key=True, autoincrement=False),
    Column("next_offset", _BIG, nullable=False),
)

INGEST_MARKS: Final = Table(
    "ingest_marks",
    METADATA,
    Column("agent", _ID, primary_key=True),
    Column("epoch", _BIG, primary_key=True, autoincrement=False),
    Column("last_seq", _BIG, nullable=False),
    Column("missing", JSON(), nullable=False),
)

# One metric of a group over one window, as controller.history.block packs it.
HISTORY_BLOCKS: Final = Table(
    "history_blocks",
    METADATA,
    Column("id", _BIG, primary_key=True, autoincrement=True),
    Column("group_id", _ID, nullable=False),
    Column("metric", String(60), nullable=False),
    Column("start_unix_ns", _BIG, nullable=False),
    Column("last_unix_ns", _BIG, nullable=False),
    Column("body", LargeBinary(), nullable=False),
    Index("ix_history_blocks_group_id", "group_id", "metric", "start_unix_ns"),
    Index("ix_history_blocks_start_unix_ns", "start_unix_ns", "metric"),
)

# Statistics of one metric of a group over one span of a level; each body is a block of its own.
HISTORY_ROLLUPS: Final = Table(
    "history_rollups",
    METADATA,
    Column("step_s", Integer(), primary_key=True, autoincrement=False),
    Column("group_id", _ID, primary_key=True),
    Column("metric", String(60), primary_key=True),
    Column("start_unix_ns", _BIG, primary_key=True, autoincrement=False),
    Column("min_body", LargeBinary(), nullable=False),
    Column("max_body", LargeBinary(), nullable=False),
    Column("mean_body", LargeBinary(), nullable=False),
    Column("last_body", LargeBinary(), nullable=False),
    Column("count_body", LargeBinary(), nullable=False),
    Column("nan_count_body", LargeBinary(), nullable=False),
    Index("ix_history_rollups_step_s", "step_s", "start_unix_ns", "metric"),
)

# Spans that have got new data since they were last rolled up. Each change raises `version`, so that
# what came while the span was being rolled up is not forgotten.
HISTORY_DIRTY: Final = Table(
    "history_dirty",
    METADATA,
    Column("step_s", Integer(), primary_key=True, autoincrement=False),
    Column("group_id", _ID, primary_key=True),
    Column("start_unix_ns", _BIG, primary_key=True, autoincrement=False),
    Column("version", _BIG, nullable=False),
)

# One row: from when on all ticks are kept.
HISTORY_KEPT: Final = Table(
    "history_kept",
    METADATA,
    Column("id", Integer(), primary_key=True, autoincrement=False),
    Column("since_unix_ns", _BIG, nullable=False),
)

# Every hole in an agent's sequence numbers, and every loss that an agent has declared.
INGEST_GAPS: Final = Table(
    "ingest_gaps",
    METADATA,
    Column("id", _BIG, primary_key=True, autoincrement=True),
    Column("agent", _ID, nullable=False),
    Column("epoch", _BIG, nullable=False),
    Column("first_seq", _BIG, nullable=False),
    Column("last_seq", _BIG, nullable=False),
    Column("state", String(20), nullable=False),
    Column("reason", String(100), nullable=False),
    Column("noted_at_unix_ns", _BIG, nullable=False),
    Index("ix_ingest_gaps_agent", "agent", "epoch", "first_seq"),
)

# The newest start of each agent, and what a power cut may take from its spool.
AGENT_STARTS: Final = Table(
    "agent_starts",
    METADATA,
    Column("agent", _ID, primary_key=True),
    Column("epoch", _BIG, nullable=False),
    Column("loss_window_s", Float(), nullable=False),
    Column("at_unix_ns", _BIG, nullable=False),
)

LOOP_TRIPS: Final = Table(
    "loop_trips",
    METADATA,
    Column("loop_id", _ID, primary_key=True),
    Column("reason", String(100), primary_key=True),
    Column("since_unix_ns", _BIG, nullable=False),
    Column("level", Integer(), nullable=False),
    Column("cause", Text(), nullable=False),
)

INTERLOCK_RESETS: Final = Table(
    "interlock_resets",
    METADATA,
    Column("id", _BIG, primary_key=True, autoincrement=True),
    Column("loop_id", _ID, nullable=False),
    Column("actor", _ID, nullable=False),
    Column("reason", Text(), nullable=False),
    Column("requested_at_unix_ns", _BIG, nullable=False),
    Column("taken_at_unix_ns", _BIG, nullable=True, index=True),
)

# A person's override of a loop; one at a time, and it ends by itself.
LOOP_ORDERS: Final = Table(
    "loop_orders",
    METADATA,
    Column("loop_id", _ID, primary_key=True),
    Column("until_unix_ns", _BIG, nullable=False),
    Column("document", LargeBinary(), nullable=False),
)

# What each loop turned out to be, as its controller last kept it.
LOOP_IDENTITIES: Final = Table(
    "loop_identities",
    METADATA,
    Column("loop_id", _ID, primary_key=True),
    Column("at_unix_ns", _BIG, nullable=False),
    Column("document", LargeBinary(), nullable=False),
)

GUARD_RESETS: Final = Table(
    "guard_resets",
    METADATA,
    Column("id", _BIG, primary_key=True, autoincrement=True),
    Column("sled_id", _ID, nullable=False),
    Column("actor", _ID, nullable=False),
    Column("reason", Text(), nullable=False),
    Column("requested_at_unix_ns", _BIG, nullable=False),
    Column("taken_at_unix_ns", _BIG, nullable=True, index=True),
)

ENROLMENTS: Final = Table(
    "enrolments",
    METADATA,
    Column("sled_id", _ID, primary_key=True),
    Column("state", String(20), nullable=False, index=True),
    Column("document", LargeBinary(), nullable=False),
)

# Each serial is enrolled for one sled at most.
SLED_SERIALS: Final = Table(
    "sled_serials",
    METADATA,
    Column("serial", _ID, primary_key=True),
    Column("sled_id", _ID, nullable=False, index=True),
)

AUDIT: Final = Table(
    "audit",
    METADATA,
    Column("id", _BIG, primary_key=True, autoincrement=True),
    Column("at_unix_ns", _BIG, nullable=False, index=True),
    Column("actor", _ID, nullable=False),
    Column("action", String(60), nullable=False),
    Column("subject", _ID, nullable=False),
    Column("reason", Text(), nullable=False),
    Column("cause", Text(), nullable=False),
)
