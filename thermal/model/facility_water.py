"""Facility water as it is and where it goes, from a sensor that lags behind it.

A Kalman filter over three states: the water, what its sensor has taken up of it, and the water's
rate. Towers and basins move it for minutes on end, so a rate once seen goes on for a while; a leap
(a chiller that starts, another source) shows as a gap that no noise makes.
"""

import math
from dataclasses import dataclass, field

import numpy as np

from thermal.arrays import FloatArray

_STATES = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class FacilityWaterSettings:
    """One sigma each. Estimates, but where a source is named."""

    noise_k: float = 0.06
    """Of the sensor: 0.05 K, and its steps of 0.1 K."""
    level_k: float = 0.005
    """Of the water, gained in a second beside its rate."""
    rate_k_per_s: float = 0.001
    """Of the rate, gained in a second."""
    first_rate_k_per_s: float = 0.01
    kept_s: float = 60.0
    """A rate fades with this time constant; basins have 120 s."""
    leap_sigma: float = 4.0
    """A gap beyond this is a leap of the water."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FacilityWater:
    """What is believed of the water."""

    water_c: float = math.nan
    sensed_c: float = math.nan
    """What the sensor has taken up, before noise."""
    rate_k_per_s: float = 0.0
    spread: tuple[float, ...] = field(default=())
    """Covariance of the three, row by row; empty before the first look."""

    def coming_c(self, settings: FacilityWaterSettings, ahead_s: FloatArray) -> FloatArray:
        """`ahead_s` after the last look."""
        kept_s = settings.kept_s
        way: FloatArray = self.water_c - self.rate_k_per_s * kept_s * np.expm1(-ahead_s / kept_s)
        return way


def begun(settings: FacilityWaterSettings, shown_c: float) -> FacilityWater:
    """Taken as it is shown, and at rest."""
    first = np.diag((settings.noise_k, settings.noise_k, settings.first_rate_k_per_s)) ** 2
    return FacilityWater(water_c=shown_c, sensed_c=shown_c, spread=tuple(first.ravel().tolist()))


def watched(
    settings: FacilityWaterSettings,
    state: FacilityWater,
    shown_c: float,
    *,
    sensor_s: float,
    seconds: int,
) -> FacilityWater:
    """`seconds` after the last look, by a sensor that lags by `sensor_s`."""
    if len(state.spread) != _STATES**2:
        return begun(settings, shown_c)
    moved = _moved(settings, sensor_s)
    gained = np.diag((settings.level_k, 0.0, settings.rate_k_per_s)) ** 2
    believed = np.array((state.water_c, state.sensed_c, state.rate_k_per_s))
    spread = np.array(state.spread).reshape(_STATES, _STATES)
    for _ in range(seconds):
        believed = moved @ believed
        spread = moved @ spread @ moved.T + gained
    gap_k = shown_c - float(believed[1])
    variance = float(spread[1, 1]) + settings.noise_k**2
    if gap_k**2 > settings.leap_sigma**2 * variance:
        # Any level is as likely now: the sensor tells by how fast it moves where it goes.
        taken = -math.expm1(-seconds / sensor_s)
        leapt = np.array((1.0, taken, 0.0)) * (gap_k / taken)
        spread = spread + np.outer(leapt, leapt)
        variance = float(spread[1, 1]) + settings.noise_k**2
    gain = spread[:, 1] / variance
    believed = believed + gain * gap_k
    spread = spread - np.outer(gain, spread[1])
    water_c, sensed_c, rate_k_per_s = believed.tolist()
    return FacilityWater(
        water_c=water_c,
        sensed_c=sensed_c,
        rate_k_per_s=rate_k_per_s,
        spread=tuple((0.5 * (spread + spread.T)).ravel().tolist()),
    )


def _moved(settings: FacilityWaterSettings, sensor_s: float) -> FloatArray:
    """One second's change of the three."""
    taken = -math.expm1(-1.0 / sensor_s)
    kept = math.exp(-1.0 / settings.kept_s)
    return np.array(((1.0, 0.0, 1.0), (taken, 1.0 - taken, taken), (0.0, 0.0, kept)))
