from dataclasses import dataclass

from sqlalchemy import Connection, select, update

from controller.store.tables import LEASES
from controller.store.upsert import insert_absent


@dataclass(frozen=True, slots=True, kw_only=True)
class Lease:
    """Who may act, until when. `term` rises with every change of holder: the fencing token."""

    name: str
    holder: str
    term: int
    expires_at_unix_ns: int


class Leases:
    """Leadership by compare-and-set on one row a lease."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def acquire(
        self, name: str, holder: str, *, now_unix_ns: int, until_unix_ns: int
    ) -> Lease | None:
        """Take a lease that is free or has run out; None while somebody else holds it."""
        if insert_absent(self._connection, LEASES, _first(name, holder, until_unix_ns)):
            return Lease(name=name, holder=holder, term=1, expires_at_unix_ns=until_unix_ns)
        taken = (
            update(LEASES)
            .where(
                LEASES.c.name == name,
                (LEASES.c.expires_at_unix_ns <= now_unix_ns) | (LEASES.c.holder == holder),
            )
            .values(holder=holder, term=LEASES.c.term + 1, expires_at_unix_ns=until_unix_ns)
            .returning(LEASES.c.term)
        )
        term = self._connection.execute(taken).scalar_one_or_none()
        if term is None:
            return None
        return Lease(name=name, holder=holder, term=term, expires_at_unix_ns=until_unix_ns)

    def renew(self, lease: Lease, *, now_unix_ns: int, until_unix_ns: int) -> Lease | None:
        """Hold on to a lease; None when it has run out or somebody else has taken it."""
        kept = (
            update(LEASES)
            .where(
                LEASES.c.name == lease.name,
                LEASES.c.holder == lease.holder,
                LEASES.c.term == lease.term,
                LEASES.c.expires_at_unix_ns > now_unix_ns,
            )
            .values(expires_at_unix_ns=until_unix_ns)
        )
        if self._connection.execute(kept).rowcount != 1:
            return None
        return Lease(
            name=lease.name,
            holder=lease.holder,
            term=lease.term,
            expires_at_unix_ns=until_unix_ns,
        )

    def holds(self, lease: Lease) -> bool:
        """Whether nobody has taken the lease since; the row stays locked until the transaction
        ends, so that what it guards is written under it.
        """
        row = self._connection.execute(
            select(LEASES.c.term, LEASES.c.holder)
            .where(LEASES.c.name == lease.name)
            .with_for_update(read=True)
        ).first()
        return row is not None and (row.term, row.holder) == (lease.term, lease.holder)

    def release(self, lease: Lease) -> None:
        """Let others take it at once."""
        self._connection.execute(
            update(LEASES)
            .where(
                LEASES.c.name == lease.name,
                LEASES.c.holder == lease.holder,
                LEASES.c.term == lease.term,
            )
            .values(expires_at_unix_ns=0)
        )

    def get(self, name: str) -> Lease | None:
        chosen = select(LEASES).where(LEASES.c.name == name)
        row = self._connection.execute(chosen).mappings().first()
        return None if row is None else Lease(**row)


def _first(name: str, holder: str, until_unix_ns: int) -> dict[str, object]:
    return {"name": name, "holder": holder, "term": 1, "expires_at_unix_ns": until_unix_ns}
