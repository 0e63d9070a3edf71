from collections.abc import Iterable, Iterator

from sqlalchemy import Connection, delete, insert, select

from controller.history.window import Block
from controller.store.tables import HISTORY_BLOCKS


class Blocks:
    """Sealed history: one row a metric of a group and window."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def append(self, blocks: Iterable[Block]) -> None:
        rows = [
            {
                "group_id": block.group_id,
                "metric": block.metric,
                "start_unix_ns": block.start_unix_ns,
                "last_unix_ns": block.last_unix_ns,
                "body": block.body,
            }
            for block in blocks
        ]
        if rows:
            self._connection.execute(insert(HISTORY_BLOCKS), rows)

    def of_group(
        self, group_id: str, metrics: Iterable[str], *, from_unix_ns: int, until_unix_ns: int
    ) -> Iterator[Block]:
        """Blocks with ticks in a span of time, oldest first."""
        table = HISTORY_BLOCKS
        chosen = (
            select(table)
            .where(
                table.c.group_id == group_id,
                table.c.metric.in_(list(metrics)),
                table.c.start_unix_ns < until_unix_ns,
                table.c.last_unix_ns >= from_unix_ns,
            )
            .order_by(table.c.start_unix_ns, table.c.id)
        )
        for row in self._connection.execute(chosen):
            yield Block(
                group_id=row.group_id,
                metric=row.metric,
                start_unix_ns=row.start_unix_ns,
                last_unix_ns=row.last_unix_ns,
                body=row.body,
            )

    def forget(self, *, before_unix_ns: int) -> int:
        """Delete what ended before; how many blocks that were."""
        old = delete(HISTORY_BLOCKS).where(HISTORY_BLOCKS.c.last_unix_ns < before_unix_ns)
        return self._connection.execute(old).rowcount
