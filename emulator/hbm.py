"""ECC events of HBM and SRAM: which chips are weak, and what they emit."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from thermal.arrays import BoolArray, FloatArray

_S_PER_H: Final = 3600.0
_BOLTZMANN_EV_PER_K: Final = 8.617e-5
_ZERO_C_K: Final = 273.15

Counts = NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class HbmSettings:
    """Rates a chip. Fleet studies of GPUs stand in: Trainium has no published rates."""

    weak_ratio: float = 0.02
    """Estimate: share of chips that emit corrected errors; about 90 % emit none in a day."""
    corrected_per_h: float = 6.0
    """Estimate: median of weak chips at the reference temperature, full bandwidth."""
    frailty_sigma: float = 1.0
    """Estimate: lognormal spread between weak chips."""
    corrected_doubling_k: float = 10.0
    """Estimate: corrected errors double, above the reference."""
    reference_c: float = 75.0
    uncorrected_per_h: float = 1.82e-5
    """1.18e-7 per GB of HBM3 and hour (Cui et al., SC 2025) x 154.6 GB, at 65 C."""
    activation_ev: float = 0.6
    """Estimate: Arrhenius of hard faults."""
    hard_reference_c: float = 65.0
    sram_corrected_per_h: float = 1e-4
    """Estimate."""
    sram_uncorrected_per_h: float = 9e-7
    """19 SRAM events in 21.2 million GPU hours (Llama 3)."""


class EccModel:
    """Cumulative counts [chips] that grow by Poisson arrivals from one generator."""

    def __init__(self, settings: HbmSettings, *, chips: int, rng: np.random.Generator) -> None:
        self._settings = settings
        self._rng = rng
        weak = rng.random(chips) < settings.weak_ratio
        frailty = rng.lognormal(0.0, settings.frailty_sigma, chips)
        self.corrected_per_h: FloatArray = np.where(weak, frailty * settings.corrected_per_h, 0.0)
        self.hbm_corrected: Counts = np.zeros(chips, dtype=np.int64)
        self.hbm_uncorrected: Counts = np.zeros(chips, dtype=np.int64)
        self.sram_corrected: Counts = np.zeros(chips, dtype=np.int64)
        self.sram_uncorrected: Counts = np.zeros(chips, dtype=np.int64)

    def step(
        self,
        dt_s: float,
        *,
        powered: BoolArray,
        hbm_c: FloatArray,
        hbm_ratio: FloatArray,
        storm_per_s: FloatArray,
    ) -> BoolArray:
        """Advance the counts; which chips had an uncorrected error, of HBM or SRAM, just now."""
        settings, hours = self._settings, dt_s / _S_PER_H
        on = powered.astype(np.float64)
        # Scrubbing reads memory that no work touches.
        traffic = 0.2 + 0.8 * hbm_ratio
        expected = self.corrected_per_h * hours * corrected_factor(settings, hbm_c) * traffic
        self.hbm_corrected += self._rng.poisson(on * (expected + storm_per_s * dt_s))
        hard = settings.uncorrected_per_h * hours * hard_factor(settings, hbm_c)
        broken = self._rng.poisson(on * hard)
        self.hbm_uncorrected += broken
        self.sram_corrected += self._rng.poisson(on * settings.sram_corrected_per_h * hours)
        flipped = self._rng.poisson(on * settings.sram_uncorrected_per_h * hours)
        self.sram_uncorrected += flipped
        failed: BoolArray = (broken + flipped) > 0
        return failed


_HOTTEST_K: Final = 75.0  # above the reference; memory does not live to show more


def corrected_factor(settings: HbmSettings, hbm_c: FloatArray) -> FloatArray:
    """Doubles every `corrected_doubling_k` above the reference, flat below."""
    above_k = np.clip(hbm_c - settings.reference_c, 0.0, _HOTTEST_K)
    factor: FloatArray = np.exp2(above_k / settings.corrected_doubling_k)
    return factor


def hard_factor(settings: HbmSettings, hbm_c: FloatArray) -> FloatArray:
    """Arrhenius, 1 at the reference."""
    reference = 1.0 / (settings.hard_reference_c + _ZERO_C_K)
    inverse = 1.0 / (hbm_c + _ZERO_C_K)
    factor: FloatArray = np.exp(
        settings.activation_ev / _BOLTZMANN_EV_PER_K * (reference - inverse)
    )
    return factor
