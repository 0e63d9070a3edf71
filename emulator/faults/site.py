"""Places as people write them, as rows of the fleet."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np

from emulator.faults.kinds import Axis, PlaceKind
from fleet.errors import UnknownIdError
from fleet.metrics import BY_NAME, Kind, Scope
from fleet.topology import FleetMap, IntArray

LINK_TIERS: Final = ("in_sled", "in_rack", "inter_rack")


PLACES: Final[Mapping[PlaceKind, str]] = {
    PlaceKind.CHIP: "h1/us01/r1/s07/c2",
    PlaceKind.SLED: "h1/us01/r1/s07",
    PlaceKind.CDU: "h1/cdu01 or h1/loop01; h1 is all of the hall's",
    PlaceKind.PUMP: "h1/cdu01#1",
    PlaceKind.LINK: "h1/us01/r1/s07/c2#in_rack; also in_sled, inter_rack",
    PlaceKind.SWITCH: "h1/us01/r1/s07, or the rack h1/us01/r1",
    PlaceKind.GROUP: "sled, rack, UltraServer, CDU, loop or hall, with all that is in it",
    PlaceKind.SENSOR: "h1/cdu01#supply_c: a chip, sled or CDU, # and a metric of its",
}
"""How each kind of place is written."""

# States, but behind each stands a sensor of its own.
_LEAK_DETECTORS: Final = frozenset({"leak_state", "cdu_leak_state"})


def _nothing() -> IntArray:
    return np.zeros(0, dtype=np.int32)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FaultSite:
    """A place as rows of the fleet; what a place has none of is empty."""

    chips: IntArray = field(default_factory=_nothing)
    sleds: IntArray = field(default_factory=_nothing)
    loops: IntArray = field(default_factory=_nothing)
    part: int = 0
    """Pump of the loop, tier of the link, or 0 a sled's own and 1 its rack's switch."""
    metric: str = ""

    def index(self, axis: Axis) -> Any:
        """Into a column of this axis."""
        match axis:
            case Axis.CHIPS:
                return self.chips
            case Axis.SLEDS:
                return self.sleds
            case Axis.LOOPS:
                return self.loops
            case Axis.PUMPS:
                return self.loops, self.part
            case Axis.LINKS:
                return self.chips, self.part
            case Axis.SWITCHES:
                return self.sleds, self.part

    def loops_of(self, fleet_map: FleetMap) -> list[int]:
        """Every loop that it is on or has a part of."""
        rows = (fleet_map.loop_of_chip[self.chips], fleet_map.loop_of_sled[self.sleds], self.loops)
        found: list[int] = np.unique(np.concatenate(rows)).tolist()
        return found

    @property
    def sensor_row(self) -> int:
        """Of a sensor: which chip, sled or loop it measures."""
        return int(np.concatenate([self.chips, self.sleds, self.loops])[0])


def site_of(kind: PlaceKind, place: str, fleet_map: FleetMap, *, pumps: int) -> FaultSite:
    """UnknownIdError for a place that is not in the fleet, or not of this kind."""
    if kind is PlaceKind.PUMP:
        cdu, _, number = place.partition("#")
        return FaultSite(loops=_one(fleet_map.cdu(cdu)), part=_pump(number, place, pumps))
    return _SITES[kind](fleet_map, place)


def _one(row: int) -> IntArray:
    return np.array([row], dtype=np.int32)


def _rows(found: Any) -> IntArray:
    return np.flatnonzero(found).astype(np.int32)


def _chip(fleet_map: FleetMap, place: str) -> FaultSite:
    return FaultSite(chips=_one(fleet_map.chip(place)))


def _sled(fleet_map: FleetMap, place: str) -> FaultSite:
    return FaultSite(sleds=_one(fleet_map.sled(place)))


def _cdu(fleet_map: FleetMap, place: str) -> FaultSite:
    if place == fleet_map.datacenter.hall:
        return FaultSite(loops=np.arange(len(fleet_map.loop_ids), dtype=np.int32))
    if place in fleet_map.loop_ids:
        return FaultSite(loops=_one(fleet_map.loop(place)))
    return FaultSite(loops=_one(fleet_map.cdu(place)))


def _link(fleet_map: FleetMap, place: str) -> FaultSite:
    chip, _, tier = place.partition("#")
    row = fleet_map.chip(chip)
    if tier not in LINK_TIERS:
        raise UnknownIdError("link (write the chip, # and in_sled, in_rack or inter_rack)", place)
    return FaultSite(chips=_one(row), part=LINK_TIERS.index(tier))


def _switch(fleet_map: FleetMap, place: str) -> FaultSite:
    rack = _rack(fleet_map, place)
    return _sled(fleet_map, place) if rack is None else FaultSite(sleds=rack, part=1)


def _group(fleet_map: FleetMap, place: str) -> FaultSite:
    """All sleds and CDUs in it; a CDU alone is not the sleds of its loop."""
    loops = np.arange(len(fleet_map.loop_ids), dtype=np.int32)
    if place == fleet_map.datacenter.hall:
        return FaultSite(sleds=np.arange(fleet_map.sleds, dtype=np.int32), loops=loops)
    if place in fleet_map.loop_ids:
        loop = fleet_map.loop(place)
        return FaultSite(sleds=_rows(fleet_map.loop_of_sled == loop), loops=_one(loop))
    if place in fleet_map.cdu_ids:
        return FaultSite(loops=_one(fleet_map.cdu(place)))
    if place in fleet_map.ultraserver_ids:
        server = fleet_map.ultraserver(place)
        return FaultSite(sleds=_rows(fleet_map.ultraserver_of_sled == server))
    rack = _rack(fleet_map, place)
    return _sled(fleet_map, place) if rack is None else FaultSite(sleds=rack)


def _rack(fleet_map: FleetMap, place: str) -> IntArray | None:
    """[sleds in it] of `h1/us01/r1`; None when it is not written like a rack."""
    server, _, rack = place.rpartition("/")
    number = rack.removeprefix("r")
    if server not in fleet_map.ultraserver_ids or not (number.isascii() and number.isdigit()):
        return None
    inside = fleet_map.ultraserver_of_sled == fleet_map.ultraserver(server)
    sleds = _rows(inside & (fleet_map.rack_of_sled == int(number)))
    if not len(sleds):
        raise UnknownIdError("rack", place)
    return sleds


def _pump(part: str, place: str, pumps: int) -> int:
    number = part.removeprefix("pump")
    if not (number.isascii() and number.isdigit() and 1 <= int(number) <= pumps):
        raise UnknownIdError(f"pump (write the CDU, # and 1 to {pumps})", place)
    return int(number) - 1


def _sensor(fleet_map: FleetMap, place: str) -> FaultSite:
    owner, _, metric = place.partition("#")
    spec = BY_NAME.get(metric)
    measures = spec is not None and (spec.kind is Kind.GAUGE or metric in _LEAK_DETECTORS)
    if spec is None or not measures or spec.scope is Scope.PUMP:
        raise UnknownIdError("sensor (write the owner, # and a gauge of its)", place)
    if spec.scope is Scope.CHIP:
        return FaultSite(chips=_one(fleet_map.chip(owner)), metric=metric)
    if spec.scope is Scope.SLED:
        return FaultSite(sleds=_one(fleet_map.sled(owner)), metric=metric)
    return FaultSite(loops=_one(fleet_map.cdu(owner)), metric=metric)


_SITES: Final[Mapping[PlaceKind, Callable[[FleetMap, str], FaultSite]]] = {
    PlaceKind.CHIP: _chip,
    PlaceKind.SLED: _sled,
    PlaceKind.CDU: _cdu,
    PlaceKind.LINK: _link,
    PlaceKind.SWITCH: _switch,
    PlaceKind.GROUP: _group,
    PlaceKind.SENSOR: _sensor,
}
