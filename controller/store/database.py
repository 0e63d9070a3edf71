"""The one way to the database: transactions that hand out repositories."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from typing import Final, Self

from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from controller.store.audit import Audit
from controller.store.blocks import Blocks
from controller.store.cordons import Cordons
from controller.store.engine import PATIENCE_S, WRITES, open_engine, parse_url, place_of
from controller.store.enrolments import Enrolments
from controller.store.gaps import Gaps
from controller.store.guards import Guards
from controller.store.idempotency import Idempotency
from controller.store.incidents import Incidents
from controller.store.interlocks import Interlocks
from controller.store.jobs import Jobs
from controller.store.leases import Leases
from controller.store.loop_identities import LoopIdentities
from controller.store.loop_orders import LoopOrders
from controller.store.marks import Marks
from controller.store.migrate import migrate
from controller.store.outbox import Outbox
from controller.store.rollups import Rollups
from controller.store.starts import AgentStarts
from controller.store.webhooks import Webhooks
from fleet.errors import StoreError

MIGRATION_S: Final = 600.0
"""Tables that hold years of history take their time."""


class Transaction:
    """The repositories of one transaction; all of it is written, or none."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def undo(self) -> None:
        """Write nothing of what this transaction did; nothing more may be done with it."""
        self._connection.rollback()

    @cached_property
    def jobs(self) -> Jobs:
        return Jobs(self._connection)

    @cached_property
    def cordons(self) -> Cordons:
        return Cordons(self._connection)

    @cached_property
    def incidents(self) -> Incidents:
        return Incidents(self._connection)

    @cached_property
    def webhooks(self) -> Webhooks:
        return Webhooks(self._connection)

    @cached_property
    def outbox(self) -> Outbox:
        return Outbox(self._connection)

    @cached_property
    def leases(self) -> Leases:
        return Leases(self._connection)

    @cached_property
    def marks(self) -> Marks:
        return Marks(self._connection)

    @cached_property
    def blocks(self) -> Blocks:
        return Blocks(self._connection)

    @cached_property
    def rollups(self) -> Rollups:
        return Rollups(self._connection)

    @cached_property
    def gaps(self) -> Gaps:
        return Gaps(self._connection)

    @cached_property
    def enrolments(self) -> Enrolments:
        return Enrolments(self._connection)

    @cached_property
    def starts(self) -> AgentStarts:
        return AgentStarts(self._connection)

    @cached_property
    def interlocks(self) -> Interlocks:
        return Interlocks(self._connection)

    @cached_property
    def loop_orders(self) -> LoopOrders:
        return LoopOrders(self._connection)

    @cached_property
    def loop_identities(self) -> LoopIdentities:
        return LoopIdentities(self._connection)

    @cached_property
    def guards(self) -> Guards:
        return Guards(self._connection)

    @cached_property
    def idempotency(self) -> Idempotency:
        return Idempotency(self._connection)

    @cached_property
    def audit(self) -> Audit:
        return Audit(self._connection)


class Store:
    """State that outlives a process. Safe to share between threads; transactions do not nest.

    `url` is `sqlite:///FILE` or `postgresql://USER:PASSWORD@HOST:PORT/NAME`. Opening brings the
    tables up to date. Raises ConfigurationError for an address that can not be used and StoreError
    when no database answers there. Each question must be answered in `patience_s`. `prepared`:
    the tables are up to date, and nothing is asked yet.
    """

    def __init__(self, url: str, *, patience_s: float = PATIENCE_S, prepared: bool = False) -> None:
        parsed = parse_url(url)
        self._url = url
        self.place = place_of(parsed)
        self._engine = open_engine(parsed, patience_s)
        if prepared:
            return
        engine = open_engine(parsed, MIGRATION_S)
        try:
            with _connected(engine, self.place, writes=True) as connection:
                migrate(connection)
        finally:
            engine.dispose()

    @contextmanager
    def begin(self) -> Iterator[Transaction]:
        """A transaction that may write; StoreError when the database refuses or is away."""
        with _connected(self._engine, self.place, writes=True) as connection:
            yield Transaction(connection)

    @contextmanager
    def read(self) -> Iterator[Transaction]:
        """A transaction that only reads: on SQLite it waits for no writer."""
        with _connected(self._engine, self.place, writes=False) as connection:
            yield Transaction(connection)

    def beside(self, patience_s: float) -> Self:
        """The same database by connections of its own: neither store waits for the other's. The
        caller closes it.
        """
        return type(self)(self._url, patience_s=patience_s, prepared=True)

    def ping(self) -> None:
        """StoreError when the database does not answer."""
        with _connected(self._engine, self.place, writes=False) as connection:
            connection.execute(text("SELECT 1"))

    def close(self) -> None:
        self._engine.dispose()


@contextmanager
def _connected(engine: Engine, place: str, *, writes: bool) -> Iterator[Connection]:
    try:
        with engine.execution_options(**{WRITES: writes}).begin() as connection:
            yield connection
    except (DBAPIError, PoolTimeoutError) as error:
        raise StoreError(f"{place}: {_reason(error)}") from error


def _reason(error: SQLAlchemyError) -> str:
    original = getattr(error, "orig", None) or error
    lines = str(original).strip().splitlines()
    return lines[0] if lines else type(original).__name__
