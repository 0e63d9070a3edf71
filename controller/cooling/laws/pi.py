"""The baseline: PI on the supply temperature, and pumps on a constant pressure difference.

What most CDUs ship with (constant dP or constant flow, valve on supply: Vertiv SL-80005).
"""

import math
from dataclasses import replace

from controller.cooling.control import LoopSetpoints
from controller.cooling.estimate import LoopInputs
from controller.cooling.laws.law import LawState, observe
from controller.cooling.settings import CoolingSettings
from thermal.control import pid, select

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
    low, high = select.reachable(held.valve_ratio, settings.shell.valve_rate, inputs.dt_s)
    valve_ratio, valve = pid.step(
        settings.pi.valve,
        state.valve,
        inputs.supply_c - supply_c,
        0.0,
        inputs.dt_s,
        max(low, 0.0),
        min(high, 1.0),
    )
    wish = replace(
        held,
        supply_c=supply_c,
        valve_ratio=valve_ratio,
        pump_ratio=held.pump_ratio + _pump_change(settings, inputs),
    )
    return replace(state, valve=valve), wish


def transfer(
    settings: CoolingSettings,
    state: LawState,
    inputs: LoopInputs,
    *,
    supply_c: float,
    held: LoopSetpoints,
) -> LawState:
    """Memory from which the next step starts at what is `held`."""
    error_k = inputs.supply_c - supply_c
    return replace(
        state,
        valve=pid.transfer(settings.pi.valve, state.valve, held.valve_ratio, error_k, 0.0),
    )


def _pump_change(settings: CoolingSettings, inputs: LoopInputs) -> float:
    """Integral action on the relative error; nothing while the difference is not measured."""
    if not math.isfinite(inputs.dp_kpa):
        return 0.0
    short = (settings.model.design_dp_kpa - inputs.dp_kpa) / settings.model.design_dp_kpa
    return settings.pi.pump_gain_per_s * short * inputs.dt_s
