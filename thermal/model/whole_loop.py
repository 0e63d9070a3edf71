"""A loop with its actuators, its worst chips and a sensor, run forward on what is believed of it.

`dynamics` with what surrounds it: the predictive law's model and the one that predicts are one.
"""

import math
from dataclasses import dataclass, replace

from thermal.model import dynamics, worst_chip
from thermal.model import loop as model
from thermal.model.dynamics import Drives, LoopCourse, LoopMemory
from thermal.model.settings import LoopModelSettings
from thermal.model.worst_chip import WorstChip, WorstChipSettings

_LEAST_RISE_K = 1.0
"""Of the coolant: with less of it a measured point does not speak of the exchanger."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Belief:
    """How this loop differs from its data sheet; 1 is as designed."""

    resistance_ratio: float = 1.0
    """Chip to coolant, of the worst chips."""
    ua_ratio: float = 1.0
    offset_k: float = 0.0
    """On top of what the exchanger settles at."""
    flow_ratio: float = 1.0
    """Flow over what the pumps' speed promises."""
    heat_ratio: float = 1.0
    """Heat that the return shows, over the heat believed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What acts on the loop while it runs forward."""

    heat_w: float
    """Into the coolant."""
    chip_power_w: float
    """Of the worst chips."""
    chips: int
    facility_c: float
    pumps: int
    """That run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LoopPoint:
    """The believed state of a loop."""

    memory: LoopMemory
    drives: Drives
    chip: WorstChip
    inlet_c: float
    """At the sleds."""
    seen_supply_c: float
    """As a sensor in its well shows it."""


def settled(
    settings: LoopModelSettings,
    figures: WorstChipSettings,
    belief: Belief,
    around: Surroundings,
    drives: Drives,
    *,
    supply_c: float,
) -> LoopPoint:
    """The point that the loop would rest at if its supply stayed as it is."""
    return LoopPoint(
        memory=dynamics.at_rest(
            settings,
            supply_c=supply_c,
            heat_w=around.heat_w * belief.heat_ratio,
            flow_lpm=drives.flow_lpm,
        ),
        drives=drives,
        chip=worst_chip.settled(
            settings,
            figures,
            power_w=around.chip_power_w,
            inlet_c=supply_c,
            chip_lpm=_chip_lpm(settings, around, drives),
            resistance_ratio=belief.resistance_ratio,
        ),
        inlet_c=supply_c,
        seen_supply_c=supply_c,
    )


def advance(
    settings: LoopModelSettings,
    figures: WorstChipSettings,
    belief: Belief,
    around: Surroundings,
    point: LoopPoint,
    *,
    valve_ratio: float,
    pump_ratio: float,
) -> LoopPoint:
    """The loop a second later, told to bring valve and pumps there."""
    drives = dynamics.driven(
        settings,
        point.drives,
        valve_ratio=valve_ratio,
        pump_ratio=pump_ratio,
        pumps=around.pumps,
        flow_ratio=belief.flow_ratio,
    )
    course = LoopCourse(
        valve_ratio=[drives.valve_ratio],
        flow_lpm=[drives.flow_lpm],
        heat_w=[around.heat_w * belief.heat_ratio],
        facility_c=[around.facility_c],
    )
    memory, seen = dynamics.foresee(
        settings, point.memory, course, offset_k=belief.offset_k, ua_ratio=belief.ua_ratio
    )
    share = -math.expm1(-1.0 / settings.supply_sensor_s)
    return LoopPoint(
        memory=memory,
        drives=drives,
        chip=worst_chip.later(
            settings,
            figures,
            point.chip,
            power_w=around.chip_power_w,
            inlet_c=seen.inlet_c[0],
            chip_lpm=_chip_lpm(settings, around, drives),
            resistance_ratio=belief.resistance_ratio,
        ),
        inlet_c=seen.inlet_c[0],
        seen_supply_c=point.seen_supply_c + share * (memory.supply_c - point.seen_supply_c),
    )


def believe(
    settings: LoopModelSettings,
    figures: WorstChipSettings,
    around: Surroundings,
    drives: Drives,
    *,
    supply_c: float,
    return_c: float,
    junction_c: float,
) -> Belief:
    """What makes the model agree with a loop that is measured to rest there; what can not be said
    from it stays as designed.
    """
    belief = Belief()
    promised_lpm = 0.0
    if around.pumps > 0 and drives.pump_ratio > 0.0:
        speeds = (min(drives.pump_ratio, 1.0),) * around.pumps
        promised_lpm = model.flow_for_pump_lpm(speeds, settings)
    if promised_lpm > 0.0:
        belief = replace(belief, flow_ratio=_bounded(drives.flow_lpm / promised_lpm))
    sheet = settled(settings, figures, belief, around, drives, supply_c=supply_c).chip
    solid_k = sheet.junction_c - sheet.outlet_c
    if solid_k > 0.0:
        excess_k = junction_c - sheet.outlet_c
        belief = replace(belief, resistance_ratio=_bounded(excess_k / solid_k))
    if return_c <= supply_c + _LEAST_RISE_K:
        return belief
    ua_ratio = _ua_ratio(settings, around, drives, supply_c=supply_c, return_c=return_c)
    return replace(belief, ua_ratio=ua_ratio)


def _ua_ratio(
    settings: LoopModelSettings,
    around: Surroundings,
    drives: Drives,
    *,
    supply_c: float,
    return_c: float,
) -> float:
    """UA with which the exchanger makes this supply of this return, by halving."""
    cold_ratio = dynamics.valve_flow_ratio(settings, drives.valve_ratio)
    flow_lpm = max(drives.flow_lpm, dynamics.LEAST_LPM)
    low, high = 0.3, 2.0
    for _ in range(20):
        middle = 0.5 * (low + high)
        cooled_c = dynamics.exchanger_out_c(
            settings, return_c, around.facility_c, flow_lpm, cold_ratio, ua_ratio=middle
        )
        low, high = (middle, high) if cooled_c > supply_c else (low, middle)
    return 0.5 * (low + high)


def _chip_lpm(settings: LoopModelSettings, around: Surroundings, drives: Drives) -> float:
    return drives.flow_lpm * settings.chip_flow_share / around.chips


def _bounded(believed_ratio: float) -> float:
    return min(max(believed_ratio, 0.4), 2.0) if math.isfinite(believed_ratio) else 1.0
