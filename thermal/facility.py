"""Facility water: what the cooling towers can supply in the weather of the moment."""

import math
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class FacilitySettings:
    """Open towers behind a plate exchanger. All figures are estimates."""

    approach_k: float = 4.0
    """Supply above wet bulb at the design range (towers 3..5 K)."""
    range_k: float = 8.0
    """Facility water rise at full load (5..8 K)."""
    least_approach_share: float = 0.5
    """Approach at no load over the design approach: fans do not shrink with load."""
    basin_s: float = 120.0
    """Time constant of the basin (0.5..1 m3/MW)."""


def supply_c(settings: FacilitySettings, *, wet_bulb_c: float, range_k: float) -> float:
    """Steady facility supply; the approach grows with the range the loops return."""
    load = min(max(range_k / settings.range_k, settings.least_approach_share), 2.0)
    return wet_bulb_c + settings.approach_k * load


def next_supply_c(settings: FacilitySettings, now_c: float, steady_c: float, dt_s: float) -> float:
    """Basin temperature after `dt_s`."""
    return steady_c + (now_c - steady_c) * math.exp(-dt_s / settings.basin_s)
