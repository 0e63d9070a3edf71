"""How the predictive law moves a valve that sticks: where it stands, and what is worth a move."""

import math
from dataclasses import replace

from controller.cooling.control import LoopSetpoints
from controller.cooling.estimate import LoopInputs
from controller.cooling.laws.beside import within
from controller.cooling.laws.law import Foresight, LawState
from controller.cooling.settings import CoolingSettings
from thermal.control.horizon import Plan
from thermal.model import valve_rest


def watched(
    settings: CoolingSettings, state: LawState, inputs: LoopInputs, held: LoopSetpoints
) -> Foresight:
    watched = valve_rest.watched(
        settings.mpc.valve_rest,
        settings.model.valve,
        state.foresight.valve,
        shown_ratio=inputs.valve_ratio,
        told_ratio=held.valve_ratio,
        at_s=inputs.at_s,
        age_s=inputs.age_s,
    )
    return replace(state.foresight, valve=watched)


def wish_ratio(
    settings: CoolingSettings,
    known: Foresight,
    inputs: LoopInputs,
    held: LoopSetpoints,
    plan: Plan,
    most_ratio: float,
) -> float:
    """The command that takes the valve where the plan has it: one at rest is told to go further
    than it sticks, or is left alone while that would be too far.
    """
    tuning, valve = settings.mpc, settings.model.valve
    change = within(plan.valve_per_s[0] * inputs.dt_s, most_ratio)
    if known.plan is None:
        return held.valve_ratio + change
    stands = stands_ratio(settings, known, inputs, held) + known.valve.off_ratio
    if not rests(settings, known, held):
        piled = (held.valve_ratio - stands) * change > 0.0
        return (held.valve_ratio if piled else stands) + change
    if stays(settings, known, held, plan):
        return held.valve_ratio
    way = sum(plan.valve_per_s[: tuning.break_s])
    return stands + math.copysign(max(abs(change), tuning.break_ratio * valve.stiction_ratio), way)


def stays(settings: CoolingSettings, known: Foresight, held: LoopSetpoints, plan: Plan) -> bool:
    """Whether the valve is at rest, and a plan wants too little of it to break it loose."""
    tuning, stiction_ratio = settings.mpc, settings.model.valve.stiction_ratio
    way = sum(plan.valve_per_s[: tuning.break_s])
    return rests(settings, known, held) and abs(way) < tuning.break_share * stiction_ratio


def rests(settings: CoolingSettings, known: Foresight, held: LoopSetpoints) -> bool:
    """Whether the valve stands, and what is held will not move it."""
    gap = held.valve_ratio - known.valve.off_ratio - known.valve.shown_ratio
    at_rest = valve_rest.at_rest(settings.mpc.valve_rest, known.valve)
    return at_rest and abs(gap) <= settings.model.valve.stiction_ratio


def stands_ratio(
    settings: CoolingSettings, known: Foresight, inputs: LoopInputs, held: LoopSetpoints
) -> float:
    """Where the valve will be shown to stand once it has obeyed what is held: at rest it sticks,
    and one that moves stops somewhere in its dead band.
    """
    told = held.valve_ratio - known.valve.off_ratio
    if not math.isfinite(inputs.valve_ratio):
        return told
    if rests(settings, known, held):
        return known.valve.shown_ratio
    gap = told - inputs.valve_ratio
    gap -= within(gap, 0.5 * settings.model.valve.dead_band_ratio)
    reach = (inputs.age_s + inputs.dt_s) / settings.model.valve.stroke_s
    return inputs.valve_ratio + within(gap, reach)
