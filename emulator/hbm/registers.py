"""The error registers of a chip, with the manners of the real ones.

Layout and traps follow the sources of aws-neuron-driver (fw_io, sysfs of the v2 and v3 layers):
one 16-bit half-word a stack and kind; an unreadable register (0xdeadbeef) counts as 0; root may
clear counts; and the repair state decides what a failed repair adds.
"""

from dataclasses import dataclass
from enum import IntEnum, StrEnum
from typing import Final

import numpy as np
from numpy.typing import NDArray

from thermal.arrays import BoolArray, IntArray

STACKS: Final = 4
MOST: Final = 0xFFFF

Counts = NDArray[np.int64]


class RepairState(IntEnum):
    NONE = 0  # no repair is pending
    PENDING = 1  # at the next reload of the driver
    FAILED = 2  # the chip has to be replaced


class Overflow(StrEnum):
    SATURATE = "saturate"  # a full register stays full
    WRAP = "wrap"  # a full register begins anew at 0


@dataclass(frozen=True, slots=True, kw_only=True)
class EccColumns:
    """What a read of all registers gives now; arrays [chips]."""

    hbm_corrected: Counts
    hbm_uncorrected: Counts
    """Beyond repair; every one of them where the driver knows no repair."""
    hbm_repairable_uncorrected: Counts
    sram_corrected: Counts
    sram_uncorrected: Counts
    repair_state: Counts


class EccRegisters:
    """Registers of all chips; true counts inside, what a driver reads outside."""

    def __init__(self, chips: int, overflow: Overflow) -> None:
        self._overflow = overflow
        self._corrected: Counts = np.zeros((chips, STACKS), dtype=np.int64)
        self._uncorrected: Counts = np.zeros((chips, STACKS), dtype=np.int64)
        self._repairable: Counts = np.zeros((chips, STACKS), dtype=np.int64)
        self._sram_corrected: Counts = np.zeros(chips, dtype=np.int64)
        self._sram_uncorrected: Counts = np.zeros(chips, dtype=np.int64)
        self._unreadable: BoolArray = np.zeros((chips, STACKS), dtype=np.bool_)
        self.repair_state: Counts = np.zeros(chips, dtype=np.int64)

    def count_corrected(self, chips: IntArray, stacks: IntArray, errors: IntArray) -> None:
        np.add.at(self._corrected, (chips, stacks), errors)

    def count_uncorrected(self, chips: IntArray, stacks: IntArray, repairable: BoolArray) -> None:
        """One error each; those that can be repaired are pending from now on."""
        lost = ~repairable
        np.add.at(self._uncorrected, (chips[lost], stacks[lost]), 1)
        np.add.at(self._repairable, (chips[repairable], stacks[repairable]), 1)
        pending = chips[repairable & (self.repair_state[chips] == RepairState.NONE)]
        self.repair_state[pending] = RepairState.PENDING

    def count_sram(self, corrected: IntArray, uncorrected: IntArray) -> None:
        """Chips with one error each; a chip may stand more than once."""
        np.add.at(self._sram_corrected, corrected, 1)
        np.add.at(self._sram_uncorrected, uncorrected, 1)

    def end_repair(self, chip: int, state: RepairState) -> None:
        """After a reload no repairable error is left, cured or not."""
        self._repairable[chip] = 0
        self.repair_state[chip] = state

    def clear(self, chips: IntArray | BoolArray) -> None:
        """Counts go to 0: another tool wrote to the registers, or the power was off."""
        for counts in (self._corrected, self._uncorrected, self._repairable):
            counts[chips] = 0
        self._sram_corrected[chips] = 0
        self._sram_uncorrected[chips] = 0

    def set_unreadable(self, chips: IntArray | BoolArray, stack: int, unreadable: bool) -> None:
        self._unreadable[chips, stack] = unreadable

    def read(self) -> EccColumns:
        state = self.repair_state
        repairable = self._summed(self._repairable)
        # The register of a pending repair may run ahead of the counts.
        early = (state == RepairState.PENDING) & (repairable == 0)
        return EccColumns(
            hbm_corrected=self._summed(self._corrected),
            hbm_uncorrected=self._summed(self._uncorrected) + (state == RepairState.FAILED),
            hbm_repairable_uncorrected=repairable + early,
            sram_corrected=self._shown(self._sram_corrected),
            sram_uncorrected=self._shown(self._sram_uncorrected),
            repair_state=state.copy(),
        )

    def _shown(self, counts: Counts) -> Counts:
        if self._overflow is Overflow.WRAP:
            return counts & MOST
        return np.minimum(counts, MOST)

    def _summed(self, counts: Counts) -> Counts:
        shown: Counts = np.where(self._unreadable, 0, self._shown(counts)).sum(axis=1)
        return shown
