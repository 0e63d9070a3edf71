"""The cooling loops of the hall as one: truth in fleet-wide columns, one CDU firmware each."""

from collections.abc import Callable, Sequence
from dataclasses import fields, replace
from typing import Any, Final

import numpy as np

from emulator.faults.columns import FaultColumns
from emulator.readings import CduReadings, CduRequests
from emulator.sensing import CduFirmware
from emulator.skus import FleetSkus
from fleet.topology import LoopKind
from thermal.arrays import BoolArray, FloatArray
from thermal.plant.layout import PlantLayout
from thermal.plant.liquid import LiquidPlant
from thermal.plant.settings import PlantSettings
from thermal.plant.state import Commands, PlantFaults, Weather

WATER_LEASE_S: Final = 120.0
"""Estimate: a building goes back to its own set-point when nobody has asked for so long."""
CHIP_STATE = ("junction_c", "hbm_c")
SLED_STATE = ("sled_inlet_c", "sled_outlet_c", "sled_flow_lpm")


class CoolingLoops:
    """One plant for all loops and one firmware each; columns below are in FleetMap order.

    The plant's chips are plates: a wafer that many plates carry side by side is as many of them,
    and shows its hottest.
    """

    def __init__(
        self,
        skus: FleetSkus,
        rng: np.random.Generator,
        *,
        settings: Sequence[PlantSettings],
        longest_step_s: float,
        firmware: Callable[[LoopKind, int], CduFirmware],
    ) -> None:
        """`settings` of each loop; `firmware` builds that of a CDU by kind and number of pumps."""
        fleet_map = skus.fleet_map
        self._plates = skus.chip_column(lambda chip: chip.cold_plates).astype(np.int64)
        self._first_plate = np.cumsum(self._plates) - self._plates
        layout = PlantLayout(
            sled_of_chip=np.repeat(fleet_map.sled_of_chip, self._plates),
            loop_of_sled=fleet_map.loop_of_sled,
        )
        self.plant = LiquidPlant(
            [replace(loop, longest_step_s=longest_step_s) for loop in settings],
            layout=layout,
            rng=rng,
        )
        self.pumps = self.plant.pumps
        self.firmware = [firmware(kind, self.pumps) for kind in fleet_map.kind_of_loop]
        self.requests = [CduRequests(pump_ratio=(0.8,) * self.pumps) for _ in range(layout.loops)]
        self._own_water_c = self.plant.facility_setpoint_c.copy()
        self._told = {
            "valve_command_ratio": np.full(layout.loops, np.nan),
            "pump_command_ratio": np.full(layout.loops * self.pumps, np.nan),
        }
        self._broken: FaultColumns | None = None

    def expose(self, weather: Weather) -> None:
        """Set the outdoor and hall air that acts on every loop."""
        self.plant.weather = weather

    def break_parts(self, broken: FaultColumns) -> None:
        """Set the faults of every loop to exactly what is in force."""
        if broken is not self._broken:
            self._broken = broken
            # Isolation valves are no fault: they are set from elsewhere and stay as they are.
            named = (f.name for f in fields(PlantFaults) if f.name != "sled_isolated")
            struck = {name: self._by_plate(name, getattr(broken, name)) for name in named}
            self.plant.break_parts(replace(self.plant.faults, **struck))

    def isolate(self, sleds: BoolArray) -> None:
        """Set the isolation valves [sleds] that are shut."""
        if (sleds != self.plant.faults.sled_isolated).any():
            self.plant.break_parts(replace(self.plant.faults, sled_isolated=sleds.copy()))

    def step(
        self,
        dt_s: float,
        *,
        chip_power_w: FloatArray,
        sled_other_liquid_w: FloatArray,
        sensed: Sequence[CduReadings],
        now_monotonic_s: float,
    ) -> None:
        """Firmware looks at its last readings, then valves, pumps and coolant move."""
        actuators = [
            firmware.actuators(requests, readings, now_monotonic_s, dt_s)
            for firmware, requests, readings in zip(
                self.firmware, self.requests, sensed, strict=True
            )
        ]
        self._told = {
            "valve_command_ratio": np.array([one.valve_ratio for one in actuators]),
            "pump_command_ratio": np.array([one.pump_ratio for one in actuators]).ravel(),
        }
        self.plant.facility_setpoint_c = self._water_c(now_monotonic_s)
        self.plant.step(
            dt_s,
            chip_power_w=self._by_plate("chip_power_w", chip_power_w / self._plates),
            sled_other_liquid_w=sled_other_liquid_w,
            commands=Commands.of(actuators),
        )

    def _water_c(self, now_monotonic_s: float) -> FloatArray:
        """[loops] what the building is to supply."""
        asked_c = np.array(
            [
                np.nan
                if requests.facility_setpoint_c is None
                or now_monotonic_s - requests.facility_asked_monotonic_s > WATER_LEASE_S
                else requests.facility_setpoint_c
                for requests in self.requests
            ]
        )
        return np.where(np.isfinite(asked_c), asked_c, self._own_water_c)

    def column(self, name: str) -> FloatArray:
        """A state of every chip, sled or pump, loop after loop."""
        if name in self._told:
            return self._told[name]
        values: FloatArray = getattr(self.plant, name).ravel()
        if name.startswith(("sled_", "pump_")) or len(values) == len(self._plates):
            return values
        hottest: FloatArray = np.maximum.reduceat(values, self._first_plate)
        return hottest

    def _by_plate(self, name: str, values: Any) -> Any:
        """Columns of chips for each of their plates; others as they are."""
        if not name.startswith("chip_") or len(self._first_plate) == self._plates.sum():
            return values
        return np.repeat(values, self._plates)

    def scalars(self, name: str) -> FloatArray:
        """A state of every loop."""
        if name in self._told:
            return self._told[name]
        values: FloatArray = getattr(self.plant, name)
        return values

    def leak_lpm(self) -> FloatArray:
        """[sleds] leaks in force, where no valve isolates them."""
        return self.plant.leaking_lpm()

    def pump_tripped(self, loop: int) -> Sequence[bool]:
        tripped: list[bool] = self.plant.faults.pump_tripped[loop].tolist()
        return tripped
