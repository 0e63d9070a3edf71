"""Sensors of a CDU against those of its sleds: whom to believe."""

import math
from dataclasses import dataclass, replace
from typing import Final

from controller.cooling.settings import VoteSettings

DISAGREES = "disagrees with the sleds' inlets"
INLETS_LIE = "believed against the sleds' inlets, since the heat balance agrees with it"
ALONE = "disagrees with the heat balance, and no sled's inlet is heard"
_LANDED_RATIO: Final = 0.1
"""Of a leap's bound: a sensor whose lead is below has landed, and leads again. Estimate."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SupplyVote:
    """Outcome and memory of the vote on the supply temperature; NaN where nothing is known."""

    value_c: float = math.nan
    """To steer by."""
    substituted: bool = False
    """`value_c` is not the CDU's own sensor."""
    alone: bool = False
    """Only one of the three voices is left: enough to cool by, not to cool less by."""
    late: bool = False
    """`value_c` comes from the sleds' inlets alone, and is as late as they are."""
    words: str = ""
    """What is wrong; empty when all agree."""
    matched_c: float = math.nan
    """The CDU's sensor as late as the sleds' inlets are."""
    leapt: bool = False
    """The sensor has leapt, and `matched_c` has not followed yet."""
    jump_k: float = 0.0
    drift_k: float = 0.0
    bias_k: float = 0.0
    """Learnt difference of sound sensors."""
    learnt_s: float = 0.0
    lead_k: float = 1.0
    """The sensor over `matched_c`, filtered: near zero only where the supply has been at rest."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FlowVote:
    """Whether the sleds' own meters contradict the CDU's."""

    against_s: float = 0.0
    outvoted: bool = False


def supply(
    settings: VoteSettings,
    state: SupplyVote,
    *,
    sensor_c: float,
    inlet_c: float,
    model_c: float,
    dt_s: float,
) -> SupplyVote:
    """Vote of the CDU's sensor, the middle of the inlets, and return less heat over flow; NaN for
    a voice that has failed. Two that agree beat the third; a sensor alone must fit the balance.
    """
    voices = (sensor_c, inlet_c, model_c)
    state = replace(state, alone=sum(map(math.isfinite, voices)) <= 1, late=False)
    if math.isnan(sensor_c):
        stand_in_c = inlet_c + state.bias_k
        return replace(
            state,
            value_c=stand_in_c,
            substituted=True,
            late=True,
            words="",
            matched_c=math.nan,
            jump_k=0.0,
        )
    if math.isnan(inlet_c):
        alone = abs(sensor_c - model_c) > settings.model_k
        return replace(
            state,
            value_c=math.nan if alone else sensor_c,
            substituted=False,
            words=ALONE if alone else "",
            matched_c=math.nan,
        )
    return _judged(
        settings, _seen(settings, state, sensor_c, inlet_c, dt_s), sensor_c, inlet_c, model_c
    )


def apart_k(settings: VoteSettings, state: SupplyVote, sensor_c: float, inlet_c: float) -> float:
    """How far the sensor is surely off what the inlets say that it should show; 0 when nobody can
    say, or while the supply moves too fast for inlets that are late.
    """
    if state.learnt_s < settings.learn_s or math.isnan(state.matched_c):
        return 0.0
    lead_k = max(abs(state.lead_k), abs(sensor_c - state.matched_c))
    doubt_k = settings.apart_doubt_k + settings.apart_lead_factor * lead_k
    gap_k = abs(state.matched_c - inlet_c - state.bias_k)
    return max(gap_k - doubt_k, 0.0) if math.isfinite(gap_k) else 0.0


def flow(
    settings: VoteSettings, state: FlowVote, cdu_lpm: float, sleds_lpm: float, dt_s: float
) -> FlowVote:
    """A CDU's meter that shows less than half of what arrives at the sleds is not believed: else
    it would trip the loop alone. One that shows more is left to the heat balance.
    """
    if not (cdu_lpm < sleds_lpm * (1.0 - 2.0 * settings.flow_ratio)):
        return FlowVote()
    against_s = state.against_s + dt_s
    return FlowVote(against_s=against_s, outvoted=against_s >= settings.flow_persist_s)


def _seen(
    settings: VoteSettings, state: SupplyVote, sensor_c: float, inlet_c: float, dt_s: float
) -> SupplyVote:
    """Gaps after a cycle: the sensor, made as late as the inlets, less the inlets."""
    fresh = math.isnan(state.matched_c)
    matched_c = sensor_c
    if not fresh:
        share = -math.expm1(-dt_s / settings.transit_s)
        matched_c = state.matched_c + share * (sensor_c - state.matched_c)
    leapt = abs(sensor_c - matched_c) > settings.jump_k * (_LANDED_RATIO if state.leapt else 1.0)
    calming = -math.expm1(-dt_s / settings.calm_filter_s)
    lead_k = state.lead_k + calming * (sensor_c - matched_c - state.lead_k)
    bias_k, learnt_s = state.bias_k, state.learnt_s
    # The transit is only about known: while the supply moves, the gap is no bias.
    calm = abs(lead_k) <= settings.calm_k and abs(matched_c - inlet_c) <= settings.most_bias_k
    if calm and learnt_s < settings.learn_s:
        learnt_s += dt_s
        bias_k += (matched_c - inlet_c - bias_k) * min(dt_s / max(learnt_s, 1.0), 1.0)
    gap_k = matched_c - inlet_c - bias_k
    jump = -math.expm1(-dt_s / settings.jump_filter_s)
    drift = -math.expm1(-dt_s / settings.drift_filter_s)
    return replace(
        state,
        matched_c=matched_c,
        leapt=leapt,
        lead_k=lead_k,
        bias_k=bias_k,
        learnt_s=learnt_s,
        jump_k=state.jump_k + jump * (gap_k - state.jump_k),
        drift_k=state.drift_k + drift * (gap_k - state.drift_k),
    )


def _judged(
    settings: VoteSettings, state: SupplyVote, sensor_c: float, inlet_c: float, model_c: float
) -> SupplyVote:
    # Who was outvoted comes back only when it agrees well, or the choice would flap.
    strict = 0.5 if state.substituted else 1.0
    learnt = state.learnt_s >= settings.learn_s
    off = abs(state.jump_k) > settings.jump_k * strict
    off = off or (learnt and abs(state.drift_k) > settings.drift_k * strict)
    if not off:
        return replace(state, value_c=sensor_c, substituted=False, words="")
    # The balance is too coarse for a small gap; there many inlets simply beat one sensor.
    if abs(inlet_c - model_c) > abs(sensor_c - model_c) + settings.model_k:
        return replace(state, value_c=sensor_c, substituted=False, words=INLETS_LIE)
    # The level from the inlets; what moves faster than they can follow from the sensor, unless it
    # leaps. A law tuned to the sensor would swing on inlets alone.
    lead_k = 0.0 if state.leapt else sensor_c - state.matched_c
    value_c = inlet_c + state.bias_k + lead_k
    return replace(state, value_c=value_c, substituted=True, late=state.leapt, words=DISAGREES)
