from dataclasses import dataclass, field
from enum import StrEnum

from sqlalchemy import Connection, RowMapping, delete, select, update

from controller.store.tables import DELIVERIES
from controller.store.upsert import insert_absent


class DeliveryState(StrEnum):
    PENDING = "pending"  # to be sent, or sent again, at `next_attempt_at_unix_ns`
    DELIVERED = "delivered"  # the receiver answered 2xx; the end
    FAILED = "failed"  # every try of the schedule failed; the end
    CANCELLED = "cancelled"  # its webhook was disabled; the end


class DeliveryKind(StrEnum):
    FIRING = "firing"  # an incident opened, came back or became critical
    RESOLVED = "resolved"  # it is over
    TEST = "test"  # a person tries the receiver


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """One notification to one receiver; `id` is its `webhook-id`, the same on every try.

    `subject_key` names what is told: a receiver is told it once. `urgent` ones take the fast
    retry schedule.
    """

    id: str
    webhook_id: str
    incident_id: str | None
    subject_key: str
    kind: DeliveryKind
    urgent: bool
    body: bytes = field(repr=False)
    created_at_unix_ns: int
    state: DeliveryState = DeliveryState.PENDING
    attempts: int = 0
    next_attempt_at_unix_ns: int = 0
    finished_at_unix_ns: int | None = None
    last_status: int | None = None
    last_error: str = ""


class Outbox:
    """Notifications, written in the transaction of what they tell of, sent afterwards."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def add(self, delivery: Delivery) -> bool:
        """False when the receiver has this `subject_key` already; then nothing is written."""
        return insert_absent(
            self._connection,
            DELIVERIES,
            {
                "id": delivery.id,
                "webhook_id": delivery.webhook_id,
                "incident_id": delivery.incident_id,
                "subject_key": delivery.subject_key,
                "kind": delivery.kind.value,
                "urgent": delivery.urgent,
                "body": delivery.body,
                "created_at_unix_ns": delivery.created_at_unix_ns,
                **_progress(delivery),
            },
        )

    def due(self, *, now_unix_ns: int) -> bool:
        """Whether `claim` would find anything; takes no lock."""
        found = (
            select(DELIVERIES.c.id)
            .where(
                DELIVERIES.c.state == DeliveryState.PENDING.value,
                DELIVERIES.c.next_attempt_at_unix_ns <= now_unix_ns,
            )
            .limit(1)
        )
        return self._connection.execute(found).first() is not None

    def claim(self, *, now_unix_ns: int, until_unix_ns: int, limit: int) -> list[Delivery]:
        """Pending deliveries that are due, urgent and oldest first; nobody else is given them
        before `until_unix_ns`, after which a claim that came to nothing is given again.
        """
        due = (
            select(DELIVERIES)
            .where(
                DELIVERIES.c.state == DeliveryState.PENDING.value,
                DELIVERIES.c.next_attempt_at_unix_ns <= now_unix_ns,
            )
            .order_by(DELIVERIES.c.urgent.desc(), DELIVERIES.c.next_attempt_at_unix_ns)
            .limit(limit)
            .with_for_update(skip_locked=True)  # SQLite has one writer and ignores it
        )
        claimed = [_delivery(row) for row in self._connection.execute(due).mappings()]
        if claimed:
            self._connection.execute(
                update(DELIVERIES)
                .where(DELIVERIES.c.id.in_([delivery.id for delivery in claimed]))
                .values(next_attempt_at_unix_ns=until_unix_ns)
            )
        return claimed

    def save(self, delivery: Delivery) -> None:
        """Write what came of a try."""
        self._connection.execute(
            update(DELIVERIES)
            .where(
                DELIVERIES.c.id == delivery.id, DELIVERIES.c.state == DeliveryState.PENDING.value
            )
            .values(**_progress(delivery))
        )

    def cancel_for(self, webhook_id: str, *, at_unix_ns: int, reason: str) -> int:
        """End all that wait for a receiver; how many."""
        ended = (
            update(DELIVERIES)
            .where(
                DELIVERIES.c.webhook_id == webhook_id,
                DELIVERIES.c.state == DeliveryState.PENDING.value,
            )
            .values(
                state=DeliveryState.CANCELLED.value,
                finished_at_unix_ns=at_unix_ns,
                last_error=reason,
            )
        )
        return self._connection.execute(ended).rowcount

    def forget(self, *, before_unix_ns: int) -> int:
        """Drop deliveries that came to an end before; how many."""
        old = delete(DELIVERIES).where(DELIVERIES.c.finished_at_unix_ns < before_unix_ns)
        return self._connection.execute(old).rowcount

    def get(self, delivery_id: str) -> Delivery | None:
        chosen = select(DELIVERIES).where(DELIVERIES.c.id == delivery_id)
        row = self._connection.execute(chosen).mappings().first()
        return None if row is None else _delivery(row)

    def of_webhook(self, webhook_id: str, *, limit: int = 100) -> list[Delivery]:
        """Newest first."""
        chosen = select(DELIVERIES).where(DELIVERIES.c.webhook_id == webhook_id)
        ordered = chosen.order_by(DELIVERIES.c.created_at_unix_ns.desc(), DELIVERIES.c.id)
        rows = self._connection.execute(ordered.limit(limit)).mappings()
        return [_delivery(row) for row in rows]


def _progress(delivery: Delivery) -> dict[str, object]:
    return {
        "state": delivery.state.value,
        "attempts": delivery.attempts,
        "next_attempt_at_unix_ns": delivery.next_attempt_at_unix_ns,
        "finished_at_unix_ns": delivery.finished_at_unix_ns,
        "last_status": delivery.last_status,
        "last_error": delivery.last_error,
    }


def _delivery(row: RowMapping) -> Delivery:
    values = {str(name): value for name, value in row.items()}
    values |= {"state": DeliveryState(values["state"]), "kind": DeliveryKind(values["kind"])}
    return Delivery(**values)
