"""Many ticks as one frame of statistics: what is left when a spool is full.

A thinned frame is an ordinary one of `fleet.frame.stat_schema`: it takes number and counters of
the last frame that went in, begins where the first began, and its `dt_ns` is the span.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from fleet.errors import MalformedMessageError
from fleet.frame import STATS, Frame, Schema, stat_schema

_MIN, _MAX, _MEAN, _COUNT = range(len(STATS))
_Stats = NDArray[np.float64]
_NOTHING: Final = np.nan


class Thinner:
    """Knows the schemas of an agent's frames, and those of their statistics."""

    def __init__(self, schemas: Iterable[Schema]) -> None:
        self._stat_of: dict[str, Schema] = {}
        for schema in schemas:
            try:
                self._stat_of[schema.id] = stat_schema(schema)
            except MalformedMessageError:
                continue  # too wide: frames of it are kept whole, or dropped
        self._stat_ids = {stat.id for stat in self._stat_of.values()}

    @property
    def stats(self) -> Mapping[str, Schema]:
        """Id -> schema of the statistics of each schema that has any."""
        return {stat.id: stat for stat in self._stat_of.values()}

    def fits(self, frame: Frame, span_ns: int) -> bool:
        """Whether the frame can become part of one that spans `span_ns`."""
        return frame.dt_ns < span_ns and self._stat_id(frame) is not None

    def merge(self, frames: Sequence[Frame], span_ns: int) -> list[Frame]:
        """One frame for each agent, epoch and schema; all fit, and those of one agent follow each
        other in time.
        """
        together: dict[tuple[str, int, str], list[Frame]] = {}
        for frame in frames:
            name = self._stat_id(frame) or ""
            together.setdefault((frame.agent, frame.epoch, name), []).append(frame)
        return [self._one(run, name, span_ns) for (_, _, name), run in together.items()]

    def _one(self, frames: Sequence[Frame], stat_id: str, span_ns: int) -> Frame:
        last = frames[-1]
        stats = np.concatenate([self._stats(frame) for frame in frames])
        return Frame(
            agent=last.agent,
            epoch=last.epoch,
            seq=last.seq,
            schema_id=stat_id,
            t0_unix_ns=frames[0].t0_unix_ns,
            dt_ns=span_ns,
            values=_merged(stats).reshape(1, -1).astype(np.float32),
            counters=last.counters[-1:],
        )

    def _stats(self, frame: Frame) -> _Stats:
        """(ticks, statistics, columns)."""
        values = frame.values.astype(np.float64)
        if frame.schema_id in self._stat_ids:
            return values.reshape(frame.ticks, len(STATS), -1)
        there = np.isfinite(values)
        values = np.where(there, values, _NOTHING)
        return np.stack((values, values, values, there.astype(np.float64)), axis=1)

    def _stat_id(self, frame: Frame) -> str | None:
        if frame.schema_id in self._stat_ids:
            return frame.schema_id
        stat = self._stat_of.get(frame.schema_id)
        return None if stat is None else stat.id


def _merged(stats: _Stats) -> _Stats:
    counts = stats[:, _COUNT]
    total = counts.sum(axis=0)
    weighted = np.where(counts > 0, stats[:, _MEAN] * counts, 0.0).sum(axis=0)
    mean = np.full(len(total), _NOTHING)
    np.divide(weighted, total, out=mean, where=total > 0)
    low = np.fmin.reduce(stats[:, _MIN], axis=0)
    high = np.fmax.reduce(stats[:, _MAX], axis=0)
    return np.stack((low, high, mean, total))
