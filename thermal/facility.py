"""Facility water: what towers, dry coolers and chillers can supply in the weather, and their watts.

All functions are elementwise: give every argument as one value, or all of them as arrays [loops].
A loop is charged its share of the plant, so heat and rated heat are those of the loop.
"""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Generic

import numpy as np

from thermal.arrays import Number


class HeatRejection(StrEnum):
    """What gives the hall's heat to the weather."""

    TOWER = "tower"  # open tower behind a plate exchanger: follows the wet bulb
    DRY_COOLER = "dry_cooler"  # finned coils: follow the dry bulb, evaporate nothing


@dataclass(frozen=True, slots=True, kw_only=True)
class RejectionSettings:
    """A tower or a dry cooler. Defaults: a tower; estimates but for the exponents."""

    approach_k: float = 4.0
    """Supply above outdoor wet bulb (tower, 3..5 K) or dry bulb (dry cooler, 8..12 K) at rated
    heat and full fans."""
    least_approach_share: float = 0.5
    """Approach at no load over the approach at rated heat."""
    fan_exponent: float = 0.8
    """The approach grows with the air flow to this negative power."""
    still_air_ratio: float = 0.1
    """Air flow of stopped fans over that of full fans: natural draught."""
    fan_w_per_w: float = 0.0126
    """Electric power of full fans over rated heat (40.2 gpm/hp over 5.6 K, the least efficient
    axial tower that ASHRAE 90.1 allows)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChillerSettings:
    """Takes the water down to the setpoint where free cooling alone does not reach it."""

    cop_factor: float = 5.0
    """Coefficient of performance: heat over electric power (LBNL `ChillerWSE`)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FacilitySettings:
    """The facility water of a hall."""

    rejection: HeatRejection = HeatRejection.TOWER
    cooler: RejectionSettings = field(default_factory=RejectionSettings)
    setpoint_c: float = 20.0
    """Estimate: fans slow down rather than supply colder water."""
    range_k: float = 8.0
    """Rise of the water at rated heat (5..8 K, estimate)."""
    basin_s: float = 120.0
    """Estimate: time constant of basin and pipes (0.5..1 m3/MW)."""
    ramp_k_per_s: float = 1.5 / 60.0
    """Estimate: fastest change of the supply (1..2 K/min)."""
    pump_w_per_lpm: float = 5.1
    """Estimate: 200 kPa at 65 % wire to water."""
    chiller: ChillerSettings | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Rejection(Generic[Number]):
    """What the facility settles at."""

    supply_c: Number
    fan_ratio: Number
    fan_power_w: Number
    chiller_power_w: Number


def reject(
    settings: FacilitySettings,
    *,
    dry_bulb_c: Number,
    wet_bulb_c: Number,
    heat_w: Number,
    rated_w: Number,
    fan_limit_ratio: Number,
    asked_c: Number | None = None,
) -> Rejection[Number]:
    """Steady supply and electric power for a heat; `rated_w` > 0.

    Fans run as slowly as the setpoint allows and no faster than `fan_limit_ratio` (1: healthy,
    0: without power). A chiller takes the share of the heat that free cooling leaves. `asked_c`
    stands in for the set-point of the settings.
    """
    cooler = settings.cooler
    outdoor_c = wet_bulb_c if settings.rejection is HeatRejection.TOWER else dry_bulb_c
    load_ratio: Number = np.maximum(heat_w, 0.0) / rated_w
    wanted_c: Number = outdoor_c * 0.0 + settings.setpoint_c if asked_c is None else asked_c
    fan_ratio: Number = np.minimum(
        fan_for_supply(cooler, outdoor_c, load_ratio, wanted_c),
        fan_limit_ratio,
    )
    free_c = free_supply_c(cooler, outdoor_c, load_ratio, fan_ratio)
    supply_c, chiller_w = _chilled(settings, free_c, wanted_c, heat_w)
    return Rejection(
        supply_c=supply_c,
        fan_ratio=fan_ratio,
        fan_power_w=fan_power_w(cooler, rated_w, fan_ratio),
        chiller_power_w=chiller_w,
    )


def free_supply_c(
    cooler: RejectionSettings, outdoor_c: Number, load_ratio: Number, fan_ratio: Number
) -> Number:
    """Steady supply of a tower or dry cooler alone; `outdoor_c` is wet or dry bulb."""
    air: Number = np.maximum(fan_ratio, cooler.still_air_ratio) ** -cooler.fan_exponent
    supply: Number = outdoor_c + cooler.approach_k * _approach_share(cooler, load_ratio) * air
    return supply


def fan_for_supply(
    cooler: RejectionSettings, outdoor_c: Number, load_ratio: Number, wanted_c: Number
) -> Number:
    """Slowest fans whose supply is `wanted_c` or colder, 0..1; 1 where none is."""
    full_k: Number = cooler.approach_k * _approach_share(cooler, load_ratio)
    spare: Number = np.maximum(wanted_c - outdoor_c, full_k) / full_k
    speed: Number = spare ** (-1.0 / cooler.fan_exponent)
    return speed * (speed > cooler.still_air_ratio)


def fan_power_w(cooler: RejectionSettings, rated_w: Number, fan_ratio: Number) -> Number:
    """Cube of the speed."""
    power: Number = cooler.fan_w_per_w * rated_w * fan_ratio**3
    return power


def pump_power_w(settings: FacilitySettings, primary_lpm: Number) -> Number:
    """Pumps that hold a constant head over the CDUs' valves."""
    return settings.pump_w_per_lpm * primary_lpm


def next_supply_c(
    settings: FacilitySettings, now_c: Number, steady_c: Number, dt_s: float
) -> Number:
    """Basin temperature after `dt_s`: towards steady, no faster than the ramp."""
    closed_k: Number = (steady_c - now_c) * -np.expm1(-dt_s / settings.basin_s)
    ramp_k = settings.ramp_k_per_s * dt_s
    following: Number = now_c + np.minimum(np.maximum(closed_k, -ramp_k), ramp_k)
    return following


def _approach_share(cooler: RejectionSettings, load_ratio: Number) -> Number:
    share: Number = np.minimum(np.maximum(load_ratio, cooler.least_approach_share), 2.0)
    return share


def _chilled(
    settings: FacilitySettings, free_c: Number, wanted_c: Number, heat_w: Number
) -> tuple[Number, Number]:
    """Supply and compressor power behind the free cooling."""
    chiller = settings.chiller
    if chiller is None:
        return free_c, heat_w * 0.0
    lift_k: Number = np.maximum(free_c - wanted_c, 0.0)
    share: Number = np.minimum(lift_k / settings.range_k, 1.0)
    power: Number = share * np.maximum(heat_w, 0.0) / chiller.cop_factor
    return free_c - lift_k, power
