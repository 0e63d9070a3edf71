"""Which chips execute, when there are more in use than the host shall execute for."""

import numpy as np

from thermal.arrays import BoolArray, IntArray


class Rotation:
    """Those that have waited longest go first, so that of N busy chips each executes at least
    once in ceil(N / limit) steps; ties fall by the seed. Chips may come and go.
    """

    def __init__(self, chips: int, rng: np.random.Generator, *, limit: int) -> None:
        self._limit = limit
        self._tie = rng.permutation(chips)
        self._last = np.full(chips, -1, dtype=np.int64)
        self._turn = 0

    def sample(self, busy: BoolArray) -> IntArray:
        """Rows of at most `limit` of the busy chips [chips], in order."""
        rows = np.flatnonzero(busy)
        if len(rows) > self._limit:
            waited = self._last[rows] * len(self._last) + self._tie[rows]
            rows = np.sort(rows[np.argpartition(waited, self._limit - 1)[: self._limit]])
        self._last[rows] = self._turn
        self._turn += 1
        return rows
