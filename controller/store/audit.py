from dataclasses import dataclass

from sqlalchemy import Connection, delete, insert, select

from controller.store.tables import AUDIT


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditEntry:
    """Who did what to what, and why; `cause` is the id of what led to it."""

    at_unix_ns: int
    actor: str
    action: str
    subject: str
    reason: str = ""
    cause: str = ""


class Audit:
    """Append only, but for entries past the time that settings keep them."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def write(self, entry: AuditEntry) -> None:
        self._connection.execute(
            insert(AUDIT).values(
                at_unix_ns=entry.at_unix_ns,
                actor=entry.actor,
                action=entry.action,
                subject=entry.subject,
                reason=entry.reason,
                cause=entry.cause,
            )
        )

    def forget(self, *, before_unix_ns: int) -> int:
        """Drop entries that are older; how many."""
        old = delete(AUDIT).where(AUDIT.c.at_unix_ns < before_unix_ns)
        return self._connection.execute(old).rowcount

    def newest(self, *, limit: int = 100) -> list[AuditEntry]:
        rows = self._connection.execute(select(AUDIT).order_by(AUDIT.c.id.desc()).limit(limit))
        return [
            AuditEntry(
                at_unix_ns=row.at_unix_ns,
                actor=row.actor,
                action=row.action,
                subject=row.subject,
                reason=row.reason,
                cause=row.cause,
            )
            for row in rows
        ]
