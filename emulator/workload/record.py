"""What became of the hall's products, for those who show it."""

from collections import deque
from typing import Final

import numpy as np
from numpy.typing import NDArray

from emulator.workload.engine import Executed
from emulator.workload.ledger import Corruption
from thermal.arrays import BoolArray

_KEPT: Final = 1_024


class ProductRecord:
    """One thread keeps; `corruptions` are the latest 1,024, oldest first."""

    def __init__(self, chips: int) -> None:
        self.real: BoolArray = np.ones(chips, dtype=np.bool_)
        """Whether each chip's last FLOP were counted from products that ran, not by formula."""
        self.corrupted_total: NDArray[np.int64] = np.zeros(chips, dtype=np.int64)
        """Products of each chip whose checksums did not agree."""
        self._corruptions: deque[Corruption] = deque(maxlen=_KEPT)

    def keep(self, executed: Executed) -> None:
        self.real = executed.real
        for corruption in executed.corrupted:
            self.corrupted_total[corruption.chip] += 1
        self._corruptions.extend(executed.corrupted)

    @property
    def corruptions(self) -> tuple[Corruption, ...]:
        return tuple(self._corruptions)
