"""The facility water valve: equal percentage, with a stroke time and a dead band."""

import math
from dataclasses import dataclass

import numpy as np

from thermal.arrays import BoolArray, FloatArray

SEAT_RATIO = 0.05
"""Below this position the plug seats: the coefficient runs straight to zero."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ValveSettings:
    """Ball or globe valve with an electric actuator."""

    rangeability: float = 50.0
    """30..50 (estimate)."""
    stroke_s: float = 30.0
    """Full stroke; fast ball actuators take 15..60 s (estimate), LBNL's default is 120 s."""
    dead_band_ratio: float = 0.005
    """0.5..1 % of stroke (estimate): a moving actuator stops this near to its command."""
    stiction_ratio: float = 0.01
    """Estimate: how far the command must be away before a resting actuator breaks loose."""
    authority_ratio: float = 0.5
    """Estimate: pressure over the open valve as a share of the whole primary branch."""


def next_position(
    settings: ValveSettings,
    position_ratio: FloatArray,
    command_ratio: FloatArray,
    *,
    moving: BoolArray,
    reach_ratio: FloatArray,
) -> tuple[FloatArray, BoolArray]:
    """Positions a step later and which valves are moving, all [valves].

    `reach_ratio` is how far each can go in the step. A valve at rest breaks loose only for more
    than the stiction; a moving one stops inside the dead band. Commands are held within 0..1.
    """
    gap = np.clip(command_ratio, 0.0, 1.0) - position_ratio
    breakaway = np.maximum(settings.stiction_ratio, settings.dead_band_ratio)
    driven = np.abs(gap) > np.where(moving, settings.dead_band_ratio, breakaway)
    moved = np.where(driven, np.clip(gap, -reach_ratio, reach_ratio), 0.0)
    return position_ratio + moved, driven & (reach_ratio > 0.0)


def coefficient_ratio(settings: ValveSettings, position_ratio: FloatArray) -> FloatArray:
    """Flow coefficient over that of the open valve; zero only when shut."""
    position = np.clip(position_ratio, 0.0, 1.0)
    seat = settings.rangeability ** (SEAT_RATIO - 1.0)
    ratio: FloatArray = np.where(
        position < SEAT_RATIO,
        position / SEAT_RATIO * seat,
        settings.rangeability ** (position - 1.0),
    )
    return ratio


def flow_ratio(settings: ValveSettings, position_ratio: FloatArray) -> FloatArray:
    """Installed characteristic: flow over that of the open valve at a constant branch head."""
    coefficient = coefficient_ratio(settings, position_ratio)
    authority = settings.authority_ratio
    ratio: FloatArray = coefficient / np.sqrt((1.0 - authority) * coefficient**2 + authority)
    return ratio


def position_for_flow(settings: ValveSettings, wanted_ratio: float) -> float:
    """Inverse of `flow_ratio`, held within 0..1."""
    if wanted_ratio <= 0.0:
        return 0.0
    if wanted_ratio >= 1.0:
        return 1.0
    authority = settings.authority_ratio
    coefficient = wanted_ratio * math.sqrt(authority / (1.0 - (1.0 - authority) * wanted_ratio**2))
    seat = float(settings.rangeability ** (SEAT_RATIO - 1.0))
    if coefficient < seat:
        return SEAT_RATIO * coefficient / seat
    return 1.0 + math.log(coefficient) / math.log(settings.rangeability)
