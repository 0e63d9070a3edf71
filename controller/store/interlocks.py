from collections.abc import Iterable, Sequence

from sqlalchemy import Connection, delete, insert, select, update

from controller.cooling.control import LoopTrip, TripReset
from controller.store.tables import INTERLOCK_RESETS, LOOP_TRIPS
from controller.store.upsert import upsert
from thermal.control.interlock import TripLevel, TripReason


class Interlocks:
    """Latched trips, which outlive a restart, and people's words that they may be lifted."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def latch(self, loop_id: str, trip: LoopTrip) -> None:
        row = {
            "loop_id": loop_id,
            "reason": trip.reason.value,
            "since_unix_ns": trip.since_unix_ns,
            "level": trip.level.value,
            "cause": trip.cause,
        }
        upsert(self._connection, LOOP_TRIPS, [row])

    def lift(self, loop_id: str, reasons: Iterable[TripReason]) -> None:
        self._connection.execute(
            delete(LOOP_TRIPS).where(
                LOOP_TRIPS.c.loop_id == loop_id,
                LOOP_TRIPS.c.reason.in_([reason.value for reason in reasons]),
            )
        )

    def latched(self, loop_id: str) -> tuple[LoopTrip, ...]:
        """Oldest first."""
        chosen = select(LOOP_TRIPS).where(LOOP_TRIPS.c.loop_id == loop_id)
        return tuple(
            LoopTrip(
                reason=TripReason(row.reason),
                since_unix_ns=row.since_unix_ns,
                level=TripLevel(row.level),
                cause=row.cause,
            )
            for row in self._connection.execute(chosen.order_by(LOOP_TRIPS.c.since_unix_ns))
        )

    def request_reset(self, reset: TripReset, *, at_unix_ns: int) -> None:
        self._connection.execute(
            insert(INTERLOCK_RESETS).values(
                loop_id=reset.loop_id,
                actor=reset.actor,
                reason=reset.reason,
                requested_at_unix_ns=at_unix_ns,
            )
        )

    def waiting_resets(self) -> list[tuple[int, TripReset]]:
        """Requests that no controller has taken, each with its number."""
        waiting = select(INTERLOCK_RESETS).where(INTERLOCK_RESETS.c.taken_at_unix_ns.is_(None))
        return [
            (row.id, TripReset(loop_id=row.loop_id, actor=row.actor, reason=row.reason))
            for row in self._connection.execute(waiting.order_by(INTERLOCK_RESETS.c.id))
        ]

    def take(self, numbers: Sequence[int], *, at_unix_ns: int) -> None:
        """Mark requests as acted upon, whether or not they lifted anything."""
        self._connection.execute(
            update(INTERLOCK_RESETS)
            .where(INTERLOCK_RESETS.c.id.in_(numbers))
            .values(taken_at_unix_ns=at_unix_ns)
        )
