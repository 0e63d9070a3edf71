from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Table
from sqlalchemy.dialects import postgresql, sqlite


def upsert(
    connection: Connection,
    table: Table,
    rows: Sequence[Mapping[str, Any]],
    keep: Sequence[str] = (),
) -> None:
    """Insert rows, or overwrite those with the same primary key, except for columns in `keep`."""
    if not rows:
        return
    key = [column.name for column in table.primary_key]
    # Both dialects spell ON CONFLICT alike, but SQLAlchemy has one class for each.
    insert = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
    statement = insert(table)
    changed = {
        name: statement.excluded[name] for name in rows[0] if name not in key and name not in keep
    }
    connection.execute(statement.on_conflict_do_update(index_elements=key, set_=changed), rows)


def insert_absent(connection: Connection, table: Table, row: Mapping[str, Any]) -> bool:
    """Insert a row; False when one with the same unique key is there already."""
    insert = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
    new = insert(table).values(**row).on_conflict_do_nothing().returning(*table.primary_key)
    # Row counts of inserts are not to be had from every driver; returned rows are.
    return connection.execute(new).first() is not None
