"""How much of the chips' power is leakage, learnt by recursive least squares with forgetting.

P = a + d u + L exp(k (Tj - Tref)) over a loop's mean chip: what it draws without work, what work
at a share u of its peak adds, and leakage, whose exponent k is taken from the data sheet. Only a
change of temperature at a known load tells leakage from the rest, so lessons count only as far as
the foretold power is uncertain, and forgetting pauses while nothing moves.
"""

import math
from dataclasses import dataclass, replace
from typing import Self

import numpy as np

from thermal.arrays import FloatArray


@dataclass(frozen=True, slots=True, kw_only=True)
class LeakageFitSettings:
    """Estimates, but where a reason is given."""

    leakage_per_k: float = 0.016
    """0.012..0.02: leakage doubles in 35..58 K."""
    reference_c: float = 85.0
    chip_w: float = 1_000.0
    """Rated."""
    prior_share: float = 0.15
    """12..20 % of rated power at the reference."""
    prior_sigma: float = 0.1
    average_s: float = 15.0
    every_s: float = 15.0
    steady_ratio: float = 0.02
    noise_ratio: float = 0.002
    """Of rated power; the mean of many sensors."""
    forget_s: float = 7 * 86_400.0
    """A share is a chip's make: it changes by ageing."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LeakageFit:
    """`weights` [3] of rated power: at rest, by load, leaking at the reference."""

    power_w: float = math.nan
    junction_c: float = math.nan
    busy_ratio: float = math.nan
    """Averages over the loop's chips, and over time."""
    weights: tuple[float, float, float]
    covariance_squares: FloatArray
    """[3, 3]"""
    waited_s: float = 0.0
    sheet_sigma: float = math.inf
    """Of the leaking share by the data sheet alone."""

    @classmethod
    def unknown(cls, settings: LeakageFitSettings) -> Self:
        prior = settings.prior_sigma**2
        return cls(
            weights=(0.1, 0.75, settings.prior_share),
            covariance_squares=np.diag((0.25, 0.25, prior)),
            sheet_sigma=settings.prior_sigma,
        )

    def share(self, settings: LeakageFitSettings, junction_c: float) -> float:
        """Of rated power, leaking at a junction."""
        return self.weights[2] * _growth(settings, junction_c)

    def sigma_share(self, settings: LeakageFitSettings, junction_c: float) -> float:
        """One sigma of `share`."""
        return math.sqrt(float(self.covariance_squares[2, 2])) * _growth(settings, junction_c)


def learn(
    settings: LeakageFitSettings,
    fit: LeakageFit,
    *,
    power_w: float,
    junction_c: float,
    busy_ratio: float,
    dt_s: float,
) -> LeakageFit:
    """The fit `dt_s` later, from means over the loop's chips; NaN teaches nothing."""
    if dt_s <= 0.0 or not all(map(math.isfinite, (power_w, junction_c, busy_ratio))):
        return fit
    share = -math.expm1(-dt_s / settings.average_s)
    steady = abs(busy_ratio - fit.busy_ratio) <= settings.steady_ratio
    fit = replace(
        fit,
        power_w=_moved(fit.power_w, power_w, share),
        junction_c=_moved(fit.junction_c, junction_c, share),
        busy_ratio=_moved(fit.busy_ratio, busy_ratio, share),
        waited_s=fit.waited_s + dt_s,
    )
    if fit.waited_s < settings.every_s:
        return fit
    waited_s, fit = fit.waited_s, replace(fit, waited_s=0.0)
    return _lesson(settings, fit, waited_s) if steady else fit


def _lesson(settings: LeakageFitSettings, fit: LeakageFit, waited_s: float) -> LeakageFit:
    seen = np.array((1.0, fit.busy_ratio, _growth(settings, fit.junction_c)))
    spread = fit.covariance_squares @ seen
    foretold = float(seen @ spread)
    noise = settings.noise_ratio**2
    if foretold <= 0.1 * noise:
        return fit
    spread_sum = foretold + noise
    missed = fit.power_w / settings.chip_w - float(seen @ np.array(fit.weights))
    at_rest, by_load, leaking = (np.array(fit.weights) + spread / spread_sum * missed).tolist()
    covariance = fit.covariance_squares - np.outer(spread, spread) / spread_sum
    # Forgetting grows only what this lesson spoke of: a loop at rest forgets nothing.
    grown = math.expm1(waited_s / settings.forget_s)
    covariance = covariance + grown * np.outer(spread, spread) / foretold
    return replace(fit, weights=(at_rest, by_load, leaking), covariance_squares=covariance)


def _growth(settings: LeakageFitSettings, junction_c: float) -> float:
    return math.exp(settings.leakage_per_k * (junction_c - settings.reference_c))


def _moved(held: float, value: float, share: float) -> float:
    moved = held + share * (value - held)
    return moved if math.isfinite(moved) else value
