from collections.abc import Iterable, Iterator
from typing import Any, Final

from sqlalchemy import Connection, Select, delete, func, insert, select

from controller.history.levels import LEVELS
from controller.history.window import TIMES, Block
from controller.history.windows import LONGEST_WINDOW_S
from controller.store.rollups import Rollups
from controller.store.tables import HISTORY_BLOCKS
from fleet.clock import NS_PER_S

_LONGEST_NS: Final = LONGEST_WINDOW_S * NS_PER_S


class Blocks:
    """Sealed history: one row a metric of a group and window."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def append(self, blocks: Iterable[Block]) -> None:
        """Keep blocks; the spans of time that they fall into are to be rolled up again."""
        kept = list(blocks)
        rows = [
            {
                "group_id": block.group_id,
                "metric": block.metric,
                "start_unix_ns": block.start_unix_ns,
                "last_unix_ns": block.last_unix_ns,
                "body": block.body,
            }
            for block in kept
        ]
        if not rows:
            return
        self._connection.execute(insert(HISTORY_BLOCKS), rows)
        Rollups(self._connection).touch(
            LEVELS[0],
            {
                (block.group_id, start)
                for block in kept
                for start in _spans(block.start_unix_ns, block.last_unix_ns)
            },
        )

    def of_group(
        self, group_id: str, metrics: Iterable[str], *, from_unix_ns: int, until_unix_ns: int
    ) -> Iterator[Block]:
        """Blocks with ticks in a span of time, oldest first; of each window the times first."""
        table = HISTORY_BLOCKS
        chosen = _between(from_unix_ns, until_unix_ns).where(
            table.c.group_id == group_id, table.c.metric.in_(list(metrics))
        )
        return self._found(chosen.order_by(table.c.start_unix_ns, table.c.id))

    def near(self, metric: str, *, from_unix_ns: int, until_unix_ns: int) -> Iterator[Block]:
        """The same for one metric of every group, group by group."""
        table = HISTORY_BLOCKS
        chosen = _between(from_unix_ns, until_unix_ns).where(table.c.metric.in_([TIMES, metric]))
        return self._found(chosen.order_by(table.c.group_id, table.c.start_unix_ns, table.c.id))

    def groups(self, *, from_unix_ns: int, until_unix_ns: int) -> set[str]:
        """Those with windows that begin in a span of time."""
        table = HISTORY_BLOCKS
        chosen = select(table.c.group_id).where(
            table.c.start_unix_ns >= from_unix_ns,
            table.c.start_unix_ns < until_unix_ns,
            table.c.metric == TIMES,
        )
        return set(self._connection.execute(chosen.distinct()).scalars())

    def newest_unix_ns(self, group_id: str) -> int | None:
        """The last tick that is kept of a group."""
        table = HISTORY_BLOCKS
        found = self._connection.execute(
            select(table.c.last_unix_ns)
            .where(table.c.group_id == group_id, table.c.metric == TIMES)
            .order_by(table.c.start_unix_ns.desc())
            .limit(1)
        ).scalar()
        return None if found is None else int(found)

    def oldest_unix_ns(self) -> int | None:
        """Start of the oldest window that is kept."""
        found = self._connection.execute(select(func.min(HISTORY_BLOCKS.c.start_unix_ns))).scalar()
        return None if found is None else int(found)

    def _found(self, chosen: Select[Any]) -> Iterator[Block]:
        for row in self._connection.execute(chosen):
            yield Block(
                group_id=row.group_id,
                metric=row.metric,
                start_unix_ns=row.start_unix_ns,
                last_unix_ns=row.last_unix_ns,
                body=row.body,
            )

    def forget(self, *, before_unix_ns: int) -> int:
        """Delete windows that began before; how many blocks that were."""
        old = delete(HISTORY_BLOCKS).where(HISTORY_BLOCKS.c.start_unix_ns < before_unix_ns)
        return self._connection.execute(old).rowcount

    def drop(self, group_id: str, *, from_unix_ns: int, until_unix_ns: int) -> None:
        """Delete a group's windows that begin in a span of time."""
        table = HISTORY_BLOCKS
        self._connection.execute(
            delete(table).where(
                table.c.group_id == group_id,
                table.c.start_unix_ns >= from_unix_ns,
                table.c.start_unix_ns < until_unix_ns,
            )
        )


def _between(from_unix_ns: int, until_unix_ns: int) -> Select[Any]:
    table = HISTORY_BLOCKS
    # The index knows starts only: no window is longer than so.
    return select(table).where(
        table.c.start_unix_ns > from_unix_ns - _LONGEST_NS,
        table.c.start_unix_ns < until_unix_ns,
        table.c.last_unix_ns >= from_unix_ns,
    )


def _spans(start_unix_ns: int, last_unix_ns: int) -> range:
    first = LEVELS[0].span_of(start_unix_ns)
    last = min(last_unix_ns, start_unix_ns + _LONGEST_NS)
    return range(first, last + 1, LEVELS[0].span_ns)
