"""All that cools a hall: coolant loops and rows of air-cooled hosts, as one in fleet order."""

from collections.abc import Callable, Sequence
from dataclasses import fields
from operator import attrgetter

import numpy as np
from numpy.typing import NDArray

from emulator.air_handler import AirHandlers
from emulator.faults.columns import COLUMNS, FaultColumns
from emulator.faults.kinds import Axis
from emulator.loops import CoolingLoops
from emulator.readings import CduReadings, CduRequests
from emulator.sensing import CduFirmware
from emulator.skus import FleetSkus
from fleet.topology import Cooling, Datacenter, FleetMap, LoopKind
from thermal.arrays import BoolArray, FloatArray
from thermal.plant.air_settings import AirRowSettings
from thermal.plant.settings import PlantSettings
from thermal.plant.state import Weather

_AIR_COLUMNS = {
    "junction_c": "rows.junction_c",
    "hbm_c": "rows.hbm_c",
    "sled_inlet_c": "rows.inlet_air_c",
    "sled_outlet_c": "rows.outlet_air_c",
}
_AIR_SCALARS = {
    "supply_c": "rows.supply_air_c",
    "return_c": "rows.return_air_c",
    "hall_air_c": "rows.supply_air_c",
    "heat_removed_w": "rows.heat_removed_w",
    "fan_power_w": "rows.handler_fan_w",
    "facility_power_w": "facility_power_w",
}


class HallCooling:
    """`CoolingLoops` for the liquid part and `AirHandlers` for the rest; columns below are in
    FleetMap order, NaN for what air does not have.
    """

    def __init__(
        self,
        skus: FleetSkus,
        rng: np.random.Generator,
        *,
        settings: Sequence[PlantSettings],
        air_row: AirRowSettings,
        longest_step_s: float,
        firmware: Callable[[LoopKind, int], CduFirmware],
    ) -> None:
        """`settings` of each loop; those of an air row are not looked at."""
        self._map = skus.fleet_map
        self._of = {kind: _Part(self._map, kind) for kind in Cooling}
        liquid, air = self._of[Cooling.LIQUID], self._of[Cooling.AIR]
        self.coolant: CoolingLoops | None = None
        if liquid.fleet_map is not None:
            self.coolant = CoolingLoops(
                FleetSkus(liquid.fleet_map),
                rng,
                settings=[settings[row] for row in self._map.loops_cooled_by(Cooling.LIQUID)],
                longest_step_s=longest_step_s,
                firmware=firmware,
            )
        self._air: AirHandlers | None = None
        if air.fleet_map is not None:
            [air_rng] = rng.spawn(1)
            self._air = AirHandlers(FleetSkus(air.fleet_map), air_rng, air_row)
        self.pumps = settings[0].pumps
        coolant = iter(self.coolant.requests if self.coolant else ())
        self.requests = [
            next(coolant) if kind.cooling is Cooling.LIQUID else CduRequests()
            for kind in self._map.kind_of_loop
        ]
        self._broken: FaultColumns | None = None

    def expose(self, weather: Weather) -> None:
        """Set the outdoor and hall air; rows have chilled water and a cold aisle of their own."""
        for part in (self.coolant, self._air):
            if part is not None:
                part.expose(weather)

    def break_parts(self, broken: FaultColumns) -> None:
        """Set the faults of every loop and row to exactly what is in force."""
        if broken is self._broken:
            return
        self._broken = broken
        if self.coolant is not None:
            whole = self._air is None
            own = broken if whole else self._of[Cooling.LIQUID].faults(broken)
            self.coolant.break_parts(own)
        if self._air is not None:
            self._air.break_parts(self._of[Cooling.AIR].faults(broken))

    def isolate(self, sleds: BoolArray) -> None:
        """Set the isolation valves [sleds] that are shut; air-cooled hosts have none."""
        if self.coolant is not None:
            self.coolant.isolate(sleds[self._of[Cooling.LIQUID].sleds])

    def step(
        self,
        dt_s: float,
        *,
        chip_power_w: FloatArray,
        sled_other_w: FloatArray,
        sled_other_liquid_w: FloatArray,
        sensed: Sequence[CduReadings],
        now_monotonic_s: float,
    ) -> None:
        """`sled_other_w` is all but the chips; `sled_other_liquid_w` its share in coolant."""
        liquid, air = self._of[Cooling.LIQUID], self._of[Cooling.AIR]
        if self._air is not None:
            self._air.step(
                dt_s, chip_power_w=chip_power_w[air.chips], sled_other_w=sled_other_w[air.sleds]
            )
            chip_power_w = chip_power_w[liquid.chips]
            sled_other_liquid_w = sled_other_liquid_w[liquid.sleds]
            sensed = [seen for seen, own in zip(sensed, liquid.loops, strict=True) if own]
        if self.coolant is None:
            return
        self.coolant.step(
            dt_s,
            chip_power_w=chip_power_w,
            sled_other_liquid_w=sled_other_liquid_w,
            sensed=sensed,
            now_monotonic_s=now_monotonic_s,
        )

    def column(self, name: str) -> FloatArray:
        """A state of every chip, sled or pump, loop after loop."""
        coolant = self.coolant.column(name) if self.coolant else np.zeros(0)
        if self._air is None:
            return coolant
        liquid = self._of[Cooling.LIQUID]
        rows = {"pump": np.repeat(liquid.loops, self.pumps), "sled": liquid.sleds}
        own = rows.get(name.partition("_")[0], liquid.chips)
        return _merged(own, coolant, self._of_air(_AIR_COLUMNS.get(name)))

    def scalars(self, name: str) -> FloatArray:
        """A state of every loop and row."""
        coolant = self.coolant.scalars(name) if self.coolant else np.zeros(0)
        if self._air is None:
            return coolant
        air = self._of_air(_AIR_SCALARS.get(name))
        return _merged(self._of[Cooling.LIQUID].loops, coolant, air)

    @property
    def sled_fans_w(self) -> FloatArray:
        """[sleds] what servers' own fans draw; none where coolant does their work."""
        if self._air is None:
            return np.zeros(self._map.sleds)
        still = np.zeros(int(self._of[Cooling.LIQUID].sleds.sum()))
        return _merged(self._of[Cooling.LIQUID].sleds, still, self._air.rows.fan_power_w)

    @property
    def electric_w(self) -> float:
        """Of everything that moves heat, servers' own fans and heat rejection included."""
        pumps_w = np.nansum(self.column("pump_power_w"))  # rows of air-cooled hosts have none
        moved_w = self.scalars("fan_power_w") + self.scalars("facility_power_w")
        return float(pumps_w + moved_w.sum() + self.sled_fans_w.sum())

    def leak_lpm(self) -> FloatArray:
        """[sleds] leaks in force, where no valve isolates them."""
        leaks = self.coolant.leak_lpm() if self.coolant else np.zeros(0)
        return _merged(self._of[Cooling.LIQUID].sleds, leaks, 0.0) if self._air else leaks

    def pump_tripped(self, loop: int) -> Sequence[bool]:
        liquid = self._of[Cooling.LIQUID].loops
        if self.coolant is None or not liquid[loop]:
            return (False,) * self.pumps
        return self.coolant.pump_tripped(int(liquid[:loop].sum()))

    def _of_air(self, name: str | None) -> FloatArray | float:
        found: FloatArray | float = np.nan
        if name is not None and self._air is not None:
            found = attrgetter(name)(self._air)
        return found


class _Part:
    """The loops of a hall that are cooled in one way, with masks over the whole."""

    def __init__(self, whole: FleetMap, cooling: Cooling) -> None:
        hall = whole.datacenter
        own = tuple(loop for loop in hall.loops if loop.kind.cooling is cooling)
        self.fleet_map = FleetMap(Datacenter(hall=hall.hall, loops=own)) if own else None
        self.loops: BoolArray = np.array([k.cooling is cooling for k in whole.kind_of_loop])
        self.sleds: BoolArray = self.loops[whole.loop_of_sled]
        self.chips: BoolArray = self.loops[whole.loop_of_chip]
        self._masks = {
            **dict.fromkeys((Axis.CHIPS, Axis.LINKS), self.chips),
            **dict.fromkeys((Axis.SLEDS, Axis.SWITCHES), self.sleds),
            **dict.fromkeys((Axis.LOOPS, Axis.PUMPS), self.loops),
        }

    def faults(self, broken: FaultColumns) -> FaultColumns:
        own = {f.name: self._masks[COLUMNS[f.name].axis] for f in fields(FaultColumns)}
        return FaultColumns(**{name: getattr(broken, name)[mask] for name, mask in own.items()})


def _merged(own: NDArray[np.bool_], inner: FloatArray, default: FloatArray | float) -> FloatArray:
    """`inner` where `own` is set, `default` in the other rows."""
    whole = np.empty(len(own))
    whole[own] = inner
    whole[~own] = default
    return whole
