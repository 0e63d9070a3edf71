from collections.abc import Callable
from functools import cache

import numpy as np

from emulator.skus.columns import ChipColumns, SledColumns
from emulator.skus.settings import GenerationSettings, SkuSettings, SledSettings
from emulator.sourced import load
from fleet.topology import FleetMap, Generation
from thermal.arrays import FloatArray


@cache
def generation_settings(generation: Generation) -> GenerationSettings:
    """From the generation's file in this package."""
    return load(__package__, f"{generation}.yaml", GenerationSettings)


def settings_of_sled(fleet_map: FleetMap, row: int) -> GenerationSettings:
    """Of one sled; a device needs no columns of the whole fleet."""
    return generation_settings(fleet_map.generations[int(fleet_map.generation_of_sled[row])])


class FleetSkus:
    """What each chip and sled of one fleet is made of."""

    def __init__(self, fleet_map: FleetMap) -> None:
        self.fleet_map = fleet_map
        self.settings = tuple(generation_settings(kind) for kind in fleet_map.generations)
        """In the order of `fleet_map.generations`."""
        self.chips = ChipColumns.of(
            [kind.chip for kind in self.settings], fleet_map.generation_of_chip
        )
        self.sleds = SledColumns.of(
            [kind.sled for kind in self.settings], fleet_map.generation_of_sled
        )

    def of_chip(self, row: int) -> SkuSettings:
        return self.settings[int(self.fleet_map.generation_of_chip[row])].chip

    def of_sled(self, row: int) -> SledSettings:
        return self._of_sled(row).sled

    def chip_of_sled(self, row: int) -> SkuSettings:
        """The kind of all chips on a sled."""
        return self._of_sled(row).chip

    def chip_column(self, getter: Callable[[SkuSettings], float]) -> FloatArray:
        """[chips] one figure of each chip's kind."""
        each = np.array([getter(kind.chip) for kind in self.settings], dtype=np.float64)
        return each[self.fleet_map.generation_of_chip]

    def _of_sled(self, row: int) -> GenerationSettings:
        return self.settings[int(self.fleet_map.generation_of_sled[row])]
