"""Who may do what: one row a lease."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Final

from sqlalchemy import Connection, delete, func, select, text, tuple_, update

from controller.store.tables import LEASES
from controller.store.upsert import insert_absent

GIVEN_BACK: Final = 0
"""Expiry of a lease that its holder has given back: anybody may take it at once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lease:
    """A right and its holder. `term` rises with every change of holder: the fencing token.

    `expires_at_unix_ns` is what the holder's clock says and grows with every renewal. Others do not
    compare it with their own clock: they watch whether it still changes.
    """

    name: str
    holder: str
    term: int
    expires_at_unix_ns: int


class Leases:
    """Compare-and-set on rows."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def all(self) -> list[Lease]:
        rows = self._connection.execute(select(LEASES)).mappings()
        return [Lease(**row) for row in rows]

    def take(
        self, name: str, holder: str, *, seen: Lease | None, until_unix_ns: int
    ) -> Lease | None:
        """Take a lease whose row is still as it was `seen` (None: there was none); None when it is
        not, or when its holder is writing under it.
        """
        if seen is None:
            # Above every term that was given, also under other names for the same receivers.
            newest = self._connection.execute(select(func.max(LEASES.c.term))).scalar()
            lease = Lease(
                name=name, holder=holder, term=(newest or 0) + 1, expires_at_unix_ns=until_unix_ns
            )
            return lease if insert_absent(self._connection, LEASES, _row(lease)) else None
        unchanged = (
            select(LEASES.c.name)
            .where(
                LEASES.c.name == name,
                LEASES.c.holder == seen.holder,
                LEASES.c.term == seen.term,
                LEASES.c.expires_at_unix_ns == seen.expires_at_unix_ns,
            )
            .with_for_update(skip_locked=True)
        )
        if self._connection.execute(unchanged).first() is None:
            return None
        lease = Lease(
            name=name, holder=holder, term=seen.term + 1, expires_at_unix_ns=until_unix_ns
        )
        self._connection.execute(update(LEASES).where(LEASES.c.name == name).values(_row(lease)))
        return lease

    def renew(self, leases: Iterable[Lease], *, until_unix_ns: int) -> list[Lease]:
        """Those that nobody has taken since, renewed; also ones that ran out meanwhile."""
        held = {(lease.name, lease.holder, lease.term): lease for lease in leases}
        if not held:
            return []
        kept = self._connection.execute(
            update(LEASES)
            .where(tuple_(LEASES.c.name, LEASES.c.holder, LEASES.c.term).in_(list(held)))
            .values(expires_at_unix_ns=until_unix_ns)
            .returning(LEASES.c.name, LEASES.c.holder, LEASES.c.term)
        )
        return [replace(held[tuple(row)], expires_at_unix_ns=until_unix_ns) for row in kept]

    def limit(self, idle_s: float) -> None:
        """Have PostgreSQL end this transaction when it is left alone for so long, as by a process
        that was stopped: its locks would keep everybody else out.
        """
        if self._connection.dialect.name == "postgresql":
            limit = f"SET LOCAL idle_in_transaction_session_timeout = {round(idle_s * 1e3)}"
            self._connection.execute(text(limit))

    def hold(self, leases: Sequence[Lease]) -> list[Lease]:
        """Those of `leases` that nobody has taken. Their rows stay locked until the transaction
        ends, so that what they guard is written under them.
        """
        rows = self._connection.execute(
            select(LEASES.c.name, LEASES.c.holder, LEASES.c.term)
            .where(LEASES.c.name.in_([lease.name for lease in leases]))
            .with_for_update(read=True)
        )
        owners = {row.name: (row.holder, row.term) for row in rows}
        return [lease for lease in leases if owners.get(lease.name) == (lease.holder, lease.term)]

    def give_back(self, leases: Iterable[Lease]) -> None:
        """Let others take them at once."""
        names = [(lease.name, lease.holder, lease.term) for lease in leases]
        self._connection.execute(
            update(LEASES)
            .where(tuple_(LEASES.c.name, LEASES.c.holder, LEASES.c.term).in_(names))
            .values(expires_at_unix_ns=GIVEN_BACK)
        )

    def forget(self, seen: Iterable[Lease]) -> None:
        """Delete rows that are still as they were seen."""
        whole = [(one.name, one.holder, one.term, one.expires_at_unix_ns) for one in seen]
        columns = (LEASES.c.name, LEASES.c.holder, LEASES.c.term, LEASES.c.expires_at_unix_ns)
        self._connection.execute(delete(LEASES).where(tuple_(*columns).in_(whole)))

    def get(self, name: str) -> Lease | None:
        chosen = select(LEASES).where(LEASES.c.name == name)
        row = self._connection.execute(chosen).mappings().first()
        return None if row is None else Lease(**row)


def _row(lease: Lease) -> dict[str, object]:
    return {
        "name": lease.name,
        "holder": lease.holder,
        "term": lease.term,
        "expires_at_unix_ns": lease.expires_at_unix_ns,
    }
