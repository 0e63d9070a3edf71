from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Connection, Select, delete, select
from sqlalchemy.dialects import postgresql, sqlite

from controller.history.levels import Level
from controller.history.rollup import RolledBlock, Stat
from controller.store.tables import HISTORY_DIRTY, HISTORY_KEPT, HISTORY_ROLLUPS
from controller.store.upsert import upsert

_BODY: Final = {stat: HISTORY_ROLLUPS.c[f"{stat}_body"] for stat in Stat}


@dataclass(frozen=True, slots=True, kw_only=True)
class DirtySpan:
    """A span of a group that is to be rolled up (again); `version` says how much was known."""

    level: Level
    group_id: str
    start_unix_ns: int
    version: int


class Rollups:
    """Statistics of history over steps, and which spans are to be made."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def of_group(
        self,
        level: Level,
        group_id: str,
        metrics: Collection[str],
        stats: Collection[Stat],
        *,
        from_unix_ns: int,
        until_unix_ns: int,
    ) -> Iterator[RolledBlock]:
        """Blocks that start in a span of time, oldest first, with these statistics."""
        table = HISTORY_ROLLUPS
        chosen = _statistics(stats).where(
            table.c.step_s == level.step_s,
            table.c.group_id == group_id,
            table.c.metric.in_(list(metrics)),
            table.c.start_unix_ns >= from_unix_ns,
            table.c.start_unix_ns < until_unix_ns,
        )
        return self._found(chosen.order_by(table.c.start_unix_ns), level, stats)

    def at(
        self, level: Level, metric: str, stats: Collection[Stat], *, start_unix_ns: int
    ) -> Iterator[RolledBlock]:
        """Blocks of all groups with this start."""
        table = HISTORY_ROLLUPS
        chosen = _statistics(stats).where(
            table.c.step_s == level.step_s,
            table.c.start_unix_ns == start_unix_ns,
            table.c.metric == metric,
        )
        return self._found(chosen, level, stats)

    def save(self, blocks: Iterable[RolledBlock]) -> None:
        """Keep blocks, each with every statistic, in place of what was kept of their span."""
        rows = [
            {
                "step_s": block.level.step_s,
                "group_id": block.group_id,
                "metric": block.metric,
                "start_unix_ns": block.start_unix_ns,
                **{f"{stat}_body": block.bodies[stat] for stat in Stat},
            }
            for block in blocks
        ]
        upsert(self._connection, HISTORY_ROLLUPS, rows)

    def forget(self, level: Level, *, before_unix_ns: int) -> int:
        """Delete blocks whose span ended before; how many that were."""
        table = HISTORY_ROLLUPS
        old = delete(table).where(
            table.c.step_s == level.step_s, table.c.start_unix_ns < before_unix_ns - level.span_ns
        )
        return self._connection.execute(old).rowcount

    def touch(self, level: Level, spans: Collection[tuple[str, int]]) -> None:
        """Spans (group, start) have got new data."""
        if not spans:
            return
        table = HISTORY_DIRTY
        insert = (
            postgresql.insert if self._connection.dialect.name == "postgresql" else sqlite.insert
        )
        # Written even where it stands already: the row's lock keeps whoever rolls the span up from
        # taking it off the list before this transaction's data can be seen.
        statement = insert(table).on_conflict_do_update(
            index_elements=[column.name for column in table.primary_key],
            set_={"version": table.c.version + 1},
        )
        self._connection.execute(
            statement,
            [
                {"step_s": level.step_s, "group_id": group, "start_unix_ns": start, "version": 1}
                for group, start in sorted(spans)
            ],
        )

    def dirty(self, level: Level, *, until_unix_ns: int, limit: int) -> list[DirtySpan]:
        """Spans to be rolled up that start before a time, oldest first."""
        table = HISTORY_DIRTY
        chosen = (
            select(table)
            .where(table.c.step_s == level.step_s, table.c.start_unix_ns < until_unix_ns)
            .order_by(table.c.start_unix_ns, table.c.group_id)
            .limit(limit)
        )
        return [
            DirtySpan(
                level=level,
                group_id=row.group_id,
                start_unix_ns=row.start_unix_ns,
                version=row.version,
            )
            for row in self._connection.execute(chosen)
        ]

    def done(self, span: DirtySpan) -> bool:
        """A span is rolled up; False when more has come since it was read."""
        table = HISTORY_DIRTY
        taken = delete(table).where(
            table.c.step_s == span.level.step_s,
            table.c.group_id == span.group_id,
            table.c.start_unix_ns == span.start_unix_ns,
            table.c.version == span.version,
        )
        return self._connection.execute(taken).rowcount > 0

    def ticks_kept_since(self) -> int:
        """Ticks of windows that began earlier were deleted; 0 before that has happened."""
        found = self._connection.execute(select(HISTORY_KEPT.c.since_unix_ns)).scalar()
        return 0 if found is None else int(found)

    def keep_ticks_since(self, unix_ns: int) -> None:
        upsert(self._connection, HISTORY_KEPT, [{"id": 1, "since_unix_ns": unix_ns}])

    def _found(
        self, chosen: Select[Any], level: Level, stats: Collection[Stat]
    ) -> Iterator[RolledBlock]:
        for row in self._connection.execute(chosen):
            yield RolledBlock(
                group_id=row.group_id,
                metric=row.metric,
                level=level,
                start_unix_ns=row.start_unix_ns,
                bodies={stat: getattr(row, f"{stat}_body") for stat in stats},
            )


def _statistics(stats: Collection[Stat]) -> Select[Any]:
    table = HISTORY_ROLLUPS
    return select(
        table.c.group_id, table.c.metric, table.c.start_unix_ns, *(_BODY[stat] for stat in stats)
    )
