"""Help for a loop whose cooling is at its end: first less new work, then work elsewhere, and power
caps as the last resort.
"""

import math
from dataclasses import dataclass, replace
from enum import StrEnum

from controller.cooling.settings import ReliefSettings


class Relief(StrEnum):
    """What a loop asks for, in the order in which it is asked."""

    NONE = "none"  # nothing
    AVOID = "avoid"  # no new work here
    MOVE = "move"  # work on the hottest sleds goes where there is room
    CAP = "cap"  # chips are capped


@dataclass(frozen=True, slots=True, kw_only=True)
class ReliefState:
    """What is asked for now."""

    level: Relief = Relief.NONE
    cap_ratio: float = 1.0
    """Of rated power, for every chip of the loop."""
    strained_s: float = 0.0
    """How long the loop has been at its end, this time."""
    calm_s: float = 0.0
    stepped_s: float = 0.0
    """Since the cap was last moved or said again."""


def step(
    settings: ReliefSettings,
    state: ReliefState,
    *,
    junction_c: float,
    valve_ratio: float,
    pump_ratio: float,
    stuck: bool,
    dt_s: float,
) -> ReliefState:
    """State after a cycle; positions as measured. What is not known neither asks nor lifts. From
    a valve that is `stuck` nothing more comes, and nobody waits for the heat that will.
    """
    full = min(valve_ratio, pump_ratio) >= settings.full_ratio
    urgent = junction_c >= (settings.stuck_c if stuck else settings.urgent_c)
    strained = urgent or (full and junction_c >= settings.strained_c)
    calm = junction_c < settings.calm_c
    state = replace(
        state,
        strained_s=state.strained_s + dt_s if strained else 0.0,
        calm_s=state.calm_s + dt_s if calm else 0.0,
        stepped_s=state.stepped_s + dt_s,
    )
    if strained:
        return _asked(settings, state, urgent=urgent)
    return _eased(settings, state)


def due(settings: ReliefSettings, before: ReliefState, after: ReliefState) -> bool:
    """Whether the cap has to be said: it has moved, or sleds may have come back without it."""
    if after.cap_ratio != before.cap_ratio:
        return True
    repeats = math.floor(after.stepped_s / settings.repeat_s)
    return after.cap_ratio < 1.0 and repeats > math.floor(before.stepped_s / settings.repeat_s)


def _asked(settings: ReliefSettings, state: ReliefState, *, urgent: bool) -> ReliefState:
    if state.strained_s < settings.avoid_after_s:
        return state
    level = Relief.AVOID
    if state.level is Relief.CAP or urgent or state.strained_s >= settings.cap_after_s:
        level = Relief.CAP
    elif state.strained_s >= settings.move_after_s or state.level is Relief.MOVE:
        level = Relief.MOVE
    if level is not Relief.CAP:
        return replace(state, level=level)
    if state.level is Relief.CAP and state.stepped_s < settings.step_s:
        return state
    cap_ratio = max(state.cap_ratio - settings.down_ratio, settings.least_cap_ratio)
    return replace(state, level=Relief.CAP, cap_ratio=cap_ratio, stepped_s=0.0)


def _eased(settings: ReliefSettings, state: ReliefState) -> ReliefState:
    if state.level is Relief.NONE or state.calm_s < settings.calm_after_s:
        return state
    if state.cap_ratio >= 1.0:
        return replace(state, level=Relief.NONE)
    if state.stepped_s < settings.up_after_s:
        return state
    cap_ratio = min(state.cap_ratio + settings.up_ratio, 1.0)
    return replace(state, cap_ratio=cap_ratio, stepped_s=0.0)
