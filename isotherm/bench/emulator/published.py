"""Case E4: the plant's parts against published tables.

What is fitted and what is checked:

- Cold plate. The plant's plate law has four figures, fitted to the same 13 rows of the OCP 1 kW
  plate that it is held against here; so the error says how well the law's shape fits, no more.
- Heat exchangers. Of each record its UA alone is derived, by the logarithmic mean of the record's
  own four temperatures. From that UA, the flows and the two inlets, the effectiveness-NTU code
  that the controller and the plant share must give the record's effectiveness and approach back,
  with the house's coolant properties in place of the record's.
- Minimal flow. The rack's heat is fitted to the table's middle row; the return cap and the law
  are the controller's own, and the five rows are checked.
"""

import math
from dataclasses import dataclass
from typing import Final

import numpy as np

from isotherm.bench.report import Case
from thermal import coolant, heat_exchanger, pump
from thermal.arrays import FloatArray
from thermal.cold_plate import ColdPlateSettings, case_to_inlet_k_per_w
from thermal.control.feedforward import FeedforwardSettings, minimum_flow_lpm
from thermal.heat_exchanger import ExchangerSettings
from thermal.manifold import EXPONENT, SystemCurve

OCP_PLATE: Final = {
    **{0.4: 0.0389, 0.5: 0.0325, 0.6: 0.0300, 0.7: 0.0280, 0.8: 0.0265, 0.9: 0.0255},
    **{1.0: 0.0245, 1.2: 0.0230, 1.4: 0.0220, 1.6: 0.0214, 1.8: 0.0209, 2.0: 0.0204, 2.4: 0.0197},
}
"""Case-to-inlet K/W by l/min of PG25: OCP OAI guidelines 2023, Fig. 7, as tabulated in LBNL
Buildings `OCP_1kW_OAM_PG25`."""

GB300_RACK_LPM: Final = {25.0: 59.0, 30.0: 71.0, 35.0: 89.0, 40.0: 119.0, 45.0: 177.0}
"""Flow of a GB300 NVL72 rack by supply temperature."""

GB300_DP_PSI: Final = {59.0: 2.3, 177.0: 18.4}
"""Pressure difference of that rack by flow: the table's two ends."""

_WATER_J_PER_KGK: Final = 4_178.0
_PLATE_C: Final = 40.0


@dataclass(frozen=True, slots=True, kw_only=True)
class CduRecord:
    """One operating point of a CDU as its maker states it; water on the facility side."""

    heat_w: float
    approach_k: float
    hot_kg_per_s: float
    cold_kg_per_s: float
    cold_in_c: float


CDUS: Final = {
    # Google Project Deschutes, OCP 2026; LBNL Buildings `GoogleProjectDeschutes`.
    "deschutes": CduRecord(
        heat_w=2e6, approach_k=3.0, hot_kg_per_s=31.48, cold_kg_per_s=32.30, cold_in_c=26.8
    ),
    # Vertiv SL-70799; LBNL Buildings `VertivLiebertXDU1350`, which cools the racks to 32 C.
    "xdu1350": CduRecord(
        heat_w=1.368e6, approach_k=4.0, hot_kg_per_s=20.6, cold_kg_per_s=20.6, cold_in_c=28.0
    ),
}


def e4(quick: bool, seed: int) -> Case:
    """Every metric is a relative error, but for the exponents. Nothing is drawn or shortened."""
    del quick, seed
    cdus = {name: effectiveness_error(record) for name, record in CDUS.items()}
    approaches = {name: approach_error(record) for name, record in CDUS.items()}
    return Case(
        id="E4",
        title="plant parts against published tables",
        metrics={
            "cold_plate_error": cold_plate_error(),
            "effectiveness_error": max(cdus.values()),
            "flow_law_error": flow_law_error(),
            **{f"effectiveness_error_{name}": error for name, error in cdus.items()},
            **{f"approach_error_{name}": error for name, error in approaches.items()},
            "dp_exponent": EXPONENT,
            "dp_exponent_gb300": gb300_exponent(),
            "affinity_error": affinity_error(),
        },
        target={
            "cold_plate_error": ("<=", 0.03),
            "effectiveness_error": ("<=", 0.02),
            "flow_law_error": ("<=", 0.02),
        },
    )


def cold_plate_error() -> float:
    """Largest of the 13 rows, at 1 kW, from the law as the plant uses it."""
    modelled = case_to_inlet_k_per_w(
        np.array(list(OCP_PLATE)),
        ColdPlateSettings(),
        w_per_k_per_lpm=float(coolant.w_per_k_per_lpm(_PLATE_C)),
    )
    return _largest(modelled, np.array(list(OCP_PLATE.values())))


def effectiveness_error(record: CduRecord) -> float:
    """Of the effectiveness that our exchanger shows at the record's flows and inlets."""
    hot_in_c, hot_out_c = _hot_side_c(record)
    modelled_c = _modelled_hot_out_c(record)
    return abs((hot_in_c - modelled_c) / (hot_in_c - hot_out_c) - 1.0)


def approach_error(record: CduRecord) -> float:
    """The same miss, seen in the few kelvin between supply and facility water."""
    return abs((_modelled_hot_out_c(record) - record.cold_in_c) / record.approach_k - 1.0)


def flow_law_error() -> float:
    """Largest of the five rows of the controller's minimal flow."""
    settings = FeedforwardSettings()
    supplies_c = list(GB300_RACK_LPM)
    middle_c = supplies_c[len(supplies_c) // 2]
    per_w = minimum_flow_lpm(settings, 1.0, middle_c)
    heat_w = GB300_RACK_LPM[middle_c] / per_w
    modelled = [minimum_flow_lpm(settings, heat_w, supply_c) for supply_c in supplies_c]
    return _largest(np.array(modelled), np.array(list(GB300_RACK_LPM.values())))


def gb300_exponent() -> float:
    (low_lpm, low), (high_lpm, high) = GB300_DP_PSI.items()
    return math.log(high / low) / math.log(high_lpm / low_lpm)


def affinity_error() -> float:
    """Flow, head and hydraulic power of two pumps at 70 %, against n, n^2 and n^3.

    On a loop that follows the square of flow, as affinity supposes.
    """
    curve = pump.PumpCurve()
    system = SystemCurve(coefficient=180.0 / 540.0**2, knee_lpm=1.0, exponent=2.0)
    shown = []
    for speed in (1.0, 0.7):
        flow, head = pump.operating_point(curve, (speed, speed), system)
        shown.append((flow, head, flow * head))
    ratios = np.array(shown[1]) / np.array(shown[0])
    return _largest(ratios, np.array((0.7, 0.7**2, 0.7**3)))


def _hot_side_c(record: CduRecord) -> tuple[float, float]:
    """Hot inlet and outlet that the record states: approach, and heat over capacity rate."""
    hot_out_c = record.cold_in_c + record.approach_k
    middle_c = hot_out_c + 8.0
    rate_w_per_k = record.hot_kg_per_s * float(coolant.specific_heat_j_per_kgk(middle_c))
    return hot_out_c + record.heat_w / rate_w_per_k, hot_out_c


def _ua_by_mean_difference(record: CduRecord) -> float:
    hot_in_c, hot_out_c = _hot_side_c(record)
    cold_out_c = record.cold_in_c + record.heat_w / (record.cold_kg_per_s * _WATER_J_PER_KGK)
    cold_end_k, hot_end_k = hot_out_c - record.cold_in_c, hot_in_c - cold_out_c
    if math.isclose(cold_end_k, hot_end_k, rel_tol=1e-6):
        return record.heat_w / cold_end_k
    mean_k = (hot_end_k - cold_end_k) / math.log(hot_end_k / cold_end_k)
    return record.heat_w / mean_k


def _modelled_hot_out_c(record: CduRecord) -> float:
    """What our exchanger, built with the record's UA, makes of its flows and inlets."""
    hot_in_c, hot_out_c = _hot_side_c(record)
    middle_c = 0.5 * (hot_in_c + hot_out_c)
    hot_lpm, cold_lpm = (
        kg_per_s / kg_per_m3 * coolant.LITRES_PER_MINUTE_PER_M3_PER_S
        for kg_per_s, kg_per_m3 in (
            (record.hot_kg_per_s, float(coolant.density_kg_per_m3(middle_c))),
            (record.cold_kg_per_s, 995.0),
        )
    )
    built = ExchangerSettings(
        ua_w_per_k=_ua_by_mean_difference(record),
        hot_nominal_lpm=hot_lpm,
        cold_nominal_lpm=cold_lpm,
    )
    modelled_c, _ = heat_exchanger.outlet_temperatures_c(
        hot_in_c=hot_in_c,
        cold_in_c=record.cold_in_c,
        hot_w_per_k=float(coolant.w_per_k(hot_lpm, middle_c)),
        cold_w_per_k=cold_lpm * coolant.WATER_W_PER_K_PER_LPM,
        ua=heat_exchanger.ua_w_per_k(built, hot_lpm=hot_lpm, cold_lpm=cold_lpm),
    )
    return modelled_c


def _largest(modelled: FloatArray, published: FloatArray) -> float:
    return float(np.abs(modelled / published - 1.0).max())
