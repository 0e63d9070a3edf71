"""Statistics that agents were left with when their spools were full, as parts of steps.

Such a window has the blocks `junction_c.min`, `.max`, `.mean` and `.count`, and none `junction_c`.
Each statistic counts where its span begins; the newest value of the span is not known.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Final

import numpy as np

from controller.history.block import decode_gauge
from controller.history.window import Block, paired
from fleet.errors import MalformedMessageError
from fleet.frame import STATS, CountBlock, FloatBlock

Thin = Mapping[str, FloatBlock]
"""Each of `fleet.frame.STATS` of the same rows, NaN where there was no value."""

_ALL: Final = slice(None)
_MOST_TICKS: Final = 86_400


def thinned_names(metric: str) -> tuple[str, ...]:
    """Names of the blocks that hold a metric's statistics."""
    return tuple(f"{metric}.{stat}" for stat in STATS)


def thinned(blocks: Iterable[Block]) -> Iterator[tuple[Block, str, dict[str, Block]]]:
    """(times, metric, blocks by statistic), of windows that have all of a metric's statistics."""
    found: dict[tuple[int, str], tuple[Block, dict[str, Block]]] = {}
    for times, block in paired(blocks):
        metric, dot, stat = block.metric.rpartition(".")
        if dot and stat in STATS:
            _, stats = found.setdefault((id(times), metric), (times, {}))
            stats[stat] = block
    for (_, metric), (times, stats) in found.items():
        if len(stats) == len(STATS):
            yield times, metric, stats


def decode_thin(blocks: Mapping[str, Block], rows: slice = _ALL) -> dict[str, FloatBlock]:
    """MalformedMessageError when one is damaged, or they are not of one shape."""
    stats = {stat: decode_gauge(block.body, rows) for stat, block in blocks.items()}
    if len({values.shape for values in stats.values()}) > 1:
        raise MalformedMessageError("history block: statistics of different shapes")
    return stats


def counted(stats: Thin) -> CountBlock:
    """Of how many readings each span's statistics are."""
    # Senders may say anything; no span has more ticks than a day has seconds.
    told = np.where(np.isfinite(stats["mean"]), np.nan_to_num(stats["count"]), 0)
    return np.clip(told, 0, _MOST_TICKS).astype(np.uint64)
