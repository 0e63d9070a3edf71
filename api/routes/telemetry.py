from http import HTTPStatus
from typing import Annotated, Final

from fastapi import APIRouter, Query

from api.desk import AtDesk, Desk
from api.problems import RefusedRequestError
from api.routes.history import Between, Span
from api.schemas.telemetry import AgentCompletenessOut, CompletenessOut
from api.schemas.values import when, when_or_none
from controller.history.completeness import Declared, Ticks, account, ticks_by_seat
from controller.history.window import TIMES
from controller.history.windows import HistorySettings
from controller.store import Transaction
from controller.store.gaps import Gap, GapState
from fleet.clock import NS_PER_S
from fleet.errors import UnknownIdError

router = APIRouter(prefix="/telemetry", tags=["history"])

MOST_WINDOWS: Final = 20_000
"""Of one answer: an agent's fortnight, or three hours of a hundred UltraServers."""
EDGE_NS: Final = 2 * HistorySettings().window_s * NS_PER_S
"""Read before and after: a hole at the edge of a span shows by what is beyond it."""


@router.get("/completeness", summary="Whether every frame is there")
def completeness(
    desk: AtDesk,
    span: Span,
    agent: Annotated[
        list[str] | None,
        Query(max_length=100, description="A sled or CDU, several if repeated; else all."),
    ] = None,
) -> CompletenessOut:
    """Per agent: frames expected, received, declared lost and missing, by their numbers."""
    roster = desk.history.roster
    rows = range(len(roster)) if agent is None else sorted({_row(desk, one) for one in agent})
    groups = sorted({int(roster.group_of_row[row]) for row in rows})
    _bounded(len(groups), span)
    wanted = set(rows)
    with desk.store.read() as tx:
        ledger = _ledger(tx, [roster.agents[row] for row in rows])
        found = [
            _account(name, ticks, ledger.get(name, []), span)
            for group in groups
            for row, name, ticks in _agents(desk, tx, group, span)
            if row in wanted
        ]
        newest = [tx.blocks.newest_unix_ns(roster.group_ids[group]) for group in groups]
        since = tx.rollups.ticks_kept_since()
    heard = [at for at in newest if at is not None]
    return CompletenessOut(
        from_=when(span.from_unix_ns),
        until=when(span.until_unix_ns),
        ticks_kept_since=when(since) if since else None,
        complete_until=when_or_none(min(heard) if heard else None),
        complete=all(one.complete for one in found),
        agents=found,
    )


def _row(desk: Desk, agent: str) -> int:
    row = desk.history.roster.row(agent)
    if row is None:
        raise UnknownIdError("agent", agent)
    return row


def _bounded(groups: int, span: Between) -> None:
    window_ns = HistorySettings().window_s * NS_PER_S
    windows = groups * ((span.until_unix_ns - span.from_unix_ns) // window_ns + 1)
    if windows > MOST_WINDOWS:
        raise RefusedRequestError(
            HTTPStatus.UNPROCESSABLE_ENTITY,
            f"completeness: {windows:,} windows are more than the {MOST_WINDOWS:,} of one answer; "
            "ask for less time or fewer agents",
            kind="invalid-request",
        )


def _agents(desk: Desk, tx: Transaction, group: int, span: Between) -> list[tuple[int, str, Ticks]]:
    roster = desk.history.roster
    first = int(roster.first_row[group])
    blocks = tx.blocks.of_group(
        roster.group_ids[group],
        (TIMES,),
        from_unix_ns=span.from_unix_ns - EDGE_NS,
        until_unix_ns=span.until_unix_ns + EDGE_NS,
    )
    seats = ticks_by_seat(blocks, int(roster.size[group]))
    return [(first + seat, roster.agents[first + seat], ticks) for seat, ticks in enumerate(seats)]


def _ledger(tx: Transaction, agents: list[str]) -> dict[str, list[Gap]]:
    ledger: dict[str, list[Gap]] = {}
    for gap in tx.gaps.of_agents(agents):
        ledger.setdefault(gap.agent, []).append(gap)
    return ledger


def _account(agent: str, ticks: Ticks, gaps: list[Gap], span: Between) -> AgentCompletenessOut:
    declared = [
        Declared(epoch=gap.epoch, first_seq=gap.first_seq, last_seq=gap.last_seq)
        for gap in gaps
        if gap.state is GapState.DECLARED
    ]
    said = account(
        ticks, declared, from_unix_ns=span.from_unix_ns, until_unix_ns=span.until_unix_ns
    )
    filled = sum(gap.last_seq - gap.first_seq + 1 for gap in gaps if gap.state is GapState.FILLED)
    return AgentCompletenessOut(
        agent=agent,
        expected=said.expected,
        received=said.received,
        declared=said.declared,
        missing=said.missing,
        late_filled=filled,
        complete=said.complete,
        first_at=when_or_none(said.first_unix_ns),
        last_at=when_or_none(said.last_unix_ns),
    )
