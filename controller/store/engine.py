"""Opening a database: SQLite for one machine, PostgreSQL for several."""

from pathlib import Path
from typing import Any, Final

from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import ArgumentError
from sqlalchemy.pool import ConnectionPoolEntry

from controller.store.patient import connect_within
from fleet.errors import ConfigurationError, StoreError

WRITES: Final = "isotherm_writes"
"""Execution option of a connection whose transaction will write."""

PATIENCE_S: Final = 5.0
"""Long enough for what people and detectors ask; those who can not wait so long say so."""
_CONNECT_S: Final = (2, 5)
"""Least (libpq takes no shorter time) and most seconds for a connection."""
_DRIVERS: Final = {
    "sqlite": "sqlite",
    "sqlite+pysqlite": "sqlite",
    "postgresql": "postgresql+psycopg",
    "postgres": "postgresql+psycopg",
    "postgresql+psycopg": "postgresql+psycopg",
}


def parse_url(text: str) -> URL:
    """Raises ConfigurationError; its line never shows a password."""
    try:
        url = make_url(text)
    except (ArgumentError, ValueError):
        raise ConfigurationError(
            "database: not an address such as sqlite:///isotherm.db or "
            "postgresql://USER@HOST:PORT/NAME"
        ) from None
    driver = _DRIVERS.get(url.drivername)
    if driver is None:
        raise ConfigurationError(
            f"database: {url.drivername!r} is not supported; use sqlite or postgresql"
        )
    if driver == "sqlite" and url.database in {None, "", ":memory:"}:
        raise ConfigurationError(
            "database: sqlite needs a file, as in sqlite:///isotherm.db; "
            "one in memory can not be shared by threads"
        )
    return url.set(drivername=driver)


def place_of(url: URL) -> str:
    """Where the database is, for people; without user and password."""
    if url.drivername == "sqlite":
        return f"sqlite file {url.database}"
    return f"database {url.database!r} at {url.host or 'localhost'}:{url.port or 5432}"


def open_engine(url: URL, patience_s: float = PATIENCE_S) -> Engine:
    """An engine whose database has `patience_s` to answer each question."""
    if url.drivername != "sqlite":
        return _open_postgresql(url, patience_s)
    folder = Path(str(url.database)).parent
    if not folder.is_dir():
        raise StoreError(f"{place_of(url)} can not be opened: there is no folder {folder}")
    engine = create_engine(url, connect_args={"timeout": patience_s})
    event.listen(engine, "connect", _prepare_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def _open_postgresql(url: URL, patience_s: float) -> Engine:
    engine = create_engine(
        url,
        pool_pre_ping=True,  # a restarted server costs a reconnect, not a failed cycle
        pool_timeout=min(patience_s, _CONNECT_S[1]),
        connect_args={
            "connect_timeout": min(max(round(patience_s), _CONNECT_S[0]), _CONNECT_S[1]),
            "tcp_user_timeout": round(patience_s * 1e3),
            "application_name": "isotherm",
        },
    )
    connect = connect_within(patience_s)

    def patiently(_dialect: Any, _entry: Any, args: Any, settings: Any) -> Any:
        return connect(*args, **settings)

    event.listen(engine, "do_connect", patiently)
    return engine


def _prepare_sqlite(connection: DBAPIConnection, _entry: ConnectionPoolEntry) -> None:
    # The driver would begin late and by itself; _begin_sqlite does it when the transaction starts.
    connection.isolation_level = None
    cursor = connection.cursor()
    for pragma in (
        "journal_mode=WAL",
        "synchronous=NORMAL",
        "foreign_keys=ON",
    ):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _begin_sqlite(connection: Connection) -> None:
    # A reader that turns writer half way fails at once instead of waiting, so writers say so first.
    writes = connection.get_execution_options().get(WRITES, False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")
