"""What the plant is told (actuators, faults, weather) and what it is (state)."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np

from thermal.arrays import BoolArray, FloatArray
from thermal.plant.layout import PlantLayout
from thermal.plant.settings import WeatherSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class Actuators:
    """One CDU's commands to valve, fans and pumps; held within 0..1 by the devices.

    Raises ValueError when a command is not a finite number.
    """

    valve_ratio: float
    pump_ratio: tuple[float, ...]
    """Speed command of each pump."""
    pump_enabled: tuple[bool, ...]
    fan_ratio: float = 0.0
    """Speed command of the fans; only a liquid-to-air CDU has them."""

    def __post_init__(self) -> None:
        if not all(map(math.isfinite, (self.valve_ratio, self.fan_ratio, *self.pump_ratio))):
            raise ValueError(
                f"actuator commands must be finite numbers, got valve {self.valve_ratio}, fans"
                f" {self.fan_ratio} and pumps {self.pump_ratio}; hold the last command instead"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Commands:
    """What all CDUs command during a step; finite numbers."""

    valve_ratio: FloatArray
    """[loops]"""
    fan_ratio: FloatArray
    """[loops]"""
    pump_ratio: FloatArray
    """[loops, pumps]"""
    pump_enabled: BoolArray
    """[loops, pumps]"""

    @classmethod
    def of(cls, actuators: Sequence[Actuators]) -> Self:
        """One entry a loop. Raises ValueError when the CDUs name different numbers of pumps."""
        counts = {len(row) for a in actuators for row in (a.pump_ratio, a.pump_enabled)}
        if len(counts) > 1:
            raise ValueError("every CDU of a batch must command the same number of pumps")
        return cls(
            valve_ratio=np.array([a.valve_ratio for a in actuators]),
            fan_ratio=np.array([a.fan_ratio for a in actuators]),
            pump_ratio=np.array([a.pump_ratio for a in actuators]),
            pump_enabled=np.array([a.pump_enabled for a in actuators], dtype=np.bool_),
        )


@dataclass(slots=True, kw_only=True)
class Weather:
    """Outdoor and hall air; set by the world between steps."""

    dry_bulb_c: float
    wet_bulb_c: float
    hall_air_c: float
    hall_humidity_ratio: float

    @classmethod
    def of(cls, settings: WeatherSettings) -> Self:
        return cls(
            dry_bulb_c=settings.dry_bulb_c,
            wet_bulb_c=settings.wet_bulb_c,
            hall_air_c=settings.hall_air_c,
            hall_humidity_ratio=settings.hall_humidity_ratio,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class PlantFaults:
    """Faults in force; zero is healthy unless said otherwise. Hand changed ones to the plant."""

    chip_blockage_ratio: FloatArray
    """[chips] 1 = no flow."""
    chip_resistance_ratio: FloatArray
    """[chips] plate resistance over clean, 1 = new: fouled plate or dried interface."""
    sled_blockage_ratio: FloatArray
    """[sleds] 1 = no flow: a quick disconnect not fully home."""
    sled_isolated: BoolArray
    """[sleds] isolation valves shut; also ends the sled's leak."""
    leak_lpm: FloatArray
    """[sleds] at the fill pressure."""
    pump_tripped: BoolArray
    """[loops, pumps]"""
    pump_wear_ratio: FloatArray
    """[loops, pumps] share of the head lost to worn impellers."""
    valve_stuck: BoolArray
    """[loops]"""
    valve_slow_ratio: FloatArray
    """[loops] share of the stroke speed lost."""
    fouling_ratio: FloatArray
    """[loops] share of the heat exchanger's UA lost."""
    air_ratio: FloatArray
    """[loops] gas in the coolant by volume: less head, thinner film, noisy flow."""
    facility_offset_k: FloatArray
    """[loops] facility supply above what the towers would give; acts at once."""
    wet_bulb_offset_k: FloatArray
    """[loops]"""
    humidity_offset_ratio: FloatArray
    """[loops] added to the hall's relative humidity."""
    power_feed_lost: BoolArray
    """[loops] pumps and fans without power."""

    @classmethod
    def none(cls, *, layout: PlantLayout, pumps: int) -> Self:
        """A healthy plant."""
        chips, sleds, loops = layout.chips, layout.sleds, layout.loops
        return cls(
            chip_blockage_ratio=np.zeros(chips, np.float32),
            chip_resistance_ratio=np.ones(chips, np.float32),
            sled_blockage_ratio=np.zeros(sleds, np.float32),
            sled_isolated=np.zeros(sleds, np.bool_),
            leak_lpm=np.zeros(sleds, np.float32),
            pump_tripped=np.zeros((loops, pumps), np.bool_),
            pump_wear_ratio=np.zeros((loops, pumps)),
            valve_stuck=np.zeros(loops, np.bool_),
            valve_slow_ratio=np.zeros(loops),
            fouling_ratio=np.zeros(loops),
            air_ratio=np.zeros(loops),
            facility_offset_k=np.zeros(loops),
            wet_bulb_offset_k=np.zeros(loops),
            humidity_offset_ratio=np.zeros(loops),
            power_feed_lost=np.zeros(loops, np.bool_),
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
    other_c: FloatArray
    """[sleds] coolant in the plates of CPU, NIC and switch."""
    sled_flow_lpm: FloatArray
    """[sleds] entering the sled."""
    sled_inlet_c: FloatArray
    """[sleds]"""
    sled_outlet_c: FloatArray
    """[sleds]"""
    supply_c: FloatArray
    """[loops] leaving the CDU."""
    return_c: FloatArray
    """[loops] entering the CDU."""
    secondary_flow_lpm: FloatArray
    """[loops] through the pumps."""
    return_flow_lpm: FloatArray
    """[loops] back from the sleds: pump flow less leaks."""
    secondary_dp_kpa: FloatArray
    """[loops] over the pumps, which is over the whole loop."""
    supply_pressure_kpa: FloatArray
    """[loops] gauge, leaving the CDU."""
    return_pressure_kpa: FloatArray
    """[loops] gauge, at the pump inlet."""
    primary_supply_c: FloatArray
    """[loops] facility water, or hall air into the coil of a liquid-to-air CDU."""
    primary_return_c: FloatArray
    """[loops]"""
    primary_flow_lpm: FloatArray
    """[loops] of facility water; 0 where air carries the heat off."""
    valve_ratio: FloatArray
    """[loops] 0 where there is none."""
    fan_speed_ratio: FloatArray
    """[loops] 0 where there are no fans."""
    fan_power_w: FloatArray
    """[loops] electric."""
    pump_speed_ratio: FloatArray
    """[loops, pumps]"""
    pump_power_w: FloatArray
    """[loops, pumps] electric."""
    pump_heat_w: FloatArray
    """[loops] hydraulic power that ends as heat in the coolant."""
    heat_removed_w: FloatArray
    """[loops] into facility water or hall air."""
    reservoir_level_ratio: FloatArray
    """[loops]"""
    dew_point_c: FloatArray
    """[loops]"""
    hall_air_c: FloatArray
    """[loops]"""
    facility_c: FloatArray
    """[loops] tower basin, before `facility_offset_k`."""
    facility_power_w: FloatArray
    """[loops] electric: each loop's share of tower fans, chiller and facility pumps."""

    @property
    def rejection_ratio(self) -> FloatArray:
        """[loops] facility valve, or fans where a CDU has those instead."""
        ratio: FloatArray = np.maximum(self.valve_ratio, self.fan_speed_ratio)
        return ratio

    @classmethod
    def at_rest(cls, *, layout: PlantLayout, pumps: int, start_c: FloatArray) -> Self:
        """Everything at `start_c` [loops], nothing moves."""
        per_sled = start_c[layout.loop_of_sled].astype(np.float32)
        per_chip = np.repeat(per_sled, layout.chips_of_sled)
        still = np.zeros(layout.loops)
        return cls(
            junction_c=per_chip.copy(),
            hbm_c=per_chip.copy(),
            plate_c=per_chip.copy(),
            coolant_c=per_chip.copy(),
            other_c=per_sled.copy(),
            sled_flow_lpm=np.zeros(layout.sleds, np.float32),
            sled_inlet_c=per_sled.copy(),
            sled_outlet_c=per_sled.copy(),
            supply_c=start_c.copy(),
            return_c=start_c.copy(),
            secondary_flow_lpm=still,
            return_flow_lpm=still,
            secondary_dp_kpa=still,
            supply_pressure_kpa=still,
            return_pressure_kpa=still,
            primary_supply_c=start_c.copy(),
            primary_return_c=start_c.copy(),
            primary_flow_lpm=still,
            valve_ratio=still,
            fan_speed_ratio=still,
            fan_power_w=still,
            pump_speed_ratio=np.zeros((layout.loops, pumps)),
            pump_power_w=np.zeros((layout.loops, pumps)),
            pump_heat_w=still,
            heat_removed_w=still,
            reservoir_level_ratio=np.ones(layout.loops),
            dew_point_c=start_c.copy(),
            hall_air_c=start_c.copy(),
            facility_c=start_c.copy(),
            facility_power_w=still,
        )
