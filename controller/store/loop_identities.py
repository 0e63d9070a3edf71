from collections.abc import Iterable, Mapping

from sqlalchemy import Connection, select

from controller.store.tables import LOOP_IDENTITIES
from controller.store.upsert import upsert


class LoopIdentities:
    """What was learnt of each loop, as bytes that its controller understands."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def put(self, documents: Mapping[str, bytes], *, at_unix_ns: int) -> None:
        """By loop id; what was kept of them before is overwritten."""
        rows = [
            {"loop_id": loop_id, "at_unix_ns": at_unix_ns, "document": document}
            for loop_id, document in documents.items()
        ]
        upsert(self._connection, LOOP_IDENTITIES, rows)

    def of(self, loop_ids: Iterable[str]) -> dict[str, bytes]:
        """By loop id; those of which nothing was kept are left out."""
        chosen = select(LOOP_IDENTITIES.c.loop_id, LOOP_IDENTITIES.c.document)
        rows = self._connection.execute(chosen.where(LOOP_IDENTITIES.c.loop_id.in_(list(loop_ids))))
        return {row.loop_id: row.document for row in rows}
