"""The facility water valve: equal percentage, with a stroke time and a dead band."""

import math
from dataclasses import dataclass

# Below this position the plug seats: the coefficient runs straight to zero.
_SEAT_RATIO = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class ValveSettings:
    """Ball or globe valve with an electric actuator."""

    rangeability: float = 50.0
    """30..50 (estimate)."""
    stroke_s: float = 30.0
    """Full stroke; fast ball actuators take 15..60 s (estimate), LBNL's default is 120 s."""
    dead_band_ratio: float = 0.005
    """0.5..1 % of stroke (estimate): smaller commands do not move the actuator."""
    authority_ratio: float = 0.5
    """Estimate: pressure over the open valve as a share of the whole primary branch."""


def next_position(
    settings: ValveSettings, position_ratio: float, command_ratio: float, dt_s: float
) -> float:
    """Position after `dt_s` towards a command, which is held within 0..1."""
    gap = min(max(command_ratio, 0.0), 1.0) - position_ratio
    if abs(gap) <= settings.dead_band_ratio:
        return position_ratio
    step = dt_s / settings.stroke_s
    return position_ratio + min(max(gap, -step), step)


def coefficient_ratio(settings: ValveSettings, position_ratio: float) -> float:
    """Flow coefficient over that of the open valve; zero only when shut."""
    position = min(max(position_ratio, 0.0), 1.0)
    if position < _SEAT_RATIO:
        return position / _SEAT_RATIO * float(settings.rangeability ** (_SEAT_RATIO - 1.0))
    return float(settings.rangeability ** (position - 1.0))


def flow_ratio(settings: ValveSettings, position_ratio: float) -> float:
    """Installed characteristic: flow over that of the open valve at a constant branch head."""
    coefficient = coefficient_ratio(settings, position_ratio)
    authority = settings.authority_ratio
    return coefficient / math.sqrt((1.0 - authority) * coefficient**2 + authority)


def position_for_flow(settings: ValveSettings, wanted_ratio: float) -> float:
    """Inverse of `flow_ratio`, held within 0..1."""
    if wanted_ratio <= 0.0:
        return 0.0
    if wanted_ratio >= 1.0:
        return 1.0
    authority = settings.authority_ratio
    coefficient = wanted_ratio * math.sqrt(authority / (1.0 - (1.0 - authority) * wanted_ratio**2))
    seat = float(settings.rangeability ** (_SEAT_RATIO - 1.0))
    if coefficient < seat:
        return _SEAT_RATIO * coefficient / seat
    return 1.0 + math.log(coefficient) / math.log(settings.rangeability)
