"""The predictive law's model of the loop, run beside it and drawn to what is measured."""

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from controller.cooling.estimate import LoopInputs
from controller.cooling.laws.law import Foresight, LawState
from controller.cooling.settings import CoolingSettings
from thermal.arrays import FloatArray
from thermal.model import dynamics, facility_water, observer
from thermal.model import loop as model
from thermal.model.dynamics import Foreseen, LoopCourse, LoopMemory
from thermal.model.observer import Look


def as_found(settings: CoolingSettings, inputs: LoopInputs) -> CoolingSettings:
    """With pipes as long as they turned out to be: what comes too early is swung around."""
    tuning, found = settings.mpc, inputs.identified
    if not found.transit_sigma <= tuning.transit_sigma_s:
        return settings
    base, step_s = settings.model, tuning.transit_step_s
    more_s = round((found.transit_s - tuning.sheet_transit_s) / step_s) * step_s
    most_l = tuning.most_transit_ratio * min(base.supply_pipe_l, base.return_pipe_l)
    more_l = within(more_s * base.design_flow_lpm / 60.0, most_l)
    pipes = replace(
        base,
        supply_pipe_l=base.supply_pipe_l + more_l,
        return_pipe_l=base.return_pipe_l + more_l,
    )
    return replace(settings, model=pipes)


def tracked(settings: CoolingSettings, state: LawState, inputs: LoopInputs) -> Foresight:
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
    water = facility_water.watched(
        tuning.facility_water,
        known.facility,
        state.facility_c,
        sensor_s=settings.model.supply_sensor_s,
        seconds=seconds,
    )
    before = dynamics.refitted(settings.model, known.memory)
    known = _with_flow(settings, known, inputs, seconds)
    course = LoopCourse(
        valve_ratio=_came(known.valve_ratio, inputs.valve_ratio, seconds),
        flow_lpm=[_flow_lpm(known, inputs)] * seconds,
        heat_w=_came(known.heat_w * known.heat_ratio, inputs.heat_w * known.heat_ratio, seconds),
        facility_c=[water.water_c] * seconds,
    )
    memory, seen = run(settings, known, before, course)
    sensed_c = _sensed_c(known.sensed_c, seen.supply_c, _supply_lag_s(settings, inputs))
    sensed_return_c = _sensed_c(
        known.sensed_return_c, seen.return_c, settings.model.supply_sensor_s
    )
    gap_k = inputs.supply_c - sensed_c
    learnt = observer.looked(
        tuning.observer, known.doubt, _look(settings, known, inputs, water.water_c, gap_k, seconds)
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
        facility=water,
        valve_ratio=inputs.valve_ratio,
        heat_w=inputs.heat_w,
        heat_ratio=min(max(heat_ratio, low), high),
        junction_off_k=_junction_off_k(
            settings, known, inputs, -math.expm1(-seconds / tuning.junction_filter_s)
        ),
    )


def _came(before: float, after: float, seconds: int) -> list[float]:
    """What is to be expected of the seconds between two readings: a step came in any of them."""
    step_value = after - before
    return [before + step_value * second / seconds for second in range(1, seconds + 1)]


def _sensed_c(sensed_c: float, truth_c: Sequence[float], lag_s: float) -> float:
    """What a sensor has taken up of a course, second by second."""
    share = -math.expm1(-1.0 / lag_s)
    for value_c in truth_c:
        sensed_c += share * (value_c - sensed_c)
    return sensed_c


def _with_flow(
    settings: CoolingSettings, known: Foresight, inputs: LoopInputs, seconds: int
) -> Foresight:
    """Flow over the pumps' speed, which is known far better than the flow: a loop's resistance
    hardly changes, but by a pump that stops.
    """
    tuning, speed = settings.mpc, known.sensed_pump_ratio
    if not math.isfinite(inputs.pump_ratio):
        return known
    if not math.isfinite(speed):
        speed = inputs.pump_ratio
    speed -= (inputs.pump_ratio - speed) * math.expm1(-seconds / tuning.flow_meter_s)
    known = replace(known, sensed_pump_ratio=speed)
    if not speed > 0.0:
        return known
    shown_lpm_per_speed = inputs.flow_lpm / speed
    off_lpm_per_speed = shown_lpm_per_speed - known.lpm_per_speed
    if not abs(off_lpm_per_speed) <= tuning.flow_leap_ratio * shown_lpm_per_speed:
        return replace(known, lpm_per_speed=shown_lpm_per_speed)
    share = -math.expm1(-seconds / tuning.flow_filter_s)
    return replace(known, lpm_per_speed=known.lpm_per_speed + share * off_lpm_per_speed)


def _flow_lpm(known: Foresight, inputs: LoopInputs) -> float:
    """By the pumps' speed where they turn, for it has no noise."""
    flow_lpm = known.lpm_per_speed * inputs.pump_ratio
    return flow_lpm if inputs.pump_ratio > 0.0 and math.isfinite(flow_lpm) else inputs.flow_lpm


def _supply_lag_s(settings: CoolingSettings, inputs: LoopInputs) -> float:
    return settings.model.supply_sensor_s + inputs.supply_late_s


def run(
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
    assert known.memory is not None, "see tracked"
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
        facility=facility_water.begun(settings.mpc.facility_water, facility_c),
        valve_ratio=inputs.valve_ratio,
        heat_w=inputs.heat_w,
        sensed_pump_ratio=inputs.pump_ratio,
        lpm_per_speed=inputs.flow_lpm / inputs.pump_ratio if inputs.pump_ratio > 0.0 else math.nan,
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
    assert known.memory is not None, "see tracked"
    arrived = float(arrived_share(known, inputs, np.array(known.memory.sled_heat_w)))
    settled = model.junction_for_chip_c(
        inputs.chip_power_w * arrived, inputs.supply_c, chip_lpm, settings.model
    )
    if not math.isfinite(settled):
        return known.junction_off_k
    return known.junction_off_k + share * (inputs.junction_c - settled - known.junction_off_k)


def arrived_share(known: Foresight, inputs: LoopInputs, sled_heat_w: FloatArray) -> FloatArray:
    """Of the chips' power now, what their plates pass on: junctions lag as the coolant's heat."""
    share: FloatArray = sled_heat_w / max(inputs.heat_w * known.heat_ratio, 1.0)
    return share


def within(value: float, limit: float) -> float:
    return min(max(value, -limit), limit)
