"""Ticks into statistics over steps, and fine steps into coarse ones. Everything here is arrays."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import reduce
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from controller.history.block import (
    decode_count,
    decode_gauge,
    encode_count,
    encode_gauge,
)
from controller.history.levels import Level
from controller.history.thinned import Thin, counted, decode_thin, thinned
from controller.history.window import Block, paired, times_of
from fleet.frame import MISSING_COUNT, CountBlock, IntBlock
from fleet.metrics import BY_NAME, Kind

ALL_ROWS: Final = slice(None)
ALL_TICKS: Final = slice(None)

Values = NDArray[Any]
"""float32 with NaN, or uint64 with MISSING_COUNT, where nothing was read."""


class Stat(StrEnum):
    """What is kept of the ticks of a step."""

    MIN = "min"  # least value
    MAX = "max"  # largest value
    MEAN = "mean"  # of the ticks with a value, each counting alike
    LAST = "last"  # newest value
    COUNT = "count"  # ticks with a value
    NAN_COUNT = "nan_count"  # ticks whose reading failed


Rolled = Mapping[Stat, Values]
"""(rows, points) each; a step without a value is NaN or MISSING_COUNT, and 0 in the counts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RolledBlock:
    """Statistics of one metric of a group over one span of a level, as they are kept: every
    statistic is a block of its own, so that one can be read without the others.
    """

    group_id: str
    metric: str
    level: Level
    start_unix_ns: int
    bodies: Mapping[Stat, bytes]


def exact(metric: str) -> bool:
    """Whether a metric is an exact count, not a float."""
    return metric in BY_NAME and BY_NAME[metric].kind is Kind.COUNTER


def decode_values(
    metric: str, body: bytes, rows: slice = ALL_ROWS, ticks: slice = ALL_TICKS
) -> Values:
    """(rows, ticks) of a raw block, of the first `ticks` alone; MalformedMessageError when it is
    damaged.
    """
    return decode_count(body, rows, ticks) if exact(metric) else decode_gauge(body, rows, ticks)


class Steps:
    """Which tick falls into which step, worked out once for all metrics of a group.

    `times` is (seats, ticks) int64 ns, negative where there is no tick; ticks may be in any order.
    """

    def __init__(self, times: IntBlock, parts: int, level: Level, start_unix_ns: int) -> None:
        self._shape = (len(times) * parts, level.points)
        at = np.repeat(times, parts, axis=0)
        inside = (at >= start_unix_ns) & (at < start_unix_ns + level.span_ns)
        rows, _ = np.nonzero(inside)
        at = at[inside]
        self._cells = np.flatnonzero(inside)
        if bool(((np.diff(at) < 0) & (np.diff(rows) == 0)).any()):
            order = np.lexsort((at, rows))
            rows, at, self._cells = rows[order], at[order], self._cells[order]
        steps = rows * level.points + (at - start_unix_ns) // level.step_ns
        self._firsts = np.flatnonzero(np.diff(steps, prepend=-1))
        self._places = steps[self._firsts]

    def roll(self, values: Values) -> Rolled:
        """(rows, ticks) -> statistics (rows, points)."""
        cells = values.reshape(-1)[self._cells]
        counter = values.dtype == np.uint64
        known = cells != MISSING_COUNT if counter else ~np.isnan(cells)
        if not len(cells):
            return self._spread({}, counter=counter)
        firsts = self._firsts
        count = np.add.reduceat(known, firsts, dtype=np.uint64)
        total = np.add.reduceat(np.where(known, cells, 0), firsts, dtype=np.float64)
        # Without any value the first of the step, which is a missing one.
        newest = np.maximum.reduceat(np.where(known, np.arange(len(cells)), 0), firsts)
        newest = np.where(count > 0, newest, firsts)
        # A missing count is the largest number, and so never the least; fmin and fmax pass NaN by.
        highest = np.where(known, cells, 0) if counter else cells
        found = {
            Stat.MIN: (np.minimum if counter else np.fmin).reduceat(cells, firsts),
            Stat.MAX: (np.maximum if counter else np.fmax).reduceat(highest, firsts),
            Stat.MEAN: _mean(total, count),
            Stat.LAST: cells[newest],
            Stat.COUNT: count,
            Stat.NAN_COUNT: np.diff(np.append(firsts, len(cells))).astype(np.uint64) - count,
        }
        return self._spread(found, counter=counter)

    def roll_thin(self, stats: Thin) -> Rolled:
        """(rows, ticks) of each statistic, a tick for each span -> statistics (rows, points)."""
        cells = {stat: values.reshape(-1)[self._cells] for stat, values in stats.items()}
        if not len(self._cells):
            return self._spread({}, counter=False)
        firsts = self._firsts
        ticks = counted(cells)
        count = np.add.reduceat(ticks, firsts, dtype=np.uint64)
        parts = np.where(ticks > 0, cells["mean"], 0).astype(np.float64) * ticks
        found = {
            Stat.MIN: np.fmin.reduceat(cells["min"], firsts),
            Stat.MAX: np.fmax.reduceat(cells["max"], firsts),
            Stat.MEAN: _mean(np.add.reduceat(parts, firsts), count),
            Stat.COUNT: count,
        }
        return self._spread(found, counter=False)

    def _spread(self, found: Rolled, *, counter: bool) -> Rolled:
        """Onto every step of every row."""
        rolled = empty(*self._shape, counter=counter)
        for stat, values in found.items():
            rolled[stat].reshape(-1)[self._places] = values
        _absent(rolled, counter=counter)
        return rolled


def empty(rows: int, points: int, *, counter: bool) -> dict[Stat, Values]:
    """Statistics of nothing."""
    shape = (rows, points)
    value = MISSING_COUNT if counter else np.nan
    kind = np.uint64 if counter else np.float32
    return {
        Stat.MIN: np.full(shape, value, kind),
        Stat.MAX: np.full(shape, value, kind),
        Stat.MEAN: np.full(shape, np.nan, np.float32),
        Stat.LAST: np.full(shape, value, kind),
        Stat.COUNT: np.zeros(shape, np.uint64),
        Stat.NAN_COUNT: np.zeros(shape, np.uint64),
    }


def coarsen(rolled: Rolled, factor: int) -> Rolled:
    """(rows, points) -> (rows, points / factor); only the statistics that are given, of which
    COUNT must be one.
    """
    return _reduced(
        {stat: values.reshape(len(values), -1, factor) for stat, values in rolled.items()}
    )


def fold(older: Rolled, newer: Rolled) -> Rolled:
    """Statistics of the ticks of both, which no tick may be in twice."""
    return _reduced({stat: np.stack((older[stat], newer[stat]), axis=2) for stat in older})


def _reduced(rolled: Rolled) -> Rolled:
    """Over the last axis."""
    count = rolled[Stat.COUNT]
    known = count > 0
    counter = any(
        values.dtype == np.uint64
        for stat, values in rolled.items()
        if stat in {Stat.MIN, Stat.MAX, Stat.LAST}
    )
    reduced: dict[Stat, Values] = {}
    for stat, values in rolled.items():
        match stat:
            case Stat.COUNT | Stat.NAN_COUNT:
                reduced[stat] = values.sum(axis=-1, dtype=np.uint64)
            case Stat.MEAN:
                total = np.where(known, values.astype(np.float64) * count, 0).sum(axis=-1)
                reduced[stat] = _mean(total, count.sum(axis=-1)).astype(np.float32)
            case Stat.LAST:
                # Of ticks that were thinned the newest is not known.
                told = values != MISSING_COUNT if counter else ~np.isnan(values)
                newest = np.where(told, np.arange(count.shape[-1]), 0).max(axis=-1)
                reduced[stat] = np.take_along_axis(values, newest[..., None], axis=-1)[..., 0]
            case Stat.MIN:
                reduced[stat] = (np.minimum if counter else np.fmin).reduce(values, axis=-1)
            case Stat.MAX:
                highest = np.where(known, values, 0) if counter else values
                reduced[stat] = (np.maximum if counter else np.fmax).reduce(highest, axis=-1)
    _absent(reduced, counter=counter)
    return reduced


def _mean(total: NDArray[np.float64], count: CountBlock) -> NDArray[np.float64]:
    mean = np.full(count.shape, np.nan)
    np.divide(total, count, where=count > 0, out=mean)
    return mean


def _absent(rolled: Rolled, *, counter: bool) -> None:
    if counter and Stat.MAX in rolled:
        rolled[Stat.MAX][rolled[Stat.COUNT] == 0] = MISSING_COUNT


def concatenate(blocks: Sequence[Rolled]) -> Rolled:
    """One after the other along the steps."""
    return {stat: np.concatenate([block[stat] for block in blocks], axis=1) for stat in blocks[0]}


def assemble(
    start: int, pieces: Mapping[int, Rolled], level: Level, below: Level, *, counter: bool
) -> Rolled:
    """One block's span of a level from blocks of the level below."""
    some = next(iter(pieces.values()))
    nothing = empty(len(some[Stat.COUNT]), below.points, counter=counter)
    blank = {stat: nothing[stat] for stat in some}
    in_order = [
        pieces.get(piece, blank) for piece in range(start, start + level.span_ns, below.span_ns)
    ]
    return coarsen(concatenate(in_order), level.step_s // below.step_s)


def roll_windows(blocks: Iterable[Block], level: Level, start_unix_ns: int) -> list[RolledBlock]:
    """Ticks of one group, any metrics, into one block a metric. What this build does not know of
    is left out; it stays in the ticks.
    """
    blocks = list(blocks)
    windows: dict[str, list[tuple[Block, Block]]] = {}
    for times, block in paired(blocks):
        if block.metric in BY_NAME:
            windows.setdefault(block.metric, []).append((times, block))
    steps: dict[tuple[int, ...], Steps] = {}
    thin = _roll_thinned(blocks, level, start_unix_ns)
    rolled = []
    for metric, pairs in windows.items():
        values = [decode_values(metric, block.body) for _, block in pairs]
        rows = max(len(part) for part in values)
        alike = [place for place, part in enumerate(values) if len(part) == rows]
        chosen = [pairs[place][0] for place in alike]
        key = (rows, *(id(times) for times in chosen))
        if key not in steps:
            at = np.concatenate([times_of(times.body) for times in chosen], axis=1)
            steps[key] = Steps(at, rows // len(at), level, start_unix_ns)
        found = steps[key].roll(np.concatenate([values[place] for place in alike], axis=1))
        if metric in thin:
            _, apart = thin.pop(metric)
            found = merged([found, apart])
        rolled.append(_block(pairs[0][1].group_id, metric, level, start_unix_ns, found))
    for metric, (group_id, found) in thin.items():
        rolled.append(_block(group_id, metric, level, start_unix_ns, found))
    return [block for block in rolled if block is not None]


def _roll_thinned(
    blocks: Iterable[Block], level: Level, start_unix_ns: int
) -> dict[str, tuple[str, Rolled]]:
    """Metric -> its group, and the statistics that its agents have thinned ticks to."""
    found: dict[str, list[Rolled]] = {}
    groups: dict[str, str] = {}
    for times, metric, stats in thinned(blocks):
        if metric in BY_NAME and not exact(metric):
            values = decode_thin(stats)
            at = times_of(times.body)
            steps = Steps(at, len(values["count"]) // len(at), level, start_unix_ns)
            found.setdefault(metric, []).append(steps.roll_thin(values))
            groups[metric] = times.group_id
    return {metric: (groups[metric], merged(parts)) for metric, parts in found.items()}


def merged(parts: Sequence[Rolled]) -> Rolled:
    """Statistics of the same steps as one; of parts that have other rows than the widest nothing
    is kept.
    """
    rows = max(len(part[Stat.COUNT]) for part in parts)
    return reduce(fold, [part for part in parts if len(part[Stat.COUNT]) == rows])


def roll_blocks(
    blocks: Iterable[RolledBlock], level: Level, start_unix_ns: int
) -> list[RolledBlock]:
    """Blocks of one group and the level below, any metrics, into one block a metric."""
    by_metric: dict[str, dict[int, RolledBlock]] = {}
    for block in blocks:
        by_metric.setdefault(block.metric, {})[block.start_unix_ns] = block
    rolled = []
    for metric, found in by_metric.items():
        some = next(iter(found.values()))
        pieces = {start: decode_rolled(metric, block.bodies) for start, block in found.items()}
        whole = assemble(start_unix_ns, pieces, level, some.level, counter=exact(metric))
        rolled.append(_block(some.group_id, metric, level, start_unix_ns, whole))
    return [block for block in rolled if block is not None]


def fold_block(older: RolledBlock | None, newer: RolledBlock) -> RolledBlock:
    """A span whose ticks are no longer all kept, with those that came late."""
    if older is None:
        return newer
    before = decode_rolled(older.metric, older.bodies)
    both = fold(decode_rolled(newer.metric, newer.bodies), before)
    return replace(newer, bodies=encode_rolled(both))


def _block(
    group_id: str, metric: str, level: Level, start_unix_ns: int, rolled: Rolled
) -> RolledBlock | None:
    """None when there is nothing to keep: neither a value nor a failed reading."""
    if not rolled[Stat.COUNT].any() and not rolled[Stat.NAN_COUNT].any():
        return None
    return RolledBlock(
        group_id=group_id,
        metric=metric,
        level=level,
        start_unix_ns=start_unix_ns,
        bodies=encode_rolled(rolled),
    )


_COUNTS: Final = (Stat.COUNT, Stat.NAN_COUNT)


def encode_rolled(rolled: Rolled) -> dict[Stat, bytes]:
    return {
        stat: encode_count(values) if values.dtype == np.uint64 else encode_gauge(values)[0]
        for stat, values in rolled.items()
    }


def decode_rolled(metric: str, bodies: Mapping[Stat, bytes], rows: slice = ALL_ROWS) -> Rolled:
    """MalformedMessageError when one of them is damaged."""
    counter = exact(metric)
    return {
        stat: decode_count(body, rows)
        if stat in _COUNTS or (counter and stat is not Stat.MEAN)
        else decode_gauge(body, rows)
        for stat, body in bodies.items()
    }
