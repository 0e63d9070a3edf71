"""A loop run forward by what the controller believes of it: no truth, one mean chip, one header.

Lumps of cooling.md-like loops: package, plate and coolant of a chip; headers as two lags of their
transit each; a heat exchanger in its steady state behind a lag; valve and pumps with their strokes.
"""

import math
from dataclasses import dataclass, replace

import numpy as np

from thermal import heat_exchanger, valve
from thermal.cold_plate import case_to_inlet_k_per_w
from thermal.coolant import WATER_W_PER_K_PER_LPM, w_per_k_per_lpm
from thermal.model import loop as model
from thermal.model.settings import LoopModelSettings

_PG25_W_PER_K_PER_LPM = float(w_per_k_per_lpm(40.0))
_STILL_LPM = 1e-3


@dataclass(frozen=True, slots=True, kw_only=True)
class ForecastSettings:
    """Estimates, as in the controller's other beliefs."""

    package_j_per_k: float = 70.0
    plate_j_per_k: float = 200.0
    coolant_j_per_k: float = 100.0
    header_s: float = 6.0
    """Transit of each header at the design flow."""
    exchanger_s: float = 4.0
    well_s: float = 3.0
    least_film_k_per_w: float = 0.003


@dataclass(frozen=True, slots=True, kw_only=True)
class Belief:
    """How this loop differs from its data sheet; 1 is as designed."""

    resistance_ratio: float = 1.0
    """Chip to coolant."""
    ua_ratio: float = 1.0
    flow_ratio: float = 1.0
    """Flow over what the pumps' speed promises."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What acts on the loop while it runs forward."""

    heat_w: float
    """Into the coolant."""
    chip_power_w: float
    """Of the worst chips."""
    facility_c: float
    pumps: int
    """That can run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LoopPoint:
    """The believed state of a loop."""

    junction_c: float
    plate_c: float
    outlet_c: float
    """Coolant behind the worst chips."""
    inlet_c: float
    """At the sleds."""
    return_c: float
    """At the CDU."""
    supply_c: float
    seen_supply_c: float
    """As a sensor in its well shows it."""
    half_way_c: tuple[float, float]
    """Middle of the supply and of the return header."""
    flow_lpm: float
    valve_ratio: float
    pump_ratio: float


def settled(
    belief: Belief,
    around: Surroundings,
    settings: LoopModelSettings,
    *,
    supply_c: float,
    valve_ratio: float,
    pump_ratio: float,
) -> LoopPoint:
    """The point that the loop would rest at if its supply stayed as it is."""
    flow_lpm = _flow_lpm(belief, around, settings, pump_ratio)
    rate = max(flow_lpm, _STILL_LPM) * _PG25_W_PER_K_PER_LPM
    chip_rate = _chip_rate(settings, flow_lpm)
    outlet_c = supply_c + min(around.chip_power_w / chip_rate, 200.0)
    plate_c = outlet_c + around.chip_power_w * _film_k_per_w(belief, settings, flow_lpm)
    return_c = supply_c + min(around.heat_w / rate, 200.0)
    return LoopPoint(
        junction_c=plate_c + around.chip_power_w * _package_k_per_w(belief, settings),
        plate_c=plate_c,
        outlet_c=outlet_c,
        inlet_c=supply_c,
        return_c=return_c,
        supply_c=supply_c,
        seen_supply_c=supply_c,
        half_way_c=(supply_c, return_c),
        flow_lpm=flow_lpm,
        valve_ratio=valve_ratio,
        pump_ratio=pump_ratio,
    )


def advance(
    point: LoopPoint,
    commands: tuple[float, float],
    belief: Belief,
    around: Surroundings,
    settings: LoopModelSettings,
    dt_s: float,
    figures: ForecastSettings,
) -> LoopPoint:
    """The loop `dt_s` later, under commands for valve and pumps held meanwhile."""
    valve_ratio = _towards(point.valve_ratio, commands[0], dt_s / settings.valve.stroke_s)
    pump_ratio = _towards(point.pump_ratio, commands[1], dt_s / settings.drive.ramp_s)
    # Pumps coast: what a drive that stops or a pump that trips leaves is gone in seconds.
    goal_lpm = _flow_lpm(belief, around, settings, pump_ratio)
    flow_lpm = _lag(point.flow_lpm, goal_lpm, dt_s, settings.drive.coast_s)
    header_s = figures.header_s * settings.design_flow_lpm / max(flow_lpm, _STILL_LPM)
    supply_half_c = _lag(point.half_way_c[0], point.supply_c, dt_s, 0.5 * header_s)
    inlet_c = _lag(point.inlet_c, supply_half_c, dt_s, 0.5 * header_s)
    chip = _chip(point, inlet_c, flow_lpm, belief, around, settings, dt_s, figures)
    leaving_c = inlet_c + (chip[2] - inlet_c) * _mixing(around, settings, flow_lpm)
    return_half_c = _lag(point.half_way_c[1], leaving_c, dt_s, 0.5 * header_s)
    return_c = _lag(point.return_c, return_half_c, dt_s, 0.5 * header_s)
    cooled_c = cooled_to_c(belief, around, settings, return_c, flow_lpm, valve_ratio)
    supply_c = _lag(point.supply_c, cooled_c, dt_s, figures.exchanger_s)
    return LoopPoint(
        junction_c=chip[0],
        plate_c=chip[1],
        outlet_c=chip[2],
        inlet_c=inlet_c,
        return_c=return_c,
        supply_c=supply_c,
        seen_supply_c=_lag(point.seen_supply_c, supply_c, dt_s, figures.well_s),
        half_way_c=(supply_half_c, return_half_c),
        flow_lpm=flow_lpm,
        valve_ratio=valve_ratio,
        pump_ratio=pump_ratio,
    )


def cooled_to_c(
    belief: Belief,
    around: Surroundings,
    settings: LoopModelSettings,
    return_c: float,
    flow_lpm: float,
    valve_ratio: float,
) -> float:
    """Supply that the heat exchanger gives in the long run."""
    primary_lpm = settings.exchanger.cold_nominal_lpm * float(
        valve.flow_ratio(settings.valve, np.array([valve_ratio]))[0]
    )
    ua = belief.ua_ratio * heat_exchanger.ua_w_per_k(
        settings.exchanger,
        hot_lpm=flow_lpm,
        cold_lpm=primary_lpm,
        fouling_ratio=settings.fouling_ratio,
    )
    if ua <= 0.0:
        return return_c
    cooled_c, _ = heat_exchanger.outlet_temperatures_c(
        hot_in_c=return_c,
        cold_in_c=around.facility_c,
        hot_w_per_k=_PG25_W_PER_K_PER_LPM * flow_lpm,
        cold_w_per_k=WATER_W_PER_K_PER_LPM * primary_lpm,
        ua=ua,
    )
    return cooled_c


def believe(
    point: LoopPoint, around: Surroundings, settings: LoopModelSettings, *, hottest_c: float
) -> Belief:
    """What makes the model agree with a loop that is measured to rest at `point`; what can not be
    said from it stays as designed.
    """
    promised_lpm = _flow_lpm(Belief(), around, settings, point.pump_ratio)
    flow_ratio = _bounded(point.flow_lpm / promised_lpm if promised_lpm > 0.0 else 1.0)
    belief = Belief(flow_ratio=flow_ratio)
    chip_rate = _chip_rate(settings, point.flow_lpm)
    solid = _film_k_per_w(belief, settings, point.flow_lpm) + _package_k_per_w(belief, settings)
    excess_k = hottest_c - point.inlet_c - around.chip_power_w / chip_rate
    resistance_ratio = _bounded(excess_k / max(around.chip_power_w * solid, 1e-9))
    low, high = 0.3, 2.0
    for _ in range(20):
        middle = 0.5 * (low + high)
        cooled_c = cooled_to_c(
            replace(belief, ua_ratio=middle),
            around,
            settings,
            point.return_c,
            point.flow_lpm,
            point.valve_ratio,
        )
        low, high = (middle, high) if cooled_c > point.supply_c else (low, middle)
    ua_ratio = 0.5 * (low + high) if point.return_c > point.supply_c + 1.0 else 1.0
    return replace(belief, resistance_ratio=resistance_ratio, ua_ratio=ua_ratio)


def _chip(
    point: LoopPoint,
    inlet_c: float,
    flow_lpm: float,
    belief: Belief,
    around: Surroundings,
    settings: LoopModelSettings,
    dt_s: float,
    figures: ForecastSettings,
) -> tuple[float, float, float]:
    """Junction, plate and coolant behind the worst chips: backward Euler in three lumps."""
    package = 1.0 / _package_k_per_w(belief, settings)
    film = 1.0 / max(_film_k_per_w(belief, settings, flow_lpm), figures.least_film_k_per_w)
    rate = _chip_rate(settings, flow_lpm)
    heat = np.diag(
        np.array([figures.package_j_per_k, figures.plate_j_per_k, figures.coolant_j_per_k]) / dt_s
    )
    flows = np.array(
        [[package, -package, 0.0], [-package, package + film, -film], [0.0, -film, film + rate]]
    )
    before = np.array([point.junction_c, point.plate_c, point.outlet_c])
    given = heat @ before + np.array([around.chip_power_w, 0.0, rate * inlet_c])
    junction_c, plate_c, outlet_c = np.linalg.solve(heat + flows, given).tolist()
    return junction_c, plate_c, outlet_c


def _mixing(around: Surroundings, settings: LoopModelSettings, flow_lpm: float) -> float:
    """Rise of the whole loop over that behind the worst chips, both settled."""
    worst_k = around.chip_power_w / _chip_rate(settings, flow_lpm)
    whole_k = around.heat_w / (max(flow_lpm, _STILL_LPM) * _PG25_W_PER_K_PER_LPM)
    return min(whole_k / worst_k, 2.0) if worst_k > 1e-9 else 1.0


def _chip_rate(settings: LoopModelSettings, flow_lpm: float) -> float:
    return max(_chip_lpm(settings, flow_lpm), _STILL_LPM) * _PG25_W_PER_K_PER_LPM


def _chip_lpm(settings: LoopModelSettings, flow_lpm: float) -> float:
    # At the design flow a chip of 1 kW has its share of 1.5 l/min.
    return flow_lpm * settings.chip_flow_share / (settings.design_flow_lpm * _CHIPS_PER_LPM)


# Design flow over chips is a constant of `LoopModelSettings`: 540 l/min for 288 chips.
_CHIPS_PER_LPM = 288 / 540.0


def _package_k_per_w(belief: Belief, settings: LoopModelSettings) -> float:
    return settings.junction_to_case_k_per_w * belief.resistance_ratio


def _film_k_per_w(belief: Belief, settings: LoopModelSettings, flow_lpm: float) -> float:
    """Plate to the coolant that leaves it."""
    chip_lpm = max(_chip_lpm(settings, flow_lpm), _STILL_LPM)
    case = case_to_inlet_k_per_w(
        np.array([chip_lpm]), settings.plate, w_per_k_per_lpm=_PG25_W_PER_K_PER_LPM
    )
    caloric = 1.0 / (chip_lpm * _PG25_W_PER_K_PER_LPM)
    return max(float(case[0]) - caloric, 0.003) * belief.resistance_ratio


def _flow_lpm(
    belief: Belief, around: Surroundings, settings: LoopModelSettings, pump_ratio: float
) -> float:
    if around.pumps < 1 or pump_ratio <= 0.0:
        return 0.0
    speeds = (min(pump_ratio, 1.0),) * around.pumps
    return belief.flow_ratio * model.flow_for_pump_lpm(speeds, settings)


def _bounded(believed_ratio: float) -> float:
    return min(max(believed_ratio, 0.4), 2.0) if math.isfinite(believed_ratio) else 1.0


def _lag(value: float, wanted: float, dt_s: float, lag_s: float) -> float:
    return wanted + (value - wanted) * math.exp(-dt_s / max(lag_s, 1e-3))


def _towards(value: float, wanted: float, reach_ratio: float) -> float:
    return value + min(max(wanted - value, -reach_ratio), reach_ratio)
