from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Annotated, Final

import numpy as np
from fastapi import APIRouter, Depends, Query, Response
from pydantic import AwareDatetime

from api.desk import AtDesk, Desk
from api.problems import RefusedRequestError
from api.schemas.history import HistoryOut, HistorySeriesOut, MomentOut, column, unix_s, written
from api.schemas.values import when, when_or_none
from controller.history.levels import LEVELS, RAW_STEP_S, Level, choose, level_of
from controller.history.places import Selection
from controller.history.query import HistoryReader, rows_of
from controller.history.rollup import Stat
from controller.store import Transaction
from fleet.clock import NS_PER_S
from fleet.errors import ConfigurationError
from fleet.metrics import Scope

router = APIRouter(prefix="/history", tags=["history"])

MAX_POINTS: Final = 2000
MOST_POINTS: Final = 60_000
MOST_METRICS: Final = 16
MOST_VALUES: Final = 2_000_000
"""Of one answer; a program that wants more exports."""
HOUR_NS: Final = 3600 * NS_PER_S
PLACE: Final = r"^[A-Za-z0-9._:@/-]+$"
FIRST: Final = datetime(2000, 1, 1, tzinfo=UTC)
LAST: Final = datetime(2200, 1, 1, tzinfo=UTC)

Place = Annotated[
    str,
    Query(
        min_length=1,
        max_length=200,
        pattern=PLACE,
        description="A chip, sled, UltraServer, cooling loop or CDU.",
        examples=["h1/us01/r1/s07/c2"],
    ),
]
MetricName = Annotated[str, Query(min_length=1, max_length=60, examples=["junction_c"])]
When = Annotated[AwareDatetime | None, Query(ge=FIRST, le=LAST)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Between:
    """The span of time that a question is about."""

    from_unix_ns: int
    until_unix_ns: int


def between(
    desk: AtDesk,
    from_: Annotated[
        AwareDatetime | None,
        Query(
            alias="from", ge=FIRST, le=LAST, description="An hour before `until` when not given."
        ),
    ] = None,
    until: Annotated[
        AwareDatetime | None, Query(ge=FIRST, le=LAST, description="Now when not given.")
    ] = None,
) -> Between:
    until_ns = desk.clock.unix_ns() if until is None else _unix_ns(until)
    from_ns = until_ns - HOUR_NS if from_ is None else _unix_ns(from_)
    if from_ns >= until_ns:
        raise _refused("history: `from` is not before `until`")
    return Between(from_unix_ns=from_ns, until_unix_ns=until_ns)


Span = Annotated[Between, Depends(between)]


@router.get("", summary="What was measured at a place", response_model=HistoryOut)
def history(
    desk: AtDesk,
    span: Span,
    place: Place,
    metric: Annotated[list[str], Query(min_length=1, max_length=MOST_METRICS)],
    step_s: Annotated[
        int | None,
        Query(description="1 for every tick, or 10, 60 or 600; chosen by itself when not given."),
    ] = None,
    max_points: Annotated[
        int, Query(ge=1, le=MOST_POINTS, description="The step is chosen for at most so many.")
    ] = MAX_POINTS,
    stat: Annotated[
        list[Stat] | None, Query(description="Of the ticks of a step; min, mean, max by itself.")
    ] = None,
) -> Response:
    """The finest step that needs at most `max_points`, or the one asked for. Where no ticks are
    kept, as where an agent had to thin them, steps of 10 s stand in.
    """
    stats = tuple(dict.fromkeys(stat or (Stat.MIN, Stat.MEAN, Stat.MAX)))
    selections = [_select(desk, place, name) for name in dict.fromkeys(metric)]
    level = _level(span, step_s, max_points)
    _bounded(desk, selections, level, span, len(stats))
    with desk.store.read() as tx:
        reader = HistoryReader(tx.blocks, tx.rollups)
        series = _all_series(desk, reader, selections, level, span, stats)
        if level is None and step_s is None and not any(len(one.at_unix_s) for one in series):
            level = LEVELS[0]
            series = _all_series(desk, reader, selections, level, span, stats)
        complete = _complete_until(desk, tx, place)
    answer = HistoryOut.model_construct(
        place=place,
        from_=when(span.from_unix_ns),
        until=when(span.until_unix_ns),
        step_s=_step_s(level),
        complete_until=when_or_none(complete),
        series=series,
    )
    return written(answer)


@router.get("/moment", summary="One metric of everything at one time", response_model=MomentOut)
def moment(
    desk: AtDesk,
    metric: MetricName,
    at: Annotated[AwareDatetime, Query(ge=FIRST, le=LAST)],
    place: Annotated[
        str | None,
        Query(min_length=1, max_length=200, pattern=PLACE, description="The fleet when not given."),
    ] = None,
) -> Response:
    """The newest tick at that time; once ticks are no longer kept, the mean of the step."""
    whole = desk.history.whole_fleet
    selection = whole(metric) if place is None else _select(desk, place, metric)
    if selection.metric.scope is Scope.PUMP:
        raise _refused("history: pumps have no order in the fleet; ask for a CDU's history")
    with desk.store.read() as tx:
        values, level = _moment(HistoryReader(tx.blocks, tx.rollups), selection, _unix_ns(at))
    columns = []
    for share in selection.shares:
        found = values.get(share.group_id)
        rows = desk.history.rows(selection, share)
        picked = np.zeros(0) if found is None else found[rows_of(share, len(found))]
        columns.append(picked if len(picked) == rows else np.full(rows, np.nan))
    answer = MomentOut.model_construct(
        metric=metric,
        place=selection.place,
        at=at,
        step_s=_step_s(level),
        values=column(np.concatenate(columns)),
    )
    return written(answer)


def _moment(
    reader: HistoryReader, selection: Selection, at_unix_ns: int
) -> tuple[dict[str, np.ndarray], Level | None]:
    stale_ns = round(selection.metric.staleness_s * NS_PER_S)
    found = reader.moment(selection, at_unix_ns=at_unix_ns, stale_ns=stale_ns)
    if found:
        return found, None
    for level in LEVELS:
        found = reader.moment_rolled(selection, level, at_unix_ns=at_unix_ns)
        if found:
            return found, level
    return {}, None


def _all_series(
    desk: Desk,
    reader: HistoryReader,
    selections: Sequence[Selection],
    level: Level | None,
    span: Between,
    stats: Sequence[Stat],
) -> list[HistorySeriesOut]:
    return [
        one
        for selection in selections
        for one in _series(desk, reader, selection, level, span, stats)
    ]


def _series(
    desk: Desk,
    reader: HistoryReader,
    selection: Selection,
    level: Level | None,
    span: Between,
    stats: Sequence[Stat],
) -> list[HistorySeriesOut]:
    times = {"from_unix_ns": span.from_unix_ns, "until_unix_ns": span.until_unix_ns}
    name = selection.metric.name
    if selection.together:
        both = reader.together(selection, level, **times)
        values = {key: column(found) for key, found in both.values.items()}
        at = unix_s(both.at_unix_ns)
        return [
            HistorySeriesOut.model_construct(
                id=selection.place, metric=name, at_unix_s=at, values=values
            )
        ]
    if level is None:
        found = reader.ticks(selection, **times)
    else:
        found = reader.steps(selection, level, stats, **times)
    return [
        HistorySeriesOut.model_construct(
            id=desk.history.row_id(selection, one.share, one.row),
            metric=name,
            at_unix_s=unix_s(one.at_unix_ns),
            values={
                "value" if level is None else stat.value: column(values)
                for stat, values in one.values.items()
            },
        )
        for one in found
    ]


def _select(desk: Desk, place: str, metric: str) -> Selection:
    try:
        return desk.history.select(place, metric)
    except ConfigurationError as error:
        raise _refused(str(error)) from error


def _level(span: Between, step_s: int | None, max_points: int) -> Level | None:
    try:
        if step_s is not None:
            return level_of(step_s)
        return choose(span.from_unix_ns, span.until_unix_ns, max_points)
    except ConfigurationError as error:
        raise _refused(str(error)) from error


def _bounded(
    desk: Desk, selections: Sequence[Selection], level: Level | None, span: Between, stats: int
) -> None:
    """What would be read, before it is."""
    span_s = (span.until_unix_ns - span.from_unix_ns) / NS_PER_S
    points = span_s / _step_s(level)
    if points > MOST_POINTS * (2 if level is None else 1):
        raise _refused(
            f"history: {points:,.0f} steps of {_step_s(level)} s are more than one answer holds; "
            "ask for less time or a longer step, or export"
        )
    rows = sum(
        1 if one.together else sum(desk.history.rows(one, share) for share in one.shares)
        for one in selections
    )
    values = rows * points * (1 if level is None else stats)
    if values > MOST_VALUES:
        raise _refused(
            f"history: {values:,.0f} values are more than the {MOST_VALUES:,} of one answer; "
            "ask for less time, a longer step or fewer metrics, or export"
        )


def _complete_until(desk: Desk, tx: Transaction, place: str) -> int | None:
    newest = [tx.blocks.newest_unix_ns(group) for group in desk.history.groups_of(place)]
    said = [at for at in newest if at is not None]
    return min(said) if said else None


def _step_s(level: Level | None) -> int:
    return RAW_STEP_S if level is None else level.step_s


def _unix_ns(at: datetime) -> int:
    return round(at.timestamp() * NS_PER_S)


def _refused(detail: str) -> RefusedRequestError:
    return RefusedRequestError(HTTPStatus.UNPROCESSABLE_ENTITY, detail, kind="invalid-request")
