"""Properties of PG25 (25 % propylene glycol in water by mass) by temperature.

Source: CoolProp's incompressible MPG at 25 % by mass, tabulated at 15..60 C. Vendor PG25 (Dow
LC 25, mixed by volume) reads 1.2 % denser and 3..17 % more viscous at 40 C.
"""

import bisect
import math

_TEMPERATURE_C = (15.0, 20.0, 30.0, 40.0, 45.0, 50.0, 60.0)
_DENSITY_KG_PER_M3 = (1021.0, 1019.0, 1015.0, 1010.0, 1007.0, 1004.0, 998.0)
_SPECIFIC_HEAT_J_PER_KGK = (3908.0, 3920.0, 3945.0, 3969.0, 3981.0, 3992.0, 4016.0)
_LOG_VISCOSITY = tuple(math.log(v) for v in (2.93, 2.45, 1.78, 1.35, 1.20, 1.07, 0.88))

LITRES_PER_MINUTE_PER_M3_PER_S = 60_000.0

WATER_W_PER_K_PER_LPM = 69.2
"""Facility water at 30..40 C: 995 kg/m3 x 4178 J/kgK (within 0.4 % over 15..50 C)."""


def density_kg_per_m3(temperature_c: float) -> float:
    """Outside 15..60 C the nearest tabulated value holds."""
    return _interpolate(temperature_c, _DENSITY_KG_PER_M3)


def specific_heat_j_per_kgk(temperature_c: float) -> float:
    """Outside 15..60 C the nearest tabulated value holds."""
    return _interpolate(temperature_c, _SPECIFIC_HEAT_J_PER_KGK)


def viscosity_mpas(temperature_c: float) -> float:
    """Dynamic viscosity; interpolated in its logarithm, which is nearly straight."""
    return math.exp(_interpolate(temperature_c, _LOG_VISCOSITY))


def w_per_k_per_lpm(temperature_c: float) -> float:
    """Heat that one litre a minute carries per kelvin: 66.8 W at 40 C."""
    return (
        density_kg_per_m3(temperature_c)
        * specific_heat_j_per_kgk(temperature_c)
        / LITRES_PER_MINUTE_PER_M3_PER_S
    )


def w_per_k(flow_lpm: float, temperature_c: float) -> float:
    """Heat capacity rate of a flow."""
    return flow_lpm * w_per_k_per_lpm(temperature_c)


def _interpolate(temperature_c: float, values: tuple[float, ...]) -> float:
    if temperature_c <= _TEMPERATURE_C[0]:
        return values[0]
    if temperature_c >= _TEMPERATURE_C[-1]:
        return values[-1]
    right = bisect.bisect_right(_TEMPERATURE_C, temperature_c)
    low_c, high_c = _TEMPERATURE_C[right - 1], _TEMPERATURE_C[right]
    share = (temperature_c - low_c) / (high_c - low_c)
    return values[right - 1] + share * (values[right] - values[right - 1])
