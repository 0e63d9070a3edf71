from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from sqlalchemy import Connection, case, delete, func, insert, select

from controller.history.completeness import without
from controller.store.tables import INGEST_GAPS

Ranges = Sequence[tuple[int, int]]


class GapState(StrEnum):
    MISSING = "missing"  # a hole in the sequence numbers
    FILLED = "late-filled"  # was a hole, and came after all
    DECLARED = "declared"  # the agent says that it will not come, or not as it was measured


@dataclass(frozen=True, slots=True, kw_only=True)
class Gap:
    """Frames `first_seq` to `last_seq` of one life of an agent; as declared, 0 is unknown."""

    agent: str
    epoch: int
    first_seq: int
    last_seq: int
    state: GapState
    reason: str
    noted_at_unix_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class GapTotal:
    """How many gaps of one kind there are, and how many frames they are long together."""

    state: GapState
    reason: str
    gaps: int
    frames: int


class Gaps:
    """The ledger of every frame that did not come when it was due."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def of_agents(self, agents: Iterable[str]) -> list[Gap]:
        table = INGEST_GAPS
        chosen = select(table).where(table.c.agent.in_(list(agents)))
        ordered = chosen.order_by(table.c.agent, table.c.epoch, table.c.first_seq)
        return [
            Gap(
                agent=row.agent,
                epoch=row.epoch,
                first_seq=row.first_seq,
                last_seq=row.last_seq,
                state=GapState(row.state),
                reason=row.reason,
                noted_at_unix_ns=row.noted_at_unix_ns,
            )
            for row in self._connection.execute(ordered)
        ]

    def totals(self) -> list[GapTotal]:
        """Of the whole ledger, by state and reason."""
        table = INGEST_GAPS
        # A declared range with an open end has no length.
        known = (table.c.first_seq > 0) & (table.c.last_seq > 0)
        length = case((known, table.c.last_seq - table.c.first_seq + 1), else_=0)
        chosen = select(
            table.c.state, table.c.reason, func.count().label("gaps"), func.sum(length).label("of")
        ).group_by(table.c.state, table.c.reason)
        return [
            GapTotal(
                state=GapState(row.state), reason=row.reason, gaps=row.gaps, frames=int(row.of)
            )
            for row in self._connection.execute(chosen)
        ]

    def declare(self, gap: Gap) -> bool:
        """Take an agent's word; False when it was taken before."""
        table = INGEST_GAPS
        same = select(table.c.id).where(
            table.c.agent == gap.agent,
            table.c.epoch == gap.epoch,
            table.c.first_seq == gap.first_seq,
            table.c.last_seq == gap.last_seq,
            table.c.state == GapState.DECLARED,
            table.c.reason == gap.reason,
        )
        if self._connection.execute(same).first() is not None:
            return False
        self._add([gap])
        return True

    def follow(
        self, agent: str, epoch: int, holes: Ranges, unwritten: Ranges, *, at_unix_ns: int
    ) -> bool:
        """Write down the `holes` of one life as they are now. What was a hole before and is none
        any more has come late, once it is written too; False while some of it is `unwritten`.
        """
        table = INGEST_GAPS
        held = (
            table.c.agent == agent,
            table.c.epoch == epoch,
            table.c.state == GapState.MISSING,
        )
        before = [
            (row.first_seq, row.last_seq, row.noted_at_unix_ns)
            for row in self._connection.execute(select(table).where(*held))
        ]
        coming = [
            part
            for first, last, _ in before
            for shared in _common(unwritten, (first, last))
            for part in without(shared, holes)
        ]
        missing = sorted([*holes, *coming])
        noted = {hole: at for *span, at in before for hole in _common(missing, (span[0], span[1]))}
        filled = [part for first, last, _ in before for part in without((first, last), missing)]
        self._connection.execute(delete(table).where(*held))
        self._add(
            [
                *(
                    _gap(agent, epoch, hole, GapState.MISSING, noted.get(hole, at_unix_ns))
                    for hole in missing
                ),
                *(_gap(agent, epoch, part, GapState.FILLED, at_unix_ns) for part in filled),
            ]
        )
        return not coming

    def _add(self, gaps: Sequence[Gap]) -> None:
        rows = [
            {
                "agent": gap.agent,
                "epoch": gap.epoch,
                "first_seq": gap.first_seq,
                "last_seq": gap.last_seq,
                "state": gap.state,
                "reason": gap.reason,
                "noted_at_unix_ns": gap.noted_at_unix_ns,
            }
            for gap in gaps
        ]
        if rows:
            self._connection.execute(insert(INGEST_GAPS), rows)


def _common(ranges: Ranges, with_: tuple[int, int]) -> list[tuple[int, int]]:
    return [
        (max(a, with_[0]), min(b, with_[1])) for a, b in ranges if a <= with_[1] and b >= with_[0]
    ]


def _gap(agent: str, epoch: int, span: tuple[int, int], state: GapState, at_unix_ns: int) -> Gap:
    return Gap(
        agent=agent,
        epoch=epoch,
        first_seq=span[0],
        last_seq=span[1],
        state=state,
        reason="",
        noted_at_unix_ns=at_unix_ns,
    )
