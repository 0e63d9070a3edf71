from sqlalchemy import Connection, delete, select

from controller.placement.job import Cordon
from controller.store.tables import CORDONS
from controller.store.upsert import upsert


class Cordons:
    """At most one cordon a sled."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def all(self) -> dict[str, Cordon]:
        """By sled id."""
        rows = self._connection.execute(select(CORDONS).order_by(CORDONS.c.sled_id)).mappings()
        return {row["sled_id"]: Cordon(**row) for row in rows}

    def get(self, sled_id: str) -> Cordon | None:
        chosen = select(CORDONS).where(CORDONS.c.sled_id == sled_id)
        row = self._connection.execute(chosen).mappings().first()
        return None if row is None else Cordon(**row)

    def put(self, cordon: Cordon) -> None:
        """Cordon a sled. A cordon that an incident asked for stays one when a person adds theirs:
        what runs there must still be moved.
        """
        row = {
            "sled_id": cordon.sled_id,
            "reason": cordon.reason,
            "since_unix_ns": cordon.since_unix_ns,
            "incident_id": cordon.incident_id,
        }
        keep = ["since_unix_ns"] if cordon.incident_id else ["since_unix_ns", "incident_id"]
        upsert(self._connection, CORDONS, [row], keep=keep)

    def lift(self, sled_id: str) -> bool:
        """False when the sled was not cordoned."""
        gone = delete(CORDONS).where(CORDONS.c.sled_id == sled_id)
        return self._connection.execute(gone).rowcount == 1
