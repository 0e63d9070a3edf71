"""The safety shell: the last step before a command, which does not trust the law.

Whatever comes in, what goes out is finite, inside the limits, no faster than the slew allows, and
does not cool towards the dew point.
"""

import math
from dataclasses import dataclass

from controller.cooling.control import LoopSetpoints
from controller.cooling.settings import ShellSettings
from thermal.control.select import RateLimit, limit_rate


@dataclass(frozen=True, slots=True, kw_only=True)
class ShellInputs:
    """What the shell looks at itself; NaN where unknown."""

    dt_s: float
    supply_c: float
    facility_c: float
    dew_point_c: float


def dew_floor_c(settings: ShellSettings, dew_point_c: float) -> float:
    """Lowest supply set-point that the dew point allows."""
    dew_c = dew_point_c if math.isfinite(dew_point_c) else settings.dew_unknown_c
    return dew_c + settings.dew_floor_k


def failsafe_wish(
    settings: ShellSettings, held: LoopSetpoints, inputs: ShellInputs, *, supply_c: float
) -> LoopSetpoints:
    """Full cooling: pumps up, and the valve open unless facility water could reach the dew
    point; then the valve stays.
    """
    harmless = inputs.facility_c >= dew_floor_c(settings, inputs.dew_point_c)
    return LoopSetpoints(
        supply_c=supply_c,
        valve_ratio=1.0 if harmless else held.valve_ratio,
        pump_ratio=max(held.pump_ratio, settings.failsafe_pump_ratio),
        flow_lpm=held.flow_lpm,
    )


def shield(
    settings: ShellSettings, held: LoopSetpoints, wish: LoopSetpoints, inputs: ShellInputs
) -> LoopSetpoints:
    """The wish as it may be carried out, `dt_s` after `held` was."""
    dt_s = inputs.dt_s if math.isfinite(inputs.dt_s) else 0.0
    dt_s = min(max(dt_s, 0.0), settings.longest_step_s)
    held = _sound(settings, held)
    valve_wish = _known(wish.valve_ratio, 1.0)
    pump_wish = _known(wish.pump_ratio, settings.failsafe_pump_ratio)
    valve = _moved(held.valve_ratio, valve_wish, settings.valve_rate, dt_s, (0.0, 1.0))
    least = settings.pump_least_ratio
    pump = _moved(held.pump_ratio, pump_wish, settings.pump_rate, dt_s, (least, 1.0))
    return LoopSetpoints(
        supply_c=_supply(settings, held.supply_c, wish.supply_c, inputs.dew_point_c, dt_s),
        valve_ratio=_above_dew(settings, held.valve_ratio, valve, inputs, dt_s),
        pump_ratio=pump,
        flow_lpm=_known(wish.flow_lpm, held.flow_lpm),
    )


def _above_dew(
    settings: ShellSettings, held: float, valve: float, inputs: ShellInputs, dt_s: float
) -> float:
    """Too near the dew point the valve opens no further, and nearer still it closes."""
    dew_c = inputs.dew_point_c if math.isfinite(inputs.dew_point_c) else settings.dew_unknown_c
    margin_k = inputs.supply_c - dew_c
    if margin_k < settings.dew_close_k:
        return max(held - settings.valve_rate.down_per_s * dt_s, 0.0)
    if margin_k < settings.dew_floor_k:
        return min(valve, held)
    return valve


def _supply(
    settings: ShellSettings, held: float, wish: float, dew_point_c: float, dt_s: float
) -> float:
    """Set-point at its slew; the dew floor beats slew and limits, because water does not wait."""
    span = (settings.supply_least_c, settings.supply_most_c)
    moved = _moved(held, _known(wish, held), settings.supply_rate, dt_s, span)
    # 60 °C is what a CDU takes at most (`fleet.commands.SetCooling`).
    return min(max(moved, dew_floor_c(settings, dew_point_c)), 60.0)


def _moved(
    held: float, wish: float, rate: RateLimit, dt_s: float, span: tuple[float, float]
) -> float:
    return limit_rate(held, min(max(wish, span[0]), span[1]), rate, dt_s)


def _sound(settings: ShellSettings, held: LoopSetpoints) -> LoopSetpoints:
    """What is held, with anything impossible replaced by the safe end."""
    return LoopSetpoints(
        supply_c=_within(
            held.supply_c, settings.supply_most_c, settings.supply_least_c, settings.supply_most_c
        ),
        valve_ratio=_within(held.valve_ratio, 1.0, 0.0, 1.0),
        pump_ratio=_within(
            held.pump_ratio, settings.failsafe_pump_ratio, settings.pump_least_ratio, 1.0
        ),
        flow_lpm=_known(held.flow_lpm, 0.0),
    )


def _within(value: float, unknown: float, low: float, high: float) -> float:
    return min(max(_known(value, unknown), low), high)


def _known(value: float, unknown: float) -> float:
    return value if math.isfinite(value) else unknown
