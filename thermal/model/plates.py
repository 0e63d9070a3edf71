"""Each chip's resistance to the coolant, learnt from what it shows; all arrays [chips].

A die warms over its sled's inlet by R P + b: R from junction to the mean coolant of its plate, b
the offset of two sensors (2..3 K), and the coolant's own caloric rise, which follows from the flow
and is taken off first. R and b as built are found by recursive least squares, and only where the
present load still teaches something: at a load that is known nothing more is learnt, so that a
slow change is not taken for how the chip was built. What it has become since is what the rise
says beyond that, with forgetting.
"""

from dataclasses import dataclass, replace
from typing import Self

import numpy as np

from thermal.arrays import BoolArray, FloatArray
from thermal.coolant import w_per_k_per_lpm
from thermal.model.settings import LoopModelSettings

_PG25_W_PER_K_PER_LPM = float(w_per_k_per_lpm(40.0))
_OF_CHIPS = (
    "power_w",
    "rise_k",
    "level_w",
    "level_k",
    "built_k_per_w",
    "offset_k",
    "drift_ratio",
    "lessons_count",
    "steady_s",
)
"""Columns of a fit, besides its covariance."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlateFitSettings:
    """Estimates, but where a reason is given."""

    average_s: float = 10.0
    """Of power and rise: the plate lags its power by about 3 s, sensors in wells by as much."""
    every_s: float = 10.0
    """Between two lessons: averages of a shorter time are not new."""
    least_power_w: float = 350.0
    """Below it 1 K of a die sensor is a tenth of the rise."""
    level_s: float = 60.0
    """Averages are held against those over so long. Serving swings a chip's power by 7 % from one
    second to the next (measured on the emulator), which is no step: power and rise are averaged
    alike."""
    steady_ratio: float = 0.05
    """An average of power this far from its level is a step, which the rise lags."""
    steady_k: float = 2.0
    """The same of a rise: whole kelvins, and their noise."""
    settle_s: float = 60.0
    """Steady for so long before a lesson: with the level's own lag, what the loop needs to come to
    rest."""
    least_flow_lpm: float = 0.5
    """Below the plate's knee the film thickens, which is no change of the plate."""
    noise_k: float = 0.4
    """Of a lesson: dies show whole kelvins (0.3 K by rounding, which does not average out)."""
    prior_ratio: float = 0.3
    """Spread of R around the data sheet before anything is known."""
    prior_k: float = 1.0
    """Spread of the sensors' offset."""
    known_k: float = 0.15
    """A rise foretold this well teaches nothing more about how the chip was built."""
    forget_s: float = 600.0
    """What a chip has become is learnt over so long: a tenth of R within the hour."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PlateSight:
    """What chips show in one second; NaN where nothing is heard."""

    junction_c: FloatArray
    power_w: FloatArray
    inlet_c: FloatArray
    """Of the chip's sled."""
    flow_lpm: FloatArray
    """Through the chip's plate."""

    @classmethod
    def silent(cls, chips: int) -> Self:
        unheard = np.full(chips, np.nan)
        return cls(junction_c=unheard, power_w=unheard, inlet_c=unheard, flow_lpm=unheard)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PlateFit:
    """What is known of the chips."""

    power_w: FloatArray
    rise_k: FloatArray
    """Averages; the caloric part is taken off."""
    level_w: FloatArray
    level_k: FloatArray
    """The same over longer."""
    built_k_per_w: FloatArray
    offset_k: FloatArray
    covariance: tuple[FloatArray, FloatArray, FloatArray]
    """Of `built_k_per_w` with itself, with `offset_k`, and of `offset_k` with itself."""
    drift_ratio: FloatArray
    """What R has gained since, over R as built."""
    lessons_count: FloatArray
    """Taken into `drift_ratio`, faded as it forgets."""
    steady_s: FloatArray
    """For how long power and rise have stood still."""
    waited_s: float = 0.0

    @classmethod
    def unknown(cls, settings: PlateFitSettings, model: LoopModelSettings, chips: int) -> Self:
        sheet = model.junction_to_case_k_per_w + model.plate.resistance_k_per_w
        return cls(
            power_w=np.full(chips, np.nan),
            rise_k=np.full(chips, np.nan),
            level_w=np.full(chips, np.nan),
            level_k=np.full(chips, np.nan),
            built_k_per_w=np.full(chips, sheet),
            offset_k=np.zeros(chips),
            covariance=(
                np.full(chips, (settings.prior_ratio * sheet) ** 2),
                np.zeros(chips),
                np.full(chips, settings.prior_k**2),
            ),
            drift_ratio=np.zeros(chips),
            lessons_count=np.zeros(chips),
            steady_s=np.zeros(chips),
        )

    def renewed(self, settings: PlateFitSettings, renewed_ratio: float) -> "PlateFit":
        """From now on as built, the chips that warm less than they were first found to: somebody
        has renewed their plates.
        """
        if not (self.drift_ratio < -renewed_ratio).any():
            return self
        better = self.drift_ratio + self.drift_sigma(settings) < -renewed_ratio
        return replace(
            self,
            built_k_per_w=np.where(better, self.resistance_k_per_w, self.built_k_per_w),
            drift_ratio=np.where(better, 0.0, self.drift_ratio),
            lessons_count=np.where(better, 0.0, self.lessons_count),
        )

    def forgotten(self, swapped: BoolArray, unknown: "PlateFit") -> "PlateFit":
        """With nothing left of chips [chips] in whose places others stand now."""
        fresh = {
            name: np.where(swapped, getattr(unknown, name), getattr(self, name))
            for name in _OF_CHIPS
        }
        rr, rb, bb = (
            np.where(swapped, ours, theirs)
            for ours, theirs in zip(unknown.covariance, self.covariance, strict=True)
        )
        return replace(self, covariance=(rr, rb, bb), **fresh)

    @property
    def resistance_k_per_w(self) -> FloatArray:
        """As it is now."""
        now: FloatArray = self.built_k_per_w * (1.0 + self.drift_ratio)
        return now

    def drift_sigma(self, settings: PlateFitSettings) -> FloatArray:
        """One sigma of `drift_ratio`; infinite where no lesson has been taken yet."""
        power_w = np.where(np.isfinite(self.power_w), self.power_w, settings.least_power_w)
        rise_k = self.built_k_per_w * np.maximum(power_w, settings.least_power_w)
        # Of the drift's own average, and of the rise as built, which it is measured against.
        own_k = settings.noise_k / np.sqrt(np.maximum(self.lessons_count, 1e-9))
        sigma: FloatArray = np.hypot(own_k, settings.known_k) / rise_k
        return np.where(self.lessons_count > 0.0, sigma, np.inf)

    def sigma_k_per_w(self, settings: PlateFitSettings) -> FloatArray:
        """One sigma of `resistance_k_per_w`: most of it is that R and b share a known rise."""
        built: FloatArray = np.sqrt(self.covariance[0])
        drift = np.where(self.lessons_count > 0.0, self.drift_sigma(settings), 0.0)
        both: FloatArray = np.hypot(built, drift * self.built_k_per_w)
        return both


def learn(settings: PlateFitSettings, fit: PlateFit, seen: PlateSight, dt_s: float) -> PlateFit:
    """The fit `dt_s` later. Chips that are not heard keep what is known of them."""
    if dt_s <= 0.0:
        return fit
    flows = seen.flow_lpm >= settings.least_flow_lpm
    carried_w_per_k = _PG25_W_PER_K_PER_LPM * np.where(flows, seen.flow_lpm, np.nan)
    rise_k = seen.junction_c - seen.inlet_c - 0.5 * seen.power_w / carried_w_per_k
    share = -np.expm1(-dt_s / settings.average_s)
    power_w = _averaged(fit.power_w, seen.power_w, share)
    average_k = _averaged(fit.rise_k, rise_k, share)
    share = -np.expm1(-dt_s / settings.level_s)
    level_w = _averaged(fit.level_w, seen.power_w, share)
    level_k = _averaged(fit.level_k, rise_k, share)
    # What is not heard is not steady: NaN compares as false.
    steady = np.abs(power_w - level_w) <= settings.steady_ratio * level_w
    steady &= np.abs(average_k - level_k) <= settings.steady_k
    steady &= np.isfinite(seen.power_w) & np.isfinite(rise_k)
    fit = replace(
        fit,
        power_w=power_w,
        rise_k=average_k,
        level_w=level_w,
        level_k=level_k,
        steady_s=np.where(steady, fit.steady_s + dt_s, 0.0),
        waited_s=fit.waited_s + dt_s,
    )
    if fit.waited_s < settings.every_s:
        return fit
    taught = (fit.steady_s >= settings.settle_s) & (power_w >= settings.least_power_w)
    if not taught.any():
        return replace(fit, waited_s=0.0)
    return _lesson(settings, replace(fit, waited_s=0.0), taught, fit.waited_s)


def _lesson(
    settings: PlateFitSettings, fit: PlateFit, taught: BoolArray, waited_s: float
) -> PlateFit:
    power_w = np.where(taught, fit.power_w, 0.0)
    rise_k = np.where(taught, fit.rise_k, 0.0)
    rr, rb, bb = fit.covariance
    with_rise = rr * power_w + rb
    with_offset = rb * power_w + bb
    foretold = with_rise * power_w + with_offset
    missed_k = np.where(taught, rise_k - fit.built_k_per_w * power_w - fit.offset_k, 0.0)
    teaches = taught & (foretold > settings.known_k**2)
    weight = np.where(teaches, 1.0 / (foretold + settings.noise_k**2), 0.0)
    built = fit.built_k_per_w + with_rise * weight * missed_k
    # What a first lesson at a new load changes was never drift; only known loads tell of that.
    told = taught & ~teaches
    kept = np.exp(-waited_s / settings.forget_s)
    lessons_count = np.where(told, kept * fit.lessons_count + 1.0, fit.lessons_count)
    gained = missed_k / np.maximum(fit.built_k_per_w * power_w, 1e-9)
    gain = np.where(told, 1.0 / np.maximum(lessons_count, 1.0), 0.0)
    return replace(
        fit,
        built_k_per_w=built,
        offset_k=fit.offset_k + with_offset * weight * missed_k,
        covariance=(
            rr - with_rise * weight * with_rise,
            rb - with_rise * weight * with_offset,
            bb - with_offset * weight * with_offset,
        ),
        drift_ratio=fit.drift_ratio + gain * (gained - fit.drift_ratio),
        lessons_count=lessons_count,
    )


def _averaged(held: FloatArray, value: FloatArray, share: float) -> FloatArray:
    """NaN starts an average anew, so that a gap is never averaged over."""
    moved = held + share * (value - held)
    result: FloatArray = np.where(np.isnan(moved), value, moved)
    return result
