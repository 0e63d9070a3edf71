"""History as it is asked for: from the level that fits, filled up from finer ones where it has not
been rolled up yet.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from controller.history.block import shape_of
from controller.history.levels import SECONDS, Level, finer
from controller.history.places import SeatShare, Selection
from controller.history.rollup import (
    Rolled,
    RolledBlock,
    Stat,
    Steps,
    Values,
    assemble,
    concatenate,
    decode_rolled,
    decode_values,
    exact,
    merged,
)
from controller.history.thinned import decode_thin, thinned, thinned_names
from controller.history.window import TIMES, Block, paired, times_of
from fleet.frame import MISSING_COUNT, FloatBlock, IntBlock
from fleet.metrics import MetricSpec


class RawSource(Protocol):
    """Where sealed windows are kept."""

    def of_group(
        self, group_id: str, metrics: Iterable[str], *, from_unix_ns: int, until_unix_ns: int
    ) -> Iterable[Block]:
        """With ticks in a span of time; of each window its times first."""

    def near(self, metric: str, *, from_unix_ns: int, until_unix_ns: int) -> Iterable[Block]:
        """The same, of all groups."""


class RolledSource(Protocol):
    """Where statistics are kept."""

    def of_group(
        self,
        level: Level,
        group_id: str,
        metrics: Collection[str],
        stats: Collection[Stat],
        *,
        from_unix_ns: int,
        until_unix_ns: int,
    ) -> Iterable[RolledBlock]:
        """Blocks that start in a span of time, with these statistics."""

    def at(
        self, level: Level, metric: str, stats: Collection[Stat], *, start_unix_ns: int
    ) -> Iterable[RolledBlock]:
        """Blocks of all groups with this start."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Series:
    """One row of a selection over time: `values` beside `at_unix_ns`, in order."""

    share: SeatShare
    row: int
    """Among the rows of the share."""
    at_unix_ns: IntBlock
    values: Mapping[Stat, NDArray[Any]]
    """Of ticks only LAST, which is the tick itself."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Together:
    """Many parts as one series: the least, the largest, mean and sum over the parts at each step,
    and how many of them had a value.
    """

    at_unix_ns: IntBlock
    values: Mapping[str, NDArray[Any]]
    """`min`, `mean`, `max`, `sum` as float64, `parts` as int64."""


def rows_of(share: SeatShare, rows: int) -> slice:
    """The share's rows of a group's `rows`: they stand side by side, seat by seat."""
    parts = rows // share.size
    first, last = share.seats.start * parts, share.seats.stop * parts
    if share.part is None:
        return slice(first, last)
    return slice(first + share.part, last, parts) if share.part < parts else slice(0)


class HistoryReader:
    """Answers from what is kept. One transaction uses it."""

    def __init__(self, raw: RawSource, rolled: RolledSource) -> None:
        self._raw = raw
        self._rolled = rolled

    def ticks(self, selection: Selection, *, from_unix_ns: int, until_unix_ns: int) -> list[Series]:
        """Every tick, as it was measured."""
        found = []
        for share in selection.shares:
            blocks = self._blocks(share, (selection.metric.name,), from_unix_ns, until_unix_ns)
            windows = list(_windows(blocks, share, selection.metric))
            for row in range(max((len(values) for _, values in windows), default=0)):
                parts = [
                    (times[row], values[row]) for times, values in windows if row < len(values)
                ]
                at, values = (np.concatenate(side) for side in zip(*parts, strict=True))
                inside = np.flatnonzero((at >= from_unix_ns) & (at < until_unix_ns))
                order = inside[np.argsort(at[inside], kind="stable")]
                found.append(
                    Series(
                        share=share,
                        row=row,
                        at_unix_ns=at[order],
                        values={Stat.LAST: values[order]},
                    )
                )
        return found

    def steps(
        self,
        selection: Selection,
        level: Level,
        stats: Collection[Stat],
        *,
        from_unix_ns: int,
        until_unix_ns: int,
    ) -> list[Series]:
        """Statistics over the steps that begin in a span of time."""
        found = []
        wanted = tuple(dict.fromkeys((*stats, Stat.COUNT)))
        for share in selection.shares:
            spans = self._spans(
                share, selection.metric, level, wanted, (from_unix_ns, until_unix_ns)
            )
            if not spans:
                continue
            at, rolled = _on_one_axis(spans, level)
            inside = (at >= from_unix_ns) & (at < until_unix_ns)
            for row in range(len(rolled[Stat.COUNT])):
                said = inside & (rolled[Stat.COUNT][row] > 0)
                found.append(
                    Series(
                        share=share,
                        row=row,
                        at_unix_ns=at[said],
                        values={stat: rolled[stat][row][said] for stat in stats},
                    )
                )
        return found

    def spans(
        self,
        share: SeatShare,
        metric: MetricSpec,
        level: Level,
        *,
        from_unix_ns: int,
        until_unix_ns: int,
    ) -> Mapping[int, Rolled]:
        """Start of a span -> every statistic of the share's rows; spans without anything are left
        out.
        """
        return self._spans(share, metric, level, tuple(Stat), (from_unix_ns, until_unix_ns))

    def together(
        self, selection: Selection, level: Level | None, *, from_unix_ns: int, until_unix_ns: int
    ) -> Together:
        """All rows of a selection as one series; ticks are brought onto seconds."""
        wanted = (Stat.MIN, Stat.MAX, Stat.MEAN, Stat.COUNT)
        pieces: dict[int, list[Rolled]] = {}
        level = level or SECONDS
        for share in selection.shares:
            spans = self._spans(
                share, selection.metric, level, wanted, (from_unix_ns, until_unix_ns)
            )
            for start, rolled in spans.items():
                pieces.setdefault(start, []).append(rolled)
        stacked = {
            start: {stat: np.concatenate([piece[stat] for piece in parts]) for stat in wanted}
            for start, parts in pieces.items()
        }
        return _together(stacked, level, from_unix_ns, until_unix_ns)

    def moment(
        self, selection: Selection, *, at_unix_ns: int, stale_ns: int
    ) -> dict[str, NDArray[np.float64]]:
        """Group -> its rows' newest value at a time, NaN where there is none that is fresh enough.
        Of ticks; see `moment_rolled` for times of which none are kept.
        """
        sizes = {share.group_id: share.size for share in selection.shares}
        metric = selection.metric.name
        newest: dict[str, tuple[IntBlock, NDArray[np.float64]]] = {}
        blocks = self._raw.near(
            metric, from_unix_ns=at_unix_ns - stale_ns, until_unix_ns=at_unix_ns + 1
        )
        for times, block in paired(blocks):
            size = sizes.get(block.group_id)
            if size is None:
                continue
            found = _newest(times_of(times.body), metric, block.body, at_unix_ns, stale_ns)
            before = newest.get(block.group_id)
            if before is not None and len(before[0]) == len(found[0]):
                later = found[0] > before[0]
                found = (
                    np.where(later, found[0], before[0]),
                    np.where(later, found[1], before[1]),
                )
            newest[block.group_id] = found
        return {group: values for group, (_, values) in newest.items()}

    def moment_rolled(
        self, selection: Selection, level: Level, *, at_unix_ns: int
    ) -> dict[str, NDArray[np.float64]]:
        """The mean of the step that a time is in."""
        sizes = {share.group_id for share in selection.shares}
        start = level.span_of(at_unix_ns)
        step = (at_unix_ns - start) // level.step_ns
        found = {}
        metric = selection.metric.name
        for block in self._rolled.at(level, metric, (Stat.MEAN,), start_unix_ns=start):
            if block.group_id in sizes:
                mean = decode_rolled(metric, block.bodies)[Stat.MEAN]
                found[block.group_id] = mean[:, step].astype(np.float64)
        return found

    def _blocks(
        self, share: SeatShare, names: tuple[str, ...], from_ns: int, until_ns: int
    ) -> Iterable[Block]:
        return self._raw.of_group(
            share.group_id, (TIMES, *names), from_unix_ns=from_ns, until_unix_ns=until_ns
        )

    def _spans(
        self,
        share: SeatShare,
        metric: MetricSpec,
        level: Level,
        stats: tuple[Stat, ...],
        between: tuple[int, int],
    ) -> dict[int, Rolled]:
        """Start of a span -> the share's rows; spans without anything are left out."""
        if level is SECONDS:
            return self._of_ticks(share, metric, level, between)
        first = level.span_of(between[0])
        kept = self._rolled.of_group(
            level,
            share.group_id,
            (metric.name,),
            stats,
            from_unix_ns=first,
            until_unix_ns=between[1],
        )
        spans: dict[int, Rolled] = {}
        for block in kept:
            chosen = rows_of(share, shape_of(block.bodies[Stat.COUNT])[0])
            spans[block.start_unix_ns] = decode_rolled(metric.name, block.bodies, chosen)
        for run in _runs_without(spans, first, between[1], level):
            spans |= self._made(share, metric, level, stats, run)
        return spans

    def _made(
        self,
        share: SeatShare,
        metric: MetricSpec,
        level: Level,
        stats: tuple[Stat, ...],
        between: tuple[int, int],
    ) -> dict[int, Rolled]:
        """Spans that are not rolled up yet, from what they will be made of."""
        below = finer(level)
        if below is None:
            return self._of_ticks(share, metric, level, between)
        parts: dict[int, dict[int, Rolled]] = {}
        for start, rolled in self._spans(share, metric, below, stats, between).items():
            parts.setdefault(level.span_of(start), {})[start] = rolled
        return {
            start: assemble(start, pieces, level, below, counter=exact(metric.name))
            for start, pieces in parts.items()
        }

    def _of_ticks(
        self, share: SeatShare, metric: MetricSpec, level: Level, between: tuple[int, int]
    ) -> dict[int, Rolled]:
        first = level.span_of(between[0])
        names = () if exact(metric.name) else thinned_names(metric.name)
        blocks = list(self._blocks(share, (metric.name, *names), first, between[1]))
        windows: dict[int, list[tuple[IntBlock, Values]]] = {}
        for at, values in _windows(blocks, share, metric):
            for start in _starts(at, level, first):
                windows.setdefault(start, []).append((at, values))
        spans: dict[int, Rolled] = {}
        for start, parts in windows.items():
            rows = max(len(values) for _, values in parts)
            alike = [(at, values) for at, values in parts if len(values) == rows]
            at, values = (np.concatenate(side, axis=1) for side in zip(*alike, strict=True))
            spans[start] = Steps(at, 1, level, start).roll(values)
        for times, _, stats in thinned(blocks):
            at, thin = thinned_of(times, stats, share)
            for start in _starts(at, level, first):
                apart = Steps(at, 1, level, start).roll_thin(thin)
                spans[start] = merged([spans[start], apart]) if start in spans else apart
        return {start: spans[start] for start in spans if start < between[1]}


def _windows(
    blocks: Iterable[Block], share: SeatShare, metric: MetricSpec
) -> Iterator[tuple[IntBlock, Values]]:
    """Times and values of the share's rows, (rows, ticks) each, window by window."""
    for times, block in paired(blocks):
        if block.metric == metric.name:
            chosen, at = _rows_and_times(times, block, share)
            yield at, decode_values(metric.name, block.body, chosen)


def thinned_of(
    times: Block, stats: Mapping[str, Block], share: SeatShare
) -> tuple[IntBlock, dict[str, FloatBlock]]:
    """(rows, spans) of the share: where each span of thinned ticks begins (-1: none), and each of
    its statistics.
    """
    chosen, at = _rows_and_times(times, next(iter(stats.values())), share)
    return at, decode_thin(stats, chosen)


def _rows_and_times(times: Block, block: Block, share: SeatShare) -> tuple[slice, IntBlock]:
    rows = shape_of(block.body)[0]
    chosen = rows_of(share, rows)
    return chosen, np.repeat(times_of(times.body), rows // share.size, axis=0)[chosen]


def _starts(at: IntBlock, level: Level, first: int) -> range:
    """Of the spans with a tick, from one on."""
    said = at[at >= first]
    if not len(said):
        return range(0)
    return range(level.span_of(int(said.min())), int(said.max()) + 1, level.span_ns)


def _on_one_axis(spans: Mapping[int, Rolled], level: Level) -> tuple[IntBlock, Rolled]:
    starts = sorted(spans)
    steps = np.arange(level.points, dtype=np.int64) * level.step_ns
    at = (np.array(starts, np.int64)[:, None] + steps).reshape(-1)
    rows = max(len(spans[start][Stat.COUNT]) for start in starts)
    alike = [start for start in starts if len(spans[start][Stat.COUNT]) == rows]
    if len(alike) < len(starts):
        at = (np.array(alike, np.int64)[:, None] + steps).reshape(-1)
    return at, concatenate([spans[start] for start in alike])


def _runs_without(
    spans: Mapping[int, Rolled], first: int, until: int, level: Level
) -> list[tuple[int, int]]:
    """Neighbouring spans that are missing, as (from, until)."""
    runs: list[tuple[int, int]] = []
    for start in range(first, until, level.span_ns):
        if start in spans:
            continue
        if runs and runs[-1][1] == start:
            runs[-1] = (runs[-1][0], start + level.span_ns)
        else:
            runs.append((start, start + level.span_ns))
    return runs


def _together(
    spans: Mapping[int, Rolled], level: Level, from_unix_ns: int, until_unix_ns: int
) -> Together:
    if not spans:
        nothing = {name: np.zeros(0) for name in ("min", "mean", "max", "sum")}
        parts = {"parts": np.zeros(0, np.int64)}
        return Together(at_unix_ns=np.zeros(0, np.int64), values=nothing | parts)
    at, rolled = _on_one_axis(spans, level)
    known = rolled[Stat.COUNT] > 0
    said = (at >= from_unix_ns) & (at < until_unix_ns) & known.any(axis=0)
    known = known[:, said]
    mean = rolled[Stat.MEAN][:, said].astype(np.float64)
    total = np.where(known, mean, 0.0).sum(axis=0)
    parts = known.sum(axis=0)
    values = {
        "min": np.where(known, rolled[Stat.MIN][:, said], np.inf).min(axis=0),
        "mean": total / parts,
        "max": np.where(known, rolled[Stat.MAX][:, said], -np.inf).max(axis=0),
        "sum": total,
        "parts": parts,
    }
    return Together(at_unix_ns=at[said], values=values)


def _newest(
    at: IntBlock, metric: str, body: bytes, at_unix_ns: int, stale_ns: int
) -> tuple[IntBlock, NDArray[np.float64]]:
    """Of each row the time and the value of its newest tick in the span that counts."""
    fresh = (at <= at_unix_ns) & (at > at_unix_ns - stale_ns)
    seen = np.where(fresh, at, -1)
    place = seen.argmax(axis=1)
    seat_at = seen[np.arange(len(at)), place]
    # Values are kept as differences, so what comes after the last place is not needed.
    values = decode_values(metric, body, ticks=slice(int(place.max()) + 1))
    parts = len(values) // len(at)
    newest = values[np.arange(len(values)), np.repeat(place, parts)]
    found = newest.astype(np.float64)
    row_at = np.repeat(seat_at, parts)
    found[row_at < 0] = np.nan
    if values.dtype == np.uint64:
        found[newest == MISSING_COUNT] = np.nan
    return row_at, found
