"""Predictive: valve and pumps together, over the next three quarters of a minute.

A model of the loop runs beside it and is drawn to what is measured; from where it is, it foresees
the plan in force, and a quadratic program betters the plan. Where the program has no answer in
time, or the valve does not follow, PI and feed-forward take over from what is held.
"""

import math
from dataclasses import replace

import numpy as np

from controller.cooling.control import LoopSetpoints
from controller.cooling.estimate import LoopInputs
from controller.cooling.laws import feedforward, law
from controller.cooling.laws.law import Foresight, LawState
from controller.cooling.settings import CoolingSettings
from thermal.arrays import FloatArray
from thermal.control import horizon
from thermal.control.horizon import Bounds, GainBin, Outlook, Plan
from thermal.model import dynamics, observer
from thermal.model import loop as model
from thermal.model.dynamics import Foreseen, LoopCourse, LoopMemory
from thermal.model.observer import Look


def observe(settings: CoolingSettings, state: LawState, inputs: LoopInputs) -> LawState:
    """What every law keeps, and the model drawn to the measurements."""
    state = law.observe(settings, state, inputs)
    seen = (inputs.supply_c, inputs.flow_lpm, inputs.heat_w, inputs.valve_ratio, state.facility_c)
    if not all(map(math.isfinite, seen)):
        return state
    return replace(state, foresight=_tracked(_as_found(settings, inputs), state, inputs))


def step(
    settings: CoolingSettings,
    state: LawState,
    inputs: LoopInputs,
    *,
    supply_c: float,
    held: LoopSetpoints,
) -> tuple[LawState, LoopSetpoints]:
    """The wish for a set-point `supply_c`, given what is `held` now."""
    settings, known = _as_found(settings, inputs), state.foresight
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
    change = _within(plan.valve_per_s[0] * inputs.dt_s, most)
    stands = _valve_now(settings, inputs, held)
    # Commands pile up until a valve at rest breaks loose; those of the other direction are void.
    piled = (held.valve_ratio - stands) * change > 0.0 or known.plan is None
    wish = LoopSetpoints(
        supply_c=supply_c,
        valve_ratio=(held.valve_ratio if piled else stands) + change,
        pump_ratio=held.pump_ratio + _within(plan.pump_per_s[0] * inputs.dt_s, most),
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


def _within(value: float, limit: float) -> float:
    return min(max(value, -limit), limit)


# --- the model beside the loop ---------------------------------------------------------------


def _as_found(settings: CoolingSettings, inputs: LoopInputs) -> CoolingSettings:
    """With pipes as long as they turned out to be: what comes too early is swung around."""
    tuning, found = settings.mpc, inputs.identified
    if not found.transit_sigma <= tuning.transit_sigma_s:
        return settings
    base, step_s = settings.model, tuning.transit_step_s
    more_s = round((found.transit_s - tuning.sheet_transit_s) / step_s) * step_s
    most_l = tuning.most_transit_ratio * min(base.supply_pipe_l, base.return_pipe_l)
    more_l = _within(more_s * base.design_flow_lpm / 60.0, most_l)
    pipes = replace(
        base,
        supply_pipe_l=base.supply_pipe_l + more_l,
        return_pipe_l=base.return_pipe_l + more_l,
    )
    return replace(settings, model=pipes)


def _tracked(settings: CoolingSettings, state: LawState, inputs: LoopInputs) -> Foresight:
    """The model a cycle on, under what was measured, and drawn to it."""
    known, tuning = state.foresight, settings.mpc
    lost = abs(inputs.supply_c - known.sensed_c) > tuning.lost_k
    if known.memory is None or lost:
        return _swings(settings, _begun(settings, inputs, state.facility_c), inputs)
    # Telemetry comes in jumps, or not at all: the model goes by its clock, not by the cycle's.
    heard_at_s = inputs.at_s - inputs.age_s
    passed_s = min(max(heard_at_s - known.heard_at_s, 0.0), float(tuning.longest_gap_s))
    seconds = round(passed_s)
    if seconds < 1:
        return _swings(settings, known, inputs)
    facility_c = _facility_c(settings, known, state.facility_c, seconds)
    course = LoopCourse(
        valve_ratio=[inputs.valve_ratio] * seconds,
        flow_lpm=[inputs.flow_lpm] * seconds,
        heat_w=[inputs.heat_w * known.heat_ratio] * seconds,
        facility_c=[facility_c] * seconds,
    )
    memory, _ = _run(settings, known, dynamics.refitted(settings.model, known.memory), course)
    share = -math.expm1(-seconds / _supply_lag_s(settings, inputs))
    sensed_c = known.sensed_c + share * (memory.supply_c - known.sensed_c)
    share = -math.expm1(-seconds / settings.model.supply_sensor_s)
    sensed_return_c = known.sensed_return_c + share * (memory.return_c - known.sensed_return_c)
    gap_k = inputs.supply_c - sensed_c
    learnt = observer.looked(
        tuning.observer, known.doubt, _look(settings, known, inputs, facility_c, gap_k, seconds)
    )
    heat_ratio = known.heat_ratio
    rise_k = sensed_return_c - sensed_c
    if math.isfinite(inputs.return_c) and rise_k > tuning.least_rise_k:
        return_off_k = inputs.return_c - sensed_return_c - gap_k
        heat_ratio += tuning.heat_gain_per_s * seconds * return_off_k / rise_k
    low, high = tuning.heat_ratio_limits
    return replace(
        _swings(settings, known, inputs),
        heard_at_s=heard_at_s,
        known_s=known.known_s + seconds,
        memory=replace(memory, supply_c=memory.supply_c + learnt.supply_k),
        doubt=learnt.doubt,
        sensed_c=sensed_c + learnt.sensed_k,
        sensed_return_c=sensed_return_c,
        facility_c=facility_c,
        shown_facility_c=state.facility_c,
        heat_ratio=min(max(heat_ratio, low), high),
        junction_off_k=_junction_off_k(
            settings, known, inputs, -math.expm1(-seconds / tuning.junction_filter_s)
        ),
    )


def _supply_lag_s(settings: CoolingSettings, inputs: LoopInputs) -> float:
    return settings.model.supply_sensor_s + inputs.supply_late_s


def _facility_c(settings: CoolingSettings, known: Foresight, shown_c: float, seconds: int) -> float:
    """Facility water before the lag of its sensor, while that moves by more than its noise."""
    moved_k = shown_c - known.shown_facility_c
    if seconds < 1 or not abs(moved_k) > settings.mpc.facility_leap_k * seconds:
        return shown_c
    share = -math.expm1(-seconds / settings.model.supply_sensor_s)
    return known.shown_facility_c + moved_k / share


def _run(
    settings: CoolingSettings, known: Foresight, memory: LoopMemory, course: LoopCourse
) -> tuple[LoopMemory, Foreseen]:
    """The model through a course, with what was learnt of the exchanger."""
    return dynamics.foresee(
        settings.model,
        memory,
        course,
        offset_k=known.doubt.offset_k,
        ua_ratio=known.doubt.ua_ratio,
    )


def _look(
    settings: CoolingSettings,
    known: Foresight,
    inputs: LoopInputs,
    facility_c: float,
    gap_k: float,
    seconds: int,
) -> Look:
    """What the supply sensor's gap can say of the exchanger."""
    assert known.memory is not None, "see _tracked"
    cold_ratio = dynamics.valve_flow_ratio(settings.model, inputs.valve_ratio)
    flow_lpm = max(inputs.flow_lpm, dynamics.LEAST_LPM)
    as_is, better = (
        dynamics.exchanger_out_c(
            settings.model,
            known.memory.return_c,
            facility_c,
            flow_lpm,
            cold_ratio,
            ua_ratio=ua_ratio,
        )
        for ua_ratio in (known.doubt.ua_ratio, known.doubt.ua_ratio * 1.01)
    )
    return Look(
        gap_k=gap_k,
        seconds=seconds,
        supply_share=dynamics.supply_share(settings.model, flow_lpm, cold_ratio),
        sensor_share=-math.expm1(-1.0 / _supply_lag_s(settings, inputs)),
        settled_per_log_ua_k=(better - as_is) / 0.01,
    )


def _swings(settings: CoolingSettings, known: Foresight, inputs: LoopInputs) -> Foresight:
    """How much of the heat comes and goes."""
    share = -math.expm1(-inputs.dt_s / settings.mpc.swing_s)
    mean_w = known.mean_heat_w if math.isfinite(known.mean_heat_w) else inputs.heat_w
    off_w = inputs.heat_w - mean_w
    return replace(
        known,
        mean_heat_w=mean_w + share * off_w,
        above_w=known.above_w + share * (max(off_w, 0.0) - known.above_w),
        below_w=known.below_w + share * (max(-off_w, 0.0) - known.below_w),
    )


def _begun(settings: CoolingSettings, inputs: LoopInputs, facility_c: float) -> Foresight:
    """The model where the loop is measured to be, taken as settled."""
    rise_k = inputs.return_c - inputs.supply_c
    if not math.isfinite(rise_k):
        rise_k = inputs.heat_w / max(dynamics.carried_w(inputs.flow_lpm, 1.0), 1.0)
    rise_k = min(max(rise_k, 0.0), settings.mpc.most_rise_k)
    memory = dynamics.at_rest(
        settings.model,
        supply_c=inputs.supply_c,
        heat_w=dynamics.carried_w(inputs.flow_lpm, rise_k),
        flow_lpm=inputs.flow_lpm,
    )
    begun = Foresight(
        memory=memory,
        heard_at_s=inputs.at_s - inputs.age_s,
        sensed_c=inputs.supply_c,
        sensed_return_c=memory.return_c,
        facility_c=facility_c,
        shown_facility_c=facility_c,
    )
    return replace(begun, junction_off_k=_junction_off_k(settings, begun, inputs, share=1.0))


def _junction_off_k(
    settings: CoolingSettings, known: Foresight, inputs: LoopInputs, share: float
) -> float:
    """Difference of the worst junctions and what the model says of a mean chip, drawn to what is
    seen now by a share.
    """
    if not (math.isfinite(inputs.junction_c) and math.isfinite(inputs.chip_power_w)):
        return known.junction_off_k
    chip_lpm = inputs.flow_lpm * settings.model.chip_flow_share / settings.chips
    assert known.memory is not None, "see _tracked"
    arrived = float(_arrived_share(known, inputs, np.array(known.memory.sled_heat_w)))
    settled = model.junction_for_chip_c(
        inputs.chip_power_w * arrived, inputs.supply_c, chip_lpm, settings.model
    )
    if not math.isfinite(settled):
        return known.junction_off_k
    return known.junction_off_k + share * (inputs.junction_c - settled - known.junction_off_k)


def _arrived_share(known: Foresight, inputs: LoopInputs, sled_heat_w: FloatArray) -> FloatArray:
    """Of the chips' power now, what their plates pass on: junctions lag as the coolant's heat."""
    share: FloatArray = sled_heat_w / max(inputs.heat_w * known.heat_ratio, 1.0)
    return share


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
    if known.memory is None or not math.isfinite(known.facility_c) or inputs.dt_s <= 0.0:
        return None
    flow_lpm = inputs.flow_lpm
    if not math.isfinite(flow_lpm) or not inputs.pump_ratio > 0.0:
        return None
    lpm_per_speed = flow_lpm / inputs.pump_ratio
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
            supply_c - known.facility_c,
        ),
        _rounded(lpm_per_speed, settings.model.design_flow_lpm),
    )
    return horizon.improved(
        weights,
        gains,
        _bounds(settings, known, inputs),
        outlook,
        plan,
        setpoint_c=supply_c,
        pump_wanted_ratio=pump_wanted_ratio,
    )


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
    goal, stroke_s = _valve_now(settings, inputs, held), settings.model.valve.stroke_s
    stands = inputs.valve_ratio if math.isfinite(inputs.valve_ratio) else goal
    gap = goal - stands
    course = LoopCourse(
        valve_ratio=[stands + _within(gap, second / stroke_s) for second in range(1, late + 1)],
        flow_lpm=[held.pump_ratio * lpm_per_speed] * late,
        heat_w=[inputs.heat_w * known.heat_ratio] * late,
        facility_c=[known.facility_c] * late,
    )
    return _run(settings, known, known.memory, course)[0]


def _valve_now(settings: CoolingSettings, inputs: LoopInputs, held: LoopSetpoints) -> float:
    """Where the valve will stand once it has obeyed what is held: a valve at rest sticks."""
    if not math.isfinite(inputs.valve_ratio):
        return held.valve_ratio
    gap = held.valve_ratio - inputs.valve_ratio
    if abs(gap) <= settings.model.valve.stiction_ratio:
        return inputs.valve_ratio
    reach = (inputs.age_s + inputs.dt_s) / settings.model.valve.stroke_s
    return inputs.valve_ratio + _within(gap, reach)


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
    stands = _valve_now(settings, inputs, held)
    valve = np.clip(stands + np.cumsum(plan.valve_per_s), 0.0, 1.0)
    pump = np.clip(held.pump_ratio + np.cumsum(plan.pump_per_s), 0.0, 1.0)
    heat_w = _coming_w(settings, state, inputs) * known.heat_ratio
    flow = pump * lpm_per_speed
    course = LoopCourse(
        valve_ratio=valve.tolist(),
        flow_lpm=flow.tolist(),
        heat_w=heat_w.tolist(),
        facility_c=[known.facility_c] * len(valve),
    )
    _, seen = _run(settings, known, memory, course)
    chip_w = inputs.chip_power_w * _arrived_share(known, inputs, np.array(seen.sled_heat_w))
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
