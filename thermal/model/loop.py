"""Static inverses of the loop: which flow, valve and pump speed a heat load needs.

All functions are pure, monotone in the heat, and total: a demand that cannot be met returns the
actuator's end, never an error, because feed-forward must always have an answer.
"""

import math
from dataclasses import replace

import numpy as np

from thermal import heat_exchanger, pump, valve
from thermal.cold_plate import case_to_inlet_k_per_w
from thermal.coolant import WATER_W_PER_K_PER_LPM, w_per_k_per_lpm
from thermal.manifold import SystemCurve
from thermal.model.settings import LoopModelSettings

_PG25_W_PER_K_PER_LPM = float(w_per_k_per_lpm(40.0))
_LEAST_CHIP_LPM, _MOST_CHIP_LPM = 0.05, 10.0


def flow_for_heat_lpm(heat_w: float, rise_k: float) -> float:
    """Flow that carries `heat_w` with a rise of `rise_k` (> 0)."""
    return max(heat_w, 0.0) / (_PG25_W_PER_K_PER_LPM * rise_k)


def return_for_heat_c(heat_w: float, supply_c: float, flow_lpm: float) -> float:
    """Settled return temperature; without flow there is none, and the answer is infinite."""
    if flow_lpm <= 0.0:
        return math.inf
    return supply_c + max(heat_w, 0.0) / (_PG25_W_PER_K_PER_LPM * flow_lpm)


def primary_flow_for_heat_lpm(
    heat_w: float,
    supply_c: float,
    facility_c: float,
    flow_lpm: float,
    settings: LoopModelSettings,
) -> float:
    """Facility flow that removes `heat_w` at `supply_c`; infinite when no flow can."""
    if heat_w <= 0.0:
        return 0.0
    if flow_lpm <= 0.0 or supply_c <= facility_c:
        return math.inf
    most = settings.exchanger.cold_nominal_lpm * 4.0
    if _removed_w(most, heat_w, supply_c, facility_c, flow_lpm, settings) < heat_w:
        return math.inf
    low, high = 0.0, most
    for _ in range(40):
        middle = 0.5 * (low + high)
        if _removed_w(middle, heat_w, supply_c, facility_c, flow_lpm, settings) < heat_w:
            low = middle
        else:
            high = middle
    return high


def valve_for_heat(
    heat_w: float,
    supply_c: float,
    facility_c: float,
    flow_lpm: float,
    settings: LoopModelSettings,
) -> float:
    """Valve position that holds `supply_c` against `heat_w`, 0..1."""
    wanted = primary_flow_for_heat_lpm(heat_w, supply_c, facility_c, flow_lpm, settings)
    return valve.position_for_flow(settings.valve, wanted / settings.exchanger.cold_nominal_lpm)


def pump_ratio_for_flow(flow_lpm: float, running: int, settings: LoopModelSettings) -> float:
    """Speed of each of `running` (>= 1) equal pumps for a loop flow, minimum speed..1."""
    system = system_curve(settings)
    own_share = flow_lpm / running / settings.pump.runout_lpm
    drop = 1.0 - settings.pump.runout_head_ratio
    square = system.dp_kpa(flow_lpm) / settings.pump.shutoff_kpa + drop * own_share**2
    return min(max(math.sqrt(square), settings.drive.minimum_ratio), 1.0)


def flow_for_pump_lpm(speed_ratios: tuple[float, ...], settings: LoopModelSettings) -> float:
    """Loop flow that the data sheet promises at given pump speeds."""
    return pump.operating_point(settings.pump, speed_ratios, system_curve(settings))[0]


def junction_for_chip_c(
    power_w: float, supply_c: float, chip_lpm: float, settings: LoopModelSettings
) -> float:
    """Settled junction temperature of one chip; infinite without flow."""
    if chip_lpm <= 0.0:
        return math.inf
    case = case_to_inlet_k_per_w(
        np.array([chip_lpm]), settings.plate, w_per_k_per_lpm=_PG25_W_PER_K_PER_LPM
    )
    return supply_c + power_w * (settings.junction_to_case_k_per_w + float(case[0]))


def chip_flow_for_junction_lpm(
    power_w: float, supply_c: float, junction_cap_c: float, settings: LoopModelSettings
) -> float:
    """Least flow through one chip's plate that keeps its junction at the cap.

    Never below 0.05 l/min; infinite when no flow can.
    """
    low, high = _LEAST_CHIP_LPM, _MOST_CHIP_LPM
    if junction_for_chip_c(power_w, supply_c, high, settings) > junction_cap_c:
        return math.inf
    if junction_for_chip_c(power_w, supply_c, low, settings) <= junction_cap_c:
        return low
    for _ in range(30):
        middle = 0.5 * (low + high)
        if junction_for_chip_c(power_w, supply_c, middle, settings) > junction_cap_c:
            low = middle
        else:
            high = middle
    return high


def with_fouling(settings: LoopModelSettings, fouling_ratio: float) -> LoopModelSettings:
    """The same loop with another belief about its heat exchanger."""
    return replace(settings, fouling_ratio=fouling_ratio)


def system_curve(settings: LoopModelSettings) -> SystemCurve:
    """Loop resistance through the design point."""
    unit = SystemCurve(coefficient=1.0, knee_lpm=0.3 * settings.design_flow_lpm)
    return replace(
        unit, coefficient=settings.design_dp_kpa / settings.design_flow_lpm**unit.exponent
    )


def _removed_w(
    primary_lpm: float,
    heat_w: float,
    supply_c: float,
    facility_c: float,
    flow_lpm: float,
    settings: LoopModelSettings,
) -> float:
    """Heat that the exchanger takes from the return water which `heat_w` implies."""
    hot_in_c = return_for_heat_c(heat_w, supply_c, flow_lpm)
    hot_w_per_k = _PG25_W_PER_K_PER_LPM * flow_lpm
    hot_out_c, _ = heat_exchanger.outlet_temperatures_c(
        hot_in_c=hot_in_c,
        cold_in_c=facility_c,
        hot_w_per_k=hot_w_per_k,
        cold_w_per_k=WATER_W_PER_K_PER_LPM * primary_lpm,
        ua=heat_exchanger.ua_w_per_k(
            settings.exchanger,
            hot_lpm=flow_lpm,
            cold_lpm=primary_lpm,
            fouling_ratio=settings.fouling_ratio,
        ),
    )
    return (hot_in_c - hot_out_c) * hot_w_per_k
