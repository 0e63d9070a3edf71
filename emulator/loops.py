"""The cooling loops of the hall as one: truth in fleet-wide columns, one CDU firmware each."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from emulator.faults.columns import FaultColumns
from emulator.readings import CduReadings, CduRequests
from emulator.sensing import CduFirmware
from fleet.topology import FleetMap
from thermal.arrays import FloatArray
from thermal.plant.loop import LoopPlant
from thermal.plant.settings import PlantSettings

CHIP_STATE = ("junction_c", "hbm_c")
SLED_STATE = ("sled_inlet_c", "sled_outlet_c", "sled_flow_lpm")


class CoolingLoops:
    """One plant and one firmware a loop; columns below are in FleetMap order."""

    def __init__(
        self,
        fleet_map: FleetMap,
        rng: np.random.Generator,
        *,
        longest_step_s: float,
        firmware: Callable[[int], CduFirmware],
    ) -> None:
        """`firmware` builds that of one CDU from its number of pumps."""
        self._fleet_map = fleet_map
        self.plants = [
            self._plant(loop, generator, longest_step_s)
            for loop, generator in enumerate(rng.spawn(len(fleet_map.loop_ids)))
        ]
        self.pumps = self.plants[0].settings.pumps
        self.firmware = [firmware(plant.settings.pumps) for plant in self.plants]
        self.requests = [
            CduRequests(pump_ratio=(0.8,) * plant.settings.pumps) for plant in self.plants
        ]

    def _plant(self, loop: int, rng: np.random.Generator, longest_step_s: float) -> LoopPlant:
        chips = self._fleet_map.chips_in_loop(loop)
        sleds = self._fleet_map.sleds_in_loop(loop)
        settings = PlantSettings.sized(chips.stop - chips.start)
        return LoopPlant(
            replace(settings, longest_step_s=longest_step_s),
            sled_of_chip=self._fleet_map.sled_of_chip[chips] - sleds.start,
            sleds=sleds.stop - sleds.start,
            rng=rng,
        )

    def break_parts(self, broken: FaultColumns) -> None:
        """Set the faults of every loop to exactly what is in force."""
        for loop, plant in enumerate(self.plants):
            faults = plant.faults
            chips, sleds = self._fleet_map.chips_in_loop(loop), self._fleet_map.sleds_in_loop(loop)
            faults.chip_blockage_ratio[:] = broken.chip_blockage_ratio[chips]
            faults.chip_resistance_ratio[:] = broken.chip_resistance_ratio[chips]
            faults.sled_blockage_ratio[:] = broken.sled_blockage_ratio[sleds]
            faults.leak_lpm[:] = broken.leak_lpm[sleds]
            faults.pump_tripped[:] = broken.pump_tripped[loop].tolist()
            faults.valve_stuck = bool(broken.valve_stuck[loop])
            faults.fouling_ratio = float(broken.fouling_ratio[loop])
            faults.facility_offset_k = float(broken.facility_offset_k[loop])

    def step(
        self,
        dt_s: float,
        *,
        chip_power_w: FloatArray,
        sled_other_liquid_w: FloatArray,
        sensed: Sequence[CduReadings],
        now_monotonic_s: float,
    ) -> None:
        """Firmware looks at its last readings, then valve, pumps and coolant move."""
        for loop, plant in enumerate(self.plants):
            actuators = self.firmware[loop].actuators(
                self.requests[loop], sensed[loop], now_monotonic_s, dt_s
            )
            plant.step(
                dt_s,
                chip_power_w=chip_power_w[self._fleet_map.chips_in_loop(loop)],
                sled_other_liquid_w=sled_other_liquid_w[self._fleet_map.sleds_in_loop(loop)],
                actuators=actuators,
            )

    def column(self, name: str) -> FloatArray:
        """A state of every chip, sled or pump, loop after loop."""
        return np.concatenate([getattr(plant, name) for plant in self.plants])

    def scalars(self, name: str) -> FloatArray:
        """A state of every loop."""
        return np.array([getattr(plant, name) for plant in self.plants], dtype=np.float64)

    def leak_lpm(self) -> FloatArray:
        """[sleds] leaks in force, where no valve isolates them."""
        return np.concatenate(
            [np.where(p.faults.sled_isolated, 0.0, p.faults.leak_lpm) for p in self.plants]
        )

    def pump_tripped(self, loop: int) -> Sequence[bool]:
        return self.plants[loop].faults.pump_tripped
