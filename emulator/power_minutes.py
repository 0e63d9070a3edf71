"""Chip power as the Neuron driver tells it: percent of the maximum, rolled up every minute."""

from dataclasses import dataclass

import numpy as np

from emulator.skus.columns import ChipColumns
from fleet.clock import NS_PER_S
from thermal.arrays import FloatArray


@dataclass(frozen=True, slots=True, kw_only=True)
class PowerMinute:
    """The last whole minute of one chip; percents of what lies between idle and the rated power.

    Driver: neuron_power.c; the two ends of the scale are AWS' own, so here they are the SKU's.
    """

    at_unix_s: int
    """End of the minute; 0 before the first."""
    low_percent: float
    high_percent: float
    mean_percent: float

    @property
    def valid(self) -> bool:
        return self.at_unix_s > 0


NO_MINUTE = PowerMinute(at_unix_s=0, low_percent=0.0, high_percent=0.0, mean_percent=0.0)


class PowerMinutes:
    """Power of every chip of a hall, rolled up at each full minute of the wall clock."""

    def __init__(self, chips: ChipColumns) -> None:
        self._idle_w = chips.idle_w
        self._span_w = np.maximum(chips.tdp_w - chips.idle_w, 1.0)
        self._minute = -1
        self._begin()
        self._last = [NO_MINUTE] * len(chips.idle_w)

    def _begin(self) -> None:
        self._low = np.full(len(self._idle_w), np.inf)
        self._high = np.full(len(self._idle_w), -np.inf)
        self._sum = np.zeros(len(self._idle_w))
        self._samples_count = 0

    def take(self, power_w: FloatArray, at_unix_ns: int) -> list[PowerMinute]:
        """[chips] the last whole minute, after a sample at this time."""
        minute = at_unix_ns // (60 * NS_PER_S)
        if minute != self._minute:
            if self._samples_count:
                self._roll(60 * minute)
            self._minute = minute
            self._begin()
        percent = np.clip(100.0 * (power_w - self._idle_w) / self._span_w, 0.0, 100.0)
        np.minimum(self._low, percent, out=self._low)
        np.maximum(self._high, percent, out=self._high)
        self._sum += percent
        self._samples_count += 1
        return self._last

    def _roll(self, at_unix_s: int) -> None:
        mean = self._sum / self._samples_count
        rows = zip(self._low.tolist(), self._high.tolist(), mean.tolist(), strict=True)
        self._last = [
            PowerMinute(at_unix_s=at_unix_s, low_percent=low, high_percent=high, mean_percent=mid)
            for low, high, mid in rows
        ]
