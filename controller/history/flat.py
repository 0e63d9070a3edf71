"""History as rows: which part, when, what; for tables that leave the house."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from controller.history.block import shape_of
from controller.history.levels import Level
from controller.history.places import SeatShare
from controller.history.query import rows_of, thinned_of
from controller.history.rollup import Rolled, Stat, Values, decode_values
from controller.history.thinned import counted, thinned
from controller.history.window import TIMES, Block, times_of
from fleet.errors import ConfigurationError, MalformedMessageError
from fleet.frame import IntBlock


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Flat:
    """Values of one metric, one after the other; a tick or step that is not there has no row."""

    metric: str
    rows: NDArray[np.int32]
    """Of the share: the chip, sled, CDU or pump."""
    at_unix_ns: IntBlock
    values: Mapping[Stat, Values]
    """Of ticks only LAST, which is the tick itself; of thinned ones all but LAST and NAN_COUNT."""


def flat_ticks(
    blocks: Iterable[Block], share: SeatShare, *, from_unix_ns: int, until_unix_ns: int
) -> Iterator[Flat]:
    """Of sealed windows of one group, each window's times first. ConfigurationError when the group
    has not as many agents as the share says, MalformedMessageError naming a damaged block.
    """
    times: tuple[Block, IntBlock] | None = None
    for block in blocks:
        try:
            if block.metric == TIMES:
                times = block, times_of(block.body)
                _same_size(block, len(times[1]), share)
                continue
            if times is None or times[0].start_unix_ns != block.start_unix_ns:
                continue
            yield _window(block, times[1], share, from_unix_ns, until_unix_ns)
        except MalformedMessageError as error:
            raise MalformedMessageError(
                f"{block.group_id}, {block.metric}, window at {block.start_unix_ns} ns: {error}"
            ) from error


def flat_thinned(
    blocks: Iterable[Block], share: SeatShare, *, from_unix_ns: int, until_unix_ns: int
) -> Iterator[Flat]:
    """What full spools have left of gauges in the same windows: each span of thinned ticks where it
    begins. Errors as in `flat_ticks`.
    """
    for times, metric, stats in thinned(blocks):
        try:
            _same_size(times, shape_of(times.body)[0] // 3, share)
            at, values = thinned_of(times, stats, share)
            if values["count"].shape != at.shape:
                raise MalformedMessageError(f"{values['count'].shape} values at {at.shape} times")
        except MalformedMessageError as error:
            raise MalformedMessageError(
                f"{times.group_id}, thinned {metric}, window at {times.start_unix_ns} ns: {error}"
            ) from error
        row, span = np.nonzero((at >= from_unix_ns) & (at < until_unix_ns))
        picked = {stat: told[row, span] for stat, told in values.items()}
        yield Flat(
            metric=metric,
            rows=row.astype(np.int32),
            at_unix_ns=at[row, span],
            values={
                Stat.MIN: picked["min"],
                Stat.MAX: picked["max"],
                Stat.MEAN: picked["mean"],
                Stat.COUNT: counted(picked),
            },
        )


def flat_steps(
    metric: str,
    spans: Mapping[int, Rolled],
    level: Level,
    *,
    from_unix_ns: int,
    until_unix_ns: int,
) -> Iterator[Flat]:
    """Of statistics by the start of their span: steps that begin in a span of time and in which
    there was a tick, with or without a value.
    """
    for start, rolled in sorted(spans.items()):
        at = start + np.arange(level.points, dtype=np.int64) * level.step_ns
        heard = rolled[Stat.COUNT] + rolled[Stat.NAN_COUNT] > 0
        rows, steps = np.nonzero(heard & (at >= from_unix_ns) & (at < until_unix_ns))
        yield Flat(
            metric=metric,
            rows=rows.astype(np.int32),
            at_unix_ns=at[steps],
            values={stat: values[rows, steps] for stat, values in rolled.items()},
        )


def _window(block: Block, at: IntBlock, share: SeatShare, from_ns: int, until_ns: int) -> Flat:
    rows = shape_of(block.body)[0]
    chosen = rows_of(share, rows)
    values: NDArray[Any] = decode_values(block.metric, block.body, chosen)
    times = np.repeat(at, rows // share.size, axis=0)[chosen]
    if values.shape != times.shape:
        raise MalformedMessageError(f"{values.shape} values at {times.shape} times")
    row, tick = np.nonzero((times >= from_ns) & (times < until_ns))
    return Flat(
        metric=block.metric,
        rows=row.astype(np.int32),
        at_unix_ns=times[row, tick],
        values={Stat.LAST: values[row, tick]},
    )


def _same_size(block: Block, seats: int, share: SeatShare) -> None:
    if seats != share.size:
        raise ConfigurationError(
            f"history of {block.group_id} is of {seats} agents, and the fleet described here has "
            f"{share.size} of them there; describe the fleet as the controller was told"
        )
