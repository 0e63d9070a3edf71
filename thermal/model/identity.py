"""What a loop turned out to be: its chips, its exchanger, its pipes, each with its uncertainty.

The controller's own view, from sensors only; the plant's truth is out of its reach.
"""

import math
from dataclasses import dataclass, field, replace
from typing import Self

import numpy as np

from thermal.arrays import BoolArray, FloatArray
from thermal.model import leakage, loop_fit, plates
from thermal.model.leakage import LeakageFit, LeakageFitSettings
from thermal.model.loop_fit import LoopFit, LoopFitSettings, LoopSight
from thermal.model.plates import PlateFit, PlateFitSettings, PlateSight
from thermal.model.settings import LoopModelSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class IdentitySettings:
    plates: PlateFitSettings = field(default_factory=PlateFitSettings)
    loop: LoopFitSettings = field(default_factory=LoopFitSettings)
    leakage: LeakageFitSettings = field(default_factory=LeakageFitSettings)
    worn_plate_ratio: float = 0.08
    """Of R gained, beyond one sigma: a plate's own +20 % is +11 % of R, told well before +10 %."""
    fouled_ratio: float = 0.08
    """Of UA lost since it was first found: a tenth, less what four sensors and forgetting hide."""
    mended_share: float = 0.5
    """Estimate: wear is over where less than this share of those ratios is left."""
    short_ratio: float = 0.15
    """Of the data sheet's UA missing: deposits take so much by design, and 0.3 is an alarm."""
    short_sigma_factor: float = 3.0
    """And so sure: one sound loop in 700."""
    sheet_sigma: float = 0.05
    """Estimate: one sigma of exchangers as built around their data sheet."""
    renewed_ratio: float = 0.08
    """Estimate: what has become so much better than first found, beyond one sigma, was cleaned or
    swapped; it is as built now."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LoopIdentity:
    """Everything learnt of one loop."""

    plates: PlateFit
    loop: LoopFit
    leakage: LeakageFit

    @classmethod
    def unknown(cls, settings: IdentitySettings, model: LoopModelSettings, chips: int) -> Self:
        """As on the data sheets."""
        return cls(
            plates=PlateFit.unknown(settings.plates, model, chips),
            loop=LoopFit.unknown(),
            leakage=LeakageFit.unknown(settings.leakage),
        )

    @property
    def begun(self) -> bool:
        """Whether anything of exchanger, pipes or plates was learnt."""
        loop, plates = self.loop, self.plates
        figures = (loop.ua.covariance, loop.resistance.covariance)
        return any(one is not None for one in figures) or bool(plates.lessons_count.any())


@dataclass(frozen=True, slots=True, kw_only=True)
class Identified:
    """A loop's identity in a few figures; NaN where it is not known yet. Ratios are over the data
    sheet, drifts since a figure was first found, sigmas one standard deviation.
    """

    ua_ratio: float = math.nan
    ua_sigma: float = math.inf
    ua_drift_ratio: float = math.nan
    flow_resistance_ratio: float = math.nan
    flow_resistance_sigma: float = math.inf
    flow_resistance_drift_ratio: float = math.nan
    plate_ratio: float = math.nan
    """Junction to coolant, median over the chips."""
    plate_sigma: float = math.inf
    """Of one chip, median."""
    plate_drift_ratio: float = math.nan
    """Of the chip that has gained most, one sigma taken off."""
    worst_chip: int = -1
    """Its row in the loop."""
    worn_chips: int = 0
    """That have gained more than `worn_plate_ratio`."""
    transit_s: float = math.nan
    """Exchanger to sleds at the design flow."""
    transit_sigma: float = math.inf
    leakage_share: float = math.nan
    """Of rated power, at the present junctions; NaN while only the data sheet speaks."""
    leakage_sigma: float = math.inf

    def fouled(self, settings: IdentitySettings, *, already: bool = False) -> bool:
        """Whether the exchanger has lost what makes it an alarm, or has not got it back since."""
        return self.ua_drift_ratio <= -settings.fouled_ratio * _share(settings, already=already)

    def missing_ratio(self, model: LoopModelSettings) -> float:
        """Of the UA that is believed of the exchanger, which may have deposits by its data sheet
        too; negative where there is more, NaN before it is known.
        """
        return 1.0 - self.ua_ratio / (1.0 - model.fouling_ratio)

    def short(
        self, settings: IdentitySettings, model: LoopModelSettings, *, already: bool = False
    ) -> bool:
        """Whether the exchanger falls short of its data sheet, whatever it was when it was first
        found. The heat balance of a first quarter of an hour tells.
        """
        share = _share(settings, already=already)
        sigma = math.hypot(self.ua_sigma, settings.sheet_sigma)
        # Nothing is known: NaN compares as false.
        missing_ratio = self.missing_ratio(model)
        if not missing_ratio >= settings.short_ratio * share:
            return False
        return -math.log1p(-missing_ratio) >= settings.short_sigma_factor * share * sigma


def learn(
    settings: IdentitySettings,
    model: LoopModelSettings,
    identity: LoopIdentity,
    *,
    chips: PlateSight,
    loop: LoopSight,
    busy_ratio: float,
    dt_s: float,
) -> LoopIdentity:
    """The identity `dt_s` later. `busy_ratio` is the chips' mean load, NaN where it is not told."""
    known = np.isfinite(chips.junction_c) & np.isfinite(chips.power_w)
    power_w = junction_c = math.nan
    if math.isfinite(busy_ratio) and known.any():
        power_w = float(chips.power_w[known].mean())
        junction_c = float(chips.junction_c[known].mean())
    fit = plates.learn(settings.plates, identity.plates, chips, dt_s)
    return LoopIdentity(
        plates=fit.renewed(settings.plates, settings.renewed_ratio),
        loop=_renewed(settings, loop_fit.learn(settings.loop, model, identity.loop, loop, dt_s)),
        leakage=leakage.learn(
            settings.leakage,
            identity.leakage,
            power_w=power_w,
            junction_c=junction_c,
            busy_ratio=busy_ratio,
            dt_s=dt_s,
        ),
    )


def summary(
    settings: IdentitySettings, model: LoopModelSettings, identity: LoopIdentity
) -> Identified:
    loop, bias = identity.loop, settings.loop
    transit_s, transit_sigma = loop.transit.seconds(settings.loop)
    ratio, sigma, drift, worst, worn = _of_plates(settings, model, identity.plates)
    leaks = identity.leakage
    learnt = math.sqrt(float(leaks.covariance_squares[2, 2])) < 0.5 * leaks.sheet_sigma
    return Identified(
        ua_ratio=loop.ua.value_ratio,
        ua_sigma=loop.ua.sigma_ratio(bias.ua_bias_ratio),
        ua_drift_ratio=loop.ua.drift_ratio(settings.loop),
        flow_resistance_ratio=loop.resistance.value_ratio,
        flow_resistance_sigma=loop.resistance.sigma_ratio(bias.resistance_bias_ratio),
        flow_resistance_drift_ratio=loop.resistance.drift_ratio(settings.loop),
        plate_ratio=ratio,
        plate_sigma=sigma,
        plate_drift_ratio=drift,
        worst_chip=worst,
        worn_chips=worn,
        transit_s=transit_s,
        transit_sigma=transit_sigma,
        leakage_share=leaks.share(settings.leakage, leaks.junction_c) if learnt else math.nan,
        leakage_sigma=leaks.sigma_share(settings.leakage, leaks.junction_c) if learnt else math.inf,
    )


def forgotten(
    settings: IdentitySettings,
    model: LoopModelSettings,
    identity: LoopIdentity,
    swapped: BoolArray,
) -> LoopIdentity:
    """Without what was learnt of chips [chips] in whose places others stand now."""
    unknown = PlateFit.unknown(settings.plates, model, len(swapped))
    return replace(identity, plates=identity.plates.forgotten(swapped, unknown))


def _renewed(settings: IdentitySettings, fit: LoopFit) -> LoopFit:
    ua = fit.ua.renewed(settings.loop, settings.renewed_ratio)
    return fit if ua is fit.ua else replace(fit, ua=ua)


def worn_plates(settings: IdentitySettings, fit: PlateFit, already: BoolArray) -> BoolArray:
    """[chips] whose resistance has grown by what makes it an alarm; those that are `already` said
    to be worn stay so until they are mended.
    """
    least = np.where(already, settings.worn_plate_ratio * settings.mended_share, np.inf)
    worn: BoolArray = _sure_drift(settings, fit) > np.minimum(least, settings.worn_plate_ratio)
    return worn


def _share(settings: IdentitySettings, *, already: bool) -> float:
    return settings.mended_share if already else 1.0


def _sure_drift(settings: IdentitySettings, fit: PlateFit) -> FloatArray:
    """[chips] what R has gained, one sigma taken off; minus infinite where nothing is told yet."""
    sure: FloatArray = fit.drift_ratio - fit.drift_sigma(settings.plates)
    return sure


def _of_plates(
    settings: IdentitySettings, model: LoopModelSettings, fit: PlateFit
) -> tuple[float, float, float, int, int]:
    told = fit.lessons_count > 0.0
    if not told.any():
        return math.nan, math.inf, math.nan, -1, 0
    sheet = model.junction_to_case_k_per_w + model.plate.resistance_k_per_w
    sure = _sure_drift(settings, fit)
    worst = int(np.argmax(sure))
    return (
        float(np.median(fit.resistance_k_per_w[told])) / sheet,
        float(np.median(fit.sigma_k_per_w(settings.plates)[told])) / sheet,
        float(sure[worst]),
        worst,
        int((sure > settings.worn_plate_ratio).sum()),
    )
