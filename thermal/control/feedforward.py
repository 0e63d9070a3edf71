"""Feed-forward from measured IT power: known seconds before the coolant shows it.

The heat is filtered before it is inverted: power that swings faster than the valve's stroke
(prefill and decode of a language model) would otherwise only wear the valve.
"""

import math
from dataclasses import dataclass

from thermal.model import loop as model
from thermal.model.settings import LoopModelSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedforwardSettings:
    """Filters and caps of the static inverse."""

    rise_filter_s: float = 10.0
    """Tuned on the 288-chip step: shorter opens the valve before the warm coolant arrives
    (plates 3 s, header 6 s)."""
    fall_filter_s: float = 10.0
    """Tuned likewise."""
    design_rise_k: float = 10.0
    """Coolant rise aimed at: 1.5 l/min/kW (OCP OAI guidelines)."""
    return_cap_c: float = 55.0
    """GB300 rack flow table holds the return at 55.5 C."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedforwardState:
    """Filtered heat; None before the first reading."""

    heat_w: float | None = None


def observe(
    settings: FeedforwardSettings, state: FeedforwardState, heat_w: float, dt_s: float
) -> FeedforwardState:
    """State after a reading of IT power into the liquid. A non-finite reading changes nothing."""
    if not math.isfinite(heat_w):
        return state
    if state.heat_w is None:
        return FeedforwardState(heat_w=heat_w)
    filter_s = settings.rise_filter_s if heat_w > state.heat_w else settings.fall_filter_s
    share = -math.expm1(-dt_s / filter_s) if filter_s > 0.0 else 1.0
    return FeedforwardState(heat_w=state.heat_w + share * (heat_w - state.heat_w))


def valve_ratio(
    state: FeedforwardState,
    *,
    setpoint_c: float,
    facility_c: float,
    flow_lpm: float,
    loop: LoopModelSettings,
) -> float:
    """Valve position for the filtered heat; open when nothing is known yet."""
    if state.heat_w is None:
        return 1.0
    return model.valve_for_heat(state.heat_w, setpoint_c, facility_c, flow_lpm, loop)


def flow_lpm(settings: FeedforwardSettings, heat_w: float, setpoint_c: float) -> float:
    """Loop flow for a heat: the design rise, or less rise where the return cap asks for it."""
    rise_k = min(settings.design_rise_k, max(settings.return_cap_c - setpoint_c, 1.0))
    return model.flow_for_heat_lpm(heat_w, rise_k)


def minimum_flow_lpm(settings: FeedforwardSettings, heat_w: float, supply_c: float) -> float:
    """Least loop flow that keeps the return under its cap: Q = P / (c (cap - supply))."""
    return model.flow_for_heat_lpm(heat_w, max(settings.return_cap_c - supply_c, 1.0))
