"""Moist air: the dew point that coolant pipes must stay above."""

import math

# Magnus form with the coefficients of Sonntag (1990), over water, -45..60 C, within 0.1 K.
_B = 17.62
_C_C = 243.12


def dew_point_c(air_c: float, relative_humidity_ratio: float) -> float:
    """Dew point of air.

    Relative humidity is held within 0.001..1: dry air has no dew point and a sensor may
    read above saturation.
    """
    humidity = min(max(relative_humidity_ratio, 1e-3), 1.0)
    gamma = math.log(humidity) + _B * air_c / (_C_C + air_c)
    return _C_C * gamma / (_B - gamma)
