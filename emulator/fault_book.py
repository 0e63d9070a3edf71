"""Faults in force, and what they do to plant, chips and sensors."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from emulator.faults import Fault, FaultKind, FaultSite, locate
from emulator.sensing import SensorFault, SensorFaultKind, Sensors
from fleet.topology import FleetMap
from thermal.arrays import FloatArray
from thermal.plant.state import PlantFaults

_SENSOR_KINDS = {
    FaultKind.SENSOR_BIAS: SensorFaultKind.BIAS,
    FaultKind.SENSOR_FREEZE: SensorFaultKind.FREEZE,
    FaultKind.SENSOR_DROPOUT: SensorFaultKind.DROPOUT,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A fault, where it strikes, and its span on the world's time."""

    fault: Fault
    site: FaultSite
    start_s: float
    end_s: float


class FaultBook:
    """What was injected. Writers replace the table, so the world reads it without a lock."""

    def __init__(self, fleet_map: FleetMap, *, pumps: int) -> None:
        self._fleet_map = fleet_map
        self._pumps = pumps
        self._entries: dict[tuple[FaultKind, str], Entry] = {}
        self._broken_sensors: dict[tuple[str, int], SensorFault] = {}

    def inject(self, fault: Fault, now_s: float) -> None:
        """Replaces a fault of the same kind and place."""
        site = locate(fault, self._fleet_map, pumps=self._pumps)
        start_s = now_s + fault.start_s
        end_s = float("inf") if fault.duration_s is None else start_s + fault.duration_s
        entry = Entry(fault=fault, site=site, start_s=start_s, end_s=end_s)
        self._entries = {**self._entries, (fault.kind, fault.place): entry}

    def clear(self, kind: FaultKind, place: str) -> None:
        """Idempotent."""
        gone = (kind, place)
        self._entries = {key: entry for key, entry in self._entries.items() if key != gone}

    def known(self) -> tuple[Fault, ...]:
        """Injected, and not over or cleared."""
        return tuple(entry.fault for entry in self._entries.values())

    def in_force(self, now_s: float) -> list[Entry]:
        """Drops what is over."""
        entries = self._entries
        over = [key for key, entry in entries.items() if entry.end_s <= now_s]
        if over:
            self._entries = {key: entries[key] for key in entries if key not in over}
        return [entry for entry in self._entries.values() if entry.start_s <= now_s]

    def break_sensors(self, sensors: Sensors, entries: Iterable[Entry]) -> None:
        """Tell the sensors what changed since the last call."""
        wanted = {
            (entry.site.metric, entry.site.row): SensorFault(
                kind=_SENSOR_KINDS[entry.fault.kind], offset=entry.fault.strength
            )
            for entry in entries
            if entry.fault.kind in _SENSOR_KINDS
        }
        for key in self._broken_sensors.keys() - wanted.keys():
            sensors.set_fault(*key, None)
        for key, fault in wanted.items():
            if self._broken_sensors.get(key) != fault:
                sensors.set_fault(*key, fault)
        self._broken_sensors = wanted


@dataclass(frozen=True, slots=True, kw_only=True)
class ChipFaults:
    """Arrays [chips]."""

    slow_ratio: FloatArray
    """Speed left."""
    storm_per_s: FloatArray


def chip_faults(entries: Iterable[Entry], *, chips: int) -> ChipFaults:
    slow, storm = np.ones(chips), np.zeros(chips)
    for entry in entries:
        row, strength = entry.site.row, entry.fault.strength
        if entry.fault.kind is FaultKind.CHIP_FAIL_SLOW:
            slow[row] = 1.0 - strength
        elif entry.fault.kind is FaultKind.HBM_STORM:
            storm[row] = strength
    return ChipFaults(slow_ratio=slow, storm_per_s=storm)


def plant_faults(
    entries: Iterable[Entry], fleet_map: FleetMap, plants: Sequence[PlantFaults]
) -> None:
    """Set the faults of every loop to exactly what is in force."""
    for faults in plants:
        _mend(faults)
    for entry in entries:
        _strike(entry, fleet_map, plants)


def _mend(faults: PlantFaults) -> None:
    faults.chip_blockage_ratio[:] = 0.0
    faults.sled_blockage_ratio[:] = 0.0
    faults.leak_lpm[:] = 0.0
    faults.pump_tripped[:] = [False] * len(faults.pump_tripped)
    faults.valve_stuck = False
    faults.fouling_ratio = 0.0
    faults.facility_offset_k = 0.0


def _strike(entry: Entry, fleet_map: FleetMap, plants: Sequence[PlantFaults]) -> None:
    row, strength = entry.site.row, entry.fault.strength
    match entry.fault.kind:
        case FaultKind.PLATE_BLOCKAGE:
            loop = int(fleet_map.loop_of_chip[row])
            local = row - fleet_map.chips_in_loop(loop).start
            plants[loop].chip_blockage_ratio[local] = strength
        case FaultKind.SLED_FLOW_BLOCKAGE | FaultKind.LEAK:
            loop = int(fleet_map.loop_of_sled[row])
            faults, local = plants[loop], row - fleet_map.sleds_in_loop(loop).start
            leaks = entry.fault.kind is FaultKind.LEAK
            (faults.leak_lpm if leaks else faults.sled_blockage_ratio)[local] = strength
        case FaultKind.PUMP_TRIP:
            plants[row].pump_tripped[entry.site.pump] = True
        case FaultKind.VALVE_STUCK:
            plants[row].valve_stuck = True
        case FaultKind.EXCHANGER_FOULING:
            plants[row].fouling_ratio = strength
        case FaultKind.FACILITY_EXCURSION:
            plants[row].facility_offset_k = strength
        case _:
            pass
