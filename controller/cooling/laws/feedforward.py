"""The wish for valve and pumps: feed-forward from power, and PI on what it did not know.

The valve holds the supply temperature. The pumps give the least flow that keeps the return and
the worst branch's junction below their caps, with a trim on the measured junction.
"""

import math
from dataclasses import replace

from controller.cooling.control import LoopSetpoints
from controller.cooling.estimate import LoopInputs
from controller.cooling.laws.law import LawState, observe
from controller.cooling.settings import CoolingSettings
from thermal.control import feedforward, pid, select
from thermal.control.pid import PidState
from thermal.model import loop as model

__all__ = ["needed_flow_lpm", "observe", "step", "transfer", "trimmed"]


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
        settings.policy.valve,
        state.valve,
        inputs.supply_c - supply_c,
        _known_valve(settings, state, inputs, supply_c),
        inputs.dt_s,
        max(low, 0.0),
        min(high, 1.0),
    )
    trim_ratio, trim = trimmed(settings, state, inputs)
    flow_lpm = needed_flow_lpm(settings, state, inputs, supply_c)
    fade = math.exp(-inputs.dt_s / settings.policy.transfer_s)
    transfer_ratio = state.transfer_ratio * fade
    base = model.pump_ratio_for_flow(flow_lpm, settings.pumps, settings.model)
    wish = LoopSetpoints(
        supply_c=supply_c,
        valve_ratio=valve_ratio,
        pump_ratio=base + trim_ratio + transfer_ratio,
        flow_lpm=flow_lpm,
    )
    return replace(state, valve=valve, trim=trim, transfer_ratio=transfer_ratio), wish


def transfer(
    settings: CoolingSettings,
    state: LawState,
    inputs: LoopInputs,
    *,
    supply_c: float,
    held: LoopSetpoints,
) -> LawState:
    """Memory from which the next step starts at what is `held`."""
    policy = settings.policy
    flow_lpm = needed_flow_lpm(settings, state, inputs, supply_c)
    base = model.pump_ratio_for_flow(flow_lpm, settings.pumps, settings.model)
    return replace(
        state,
        valve=pid.transfer(
            policy.valve,
            state.valve,
            held.valve_ratio,
            inputs.supply_c - supply_c,
            _known_valve(settings, state, inputs, supply_c),
        ),
        trim=PidState(),
        transfer_ratio=max(held.pump_ratio - base, -policy.most_transfer_ratio),
    )


def trimmed(
    settings: CoolingSettings, state: LawState, inputs: LoopInputs
) -> tuple[float, PidState]:
    """Speed that the measured junctions ask for on top of what the model says, and its memory."""
    return pid.step(
        settings.policy.pump_trim,
        state.trim,
        inputs.junction_c - settings.policy.junction_target_c,
        0.0,
        inputs.dt_s,
        0.0,
        settings.policy.most_trim_ratio,
    )


def needed_flow_lpm(
    settings: CoolingSettings, state: LawState, inputs: LoopInputs, supply_c: float
) -> float:
    """Least flow for return and junction caps, with the margin for unequal branches; the design
    flow while no heat is known.
    """
    policy, heat_w = settings.policy, state.pump_heat.heat_w
    if heat_w is None:
        return settings.model.design_flow_lpm
    warmest_c = max(supply_c, inputs.supply_c) if math.isfinite(inputs.supply_c) else supply_c
    for_return = feedforward.minimum_flow_lpm(policy.pump_heat, heat_w, warmest_c)
    for_junction = 0.0
    if math.isfinite(inputs.chip_power_w):
        chip_lpm = model.chip_flow_for_junction_lpm(
            inputs.chip_power_w, warmest_c, policy.junction_target_c, settings.model
        )
        for_junction = chip_lpm * settings.chips / settings.model.chip_flow_share
    wanted = policy.flow_margin_ratio * max(for_return, for_junction)
    return min(wanted, settings.model.design_flow_lpm * 1.2)


def _known_valve(
    settings: CoolingSettings, state: LawState, inputs: LoopInputs, supply_c: float
) -> float:
    """Feed-forward; none while facility water or heat is unknown."""
    if state.valve_heat.heat_w is None or math.isnan(state.facility_c):
        return 0.0
    flow_lpm = inputs.flow_lpm
    if not math.isfinite(flow_lpm):
        speed = inputs.pump_ratio if math.isfinite(inputs.pump_ratio) else 1.0
        flow_lpm = model.flow_for_pump_lpm((speed,) * settings.pumps, settings.model)
    return feedforward.valve_ratio(
        state.valve_heat,
        setpoint_c=supply_c,
        facility_c=state.facility_c,
        flow_lpm=flow_lpm,
        loop=settings.model,
    )
