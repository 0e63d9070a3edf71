"""How memory errors depend on temperature and age."""

from typing import Final

import numpy as np

from emulator.hbm.settings import ArrivalSettings, CorrectedSettings
from thermal.arrays import FloatArray

_BOLTZMANN_EV_PER_K: Final = 8.617e-5
_ZERO_C_K: Final = 273.15
_HOTTEST_K: Final = 75.0  # above `warm_c`; memory does not live to show more


def arrival_factor(settings: ArrivalSettings, hbm_c: FloatArray) -> FloatArray:
    """Arrhenius on the rate of latent faults, 1 at the reference."""
    reference = 1.0 / (settings.reference_c + _ZERO_C_K)
    inverse = 1.0 / (hbm_c + _ZERO_C_K)
    factor: FloatArray = np.exp(
        settings.activation_ev / _BOLTZMANN_EV_PER_K * (reference - inverse)
    )
    return factor


def infant_factor(settings: ArrivalSettings, age_s: FloatArray) -> FloatArray:
    factor: FloatArray = np.where(age_s < settings.infant_s, settings.infant_factor, 1.0)
    return factor


def burst_factor(settings: CorrectedSettings, hbm_c: FloatArray) -> FloatArray:
    """On the rate of bursts: doubles every `doubling_k` above `warm_c`, flat below."""
    above_k = np.clip(hbm_c - settings.warm_c, 0.0, _HOTTEST_K)
    factor: FloatArray = np.exp2(above_k / settings.doubling_k)
    return factor
