"""Moist air: the dew point that coolant pipes must stay above, the wet bulb that towers reach.

Every function takes single values or arrays. Relative humidity is held within 0.001..1: dry air
has no dew point, and a sensor may read above saturation.
"""

import numpy as np

from thermal.arrays import Number

# Magnus form with the coefficients of Sonntag (1990), over water, -45..60 C, within 0.1 K.
_A_KPA = 0.6112
_B = 17.62
_C_C = 243.12

SEA_LEVEL_KPA = 101.325
_PSYCHROMETER_PER_K = 0.000662
_SPAN_K = 60.0
_HALVINGS = 40


def saturation_kpa(air_c: Number) -> Number:
    """Pressure of water vapour in saturated air."""
    pressure: Number = _A_KPA * np.exp(_B * air_c / (_C_C + air_c))
    return pressure


def dew_point_c(air_c: Number, relative_humidity_ratio: Number) -> Number:
    """Dew point of air."""
    gamma: Number = np.log(_held(relative_humidity_ratio)) + _B * air_c / (_C_C + air_c)
    return _C_C * gamma / (_B - gamma)


def humidity_ratio(air_c: Number, dew_point_c: Number) -> Number:
    """Relative humidity of air with this dew point, at most 1."""
    ratio: Number = np.minimum(saturation_kpa(dew_point_c) / saturation_kpa(air_c), 1.0)
    return ratio


def wet_bulb_c(
    air_c: Number, relative_humidity_ratio: Number, pressure_kpa: float = SEA_LEVEL_KPA
) -> Number:
    """Ventilated wet bulb, by bisection over the 60 K below the air.

    Psychrometer equation e = es(Tw) - A p (T - Tw), A = 0.000662 1/K (Sprung; WMO guide no. 8).
    """
    vapour_kpa: Number = saturation_kpa(air_c) * _held(relative_humidity_ratio)
    wet_c: Number = air_c - _SPAN_K
    for halving in range(1, _HALVINGS):
        step_k = _SPAN_K * 0.5**halving
        implied_kpa: Number = saturation_kpa(wet_c + step_k) - _PSYCHROMETER_PER_K * (
            pressure_kpa * (air_c - wet_c - step_k)
        )
        wet_c = wet_c + step_k * (implied_kpa <= vapour_kpa)
    return wet_c


def _held(relative_humidity_ratio: Number) -> Number:
    held: Number = np.minimum(np.maximum(relative_humidity_ratio, 1e-3), 1.0)
    return held
