"""What memory the chips of a fleet have."""

from dataclasses import dataclass
from typing import Final

import numpy as np

from emulator.hbm.settings import HbmSettings
from emulator.skus import generation_settings
from fleet.errors import ConfigurationError
from fleet.topology import FleetMap
from thermal.arrays import BoolArray, FloatArray, IntArray

_BYTES_PER_GB: Final = 1e9
FIT_S: Final = 1e9 * 3600.0
"""Seconds in which a rate of 1 FIT expects one failure."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChipMemory:
    """Arrays [chips]."""

    uncorrected_per_s: FloatArray
    """Expected of a chip of mean frailty past its infancy, at the reference temperature."""
    stacks: IntArray
    """0 on a chip without HBM."""
    repairable: BoolArray

    @property
    def chips(self) -> int:
        return len(self.stacks)


def chip_memory(fleet_map: FleetMap, settings: HbmSettings) -> ChipMemory:
    """ConfigurationError for a generation with HBM that the settings do not know."""
    chips = fleet_map.chips
    rate_per_s, stacks = np.zeros(chips), np.zeros(chips, dtype=np.int32)
    repairable = np.zeros(chips, dtype=np.bool_)
    for number, generation in enumerate(fleet_map.generations):
        chip = generation_settings(generation).chip
        if chip.hbm_stacks == 0:
            continue
        memory = settings.generations.get(generation)
        if memory is None:
            known = ", ".join(sorted(settings.generations))
            raise ConfigurationError(f"no memory error rates of {generation}; known are {known}")
        here = fleet_map.generation_of_chip == number
        fit = memory.uncorrected_fit_per_gb * chip.hbm_bytes / _BYTES_PER_GB
        rate_per_s[here] = fit / FIT_S
        stacks[here] = chip.hbm_stacks
        repairable[here] = memory.repairable
    return ChipMemory(uncorrected_per_s=rate_per_s, stacks=stacks, repairable=repairable)
