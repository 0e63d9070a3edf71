"""Opening a database: SQLite for one machine, PostgreSQL for several."""

from pathlib import Path
from typing import Final

from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import ArgumentError
from sqlalchemy.pool import ConnectionPoolEntry

from fleet.errors import ConfigurationError, StoreError

WRITES: Final = "isotherm_writes"
"""Execution option of a connection whose transaction will write."""

CONNECT_TIMEOUT_S: Final = 5
BUSY_TIMEOUT_MS: Final = 5000
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


def open_engine(url: URL) -> Engine:
    if url.drivername != "sqlite":
        return create_engine(
            url,
            pool_pre_ping=True,  # a restarted server costs a reconnect, not a failed cycle
            pool_timeout=CONNECT_TIMEOUT_S,
            connect_args={
                "connect_timeout": CONNECT_TIMEOUT_S,
                # A server that stops to answer in the middle must not hold the cycle for minutes.
                "tcp_user_timeout": CONNECT_TIMEOUT_S * 1000,
                "application_name": "isotherm",
            },
        )
    folder = Path(str(url.database)).parent
    if not folder.is_dir():
        raise StoreError(f"{place_of(url)} can not be opened: there is no folder {folder}")
    engine = create_engine(url, connect_args={"timeout": BUSY_TIMEOUT_MS / 1e3})
    event.listen(engine, "connect", _prepare_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def _prepare_sqlite(connection: DBAPIConnection, _entry: ConnectionPoolEntry) -> None:
    # The driver would begin late and by itself; _begin_sqlite does it when the transaction starts.
    connection.isolation_level = None
    cursor = connection.cursor()
    for pragma in (
        "journal_mode=WAL",
        "synchronous=NORMAL",
        "foreign_keys=ON",
        f"busy_timeout={BUSY_TIMEOUT_MS}",
    ):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _begin_sqlite(connection: Connection) -> None:
    # A reader that turns writer half way fails at once instead of waiting, so writers say so first.
    writes = connection.get_execution_options().get(WRITES, False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")
