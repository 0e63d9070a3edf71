"""C15: a year in four days, with the supply set-point reset against one that is fixed.

Counted is what a loop draws for its cooling: its own pumps, and its share of the building's fans
and pumps as the emulated plant has them. Leakage in the chips is told apart: warmer coolant costs
there, and the controller weighs both.
"""

from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Final

import numpy as np

from controller.cooling.settings import CoolingSettings, LawName, ResetSettings
from emulator.weather import ClimateSettings, generated
from isotherm.bench.cooling.rig import Rig, RigSettings
from isotherm.bench.cooling.scenario import Outcome, Scenario, Trial, cooling, plant
from isotherm.bench.cooling.trace import Trace
from thermal.arrays import FloatArray

FIXED_C: Final = 30.0
"""Set-point of the baseline, which keeps a constant pressure difference besides."""
FIXED_WATER_C: Final = 25.0
"""Facility water of the baseline: an approach of 5 K below its supply. Estimate."""
DAYS: Final = ("cold", "cool", "mild", "hot")
"""The middle day of each quarter of a year's days, by their mean wet bulb."""
HOURS: Final = 24
LEAKAGE_W: Final = 150.0
"""Of a chip at 85 °C: 15 % of its rated power (12 to 20 %, estimate)."""
SOFT_LIMIT_C, DEW_ALARM_K, RETURN_CAP_C = 85.0, 2.0, 60.0
STATION_SIGMA_K: Final = 0.3
SETTLE_S: Final = 600


@dataclass(frozen=True, slots=True, kw_only=True)
class Days:
    """[hours + 1, days] wet bulb, and load."""

    wet_bulb_c: FloatArray
    load_ratio: FloatArray

    @classmethod
    def drawn(cls, seed: int) -> "Days":
        rng = np.random.default_rng(seed)
        year = generated(ClimateSettings(start_s=0.0), rng)
        hours = np.arange(365 * HOURS + 1) * 3600.0
        wet = np.array([year.at(at_s).wet_bulb_c for at_s in hours])
        means = wet[:-1].reshape(365, HOURS).mean(axis=1)
        order = np.argsort(means, kind="stable")
        chosen = [int(order[round((part + 0.5) / len(DAYS) * 365)]) for part in range(len(DAYS))]
        wet_bulb_c = np.stack([wet[day * HOURS :][: HOURS + 1] for day in chosen], axis=1)
        hour = np.arange(HOURS + 1)[:, None]
        daily = 0.65 + 0.25 * np.sin(2.0 * np.pi * (hour - 9.0) / HOURS)
        load = daily + rng.normal(0.0, 0.1, (HOURS + 1, len(DAYS)))
        return cls(wet_bulb_c=wet_bulb_c, load_ratio=np.clip(load, 0.2, 1.0))


@dataclass(frozen=True, slots=True, kw_only=True)
class Spent:
    """Mean watts by day, [days], and what went wrong."""

    cooling_w: FloatArray
    leakage_w: FloatArray
    violations: float
    trace: Trace
    mean_supply_c: FloatArray


def c15(trial: Trial) -> Outcome:
    """Each day's 24 hours, quickened; slews, basins and the slow layer keep their own pace."""
    pace = 48 if trial.quick else 12
    before = _baseline(trial.seed, pace)
    settings = replace(cooling(trial.law), reset=ResetSettings())
    after = _spent(settings, trial.seed, pace, follows=True)
    base_w = before.cooling_w.mean()
    metrics = {
        "saved_ratio": 1.0 - float(after.cooling_w.mean() / base_w),
        "violations": after.violations,
        "saved_with_leakage_ratio": 1.0
        - float((after.cooling_w + after.leakage_w - before.leakage_w).mean() / base_w),
    }
    if not trial.quick:
        alone = _spent(settings, trial.seed, pace, follows=False)
        metrics["saved_fixed_water_ratio"] = 1.0 - float(alone.cooling_w.mean() / base_w)
        metrics["violations_fixed_water"] = alone.violations
        fixed = _spent(cooling(trial.law), trial.seed, pace, follows=False)
        metrics["saved_over_fixed_ratio"] = 1.0 - float(
            after.cooling_w.mean() / fixed.cooling_w.mean()
        )
    for row, day in enumerate(DAYS):
        saved = 1.0 - float(after.cooling_w[row] / before.cooling_w[row])
        metrics[f"saved_{day}_ratio"] = saved
        metrics[f"supply_{day}_c"] = float(after.mean_supply_c[row])
    metrics["baseline_w"] = float(base_w)
    metrics["leakage_change_w"] = float((after.leakage_w - before.leakage_w).mean())
    part = f"{DAYS[0]} day, {pace} times as fast as real"
    return Outcome(metrics=metrics, trace=after.trace, part=part)


@lru_cache(maxsize=4)
def _baseline(seed: int, pace: int) -> Spent:
    """The same for every controller: constant pressure difference, nothing reset."""
    return _spent(cooling(LawName.PI), seed, pace, follows=False)


def _spent(settings: CoolingSettings, seed: int, pace: int, *, follows: bool) -> Spent:
    """`follows`: the building holds the facility water that it is asked for."""
    days = Days.drawn(seed)
    settings = replace(settings, policy=replace(settings.policy, supply_c=FIXED_C))
    bench = Rig(
        RigSettings(
            cooling=settings,
            plants=(plant(),) * len(DAYS),
            seed=seed,
            supply_c=FIXED_C,
            leakage_w=LEAKAGE_W,
        )
    )
    bench.plant.weather.wet_bulb_c = bench.plant.weather.dry_bulb_c = 0.0
    bench.plant.facility_setpoint_c[:] = FIXED_WATER_C
    course = _Course(bench, days, seed, follows=follows)
    for _ in range(SETTLE_S):
        course.second(0.0)
    bench.settle(0)
    leakage_w = np.zeros(len(DAYS))
    seconds = HOURS * 3600 // pace
    for second in range(seconds):
        course.second(second * pace / 3600.0)
        leakage_w += bench.leakage_w.reshape(len(DAYS), -1).sum(axis=1)
    trace = bench.trace
    return Spent(
        cooling_w=trace.column("cooling_w").mean(axis=0),
        leakage_w=leakage_w / seconds,
        violations=_violations(trace),
        trace=trace,
        mean_supply_c=trace.column("supply_c").mean(axis=0),
    )


class _Course:
    """Weather and load of the days on the rig, and what the building does."""

    def __init__(self, bench: Rig, days: Days, seed: int, *, follows: bool) -> None:
        self._bench, self._days, self._follows = bench, days, follows
        self._rng = np.random.default_rng(seed + 1)

    def second(self, hour: float) -> None:
        bench, days = self._bench, self._days
        row, share = int(hour), hour - int(hour)
        # Weather goes straight from hour to hour; jobs start and end at once.
        wet_c = days.wet_bulb_c[row] * (1.0 - share) + days.wet_bulb_c[row + 1] * share
        bench.load_ratio = days.load_ratio[row].copy()
        bench.strike(wet_bulb_offset_k=wet_c)
        if self._follows:
            bench.wet_bulb_c = wet_c + self._rng.normal(0.0, STATION_SIGMA_K, len(wet_c))
            asked_c = np.array([control.reset.facility_c for control in bench.controls])
            held_c = bench.plant.facility_setpoint_c
            bench.plant.facility_setpoint_c = np.where(np.isfinite(asked_c), asked_c, held_c)
        bench.run(1)


def _violations(trace: Trace) -> float:
    """Seconds, of all days together, in which a limit was passed."""
    hot = trace.column("hottest_c") >= SOFT_LIMIT_C
    wet = trace.column("supply_c") - trace.column("dew_point_c") < DEW_ALARM_K
    back = trace.column("return_c") >= RETURN_CAP_C
    moved = np.abs(np.diff(trace.column("setpoint_c"), axis=0)) * 60.0
    return float((hot | wet | back).sum() + (moved > 2.01).sum())


SCENARIOS: Final = (
    Scenario(
        id="C15",
        title="four days of a year: set-point reset against 30 °C and constant pressure",
        run=c15,
        target={"saved_ratio": (">=", 0.30), "violations": ("==", 0.0)},
    ),
)
