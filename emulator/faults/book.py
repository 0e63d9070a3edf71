"""Faults in force, and what they do to plant, chips, sensors and devices."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from emulator.faults.catalogue import catalogue
from emulator.faults.columns import ColumnTable, FaultColumns, Strike
from emulator.faults.fault import Fault, locate
from emulator.faults.kinds import FaultKind
from emulator.faults.site import FaultSite
from emulator.sensing import SensorFault, SensorFaultKind, Sensors
from fleet.topology import FleetMap

_SENSOR_KINDS: Final = {
    FaultKind.SENSOR_BIAS: SensorFaultKind.BIAS,
    # A drift is an offset that its course lets grow.
    FaultKind.SENSOR_DRIFT: SensorFaultKind.BIAS,
    FaultKind.SENSOR_NOISE: SensorFaultKind.NOISE,
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

    def severity_at(self, now_s: float) -> float:
        """What its course has let through so far; 0 before it begins and after it ends."""
        if not self.start_s <= now_s < self.end_s:
            return 0.0
        return self.fault.strength * self.fault.growth.share(now_s - self.start_s)


class FaultBook:
    """What was injected. Writers replace the table, so the world reads it without a lock."""

    def __init__(self, fleet_map: FleetMap, *, pumps: int) -> None:
        self._fleet_map = fleet_map
        self._pumps = pumps
        self._entries: dict[tuple[FaultKind, str], Entry] = {}
        self._broken_sensors: dict[tuple[str, int], SensorFault] = {}
        self._table = ColumnTable(fleet_map, pumps=pumps)
        self._last: tuple[tuple[Entry, float], ...] = ()
        self._columns = self._table.healthy

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
        """Those that have begun; drops what is over."""
        entries = self._entries
        over = [key for key, entry in entries.items() if entry.end_s <= now_s]
        if over:
            self._entries = {key: entries[key] for key in entries if key not in over}
        return [entry for entry in self._entries.values() if entry.start_s <= now_s]

    def severities(self, now_s: float) -> tuple[tuple[Fault, float], ...]:
        """Faults that are there now, and how much of each."""
        there = ((entry.fault, entry.severity_at(now_s)) for entry in self.in_force(now_s))
        return tuple((fault, severity) for fault, severity in there if severity != 0.0)

    def columns(self, now_s: float) -> FaultColumns:
        """What is broken now; the same object for as long as nothing changes."""
        state = tuple((entry, entry.severity_at(now_s)) for entry in self.in_force(now_s))
        if state != self._last:
            self._last = state
            self._columns = self._table.struck(_strikes(state))
        return self._columns

    def break_sensors(self, sensors: Sensors, now_s: float) -> None:
        """Tell the sensors what changed since the last call."""
        wanted = {
            (entry.site.metric, entry.site.sensor_row): SensorFault(
                kind=_SENSOR_KINDS[entry.fault.kind], offset=severity
            )
            for entry in self.in_force(now_s)
            if entry.fault.kind in _SENSOR_KINDS
            if (severity := entry.severity_at(now_s)) != 0.0
        }
        for key in self._broken_sensors.keys() - wanted.keys():
            sensors.set_fault(*key, None)
        for key, fault in wanted.items():
            if self._broken_sensors.get(key) != fault:
                sensors.set_fault(*key, fault)
        self._broken_sensors = wanted


def _strikes(state: Iterable[tuple[Entry, float]]) -> Iterable[Strike]:
    for entry, severity in state:
        if severity != 0.0:
            for column in catalogue()[entry.fault.kind].acts_on:
                yield column, entry.site, severity
