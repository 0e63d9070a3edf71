"""Ticks into statistics over steps, and fine steps into coarse ones. Everything here is arrays."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
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
from fleet.frame import MISSING_COUNT, CountBlock, IntBlock
from fleet.metrics import BY_NAME, Kind

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


def decode_values(metric: str, body: bytes) -> Values:
    """(rows, ticks) of a raw block; MalformedMessageError when it is damaged."""
    return decode_count(body) if exact(metric) else decode_gauge(body)


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
                newest = np.where(known, np.arange(count.shape[-1]), 0).max(axis=-1)
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


_COUNTS: Final = (Stat.COUNT, Stat.NAN_COUNT)


def encode_rolled(rolled: Rolled) -> dict[Stat, bytes]:
    return {
        stat: encode_count(values) if values.dtype == np.uint64 else encode_gauge(values)[0]
        for stat, values in rolled.items()
    }


def decode_rolled(metric: str, bodies: Mapping[Stat, bytes]) -> Rolled:
    """MalformedMessageError when one of them is damaged."""
    counter = exact(metric)
    return {
        stat: decode_count(body)
        if stat in _COUNTS or (counter and stat is not Stat.MEAN)
        else decode_gauge(body)
        for stat, body in bodies.items()
    }
