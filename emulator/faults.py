"""Faults as data: what breaks, where, how badly, how long."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from fleet.errors import ConfigurationError, UnknownIdError
from fleet.metrics import BY_NAME, Kind, Scope
from fleet.topology import FleetMap


class FaultKind(StrEnum):
    PLATE_BLOCKAGE = "plate_blockage"  # a chip's cold plate loses this share of its opening
    SLED_FLOW_BLOCKAGE = "sled_flow_blockage"  # a sled's coupling loses this share
    LEAK = "leak"  # a sled loses so many L/min of coolant
    PUMP_TRIP = "pump_trip"  # a pump of a CDU stops
    VALVE_STUCK = "valve_stuck"  # a CDU's facility valve does not move
    EXCHANGER_FOULING = "exchanger_fouling"  # a CDU loses this share of its UA
    FACILITY_EXCURSION = "facility_excursion"  # a CDU's facility water is so many kelvin warmer
    HBM_STORM = "hbm_storm"  # a chip emits so many corrected errors a second
    CHIP_FAIL_SLOW = "chip_fail_slow"  # a chip loses this share of its speed
    SENSOR_BIAS = "sensor_bias"  # a sensor shows so much more, in its metric's unit
    SENSOR_FREEZE = "sensor_freeze"  # a sensor shows its last value for ever
    SENSOR_DROPOUT = "sensor_dropout"  # a sensor shows nothing


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultSpec:
    """Where a kind may strike, and the span of its severity."""

    scope: Scope | None
    """None: a sensor, on whatever it measures."""
    low: float
    high: float
    unit: str
    default: float = 1.0


CATALOGUE: Final[Mapping[FaultKind, FaultSpec]] = MappingProxyType(
    {
        FaultKind.PLATE_BLOCKAGE: FaultSpec(
            scope=Scope.CHIP, low=0.0, high=1.0, unit="share", default=0.9
        ),
        FaultKind.SLED_FLOW_BLOCKAGE: FaultSpec(
            scope=Scope.SLED, low=0.0, high=1.0, unit="share", default=0.9
        ),
        FaultKind.LEAK: FaultSpec(scope=Scope.SLED, low=0.0, high=20.0, unit="L/min", default=0.5),
        FaultKind.PUMP_TRIP: FaultSpec(scope=Scope.PUMP, low=1.0, high=1.0, unit="tripped"),
        FaultKind.VALVE_STUCK: FaultSpec(scope=Scope.CDU, low=1.0, high=1.0, unit="stuck"),
        FaultKind.EXCHANGER_FOULING: FaultSpec(
            scope=Scope.CDU, low=0.0, high=0.95, unit="share", default=0.3
        ),
        FaultKind.FACILITY_EXCURSION: FaultSpec(
            scope=Scope.CDU, low=-15.0, high=25.0, unit="K", default=4.0
        ),
        FaultKind.HBM_STORM: FaultSpec(
            scope=Scope.CHIP, low=0.0, high=1e6, unit="errors/s", default=100.0
        ),
        FaultKind.CHIP_FAIL_SLOW: FaultSpec(
            scope=Scope.CHIP, low=0.0, high=0.95, unit="share", default=0.3
        ),
        FaultKind.SENSOR_BIAS: FaultSpec(
            scope=None, low=-1e6, high=1e6, unit="the metric's unit", default=5.0
        ),
        FaultKind.SENSOR_FREEZE: FaultSpec(scope=None, low=1.0, high=1.0, unit="frozen"),
        FaultKind.SENSOR_DROPOUT: FaultSpec(scope=None, low=1.0, high=1.0, unit="silent"),
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """`place` is a chip, sled or CDU id; a pump is `h1/cdu01#1`, a sensor
    `h1/us01/r1/s07/c2#junction_c`.
    """

    kind: FaultKind
    place: str
    severity: float | None = None
    """None: the kind's default."""
    start_s: float = 0.0
    """From injection, in emulated seconds."""
    duration_s: float | None = None
    """None: until cleared."""

    @property
    def strength(self) -> float:
        return CATALOGUE[self.kind].default if self.severity is None else self.severity


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultSite:
    """A place as rows of the fleet."""

    row: int
    """Chip, sled or CDU."""
    pump: int = 0
    metric: str = ""


def locate(fault: Fault, fleet_map: FleetMap, *, pumps: int) -> FaultSite:
    """Check a fault against the fleet; UnknownIdError or ConfigurationError, each one line."""
    spec, value = CATALOGUE[fault.kind], fault.strength
    if not (math.isfinite(value) and spec.low <= value <= spec.high):
        raise ConfigurationError(
            f"fault {fault.kind} at {fault.place}: severity {value} is outside"
            f" {spec.low:g}..{spec.high:g} {spec.unit}"
        )
    _check_times(fault)
    place, _, part = fault.place.partition("#")
    if spec.scope is None:
        return _sensor_site(fleet_map, place, part)
    if spec.scope is Scope.PUMP:
        return FaultSite(row=fleet_map.cdu(place), pump=_pump(part, fault.place, pumps))
    return FaultSite(row=_row(fleet_map, spec.scope, fault.place))


def _check_times(fault: Fault) -> None:
    times = (fault.start_s, fault.duration_s or 0.0)
    if not all(math.isfinite(value) and value >= 0.0 for value in times):
        raise ConfigurationError(
            f"fault {fault.kind} at {fault.place}: start and duration must be 0 s or more"
        )


def _row(fleet_map: FleetMap, scope: Scope, place: str) -> int:
    if scope is Scope.CHIP:
        return fleet_map.chip(place)
    return fleet_map.sled(place) if scope is Scope.SLED else fleet_map.cdu(place)


def _pump(part: str, place: str, pumps: int) -> int:
    number = part.removeprefix("pump")
    if not (number.isascii() and number.isdigit() and 1 <= int(number) <= pumps):
        raise UnknownIdError("pump", place)
    return int(number) - 1


def _sensor_site(fleet_map: FleetMap, place: str, metric: str) -> FaultSite:
    spec = BY_NAME.get(metric)
    if spec is None or spec.kind is not Kind.GAUGE or spec.scope is Scope.PUMP:
        raise UnknownIdError("sensor", f"{place}#{metric}")
    return FaultSite(row=_row(fleet_map, spec.scope, place), metric=metric)
