"""Predictive: valve and pumps together, over the next three quarters of a minute.

A model of the loop runs beside it and is drawn to what is measured; from where it is, it foresees
the plan in force, and a quadratic program betters the plan. Where the program has no answer in
time, or the valve does not follow, PI and feed-forward take over from what is held.
"""

import math
from dataclasses import replace
from functools import partial

import numpy as np

from controller.cooling.control import LoopSetpoints
from controller.cooling.estimate import LoopInputs
from controller.cooling.laws import beside, feedforward, law, valve_aim
from controller.cooling.laws.beside import within
from controller.cooling.laws.law import Foresight, LawState
from controller.cooling.settings import CoolingSettings
from thermal.arrays import FloatArray
from thermal.control import horizon
from thermal.control.horizon import Bounds, GainBin, Outlook, Plan
from thermal.model import dynamics
from thermal.model import loop as model
from thermal.model.dynamics import LoopCourse, LoopMemory


def observe(settings: CoolingSettings, state: LawState, inputs: LoopInputs) -> LawState:
    """What every law keeps, and the model drawn to the measurements."""
    state = law.observe(settings, state, inputs)
    seen = (inputs.supply_c, inputs.flow_lpm, inputs.heat_w, inputs.valve_ratio, state.facility_c)
    if not all(map(math.isfinite, seen)):
        return state
    settings = beside.as_found(settings, inputs)
    return replace(state, foresight=beside.tracked(settings, state, inputs))


def step(
    settings: CoolingSettings,
    state: LawState,
    inputs: LoopInputs,
    *,
    supply_c: float,
    held: LoopSetpoints,
) -> tuple[LawState, LoopSetpoints]:
    """The wish for a set-point `supply_c`, given what is `held` now."""
    settings = beside.as_found(settings, inputs)
    known = valve_aim.watched(settings, state, inputs, held)
    state = replace(state, foresight=known)
    flow_lpm = feedforward.needed_flow_lpm(settings, state, inputs, supply_c)
    wanted = model.pump_ratio_for_flow(flow_lpm, settings.pumps, settings.model)
    trim_ratio, trim = feedforward.trimmed(settings, state, inputs)
    wanted = min(max(wanted, settings.mpc.least_pump_ratio) + trim_ratio, 1.0)
    if _young(settings, known):
        wanted = max(wanted, held.pump_ratio)
    plan = _better(settings, state, inputs, supply_c, held, wanted)
    if plan is None or inputs.valve_stuck:
        return _fall_back(settings, state, inputs, supply_c=supply_c, held=held)
    # Who takes over moves nothing by more than this at once; the plan goes on from there.
    most = math.inf if known.plan is not None else settings.mpc.most_bump_ratio
    wish = LoopSetpoints(
        supply_c=supply_c,
        valve_ratio=valve_aim.wish_ratio(settings, known, inputs, held, plan, most),
        pump_ratio=held.pump_ratio + within(plan.pump_per_s[0] * inputs.dt_s, most),
        flow_lpm=flow_lpm,
    )
    known = replace(known, plan=plan, fallen_back=False)
    return replace(state, trim=trim, foresight=known), wish


def transfer(
    settings: CoolingSettings,
    state: LawState,
    inputs: LoopInputs,
    *,
    supply_c: float,
    held: LoopSetpoints,
) -> LawState:
    """Memory from which the next step starts at what is `held`: a plan moves from there anyway."""
    del settings, inputs, supply_c, held
    return replace(state, foresight=replace(state.foresight, plan=None, fallen_back=False))


def _fall_back(
    settings: CoolingSettings,
    state: LawState,
    inputs: LoopInputs,
    *,
    supply_c: float,
    held: LoopSetpoints,
) -> tuple[LawState, LoopSetpoints]:
    if not state.foresight.fallen_back:
        state = feedforward.transfer(settings, state, inputs, supply_c=supply_c, held=held)
        state = replace(state, foresight=replace(state.foresight, plan=None, fallen_back=True))
    return feedforward.step(settings, state, inputs, supply_c=supply_c, held=held)


def _young(settings: CoolingSettings, known: Foresight) -> bool:
    return known.known_s < settings.mpc.young_s


# --- the plan --------------------------------------------------------------------------------


def _better(
    settings: CoolingSettings,
    state: LawState,
    inputs: LoopInputs,
    supply_c: float,
    held: LoopSetpoints,
    pump_wanted_ratio: float,
) -> Plan | None:
    known, tuning = state.foresight, settings.mpc
    if known.memory is None or not math.isfinite(known.facility.water_c) or inputs.dt_s <= 0.0:
        return None
    lpm_per_speed = known.lpm_per_speed
    flowing = math.isfinite(inputs.flow_lpm) and math.isfinite(lpm_per_speed)
    if not flowing or not inputs.pump_ratio > 0.0:
        return None
    memory = _now(settings, state, inputs, held, lpm_per_speed)
    plan = (known.plan or Plan.still(tuning.horizon)).later(max(round(inputs.dt_s), 1))
    outlook = _outlook(settings, state, inputs, memory, plan, held, lpm_per_speed)
    middle = tuning.gain_at_s
    weights = tuning.horizon
    if 2.0 * min(known.above_w, known.below_w) > tuning.swinging_ratio * known.mean_heat_w:
        weights = replace(weights, valve_slope_weight=tuning.swinging_slope_weight)
    gains = horizon.responses(
        weights,
        settings.model,
        GainBin.around(
            float(outlook.valve_ratio[middle]),
            float(outlook.pump_ratio[middle]) * lpm_per_speed / settings.model.design_flow_lpm,
            supply_c - known.facility.water_c,
        ),
        _rounded(lpm_per_speed, settings.model.design_flow_lpm),
    )
    bounds = _bounds(settings, known, inputs)
    better = partial(
        horizon.improved,
        weights,
        gains,
        outlook=outlook,
        plan=plan,
        setpoint_c=supply_c,
        pump_wanted_ratio=pump_wanted_ratio,
    )
    free = better(bounds=bounds)
    if free is None or not valve_aim.stays(settings, known, held, free):
        return free
    return better(bounds=replace(bounds, valve_stays=True))


def _now(
    settings: CoolingSettings,
    state: LawState,
    inputs: LoopInputs,
    held: LoopSetpoints,
    lpm_per_speed: float,
) -> LoopMemory:
    """The model moved on from the telemetry's time to now, under what was commanded since."""
    known = state.foresight
    assert known.memory is not None, "see _better"
    late = min(max(round(inputs.age_s), 0), settings.mpc.longest_gap_s)
    if late == 0:
        return known.memory
    goal = valve_aim.stands_ratio(settings, known, inputs, held)
    stroke_s = settings.model.valve.stroke_s
    stands = inputs.valve_ratio if math.isfinite(inputs.valve_ratio) else goal
    gap = goal - stands
    course = LoopCourse(
        valve_ratio=[stands + within(gap, second / stroke_s) for second in range(1, late + 1)],
        flow_lpm=[held.pump_ratio * lpm_per_speed] * late,
        heat_w=[inputs.heat_w * known.heat_ratio] * late,
        facility_c=known.facility.coming_c(
            settings.mpc.facility_water, np.arange(1.0, late + 1.0)
        ).tolist(),
    )
    return beside.run(settings, known, known.memory, course)[0]


def _outlook(
    settings: CoolingSettings,
    state: LawState,
    inputs: LoopInputs,
    memory: LoopMemory,
    plan: Plan,
    held: LoopSetpoints,
    lpm_per_speed: float,
) -> Outlook:
    known = state.foresight
    stands = valve_aim.stands_ratio(settings, known, inputs, held)
    valve = np.clip(stands + np.cumsum(plan.valve_per_s), 0.0, 1.0)
    pump = np.clip(held.pump_ratio + np.cumsum(plan.pump_per_s), 0.0, 1.0)
    heat_w = _coming_w(settings, state, inputs) * known.heat_ratio
    flow = pump * lpm_per_speed
    course = LoopCourse(
        valve_ratio=valve.tolist(),
        flow_lpm=flow.tolist(),
        heat_w=heat_w.tolist(),
        facility_c=known.facility.coming_c(
            settings.mpc.facility_water, inputs.age_s + np.arange(1.0, len(valve) + 1.0)
        ).tolist(),
    )
    _, seen = beside.run(settings, known, memory, course)
    chip_w = inputs.chip_power_w * beside.arrived_share(known, inputs, np.array(seen.sled_heat_w))
    chip_lpm = np.maximum(flow * settings.model.chip_flow_share / settings.chips, 1e-3)
    caloric_k = 0.5 * chip_w / dynamics.carried_w(1.0, 1.0) / chip_lpm
    resistance = settings.model.junction_to_case_k_per_w + settings.model.plate.resistance_k_per_w
    junction = np.array(seen.inlet_c) + chip_w * resistance + caloric_k + known.junction_off_k
    return Outlook(
        supply_c=np.array(seen.supply_c),
        return_c=np.array(seen.return_c),
        junction_c=np.nan_to_num(junction, nan=0.0),
        junction_per_flow_k=np.nan_to_num(-caloric_k / np.maximum(pump, 0.1)),
        valve_ratio=valve,
        pump_ratio=pump,
    )


def _coming_w(settings: CoolingSettings, state: LawState, inputs: LoopInputs) -> FloatArray:
    """Heat second by second: as it is now, and what placement has announced. Heat that has been
    swinging (prefill and decode) is expected back at its mean, so that valves do not chase it.
    """
    known, tuning = state.foresight, settings.mpc
    seconds = np.arange(1, tuning.horizon.seconds + 1)
    off_w = inputs.heat_w - known.mean_heat_w
    swinging = 2.0 * min(known.above_w, known.below_w) / max(abs(off_w), 1.0)
    stays = 1.0 - min(swinging, 1.0) * -np.expm1(-seconds / tuning.return_s)
    heat_w = known.mean_heat_w + off_w * stays
    for change in inputs.announced:
        heat_w += np.where(seconds >= change.in_s, change.heat_w, 0.0)
    return np.maximum(heat_w, 0.0)


def _bounds(settings: CoolingSettings, known: Foresight, inputs: LoopInputs) -> Bounds:
    shell, policy = settings.shell, settings.policy
    stroke = 1.0 / settings.model.valve.stroke_s
    dew_c = inputs.dew_point_c if math.isfinite(inputs.dew_point_c) else shell.dew_unknown_c
    return Bounds(
        valve_up_per_s=min(shell.valve_rate.up_per_s, stroke),
        valve_down_per_s=min(shell.valve_rate.down_per_s, stroke),
        pump_up_per_s=shell.pump_rate.up_per_s,
        # A model that has just begun does not know what is on its way through the pipes.
        pump_down_per_s=0.0 if _young(settings, known) else shell.pump_rate.down_per_s,
        pump_least_ratio=shell.pump_least_ratio,
        return_cap_c=policy.valve_heat.return_cap_c,
        junction_target_c=policy.junction_target_c,
        junction_cap_c=settings.mpc.junction_cap_c,
        supply_floor_c=dew_c + shell.dew_floor_k,
    )


def _rounded(lpm_per_speed: float, design_lpm: float) -> float:
    """To a twentieth of the design, so that loops share responses."""
    step = design_lpm / 20.0
    return max(round(lpm_per_speed / step), 1) * step
