"""A loop's heat exchanger, resistance to flow, and transit, learnt from what its sensors show.

Each is a figure over that of the data sheet, averaged with forgetting from moments in which the
loop shows it well. Sensors are built with a bias, which the figure as first found carries too: what
has changed is told against that.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Self

from thermal.coolant import WATER_W_PER_K_PER_LPM, viscosity_mpas, w_per_k_per_lpm
from thermal.heat_exchanger import FILM_EXPONENT
from thermal.manifold import EXPONENT
from thermal.model.settings import LoopModelSettings

_PG25_W_PER_K_PER_LPM = float(w_per_k_per_lpm(40.0))
_VISCOSITY_40 = float(viscosity_mpas(40.0))
_SECOND_SIGMA_S = 0.5
"""Of a transit by readings a second apart."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LoopFitSettings:
    """Estimates, but where a reason is given."""

    average_s: float = 30.0
    """Of temperatures and flows: the exchanger and the wells settle in 10 s."""
    every_s: float = 10.0
    steady_k: float = 0.4
    """Temperatures this far from their averages are on the move."""
    settle_s: float = 60.0
    """They stand still for so long before a lesson."""
    least_rise_k: float = 3.0
    """Of both waters: 0.15 K of a sensor is a twentieth of it."""
    least_pinch_k: float = 0.7
    """At either end of the exchanger; nearer than that it has room to spare, and does not tell."""
    least_flow_ratio: float = 0.35
    """Of the design flow; below it a loop turns laminar."""
    forget_s: float = 1_800.0
    least_lessons_count: float = 12.0
    """From which a drift is told: two minutes of them."""
    prior_ratio: float = 0.3
    """Spread of a figure around the data sheet before anything is known."""
    prior_bias_k: float = 0.25
    """Spread of the difference of two sensors, 0.15 K each."""
    noise_ratio: float = 0.03
    """Of a lesson: 0.1 K of resolution over a pinch of 2 K, shared between four sensors."""
    known_ratio: float = 0.015
    """A figure foretold this well teaches nothing more about how the loop was built."""
    viscosity_exponent: float = 0.2
    """dP scales with mu^0.15..0.25 in the turbulent and transition range."""
    ua_bias_ratio: float = 0.03
    """One sigma of UA by the sensors' biases: 0.15 K each over 8 K, four of them, and the flow."""
    resistance_bias_ratio: float = 0.012
    """One sigma by flow (0.5 % to the power 1.85) and pressure (0.8 of 180 kPa)."""
    longest_transit_s: int = 24
    """From the exchanger to the sleds' inlets at the design flow."""
    transit_forget_s: float = 600.0
    level_s: float = 60.0
    """Temperatures are compared by how they depart from their averages over so long."""
    least_swing_k: float = 0.1
    """Root mean square of those departures from which they tell of a transit."""

    @property
    def transits_count(self) -> int:
        """How many whole seconds are held against each other."""
        return self.longest_transit_s - 2


@dataclass(frozen=True, slots=True, kw_only=True)
class LoopSight:
    """What a loop's CDU shows in one second; NaN where nothing can be believed."""

    supply_c: float
    return_c: float
    flow_lpm: float
    dp_kpa: float
    primary_supply_c: float
    primary_return_c: float
    inlet_c: float
    """Median of the sleds' inlets."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Learnt:
    """One figure over that of the data sheet, by its logarithm: y = built + slope bias + drift.

    As for `thermal.model.plates`: `built` and the bias of the sensors behind it are learnt where
    an operating point still teaches something, what was known before tells of drift.
    """

    built_log_ratio: float = 0.0
    bias_k: float = 0.0
    covariance: tuple[float, float, float] | None = None
    """None before the first lesson."""
    drift_log_ratio: float = 0.0
    scatter_squares: float = 0.0
    """Of lessons around the drift, mean square."""
    lessons_count: float = 0.0
    """Taken into the drift, faded as it forgets."""

    @property
    def value_ratio(self) -> float:
        """As it is now; NaN until it was ever seen."""
        if self.covariance is None:
            return math.nan
        return math.exp(self.built_log_ratio + self.drift_log_ratio)

    def drift_ratio(self, settings: LoopFitSettings) -> float:
        """Gained since it was first found; NaN until enough lessons tell."""
        if self.lessons_count < settings.least_lessons_count:
            return math.nan
        return math.expm1(self.drift_log_ratio)

    def sigma_ratio(self, bias_ratio: float) -> float:
        """One sigma of `value_ratio`; `bias_ratio` is what no lesson can tell."""
        if self.covariance is None:
            return math.inf
        own = self.scatter_squares / max(self.lessons_count, 1.0)
        return math.hypot(math.sqrt(self.covariance[0] + own), bias_ratio)

    def renewed(self, settings: LoopFitSettings, renewed_ratio: float) -> "Learnt":
        """From now on as built, where it has become better than it was first found: somebody has
        cleaned or swapped it. The sensors' bias stays.
        """
        sigma = math.sqrt(self.scatter_squares / max(self.lessons_count, 1.0))
        told = self.lessons_count >= settings.least_lessons_count
        if not told or self.drift_log_ratio - sigma < math.log1p(renewed_ratio):
            return self
        return replace(
            self,
            built_log_ratio=self.built_log_ratio + self.drift_log_ratio,
            drift_log_ratio=0.0,
            scatter_squares=0.0,
            lessons_count=0.0,
        )

    def taught(
        self, settings: LoopFitSettings, seen_ratio: float, slope_per_k: float, dt_s: float
    ) -> "Learnt":
        """After a lesson that took `dt_s`."""
        aa, ab, bb = self.covariance or (settings.prior_ratio**2, 0.0, settings.prior_bias_k**2)
        with_built = aa + ab * slope_per_k
        with_bias = ab + bb * slope_per_k
        foretold = with_built + with_bias * slope_per_k
        missed = math.log(seen_ratio) - self.built_log_ratio - slope_per_k * self.bias_k
        if foretold <= settings.known_ratio**2:
            return self._told(settings, missed, dt_s)
        weight = 1.0 / (foretold + settings.noise_ratio**2)
        return replace(
            self,
            built_log_ratio=self.built_log_ratio + weight * with_built * missed,
            bias_k=self.bias_k + weight * with_bias * missed,
            covariance=(
                aa - weight * with_built**2,
                ab - weight * with_built * with_bias,
                bb - weight * with_bias**2,
            ),
        )

    def _told(self, settings: LoopFitSettings, missed_ratio: float, dt_s: float) -> "Learnt":
        lessons_count = self.lessons_count * math.exp(-dt_s / settings.forget_s) + 1.0
        off_ratio = missed_ratio - self.drift_log_ratio
        drift_log_ratio = self.drift_log_ratio + off_ratio / lessons_count
        scattered = off_ratio * (missed_ratio - drift_log_ratio) - self.scatter_squares
        return replace(
            self,
            drift_log_ratio=drift_log_ratio,
            scatter_squares=max(self.scatter_squares + scattered / lessons_count, 0.0),
            lessons_count=lessons_count,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class TransitFit:
    """How well each whole second of transit explains what arrives at the sleds."""

    supply_k: tuple[float, ...] = ()
    """Departures of the supply from its average, newest first, one for each `moved_s`."""
    moved_s: tuple[float, ...] = ()
    """Seconds at the design flow that the coolant has moved since."""
    supply_level_c: float = math.nan
    inlet_level_c: float = math.nan
    unexplained: tuple[float, ...] = ()
    """Mean square by candidate, K2."""
    swing_squares: float = 0.0
    """Mean square of the supply's departures, K2."""
    weight: float = 0.0
    """Of the means: 1 once `transit_forget_s` has passed."""

    def seconds(self, settings: LoopFitSettings) -> tuple[float, float]:
        """Transit at the design flow and one sigma of it; NaN and infinite until it is known."""
        if self.weight < 0.2 or self.swing_squares < settings.least_swing_k**2 * self.weight:
            return math.nan, math.inf
        costs = self.unexplained
        best = min(range(len(costs)), key=costs.__getitem__)
        if not 0 < best < len(costs) - 1:
            return float(best), math.inf
        before, here, after = costs[best - 1 : best + 2]
        bend = before - 2.0 * here + after
        if bend <= 0.0:
            return float(best), math.inf
        place_s = best + 0.5 * (before - after) / bend
        lessons_count = self.weight * settings.transit_forget_s
        return place_s, math.hypot(math.sqrt(2.0 * here / (bend * lessons_count)), _SECOND_SIGMA_S)


@dataclass(frozen=True, slots=True, kw_only=True)
class LoopFit:
    """What is known of a loop."""

    means: LoopSight | None = None
    waited_s: float = 0.0
    steady_s: float = 0.0
    ua: Learnt = field(default_factory=Learnt)
    resistance: Learnt = field(default_factory=Learnt)
    transit: TransitFit = field(default_factory=TransitFit)

    @classmethod
    def unknown(cls) -> Self:
        return cls()


def learn(
    settings: LoopFitSettings, model: LoopModelSettings, fit: LoopFit, seen: LoopSight, dt_s: float
) -> LoopFit:
    """The fit `dt_s` later; what is not shown teaches nothing."""
    if dt_s <= 0.0:
        return fit
    means = _averaged(settings, fit.means, seen, dt_s)
    fit = replace(
        fit,
        means=means,
        waited_s=fit.waited_s + dt_s,
        steady_s=fit.steady_s + dt_s if _steady(settings, means, seen) else 0.0,
        transit=_follow(settings, model, fit.transit, seen, dt_s),
    )
    if fit.waited_s < settings.every_s:
        return fit
    waited_s = fit.waited_s
    ua, resistance = fit.ua, fit.resistance
    settled = fit.steady_s >= settings.settle_s
    if settled and means.flow_lpm > _least_lpm(settings, model):
        if _tells_ua(settings, means):
            ua = ua.taught(settings, ua_ratio(model, means), _slope_per_k(model, means), waited_s)
        if means.dp_kpa > 0.0:
            found_ratio = flow_resistance_ratio(settings, model, means)
            resistance = resistance.taught(settings, found_ratio, 0.0, waited_s)
    return replace(fit, ua=ua, resistance=resistance, waited_s=0.0)


def ua_ratio(model: LoopModelSettings, seen: LoopSight) -> float:
    """UA at nominal flows over that of the clean exchanger, by the mean temperature difference. The
    facility's flow follows from the heat. Temperatures must differ at both ends.
    """
    heat_w = _PG25_W_PER_K_PER_LPM * seen.flow_lpm * (seen.return_c - seen.supply_c)
    warmed_k = seen.primary_return_c - seen.primary_supply_c
    exchanger = model.exchanger
    primary_lpm = heat_w / (WATER_W_PER_K_PER_LPM * warmed_k)
    share = exchanger.hot_film_share
    films = share * (seen.flow_lpm / exchanger.hot_nominal_lpm) ** -FILM_EXPONENT
    films += (1.0 - share) * (primary_lpm / exchanger.cold_nominal_lpm) ** -FILM_EXPONENT
    # Deposits add a resistance whatever the flows: what is over the films' is theirs.
    deposits = exchanger.ua_w_per_k * _mean_k(*_ends_k(seen)) / heat_w - films
    return float(1.0 / max(1.0 + deposits, 0.2))


def _tells_ua(settings: LoopFitSettings, seen: LoopSight) -> bool:
    rise_k = seen.return_c - seen.supply_c
    warmed_k = seen.primary_return_c - seen.primary_supply_c
    wide = min(rise_k, warmed_k) >= settings.least_rise_k
    return wide and min(_ends_k(seen)) >= settings.least_pinch_k


def _ends_k(seen: LoopSight) -> tuple[float, float]:
    """Differences at the hot and at the cold end."""
    return seen.return_c - seen.primary_return_c, seen.supply_c - seen.primary_supply_c


def _mean_k(one_k: float, other_k: float) -> float:
    """Logarithmic mean."""
    if abs(one_k - other_k) < 1e-6:
        return one_k
    return (one_k - other_k) / math.log(one_k / other_k)


def _slope_per_k(model: LoopModelSettings, seen: LoopSight) -> float:
    """Of the logarithm of UA by an error at the hot end, which pinches."""
    off_k = 0.05
    warmer = replace(seen, primary_return_c=seen.primary_return_c + off_k)
    cooler = replace(seen, primary_return_c=seen.primary_return_c - off_k)
    return math.log(ua_ratio(model, cooler) / ua_ratio(model, warmer)) / (2.0 * off_k)


def flow_resistance_ratio(
    settings: LoopFitSettings, model: LoopModelSettings, seen: LoopSight
) -> float:
    """Pressure over the loop, over what the data sheet says of this flow at 40 °C."""
    thicker = _viscosity_ratio(0.5 * (seen.supply_c + seen.return_c))
    promised = model.design_dp_kpa * (seen.flow_lpm / model.design_flow_lpm) ** EXPONENT
    return float(seen.dp_kpa / (promised * thicker**settings.viscosity_exponent))


def _viscosity_ratio(mean_c: float) -> float:
    return float(viscosity_mpas(mean_c)) / _VISCOSITY_40


def _least_lpm(settings: LoopFitSettings, model: LoopModelSettings) -> float:
    return settings.least_flow_ratio * model.design_flow_lpm


def _steady(settings: LoopFitSettings, means: LoopSight, seen: LoopSight) -> bool:
    return (
        abs(seen.supply_c - means.supply_c) <= settings.steady_k
        and abs(seen.return_c - means.return_c) <= settings.steady_k
        and abs(seen.primary_return_c - means.primary_return_c) <= settings.steady_k
    )


def _averaged(
    settings: LoopFitSettings, held: LoopSight | None, seen: LoopSight, dt_s: float
) -> LoopSight:
    if held is None:
        return seen
    share = -math.expm1(-dt_s / settings.average_s)
    return LoopSight(
        supply_c=_moved(held.supply_c, seen.supply_c, share),
        return_c=_moved(held.return_c, seen.return_c, share),
        flow_lpm=_moved(held.flow_lpm, seen.flow_lpm, share),
        dp_kpa=_moved(held.dp_kpa, seen.dp_kpa, share),
        primary_supply_c=_moved(held.primary_supply_c, seen.primary_supply_c, share),
        primary_return_c=_moved(held.primary_return_c, seen.primary_return_c, share),
        inlet_c=_moved(held.inlet_c, seen.inlet_c, share),
    )


def _moved(held: float, value: float, share: float) -> float:
    moved = held + share * (value - held)
    return moved if math.isfinite(moved) else value


def _follow(
    settings: LoopFitSettings,
    model: LoopModelSettings,
    fit: TransitFit,
    seen: LoopSight,
    dt_s: float,
) -> TransitFit:
    """Supply by how far its coolant has moved, held against what arrives."""
    if not all(map(math.isfinite, (seen.supply_c, seen.inlet_c, seen.flow_lpm))):
        return replace(fit, supply_k=(), moved_s=())
    share = -math.expm1(-dt_s / settings.level_s)
    supply_level_c = _moved(fit.supply_level_c, seen.supply_c, share)
    inlet_level_c = _moved(fit.inlet_level_c, seen.inlet_c, share)
    moved_now_s = dt_s * seen.flow_lpm / model.design_flow_lpm
    span = settings.longest_transit_s
    moved_s = (0.0, *(at_s + moved_now_s for at_s in fit.moved_s if at_s < span))
    supply_k = (seen.supply_c - supply_level_c, *fit.supply_k)[: len(moved_s)]
    fit = replace(
        fit,
        supply_k=supply_k,
        moved_s=moved_s,
        supply_level_c=supply_level_c,
        inlet_level_c=inlet_level_c,
    )
    if moved_s[-1] < span - 2:
        return fit
    return _held_against(settings, fit, seen.inlet_c - inlet_level_c, dt_s)


def _held_against(
    settings: LoopFitSettings, fit: TransitFit, arrived_k: float, dt_s: float
) -> TransitFit:
    share = -math.expm1(-dt_s / settings.transit_forget_s)
    promised = _at_whole_seconds(fit.moved_s, fit.supply_k, settings.transits_count)
    before = fit.unexplained or (0.0,) * len(promised)
    return replace(
        fit,
        unexplained=tuple(
            cost + share * ((arrived_k - left_k) ** 2 - cost)
            for cost, left_k in zip(before, promised, strict=True)
        ),
        swing_squares=fit.swing_squares + share * (fit.supply_k[0] ** 2 - fit.swing_squares),
        weight=fit.weight + share * (1.0 - fit.weight),
    )


def _at_whole_seconds(
    moved_s: Sequence[float], supply_k: Sequence[float], count: int
) -> list[float]:
    """The supply's departures at 0, 1, ... seconds of transit, straight between readings."""
    found, row, last = [], 0, len(moved_s) - 2
    for second in range(count):
        while row < last and moved_s[row + 1] < second:
            row += 1
        span_s = moved_s[row + 1] - moved_s[row]
        share = (second - moved_s[row]) / span_s if span_s > 0.0 else 0.0
        found.append(supply_k[row] + share * (supply_k[row + 1] - supply_k[row]))
    return found
