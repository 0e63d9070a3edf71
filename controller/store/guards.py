from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, insert, select, update

from controller.store.tables import GUARD_RESETS


@dataclass(frozen=True, slots=True, kw_only=True)
class GuardReset:
    """A person's word that a sled's own guard may lift what it has latched."""

    sled_id: str
    actor: str
    reason: str


class Guards:
    """Requests to reset guards; the sled's agent has the last word on each."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def request(self, reset: GuardReset, *, at_unix_ns: int) -> None:
        self._connection.execute(
            insert(GUARD_RESETS).values(
                sled_id=reset.sled_id,
                actor=reset.actor,
                reason=reset.reason,
                requested_at_unix_ns=at_unix_ns,
            )
        )

    def waiting(self) -> list[tuple[int, GuardReset]]:
        """Requests that no controller has taken, oldest first, each with its number."""
        chosen = select(GUARD_RESETS).where(GUARD_RESETS.c.taken_at_unix_ns.is_(None))
        return [
            (row.id, GuardReset(sled_id=row.sled_id, actor=row.actor, reason=row.reason))
            for row in self._connection.execute(chosen.order_by(GUARD_RESETS.c.id))
        ]

    def take(self, numbers: Sequence[int], *, at_unix_ns: int) -> None:
        """Mark requests as sent on, whatever the agents will answer."""
        self._connection.execute(
            update(GUARD_RESETS)
            .where(GUARD_RESETS.c.id.in_(numbers))
            .values(taken_at_unix_ns=at_unix_ns)
        )
