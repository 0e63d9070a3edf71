"""The parts of plants, each with its figures, units and sources in a file of its own here."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, is_dataclass, replace
from functools import cache
from typing import Any, Final, TypeVar

from emulator.skus import FleetSkus
from emulator.sourced import load, unit_of
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

_MOST_PUMPS: Final = 4  # the public ORV3 map of a CDU has no room for more
_SPAN_FACTOR: Final = 4.0
_SPAN_K: Final = 20.0
_MOST_SHARE: Final = 0.95

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


@dataclass(frozen=True, slots=True, kw_only=True)
class PlantFigure:
    """A figure of a part that a hall may have otherwise, and the span that still makes a plant: a
    quarter to four times what is described, 20 K around a temperature. All spans are estimates.
    """

    low: float
    high: float
    unit: str
    whole: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class PlantChange:
    """A figure of a part that is not as its file describes."""

    part: str
    figure: str
    """With dots where it stands in a section: `coil.ua_w_per_k`."""
    value: float


@dataclass(frozen=True, slots=True, kw_only=True)
class PlantParts:
    """All parts of a hall's plant, as described but for `changes`."""

    changes: tuple[PlantChange, ...] = ()

    def liquid_loop(
        self, chips: int, rejection: HeatRejection = HeatRejection.TOWER
    ) -> PlantSettings:
        """A loop for so many chips of 1 kW: flows, UA, volumes and pumps in proportion."""
        loop = self._part("loop", LoopSettings)
        parts = {field: self._part(file, into) for field, (file, into) in _PARTS.items()}
        described = PlantSettings(
            **parts, facility=self.facility(rejection), pumps=loop.pumps, start_c=loop.start_c
        )
        return described.scaled(chips / loop.chips)

    def liquid_loops(
        self, fleet_map: FleetMap, skus: FleetSkus, rejection: HeatRejection
    ) -> list[PlantSettings]:
        """Of every loop of a hall: a chip counts as many times as it has plates of 1 kW."""
        plates = skus.chip_column(lambda chip: chip.cold_plates)
        loops = []
        for row, kind in enumerate(fleet_map.kind_of_loop):
            chips = int(plates[fleet_map.chips_in_loop(row)].sum())
            loop = self.liquid_loop(chips, rejection)
            by_air = kind is LoopKind.LIQUID_TO_AIR
            loops.append(replace(loop, in_row=self.in_row()) if by_air else loop)
        return loops

    def in_row(self) -> InRowSettings:
        """The cooler of a liquid-to-air loop."""
        return self._part("in_row", InRowSettings)

    def air_row(self) -> AirRowSettings:
        return self._part("air_row", AirRowSettings)

    def facility(self, rejection: HeatRejection) -> FacilitySettings:
        """Facility water of liquid-cooled loops, in `<rejection>.yaml`."""
        return self._part(rejection, FacilitySettings)

    def hall(self) -> HallSettings:
        return self._part("hall", HallSettings)

    def return_limits(self) -> ReturnLimits:
        return self._part("limits", ReturnLimits)

    def _part(self, name: str, into: type[T]) -> T:
        described: T = _described(name)
        assert isinstance(described, into)
        for change in self.changes:
            if change.part == name:
                described = _changed(described, change.figure.split("."), change.value)
        return described


_FORMS: Final[Mapping[str, type[Any]]] = {
    **dict(_PARTS.values()),
    "loop": LoopSettings,
    "in_row": InRowSettings,
    "air_row": AirRowSettings,
    **{rejection.value: FacilitySettings for rejection in HeatRejection},
    "hall": HallSettings,
    "limits": ReturnLimits,
}
CHANGEABLE: Final = tuple(part for part in _FORMS if part != "weather")
"""Parts, by the name of their file, that a hall may have otherwise: all but the weather, which has
its own place in a scenario."""


def figures(part: str) -> dict[str, PlantFigure]:
    """Of one of `CHANGEABLE`, by name; with dots where a figure stands in a section."""
    return dict(_figures(_described(part), ""))


def _figures(settings: Any, above: str) -> Iterator[tuple[str, PlantFigure]]:
    for name in (field.name for field in fields(settings)):
        value = getattr(settings, name)
        if is_dataclass(value):
            yield from _figures(value, f"{above}{name}.")
        elif name == "pumps":
            yield name, PlantFigure(low=1, high=_MOST_PUMPS, unit="", whole=True)
        elif isinstance(value, float):
            yield above + name, _around(name, value)


def _around(name: str, value: float) -> PlantFigure:
    unit = unit_of(name)
    if unit == "c":
        return PlantFigure(low=value - _SPAN_K, high=value + _SPAN_K, unit="C")
    high = _SPAN_FACTOR * value
    if name.endswith(("_ratio", "_share")) and value < _MOST_SHARE:
        high = min(high, _MOST_SHARE)
    words = "" if unit == "1" else unit.replace("_per_", "/")
    return PlantFigure(low=value / _SPAN_FACTOR, high=high, unit=words)


def _changed(settings: Any, path: list[str], value: float) -> Any:
    name, *inner = path
    if inner:
        return replace(settings, **{name: _changed(getattr(settings, name), inner, value)})
    return replace(settings, **{name: value})


@cache
def _described(part: str) -> Any:
    return load(__package__, f"{part}.yaml", _FORMS[part])
