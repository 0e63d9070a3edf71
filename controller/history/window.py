"""Frames of a group, held tick by tick until the window is full and may be sealed."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from zstandard import ZstdCompressor

from controller.history.block import (
    compressor,
    decode_count,
    encode_count,
    encode_gauge,
    shape_of,
)
from controller.state.roster import GroupShare
from fleet.frame import MISSING_COUNT, Column, IntBlock, Schema, Slab

_TICKS: Final = 64
"""Room of a window at first: a minute at 1 Hz, and one that came late."""
TIMES = "@times"
"""Metric under which a window keeps when each tick was measured, and in which frame."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """One metric of a sealed window; `body` as in `controller.history.block`."""

    group_id: str
    metric: str
    start_unix_ns: int
    """Of the window; every frame in it began within the window."""
    last_unix_ns: int
    """The newest tick."""
    body: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Sealed:
    """A window as it is written: all of its blocks in one transaction."""

    blocks: tuple[Block, ...]
    samples: int
    """Values measured: ticks times columns, NaN included."""
    agents: tuple[int, ...]
    """Rows of the agents with frames in it."""

    @property
    def bytes(self) -> int:
        return sum(len(block.body) for block in self.blocks)


def paired(blocks: Iterable[Block]) -> Iterator[tuple[Block, Block]]:
    """Each block with the times of its window, which come before it."""
    times: Block | None = None
    for block in blocks:
        if block.metric == TIMES:
            times = block
        elif times is not None and times.start_unix_ns == block.start_unix_ns:
            yield times, block


def times_of(body: bytes) -> IntBlock:
    """(seats, ticks) ns; -1 where there is no tick."""
    seats = shape_of(body)[0] // 3
    return decode_count(body, slice(seats)).view(np.int64)


class Window:
    """Ticks of the agents of one group and one schema that began in one span of time.

    Each agent fills its own column of ticks from the front; `filled` says how far.
    """

    def __init__(
        self, *, group: int, size: int, schema: Schema, start_unix_ns: int, opened_s: float
    ) -> None:
        self.group = group
        self.schema = schema
        self.start_unix_ns = start_unix_ns
        self.opened_s = opened_s
        self.first_offsets: dict[int, int] = {}
        """Partition -> offset of the oldest message with a frame in here."""
        self.filled: NDArray[np.intp] = np.zeros(size, dtype=np.intp)
        self._values = np.empty((_TICKS, size, len(schema.columns)), np.float32)
        self._counters = np.empty((_TICKS, size, len(schema.counters)), np.uint64)
        self._names = np.zeros((3, _TICKS, size), np.int64)

    @property
    def agents(self) -> int:
        """How many have frames here."""
        return int(np.count_nonzero(self.filled))

    @property
    def ticks(self) -> int:
        """Of the agent with most."""
        return int(self.filled.max())

    @property
    def memory_bytes(self) -> int:
        return self._values.nbytes + self._counters.nbytes + self._names.nbytes

    def add(self, slabs: Sequence[Slab], share: GroupShare, partition: int, offset: int) -> None:
        """The share's frames, each agent at most once a slab; all ticks of a frame stay together.
        The slabs have one form and the same agents; `offset` is that of the first one's message.
        """
        self.first_offsets.setdefault(partition, offset)
        filled = self.filled[share.seats]
        first = int(filled[0])
        if bool((filled == first).all()):
            self._put(slabs, share, first)
            return
        frames = _each(share.frames, len(slabs[0]))
        seats = _each(share.seats, len(self.filled))
        for frame, seat in zip(frames, seats, strict=True):
            one = GroupShare(
                group=share.group,
                frames=slice(frame, frame + 1),
                seats=slice(seat, seat + 1),
            )
            self._put(slabs, one, int(self.filled[seat]))

    def unsealed(self) -> dict[tuple[int, int], list[tuple[int, int]]]:
        """(seat, epoch) -> sequence numbers of the frames in here, as ranges (first, last)."""
        seats = np.flatnonzero(self.filled)
        held = np.arange(self.ticks)[:, None] < self.filled[seats]
        _, epochs, seqs = self._names[:, : self.ticks, seats]
        steps = np.diff(seqs, axis=0)
        goes_on = (epochs[1:] == epochs[:-1]) & (steps >= 0) & (steps <= 1)
        whole = (goes_on | ~held[1:]).all(axis=0)
        last = seqs[self.filled[seats] - 1, np.arange(len(seats))]
        rows = (seats.tolist(), epochs[0].tolist(), seqs[0].tolist(), last.tolist())
        found = {
            (seat, epoch): [(first, end)] for seat, epoch, first, end in zip(*rows, strict=True)
        }
        for place in np.flatnonzero(~whole).tolist():
            seat, mine = int(seats[place]), held[:, place]
            del found[seat, int(epochs[0, place])]
            for epoch in np.unique(epochs[mine, place]).tolist():
                here = np.unique(seqs[mine, place][epochs[mine, place] == epoch])
                ends = np.flatnonzero(np.diff(here, append=here[-1] + 2) > 1)
                begins = np.concatenate(([0], ends[:-1] + 1))
                found[seat, epoch] = list(
                    zip(here[begins].tolist(), here[ends].tolist(), strict=True)
                )
        return found

    def seal(self, group_id: str, first_row: int, grids: dict[str, int | None]) -> Sealed:
        """The window's blocks; `grids` remembers which decimal grid fits which metric."""
        ticks = self.ticks
        beyond = np.arange(ticks)[:, None] >= self.filled
        self._values[:ticks][beyond] = np.nan
        self._counters[:ticks][beyond] = MISSING_COUNT
        values, counters = _by_seat(self._values[:ticks]), _by_seat(self._counters[:ticks])
        zstd = compressor()
        bodies: dict[str, bytes] = {TIMES: self._sealed_names(ticks, beyond, zstd)}
        for metric, columns in _spans(self.schema.columns).items():
            rows, grid = _rows(values, columns), grids.get(metric)
            bodies[metric], grids[metric] = encode_gauge(rows, grid, zstd)
        for metric, columns in _spans(self.schema.counters).items():
            bodies[metric] = encode_count(_rows(counters, columns), zstd)
        last = int(self._names[0, :ticks].max())
        seats = np.flatnonzero(self.filled)
        width = len(self.schema.columns) + len(self.schema.counters)
        return Sealed(
            blocks=tuple(
                Block(
                    group_id=group_id,
                    metric=metric,
                    start_unix_ns=self.start_unix_ns,
                    last_unix_ns=last,
                    body=body,
                )
                for metric, body in bodies.items()
            ),
            samples=int(self.filled.sum()) * width,
            agents=tuple((seats + first_row).tolist()),
        )

    def _put(self, slabs: Sequence[Slab], share: GroupShare, first: int) -> None:
        frames, seats = share.frames, share.seats
        ticks = slabs[0].ticks
        end = first + len(slabs) * ticks
        if end > len(self._values):
            self._grow(end)
        for at, slab in zip(range(first, end, ticks), slabs, strict=True):
            self._values[at : at + ticks, seats] = slab.values[frames].swapaxes(0, 1)
            self._counters[at : at + ticks, seats] = slab.counters[frames].swapaxes(0, 1)
        steps = np.tile(np.arange(ticks) * slabs[0].dt_ns, len(slabs))[:, None]
        t0 = _each_tick([slab.t0_unix_ns[frames] for slab in slabs], ticks)
        epochs = _each_tick([slab.epochs[frames] for slab in slabs], ticks)
        seqs = _each_tick([slab.seqs[frames] for slab in slabs], ticks)
        for row, names in enumerate((t0 + steps, epochs, seqs)):
            self._names[row, first:end, seats] = _aligned(names, seats)
        self.filled[seats] += end - first

    def _grow(self, wanted: int) -> None:
        held = len(self._values)
        more = max(wanted, 2 * held) - held
        self._values = _longer(self._values, more, 0)
        self._counters = _longer(self._counters, more, 0)
        self._names = _longer(self._names, more, 1)

    def _sealed_names(self, ticks: int, beyond: NDArray[np.bool_], zstd: ZstdCompressor) -> bytes:
        """(3 * seats, ticks): times, epochs, sequence numbers; MISSING_COUNT where no tick is."""
        names = self._names[:, :ticks].view(np.uint64)
        names[:, beyond] = MISSING_COUNT
        return encode_count(np.ascontiguousarray(names.swapaxes(1, 2)).reshape(-1, ticks), zstd)


def _each_tick(slabs: list[IntBlock], ticks: int) -> IntBlock:
    """(ticks of all slabs, frames) of what each frame has one of."""
    return np.repeat(np.array(slabs), ticks, axis=0)


def _aligned(values: NDArray[Any], seats: slice | NDArray[np.intp]) -> NDArray[Any]:
    # numpy puts the indexed axis first when a row of seats stands between slices.
    return values if isinstance(seats, slice) else values.T


def _each(pick: slice | NDArray[np.intp], size: int) -> list[int]:
    return list(range(size)[pick]) if isinstance(pick, slice) else pick.tolist()


def _longer(block: NDArray[Any], more: int, axis: int) -> NDArray[Any]:
    shape = list(block.shape)
    shape[axis] = more
    return np.concatenate((block, np.zeros(shape, block.dtype)), axis=axis)


@cache
def _spans(columns: tuple[Column, ...]) -> dict[str, list[int]]:
    """Columns of each metric, part by part."""
    spans: dict[str, list[int]] = {}
    for place, column in enumerate(columns):
        spans.setdefault(column.metric, []).append(place)
    return spans


def _by_seat(block: NDArray[Any]) -> NDArray[Any]:
    """(ticks, seats, columns) -> (seats, columns, ticks), all at once: what follows is copied by
    whole rows.
    """
    return np.ascontiguousarray(block.transpose(1, 2, 0))


def _rows(block: NDArray[Any], columns: list[int]) -> NDArray[Any]:
    """(seats, columns, ticks) -> (seats x parts, ticks)."""
    first, last = columns[0], columns[-1]
    plain = last - first == len(columns) - 1
    taken = block[:, first : last + 1] if plain else block[:, columns]
    return np.ascontiguousarray(taken).reshape(-1, block.shape[2])
