from pathlib import Path
from typing import Final

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, text

_FOLDER: Final = Path(__file__).parent / "migrations"
_LOCK: Final = 0x150_7E12  # any number that no other program on the same server takes


def migrate(connection: Connection) -> None:
    """Bring the tables up to date inside the connection's transaction.

    Several processes may start at once: PostgreSQL's advisory lock, and on SQLite the writer's
    lock that the transaction already holds, let one of them migrate and the others find it done.
    """
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})
    config = Config(attributes={"connection": connection})
    config.set_main_option("script_location", str(_FOLDER).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    command.upgrade(config, "head")
