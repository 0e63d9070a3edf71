"""The CDU's plate heat exchanger: effectiveness-NTU, counter-flow.

Film coefficients follow m^0.8 on each side (LBNL Buildings `Generic_epsNTU`).
"""

import math
from dataclasses import dataclass
from typing import Final

FILM_EXPONENT: Final = 0.8
# Below these a side counts as still: a power law of a subnormal flow would overflow.
_NO_FLOW_LPM = 1e-6
_NO_FLOW_W_PER_K = 1e-6


@dataclass(frozen=True, slots=True, kw_only=True)
class ExchangerSettings:
    """Default: 360 kW unit at 250 kW/K per MW, between XDU1350 (224) and Deschutes (281)."""

    ua_w_per_k: float = 90_000.0
    """Clean, at both nominal flows."""
    hot_nominal_lpm: float = 540.0
    cold_nominal_lpm: float = 540.0
    hot_film_share: float = 0.5
    """Estimate: share of the clean resistance that lies on the hot (technology) side."""


def effectiveness(ntu: float, capacity_ratio: float) -> float:
    """Counter-flow effectiveness; `capacity_ratio` = smaller over larger rate, 0..1."""
    if capacity_ratio > 1.0 - 1e-7:
        return ntu / (1.0 + ntu)
    decay = math.exp(-ntu * (1.0 - capacity_ratio))
    return (1.0 - decay) / (1.0 - capacity_ratio * decay)


def ua_w_per_k(
    settings: ExchangerSettings, *, hot_lpm: float, cold_lpm: float, fouling_ratio: float = 0.0
) -> float:
    """Overall conductance at given flows.

    `fouling_ratio` is the share of the nominal UA lost to deposits (0.15 design, 0.3 alarm,
    0.5 failure): a fixed resistance, which therefore costs less at low flow.
    """
    if min(hot_lpm, cold_lpm) <= _NO_FLOW_LPM:
        return 0.0
    clean = 1.0 / settings.ua_w_per_k
    hot = clean * settings.hot_film_share * _film(hot_lpm / settings.hot_nominal_lpm)
    cold = clean * (1.0 - settings.hot_film_share) * _film(cold_lpm / settings.cold_nominal_lpm)
    lost = min(max(fouling_ratio, 0.0), 0.99)
    return 1.0 / (hot + cold + clean * lost / (1.0 - lost))


def outlet_temperatures_c(
    *, hot_in_c: float, cold_in_c: float, hot_w_per_k: float, cold_w_per_k: float, ua: float
) -> tuple[float, float]:
    """Steady hot and cold outlets. A side without flow takes the other side's inlet."""
    smaller, larger = sorted((hot_w_per_k, cold_w_per_k))
    if larger <= _NO_FLOW_W_PER_K:
        return hot_in_c, cold_in_c
    if smaller <= _NO_FLOW_W_PER_K:
        return (cold_in_c, cold_in_c) if hot_w_per_k == smaller else (hot_in_c, hot_in_c)
    exchanged = effectiveness(ua / smaller, smaller / larger) * (hot_in_c - cold_in_c)
    return (
        hot_in_c - exchanged * smaller / hot_w_per_k,
        cold_in_c + exchanged * smaller / cold_w_per_k,
    )


def _film(flow_ratio: float) -> float:
    return float(flow_ratio**-FILM_EXPONENT)
