"""A cascade as in the firmware of servers' management controllers (phosphor-pid-control).

Thermal loops at 1 Hz ask for actuators; of the zone's loops the largest demand wins. Pumps: return
temperature, junction margin, and a stepwise table with hysteresis. Valve: supply temperature.
"""

import math
from dataclasses import replace

from controller.cooling.control import LoopSetpoints
from controller.cooling.estimate import LoopInputs
from controller.cooling.laws.law import LawState, observe
from controller.cooling.settings import BmcSettings, CoolingSettings
from thermal.control import pid, select
from thermal.control.select import Request

__all__ = ["observe", "step", "transfer"]


def step(
    settings: CoolingSettings,
    state: LawState,
    inputs: LoopInputs,
    *,
    supply_c: float,
    held: LoopSetpoints,
) -> tuple[LawState, LoopSetpoints]:
    """The wish for a set-point `supply_c`, given what is `held` now."""
    zone, dt_s = settings.bmc, inputs.dt_s
    low, high = select.reachable(held.valve_ratio, settings.shell.valve_rate, dt_s)
    valve_ratio, valve = pid.step(
        zone.valve,
        state.valve,
        inputs.supply_c - supply_c,
        0.0,
        dt_s,
        max(low, 0.0),
        min(high, 1.0),
    )
    return_error_k, margin_error_k = _errors_k(settings, inputs)
    least = zone.least_pump_ratio
    return_ratio, pump = pid.step(
        zone.return_loop, state.pump, return_error_k, 0.0, dt_s, least, 1.0
    )
    margin_ratio, trim = pid.step(
        zone.margin_loop, state.trim, margin_error_k, 0.0, dt_s, least, 1.0
    )
    level = _level(zone, state.pressed_level, inputs.junction_c)
    wanted = select.largest(
        (
            Request(source="return", value=return_ratio),
            Request(source="junction margin", value=margin_ratio),
            Request(source="table", value=zone.table_ratio[level - 1] if level else least),
        ),
        floor=Request(source="floor", value=least),
    )
    fade = math.exp(-dt_s / settings.policy.transfer_s)
    transfer_ratio = state.transfer_ratio * fade
    wish = replace(
        held,
        supply_c=supply_c,
        valve_ratio=valve_ratio,
        pump_ratio=wanted.value + transfer_ratio,
    )
    after = replace(
        state,
        valve=valve,
        pump=pump,
        trim=trim,
        pressed_level=level,
        transfer_ratio=transfer_ratio,
    )
    return after, wish


def transfer(
    settings: CoolingSettings,
    state: LawState,
    inputs: LoopInputs,
    *,
    supply_c: float,
    held: LoopSetpoints,
) -> LawState:
    """Memory from which the next step starts at what is `held`."""
    zone = settings.bmc
    return_error_k, margin_error_k = _errors_k(settings, inputs)
    pump = pid.transfer(zone.return_loop, state.pump, held.pump_ratio, return_error_k, 0.0)
    trim = pid.transfer(zone.margin_loop, state.trim, held.pump_ratio, margin_error_k, 0.0)
    level = _level(zone, state.pressed_level, inputs.junction_c)
    table_ratio = zone.table_ratio[level - 1] if level else 0.0
    return replace(
        state,
        valve=pid.transfer(
            zone.valve, state.valve, held.valve_ratio, inputs.supply_c - supply_c, 0.0
        ),
        pump=pump,
        trim=trim,
        pressed_level=level,
        transfer_ratio=min(held.pump_ratio - table_ratio, 0.0),
    )


def _errors_k(settings: CoolingSettings, inputs: LoopInputs) -> tuple[float, float]:
    """Of return and junction, over what they should be."""
    zone = settings.bmc
    return (
        inputs.return_c - zone.return_target_c,
        inputs.junction_c - settings.policy.junction_target_c,
    )


def _level(zone: BmcSettings, now: int, junction_c: float) -> int:
    """Step of the table: up at its temperature, down only `hysteresis_k` below it."""
    if not math.isfinite(junction_c):
        return now
    up = sum(junction_c >= limit_c for limit_c in zone.table_c)
    stays = sum(junction_c >= limit_c - zone.hysteresis_k for limit_c in zone.table_c)
    return max(up, min(now, stays))
