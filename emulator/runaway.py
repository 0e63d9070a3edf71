"""Chips whose leakage would heat them faster than their cooling can follow are refused."""

from collections.abc import Sequence
from typing import Final

import numpy as np

from emulator.chip import leakage_w
from emulator.skus import FleetSkus
from fleet.errors import ConfigurationError
from fleet.topology import Cooling
from thermal import cold_plate
from thermal.arrays import FloatArray
from thermal.coolant import w_per_k_per_lpm
from thermal.plant.air_settings import AirRowSettings
from thermal.plant.settings import PlantSettings

MOST_GAIN: Final = 0.3
"""Each watt's own heat may bring at most so much more leakage; 1 has no rest at all."""
_WARM_C: Final = 40.0


def check_runaway(skus: FleetSkus, plants: Sequence[PlantSettings], row: AirRowSettings) -> None:
    """ConfigurationError with the numbers when the worst chip leaks too steeply at its trip."""
    chips, fleet_map = skus.chips, skus.fleet_map
    steepness_w_per_k = chips.leakage_per_k * leakage_w(chips, chips.trip_c)
    k_per_w = _junction_to_inlet_k_per_w(skus, plants, row)
    gain = steepness_w_per_k * k_per_w
    worst = int(np.argmax(gain))
    if gain[worst] >= MOST_GAIN:
        raise ConfigurationError(
            f"{fleet_map.chip_ids[worst]}: its leakage grows by {steepness_w_per_k[worst]:.1f} W/K"
            f" at {chips.trip_c[worst]:.0f} C and its cooling takes"
            f" {1e3 * k_per_w[worst]:.0f} K/kW: a gain of {gain[worst]:.2f}, where {MOST_GAIN}"
            " and more can run away; give it less leakage or more cooling"
        )


def _junction_to_inlet_k_per_w(
    skus: FleetSkus, plants: Sequence[PlantSettings], row: AirRowSettings
) -> FloatArray:
    """[chips] at the design flow of coolant, or at rated power and full fans of its server."""
    fleet_map = skus.fleet_map
    rise_k = row.sink.case_rise_k + row.sink.sink_rise_k + 0.5 * row.server.air_rise_k
    by_air = rise_k / skus.chips.tdp_w
    of_loop = np.array([_plate_k_per_w(plant) for plant in plants])[fleet_map.loop_of_chip]
    by_coolant = of_loop / skus.chip_column(lambda chip: chip.cold_plates)
    air = np.array([kind.cooling is Cooling.AIR for kind in fleet_map.kind_of_loop])
    found: FloatArray = np.where(air[fleet_map.loop_of_chip], by_air, by_coolant)
    return found


def _plate_k_per_w(plant: PlantSettings) -> float:
    """Of one plate of 1 kW."""
    to_inlet = cold_plate.case_to_inlet_k_per_w(
        np.array([plant.sled.chip_lpm]),
        plant.plate,
        w_per_k_per_lpm=float(w_per_k_per_lpm(_WARM_C)),
    )
    return plant.chip.junction_to_case_k_per_w + float(to_inlet[0])
