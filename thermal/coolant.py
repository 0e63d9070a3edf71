"""Properties of PG25 (25 % propylene glycol in water by mass) by temperature.

Source: CoolProp's incompressible MPG at 25 % by mass, tabulated at 15..60 C. Vendor PG25 (Dow
LC 25, mixed by volume) reads 1.2 % denser and 3..17 % more viscous at 40 C. Every function takes
one temperature or an array of them; outside 15..60 C the nearest tabulated value holds.
"""

import numpy as np

from thermal.arrays import Number

_TEMPERATURE_C = np.array((15.0, 20.0, 30.0, 40.0, 45.0, 50.0, 60.0))
_DENSITY_KG_PER_M3 = np.array((1021.0, 1019.0, 1015.0, 1010.0, 1007.0, 1004.0, 998.0))
_SPECIFIC_HEAT_J_PER_KGK = np.array((3908.0, 3920.0, 3945.0, 3969.0, 3981.0, 3992.0, 4016.0))
_LOG_VISCOSITY = np.log((2.93, 2.45, 1.78, 1.35, 1.20, 1.07, 0.88))

LITRES_PER_MINUTE_PER_M3_PER_S = 60_000.0

WATER_W_PER_K_PER_LPM = 69.2
"""Facility water at 30..40 C: 995 kg/m3 x 4178 J/kgK (within 0.4 % over 15..50 C)."""


def density_kg_per_m3(temperature_c: Number) -> Number:
    density: Number = np.interp(temperature_c, _TEMPERATURE_C, _DENSITY_KG_PER_M3)
    return density


def specific_heat_j_per_kgk(temperature_c: Number) -> Number:
    heat: Number = np.interp(temperature_c, _TEMPERATURE_C, _SPECIFIC_HEAT_J_PER_KGK)
    return heat


def viscosity_mpas(temperature_c: Number) -> Number:
    """Dynamic viscosity; interpolated in its logarithm, which is nearly straight."""
    viscosity: Number = np.exp(np.interp(temperature_c, _TEMPERATURE_C, _LOG_VISCOSITY))
    return viscosity


def w_per_k_per_lpm(temperature_c: Number) -> Number:
    """Heat that one litre a minute carries per kelvin: 66.8 W at 40 C."""
    return (
        density_kg_per_m3(temperature_c)
        * specific_heat_j_per_kgk(temperature_c)
        / LITRES_PER_MINUTE_PER_M3_PER_S
    )


def w_per_k(flow_lpm: Number, temperature_c: Number) -> Number:
    """Heat capacity rate of a flow."""
    return flow_lpm * w_per_k_per_lpm(temperature_c)
