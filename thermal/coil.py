"""Finned coils with fans: in-row coolers (coolant to air) and air handlers (air to water).

Effectiveness-NTU, cross-flow, both sides unmixed. All functions are elementwise: give every
argument as one value, or all of them as arrays.
"""

from dataclasses import dataclass, replace
from typing import Self

import numpy as np

from thermal.arrays import Number

STILL = 1e-6
"""Least flow ratio and heat capacity rate that count: powers of none would overflow."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CoilSettings:
    """One coil and its fans. Defaults, all estimates: an in-row cooler of 360 kW that takes 540
    l/min of PG25 from 49 to 39 C with hall air of 27 C, which leaves 15 K warmer.
    """

    ua_w_per_k: float = 45_000.0
    """Clean, at both nominal flows."""
    liquid_nominal_lpm: float = 540.0
    air_nominal_w_per_k: float = 24_000.0
    """Heat capacity rate of the air of full fans: 20.7 m3/s."""
    liquid_film_share: float = 0.2
    """Share of the clean resistance on the liquid side."""
    liquid_exponent: float = 0.8
    air_exponent: float = 0.5
    still_air_ratio: float = 0.03
    """Air flow of stopped fans over that of full fans."""
    fan_rated_w: float = 9_400.0
    """All fans at full speed: 250 Pa at 55 % wire to air."""

    def scaled(self, factor: float) -> Self:
        """The same coil for `factor` times the heat and the flows."""
        return replace(
            self,
            ua_w_per_k=self.ua_w_per_k * factor,
            liquid_nominal_lpm=self.liquid_nominal_lpm * factor,
            air_nominal_w_per_k=self.air_nominal_w_per_k * factor,
            fan_rated_w=self.fan_rated_w * factor,
        )


def air_w_per_k(coil: CoilSettings, fan_ratio: Number) -> Number:
    """Heat capacity rate of the air; volume follows speed."""
    rate: Number = coil.air_nominal_w_per_k * np.maximum(fan_ratio, coil.still_air_ratio)
    return rate


def effectiveness(ntu: Number, capacity_ratio: Number) -> Number:
    """Cross-flow, both sides unmixed, within 4 % of the exact series (Incropera and DeWitt).

    `capacity_ratio` is smaller over larger rate, 0..1.
    """
    ratio: Number = np.maximum(capacity_ratio, 1e-6)
    result: Number = -np.expm1(ntu**0.22 / ratio * np.expm1(-ratio * ntu**0.78))
    return result


def ua_w_per_k(
    coil: CoilSettings, liquid_lpm: Number, fan_ratio: Number, fouling_ratio: Number
) -> Number:
    """Overall conductance; `fouling_ratio` is the share of the clean one lost to dirt."""
    liquid = np.maximum(liquid_lpm / coil.liquid_nominal_lpm, STILL)
    air = np.maximum(fan_ratio, coil.still_air_ratio)
    lost = np.minimum(np.maximum(fouling_ratio, 0.0), 0.99)
    share = coil.liquid_film_share
    resistance: Number = (
        share * liquid**-coil.liquid_exponent
        + (1.0 - share) * air**-coil.air_exponent
        + lost / (1.0 - lost)
    )
    return coil.ua_w_per_k / resistance


def exchanged_w(
    coil: CoilSettings,
    *,
    liquid_in_c: Number,
    air_in_c: Number,
    liquid_lpm: Number,
    liquid_w_per_k: Number,
    fan_ratio: Number,
    fouling_ratio: Number,
) -> Number:
    """Heat from liquid to air (negative: from air to liquid); nothing where the liquid stands."""
    air = air_w_per_k(coil, fan_ratio)
    liquid: Number = np.maximum(liquid_w_per_k, STILL)
    smaller: Number = np.minimum(air, liquid)
    larger: Number = np.maximum(air, liquid)
    ua = ua_w_per_k(coil, liquid_lpm, fan_ratio, fouling_ratio)
    return effectiveness(ua / smaller, smaller / larger) * smaller * (liquid_in_c - air_in_c)


def fan_power_w(coil: CoilSettings, fan_ratio: Number) -> Number:
    """Cube of the speed; ends as heat in the air."""
    return coil.fan_rated_w * fan_ratio**3
