"""What the plant is told (actuators, faults, weather) and what it is (state)."""

import math
from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt

from thermal.arrays import BoolArray, FloatArray


@dataclass(frozen=True, slots=True, kw_only=True)
class Actuators:
    """Commands to valve and pumps; held within 0..1 by the devices.

    Raises ValueError when a command is not a finite number.
    """

    valve_ratio: float
    pump_ratio: tuple[float, ...]
    """Speed command of each pump."""
    pump_enabled: tuple[bool, ...]

    def __post_init__(self) -> None:
        if not all(map(math.isfinite, (self.valve_ratio, *self.pump_ratio))):
            raise ValueError(
                f"actuator commands must be finite numbers, got valve {self.valve_ratio}"
                f" and pumps {self.pump_ratio}; hold the last command instead"
            )


@dataclass(slots=True, kw_only=True)
class Weather:
    """Outdoor and hall air; set by the world between steps."""

    dry_bulb_c: float
    wet_bulb_c: float
    hall_air_c: float
    hall_humidity_ratio: float


@dataclass(slots=True, kw_only=True)
class PlantFaults:
    """Faults in force; arrays and fields may be changed between steps."""

    chip_blockage_ratio: FloatArray
    """[chips] 1 = no flow."""
    chip_resistance_ratio: FloatArray
    """[chips] plate resistance over clean: fouled plate or dried interface."""
    sled_blockage_ratio: FloatArray
    """[sleds] 1 = no flow."""
    sled_isolated: BoolArray
    """[sleds] isolation valves shut; also ends the sled's leak."""
    leak_lpm: FloatArray
    """[sleds] at the fill pressure."""
    pump_tripped: list[bool]
    valve_stuck: bool = False
    fouling_ratio: float = 0.0
    """Share of the heat exchanger's UA lost."""
    facility_offset_k: float = 0.0
    """Facility supply above what the towers would give; acts at once."""

    @classmethod
    def none(cls, *, chips: int, sleds: int, pumps: int, dtype: npt.DTypeLike = np.float64) -> Self:
        return cls(
            chip_blockage_ratio=np.zeros(chips, dtype),
            chip_resistance_ratio=np.ones(chips, dtype),
            sled_blockage_ratio=np.zeros(sleds, dtype),
            sled_isolated=np.zeros(sleds, dtype=np.bool_),
            leak_lpm=np.zeros(sleds, dtype),
            pump_tripped=[False] * pumps,
        )


@dataclass(slots=True, kw_only=True)
class PlantState:
    """Truth after a step. Replace nothing from outside; arrays are the plant's own."""

    junction_c: FloatArray
    """[chips]"""
    hbm_c: FloatArray
    """[chips]"""
    plate_c: FloatArray
    """[chips]"""
    coolant_c: FloatArray
    """[chips] mean coolant in the plate."""
    chip_outlet_c: FloatArray
    """[chips]"""
    chip_flow_lpm: FloatArray
    """[chips]"""
    other_c: FloatArray
    """[sleds] coolant in the plates of CPU, NIC and switch."""
    sled_flow_lpm: FloatArray
    """[sleds] entering the sled."""
    sled_inlet_c: FloatArray
    """[sleds]"""
    sled_outlet_c: FloatArray
    """[sleds]"""
    supply_c: float
    """Leaving the CDU."""
    return_c: float
    """Entering the CDU."""
    secondary_flow_lpm: float
    """Through the pumps."""
    return_flow_lpm: float
    """Back from the sleds: pump flow less leaks."""
    secondary_dp_kpa: float
    """Over the pumps, which is over the whole loop."""
    supply_pressure_kpa: float
    """Gauge, leaving the CDU."""
    return_pressure_kpa: float
    """Gauge, at the pump inlet."""
    primary_supply_c: float
    primary_return_c: float
    primary_flow_lpm: float
    valve_ratio: float
    pump_speed_ratio: FloatArray
    """[pumps]"""
    pump_power_w: FloatArray
    """[pumps] electric."""
    pump_heat_w: float
    """Hydraulic power that ends as heat in the coolant."""
    heat_removed_w: float
    """Into facility water."""
    reservoir_level_ratio: float
    dew_point_c: float
    hall_air_c: float
    facility_c: float
    """Tower basin, before `facility_offset_k`."""
    facility_power_w: float
    """Electric: this loop's share of tower fans, chiller and facility pumps."""

    @classmethod
    def at_rest(
        cls, *, chips: int, sleds: int, pumps: int, start_c: float, dtype: npt.DTypeLike
    ) -> Self:
        """Everything at one temperature, nothing moves."""

        def chip(value: float) -> FloatArray:
            return np.full(chips, value, dtype)

        def sled(value: float) -> FloatArray:
            return np.full(sleds, value, dtype)

        return cls(
            junction_c=chip(start_c),
            hbm_c=chip(start_c),
            plate_c=chip(start_c),
            coolant_c=chip(start_c),
            chip_outlet_c=chip(start_c),
            chip_flow_lpm=chip(0.0),
            other_c=sled(start_c),
            sled_flow_lpm=sled(0.0),
            sled_inlet_c=sled(start_c),
            sled_outlet_c=sled(start_c),
            supply_c=start_c,
            return_c=start_c,
            secondary_flow_lpm=0.0,
            return_flow_lpm=0.0,
            secondary_dp_kpa=0.0,
            supply_pressure_kpa=0.0,
            return_pressure_kpa=0.0,
            primary_supply_c=start_c,
            primary_return_c=start_c,
            primary_flow_lpm=0.0,
            valve_ratio=0.0,
            pump_speed_ratio=np.zeros(pumps),
            pump_power_w=np.zeros(pumps),
            pump_heat_w=0.0,
            heat_removed_w=0.0,
            reservoir_level_ratio=1.0,
            dew_point_c=start_c,
            hall_air_c=start_c,
            facility_c=start_c,
            facility_power_w=0.0,
        )
