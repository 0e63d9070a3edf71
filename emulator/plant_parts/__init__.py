"""The parts of plants, each with its figures, units and sources in a file of its own here."""

from dataclasses import dataclass, replace
from functools import cache
from typing import Any, Final, TypeVar

from emulator.skus import FleetSkus
from emulator.sourced import load
from emulator.weather import HallSettings
from fleet.topology import FleetMap, LoopKind
from thermal.cold_plate import ColdPlateSettings
from thermal.facility import FacilitySettings, HeatRejection
from thermal.heat_exchanger import ExchangerSettings
from thermal.plant.air_settings import AirRowSettings
from thermal.plant.settings import (
    ChipSettings,
    GasSettings,
    HydraulicSettings,
    InRowSettings,
    PipeSettings,
    PlantSettings,
    SledSettings,
    VesselSettings,
    WeatherSettings,
)
from thermal.pump import PumpCurve, PumpDrive
from thermal.valve import ValveSettings

T = TypeVar("T")

_PARTS: Final[dict[str, tuple[str, type[Any]]]] = {
    "chip": ("chip", ChipSettings),
    "plate": ("cold_plate", ColdPlateSettings),
    "sled": ("sled", SledSettings),
    "hydraulics": ("hydraulics", HydraulicSettings),
    "pipes": ("pipes", PipeSettings),
    "exchanger": ("exchanger", ExchangerSettings),
    "pump": ("pump", PumpCurve),
    "drive": ("pump_drive", PumpDrive),
    "valve": ("valve", ValveSettings),
    "weather": ("weather", WeatherSettings),
    "vessel": ("vessel", VesselSettings),
    "gas": ("gas", GasSettings),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class LoopSettings:
    """What the files of a liquid loop's parts describe together."""

    chips: int
    """Of 1 kW, whose loop the sizes in those files are for."""
    pumps: int
    start_c: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ReturnLimits:
    """Warmest return that hardware is built for."""

    coolant_return_c: float
    air_return_c: float


def liquid_loop(chips: int, rejection: HeatRejection = HeatRejection.TOWER) -> PlantSettings:
    """A loop for so many chips of 1 kW: flows, UA, volumes and pumps in proportion."""
    described, loop = _described(rejection)
    return described.scaled(chips / loop.chips)


def liquid_loops(
    fleet_map: FleetMap, skus: FleetSkus, rejection: HeatRejection
) -> list[PlantSettings]:
    """Of every loop of a hall: a chip counts as many times as it has plates of 1 kW."""
    plates = skus.chip_column(lambda chip: chip.cold_plates)
    loops = []
    for row, kind in enumerate(fleet_map.kind_of_loop):
        loop = liquid_loop(int(plates[fleet_map.chips_in_loop(row)].sum()), rejection)
        loops.append(replace(loop, in_row=in_row()) if kind is LoopKind.LIQUID_TO_AIR else loop)
    return loops


@cache
def in_row() -> InRowSettings:
    """The cooler of a liquid-to-air loop."""
    return _load("in_row", InRowSettings)


@cache
def air_row() -> AirRowSettings:
    return _load("air_row", AirRowSettings)


@cache
def facility(rejection: HeatRejection) -> FacilitySettings:
    """Facility water of liquid-cooled loops, in `<rejection>.yaml`."""
    return _load(rejection, FacilitySettings)


@cache
def hall() -> HallSettings:
    return _load("hall", HallSettings)


@cache
def return_limits() -> ReturnLimits:
    return _load("limits", ReturnLimits)


@cache
def _described(rejection: HeatRejection) -> tuple[PlantSettings, LoopSettings]:
    loop = _load("loop", LoopSettings)
    parts = {field: _load(file, into) for field, (file, into) in _PARTS.items()}
    water = facility(rejection)
    return PlantSettings(**parts, facility=water, pumps=loop.pumps, start_c=loop.start_c), loop


def _load(name: str, into: type[T]) -> T:
    return load(__package__, f"{name}.yaml", into)
