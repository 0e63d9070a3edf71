"""Which executions memory errors ended, and when: what the kernel log of each sled is made from."""

from collections import deque
from collections.abc import Iterator, Mapping
from typing import Final

import numpy as np
from numpy.typing import NDArray

from emulator.hbm.status import NrtStatus
from emulator.readings import FailedExecution
from fleet.topology import FleetMap
from thermal.arrays import BoolArray

KEPT: Final = 256
"""Errors that a sled's log holds; older ones fall out, as from the kernel's ring."""


class HardwareErrors:
    """The last errors of each sled, until its host is switched off."""

    def __init__(self, fleet_map: FleetMap) -> None:
        self._fleet_map = fleet_map
        self._before: dict[NrtStatus, NDArray[np.int64]] = {}
        self._kept: dict[int, deque[FailedExecution]] = {}

    def take(
        self,
        failed_total: Mapping[NrtStatus, NDArray[np.int64]],
        powered: BoolArray,
        at_unix_ns: int,
    ) -> Mapping[int, tuple[FailedExecution, ...]]:
        """By sled, where there are any; `failed_total` is [chips] by status, `powered` [sleds]."""
        for status, total in failed_total.items():
            for chip, times in self._risen(status, total):
                row = int(self._fleet_map.sled_of_chip[chip])
                place = chip - int(self._fleet_map.first_chip_of_sled[row])
                error = FailedExecution(at_unix_ns=at_unix_ns, chip=place, status=status)
                self._kept.setdefault(row, deque(maxlen=KEPT)).extend([error] * min(times, KEPT))
        self._kept = {row: kept for row, kept in self._kept.items() if powered[row]}
        return {row: tuple(kept) for row, kept in self._kept.items()}

    def _risen(self, status: NrtStatus, total: NDArray[np.int64]) -> Iterator[tuple[int, int]]:
        """Chips whose count has risen, and by how much; a fall is a count that began anew."""
        before = self._before.get(status)
        risen = total if before is None else total - before
        self._before[status] = total.copy()
        for chip in np.flatnonzero(risen > 0).tolist():
            yield chip, int(risen[chip])
