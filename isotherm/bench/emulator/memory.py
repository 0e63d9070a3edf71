"""Case E7: memory errors of a fleet over a hundred million chip-hours, against the settings."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from emulator.hbm.memory import chip_memory
from emulator.hbm.model import HbmModel
from emulator.hbm.settings import HbmSettings, published_rates
from emulator.hbm.truth import CODE_OF_KIND, MemoryTruth, Rows, TruthLog
from emulator.skus import generation_settings
from fleet.topology import FleetMap, Generation, trn3_datacenter
from isotherm.bench.emulator.foretelling import Foretelling
from isotherm.bench.report import Case

_DAY_S: Final = 86_400.0
_S_PER_H: Final = 3600.0
_WARM_UP_DAYS: Final = 30
_REPAIRED: Final = 0.92
_SUDDEN: Final = 0.30
_KEPT_ROWS: Final = 10_000_000
_BOLTZMANN_EV_PER_K: Final = 8.617e-5

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Day:
    """A day of a fleet: what was told, and the conditions [chips] that held."""

    rows: Rows
    begins_s: float
    hbm_c: Floats
    installed_at_s: Floats


def e7(quick: bool, seed: int) -> Case:
    """23,040 Trn3 Gen2 chips, each at its own temperature between 50 and 90 °C."""
    settings = published_rates()
    rng = np.random.default_rng(seed)
    fleet_map = FleetMap(trn3_datacenter(loops=40, ultraservers=4))
    days = 190 if quick else 540
    foretelling = Foretelling(fleet_map.chips)
    counted: dict[MemoryTruth, int] = dict.fromkeys(MemoryTruth, 0)
    expected, sudden = 0.0, 0
    for number, day in enumerate(_days(settings, fleet_map, rng, _WARM_UP_DAYS + days)):
        foretelling.see(day.rows, day.hbm_c)
        if number < _WARM_UP_DAYS:
            continue
        for kind in MemoryTruth:
            counted[kind] += int((day.rows["kind"] == CODE_OF_KIND[kind]).sum())
        broken = day.rows[day.rows["kind"] == CODE_OF_KIND[MemoryTruth.UNCORRECTED]]
        sudden += int((broken["count"] == 0).sum())
        expected += _expected(settings, day)
    errors = counted[MemoryTruth.UNCORRECTED]
    cured, lost = counted[MemoryTruth.REPAIRED], counted[MemoryTruth.REPAIR_FAILED]
    areas = foretelling.areas()
    step_ratio, step_ratio_sigma = _step_ratio(settings, fleet_map, rng)
    return Case(
        id="E7",
        title="memory errors against their settings: 23,040 chips at 50 to 90 °C",
        metrics={
            "rate_error": abs(errors / expected - 1.0),
            "repair_share": cured / (cured + lost),
            "repair_share_error": abs(cured / (cured + lost) - _REPAIRED),
            "sudden_share": sudden / errors,
            "sudden_share_error": abs(sudden / errors - _SUDDEN),
            "uncorrected_errors": float(errors),
            "chip_hours": fleet_map.chips * days * 24.0,
            "auc_count": areas.by_count,
            "auc_all": areas.by_all,
            "auc_count_emitting": areas.emitting_by_count,
            "auc_all_emitting": areas.emitting_by_all,
            "step_ratio": step_ratio,
            "step_ratio_sigma": step_ratio_sigma,
        },
        target={
            "rate_error": ("<=", 0.10),
            "repair_share_error": ("<=", 0.02),
            "sudden_share_error": ("<=", 0.03),
            "chip_hours": (">=", 1e8),
        },
    )


def _days(
    settings: HbmSettings, fleet_map: FleetMap, rng: np.random.Generator, days: int
) -> Iterator[Day]:
    """Drivers are loaded again and lost chips replaced at the end of the day."""
    chips = fleet_map.chips
    model = HbmModel(
        settings, chip_memory(fleet_map, settings), rng, truth=TruthLog(most=_KEPT_ROWS)
    )
    mean_c, phase = rng.uniform(55.0, 85.0, chips), rng.uniform(0.0, 2.0 * np.pi, chips)
    traffic = rng.uniform(0.2, 0.9, chips)
    installed_at_s = np.full(chips, -settings.arrivals.age_s)
    for number in range(days):
        begins_s = number * _DAY_S
        hbm_c = mean_c + 5.0 * np.sin(2.0 * np.pi * number / 30.0 + phase)
        before = installed_at_s.copy()
        _live(model, _DAY_S, hbm_c, traffic)
        rows = model.truth.take()
        replaced = rows["kind"] == CODE_OF_KIND[MemoryTruth.REPLACED]
        installed_at_s[rows["chip"][replaced]] = begins_s + _DAY_S
        yield Day(rows=rows, begins_s=begins_s, hbm_c=hbm_c, installed_at_s=before)


def _live(model: HbmModel, dt_s: float, hbm_c: Floats, traffic_ratio: Floats) -> None:
    nothing = np.zeros(model.chips)
    events = model.step(
        dt_s,
        powered=np.ones(model.chips, dtype=np.bool_),
        hbm_c=hbm_c,
        hbm_ratio=traffic_ratio,
        storm_per_s=nothing,
        decay_ratio=nothing,
    )
    model.reload(events.chips)
    model.replace(np.flatnonzero(model.dead))


def _expected(settings: HbmSettings, day: Day) -> float:
    """Uncorrected errors in a day by the published rate alone: nothing of the model is used."""
    arrivals = settings.arrivals
    generation = Generation.TRN3_GEN2
    gb = generation_settings(generation).chip.hbm_bytes / 1e9
    per_h = settings.generations[generation].uncorrected_fit_per_gb * 1e-9 * gb
    reference = 1.0 / (arrivals.reference_c + 273.15) - 1.0 / (day.hbm_c + 273.15)
    heat = np.exp(arrivals.activation_ev / _BOLTZMANN_EV_PER_K * reference)
    young = day.begins_s - day.installed_at_s < arrivals.infant_s
    age = np.where(young, arrivals.infant_factor, 1.0)
    return float((heat * age).sum() * per_h * _DAY_S / _S_PER_H)


def _step_ratio(
    settings: HbmSettings, fleet_map: FleetMap, rng: np.random.Generator
) -> tuple[float, float]:
    """Uncorrected errors in hourly steps over those in daily ones, at 95 °C, and how much chance
    alone spreads that. Without frailty, whose luck of the draw would hide a bias.
    """
    even = replace(settings, arrivals=replace(settings.arrivals, frailty_sigma=0.0))
    memory, days = chip_memory(fleet_map, settings), 30
    counts = []
    for steps_a_day in (24, 1):
        model = HbmModel(even, memory, rng, truth=TruthLog(most=_KEPT_ROWS))
        found = 0
        for _ in range(days * steps_a_day):
            hot_c, busy = np.full(model.chips, 95.0), np.ones(model.chips)
            _live(model, _DAY_S / steps_a_day, hot_c, busy)
            kinds = model.truth.take()["kind"]
            found += int((kinds == CODE_OF_KIND[MemoryTruth.UNCORRECTED]).sum())
        counts.append(found)
    hourly, daily = counts
    return hourly / daily, float(np.sqrt(1.0 / hourly + 1.0 / daily))
