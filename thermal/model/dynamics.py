"""The loop as the controller foresees it: headers, heat exchanger, valve, over the next minute.

Reduced from `reference` structure chip - plate - header - exchanger: the heat's way into the
coolant as one lag, plates of chips and of what else a sled cools as two mixed volumes side by side,
each way through the header as plug flow, the exchanger as effectiveness-NTU with one lag. It knows
data sheets and what was identified online, never the plant.
"""

import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, replace

from thermal.coolant import WATER_W_PER_K_PER_LPM, w_per_k_per_lpm
from thermal.heat_exchanger import FILM_EXPONENT, effectiveness
from thermal.model.loop import flow_for_pump_lpm
from thermal.model.settings import LoopModelSettings
from thermal.valve import SEAT_RATIO

_PG25_W_PER_K_PER_LPM = float(w_per_k_per_lpm(40.0))
LEAST_LPM = 1.0

Parcels = tuple[tuple[float, float], ...]
"""Litres and temperature of what is in a pipe, oldest first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LoopMemory:
    """What the loop's future depends on, besides what will be done to it."""

    supply_c: float
    """Leaving the heat exchanger."""
    return_c: float
    """Entering it."""
    sled_heat_w: float
    """Into the coolant, behind the lag of chips and plates."""
    chips_out_c: float
    """Leaving the plates of the chips."""
    others_out_c: float
    """Leaving the plates of CPU, NIC and switch."""
    supply_pipe: Parcels
    return_pipe: Parcels


@dataclass(frozen=True, slots=True, kw_only=True)
class Foreseen:
    """Trajectories, one entry a second."""

    supply_c: Sequence[float]
    return_c: Sequence[float]
    inlet_c: Sequence[float]
    """At the sleds."""
    sled_heat_w: Sequence[float]


@dataclass(frozen=True, slots=True, kw_only=True)
class LoopCourse:
    """What is done to the loop, one entry a second; all of one length."""

    valve_ratio: Sequence[float]
    flow_lpm: Sequence[float]
    heat_w: Sequence[float]
    facility_c: Sequence[float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Drives:
    """Where valve and pumps stand, and the flow that the pumps make."""

    valve_ratio: float
    pump_ratio: float
    """Of each pump that runs."""
    flow_lpm: float


def driven(
    settings: LoopModelSettings,
    drives: Drives,
    *,
    valve_ratio: float,
    pump_ratio: float,
    pumps: int,
    flow_ratio: float = 1.0,
) -> Drives:
    """A second later, told to go to these positions. `pumps` of them run, `flow_ratio` is their
    flow over the data sheet's. A pump that stops coasts, and so does a flow that falls.
    """
    pump = _towards(drives.pump_ratio, pump_ratio, 1.0 / settings.drive.ramp_s)
    goal_lpm = 0.0
    if pumps > 0 and pump > 0.0:
        goal_lpm = flow_ratio * flow_for_pump_lpm((min(pump, 1.0),) * pumps, settings)
    left = math.exp(-1.0 / settings.drive.coast_s)
    return Drives(
        valve_ratio=_towards(drives.valve_ratio, valve_ratio, 1.0 / settings.valve.stroke_s),
        pump_ratio=pump,
        flow_lpm=goal_lpm + (drives.flow_lpm - goal_lpm) * left,
    )


def at_rest(
    settings: LoopModelSettings, *, supply_c: float, heat_w: float, flow_lpm: float
) -> LoopMemory:
    """Settled at a supply temperature, a heat and a flow."""
    flow = max(flow_lpm, LEAST_LPM)
    return_c = supply_c + heat_w / (_PG25_W_PER_K_PER_LPM * flow)
    return LoopMemory(
        supply_c=supply_c,
        return_c=return_c,
        sled_heat_w=heat_w,
        chips_out_c=supply_c + _rise_k(settings, heat_w, flow, chips=True),
        others_out_c=supply_c + _rise_k(settings, heat_w, flow, chips=False),
        supply_pipe=((settings.supply_pipe_l, supply_c),),
        return_pipe=((settings.return_pipe_l, return_c),),
    )


def refitted(settings: LoopModelSettings, memory: LoopMemory) -> LoopMemory:
    """The same temperatures along pipes of the volumes that the settings have by now."""
    return replace(
        memory,
        supply_pipe=_stretched(memory.supply_pipe, settings.supply_pipe_l),
        return_pipe=_stretched(memory.return_pipe, settings.return_pipe_l),
    )


def _stretched(pipe: Parcels, volume_l: float) -> Parcels:
    held_l = sum(litres for litres, _ in pipe)
    if abs(held_l - volume_l) <= 1e-6 * volume_l:
        return pipe
    return tuple((litres * volume_l / held_l, temperature_c) for litres, temperature_c in pipe)


def foresee(
    settings: LoopModelSettings,
    memory: LoopMemory,
    course: LoopCourse,
    *,
    offset_k: float = 0.0,
    ua_ratio: float = 1.0,
) -> tuple[LoopMemory, Foreseen]:
    """Second by second through the course. `offset_k` is added to what the exchanger settles at,
    `ua_ratio` is its UA over the data sheet's: what was identified.
    """
    supply_pipe, return_pipe = deque(memory.supply_pipe), deque(memory.return_pipe)
    supply_c, return_c, heat_w = memory.supply_c, memory.return_c, memory.sled_heat_w
    chips_c, others_c, by_chips = memory.chips_out_c, memory.others_out_c, settings.chip_flow_share
    heat_share = -math.expm1(-1.0 / settings.heat_lag_s)
    supplies, returns, inlets, heats = [], [], [], []
    for valve, asked_lpm, wanted_w, facility_c in zip(
        course.valve_ratio, course.flow_lpm, course.heat_w, course.facility_c, strict=True
    ):
        flow = max(asked_lpm, LEAST_LPM)
        heat_w += heat_share * (wanted_w - heat_w)
        inlet_c = _pushed(supply_pipe, flow / 60.0, supply_c)
        settled_c = inlet_c + _rise_k(settings, heat_w, flow, chips=True)
        chips_c += -math.expm1(-flow * by_chips / (60.0 * settings.plates_l)) * (
            settled_c - chips_c
        )
        settled_c = inlet_c + _rise_k(settings, heat_w, flow, chips=False)
        others_c += -math.expm1(-flow * (1.0 - by_chips) / (60.0 * settings.others_l)) * (
            settled_c - others_c
        )
        mixed_c = others_c + by_chips * (chips_c - others_c)
        return_c = _pushed(return_pipe, flow / 60.0, mixed_c)
        cold_ratio = valve_flow_ratio(settings, valve)
        settled_c = exchanger_out_c(
            settings, return_c, facility_c, flow, cold_ratio, ua_ratio=ua_ratio
        )
        share = supply_share(settings, flow, cold_ratio)
        supply_c += share * (settled_c + offset_k - supply_c)
        supplies.append(supply_c)
        returns.append(return_c)
        inlets.append(inlet_c)
        heats.append(heat_w)
    after = LoopMemory(
        supply_c=supply_c,
        return_c=return_c,
        sled_heat_w=heat_w,
        chips_out_c=chips_c,
        others_out_c=others_c,
        supply_pipe=tuple(supply_pipe),
        return_pipe=tuple(return_pipe),
    )
    return after, Foreseen(supply_c=supplies, return_c=returns, inlet_c=inlets, sled_heat_w=heats)


def _rise_k(settings: LoopModelSettings, heat_w: float, flow_lpm: float, *, chips: bool) -> float:
    """Settled rise of the coolant through the plates of the chips, or through the others."""
    flow_share, heat_share = settings.chip_flow_share, settings.chip_heat_share
    if not chips:
        flow_share, heat_share = 1.0 - flow_share, 1.0 - heat_share
    return heat_share * heat_w / (_PG25_W_PER_K_PER_LPM * flow_share * flow_lpm)


def supply_share(settings: LoopModelSettings, hot_lpm: float, cold_ratio: float) -> float:
    """How far the supply goes to what the exchanger settles at in a second."""
    renewed = 0.5 * (hot_lpm / settings.exchanger.hot_nominal_lpm + cold_ratio)
    return -math.expm1(-renewed / settings.exchanger_lag_s)


def exchanger_out_c(
    settings: LoopModelSettings,
    hot_in_c: float,
    cold_in_c: float,
    hot_lpm: float,
    cold_ratio: float,
    *,
    ua_ratio: float = 1.0,
) -> float:
    """Settled supply temperature; `cold_ratio` is facility flow over nominal."""
    exchanger = settings.exchanger
    if cold_ratio <= 1e-6:
        return hot_in_c
    share = exchanger.hot_film_share
    films = share * (hot_lpm / exchanger.hot_nominal_lpm) ** -FILM_EXPONENT
    films += (1.0 - share) * cold_ratio**-FILM_EXPONENT
    lost = settings.fouling_ratio
    ua = ua_ratio * exchanger.ua_w_per_k / (films + lost / (1.0 - lost))
    hot = _PG25_W_PER_K_PER_LPM * hot_lpm
    cold = WATER_W_PER_K_PER_LPM * cold_ratio * exchanger.cold_nominal_lpm
    smaller, larger = (hot, cold) if hot < cold else (cold, hot)
    moved = effectiveness(ua / smaller, smaller / larger) * smaller / hot
    return hot_in_c - moved * (hot_in_c - cold_in_c)


def valve_flow_ratio(settings: LoopModelSettings, position_ratio: float) -> float:
    """Facility flow over nominal: `thermal.valve.flow_ratio` for one valve."""
    valve = settings.valve
    position = min(max(position_ratio, 0.0), 1.0)
    coefficient = float(valve.rangeability ** (max(position, SEAT_RATIO) - 1.0))
    if position < SEAT_RATIO:
        coefficient *= position / SEAT_RATIO
    authority = valve.authority_ratio
    return coefficient / math.sqrt((1.0 - authority) * coefficient**2 + authority)


def _pushed(pipe: deque[tuple[float, float]], pushed_l: float, inlet_c: float) -> float:
    """Push in, and return the mean temperature of what comes out at the far end."""
    pipe.append((pushed_l, inlet_c))
    left, heat = pushed_l, 0.0
    while left > 0.0:
        volume, outlet_c = pipe[0]
        if volume > left:
            pipe[0] = (volume - left, outlet_c)
            return (heat + left * outlet_c) / pushed_l
        heat += volume * outlet_c
        left -= volume
        pipe.popleft()
        if left <= 1e-9 or not pipe:
            break
    return heat / (pushed_l - left) if pushed_l > left else inlet_c


def _towards(now_ratio: float, wanted_ratio: float, reach_ratio: float) -> float:
    return now_ratio + min(max(wanted_ratio - now_ratio, -reach_ratio), reach_ratio)


def carried_w(flow_lpm: float, rise_k: float) -> float:
    """Heat that a flow takes up over a rise."""
    return _PG25_W_PER_K_PER_LPM * flow_lpm * rise_k
