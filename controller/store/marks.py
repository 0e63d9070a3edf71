from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Connection, Select, delete, func, select

from controller.store.tables import INGEST_MARKS, INGEST_OFFSETS
from controller.store.upsert import upsert

_AT_ONCE: Final = 1000
"""Agents named in one query."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """How far one life (epoch) of an agent has been read: up to `last_seq`, less the ranges
    (first, last) in `missing`.
    """

    agent: str
    epoch: int
    last_seq: int
    missing: tuple[tuple[int, int], ...] = ()


class Marks:
    """How far telemetry has been read. Offsets and marks are written together: then a message
    that is read again after a crash is known.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def offsets(self, topic: str) -> dict[int, int]:
        """Partition -> offset to read next."""
        rows = self._connection.execute(
            select(INGEST_OFFSETS).where(INGEST_OFFSETS.c.topic == topic)
        )
        return {row.partition: row.next_offset for row in rows}

    def save_offsets(self, topic: str, offsets: Mapping[int, int]) -> None:
        rows = [
            {"topic": topic, "partition": partition, "next_offset": offset}
            for partition, offset in offsets.items()
        ]
        upsert(self._connection, INGEST_OFFSETS, rows)

    def of(self, agents: Sequence[str]) -> list[Mark]:
        found: list[Mark] = []
        for first in range(0, len(agents), _AT_ONCE):
            some = agents[first : first + _AT_ONCE]
            found += self._marks(select(INGEST_MARKS).where(INGEST_MARKS.c.agent.in_(some)))
        return found

    def numbered(self) -> int:
        """Frames that agents have numbered, as far as they were heard."""
        found = self._connection.execute(select(func.sum(INGEST_MARKS.c.last_seq))).scalar()
        return 0 if found is None else int(found)

    def all(self) -> list[Mark]:
        return self._marks(select(INGEST_MARKS))

    def _marks(self, chosen: Select[Any]) -> list[Mark]:
        return [
            Mark(
                agent=row.agent,
                epoch=row.epoch,
                last_seq=row.last_seq,
                missing=tuple((first, last) for first, last in row.missing),
            )
            for row in self._connection.execute(chosen)
        ]

    def save(self, marks: Iterable[Mark]) -> None:
        rows = [
            {
                "agent": mark.agent,
                "epoch": mark.epoch,
                "last_seq": mark.last_seq,
                "missing": [list(gap) for gap in mark.missing],
            }
            for mark in marks
        ]
        upsert(self._connection, INGEST_MARKS, rows)

    def forget(self, agent: str, *, before_epoch: int) -> None:
        """Drop the marks of an agent's old lives."""
        self._connection.execute(
            delete(INGEST_MARKS).where(
                INGEST_MARKS.c.agent == agent, INGEST_MARKS.c.epoch < before_epoch
            )
        )
