"""What identification makes of the emulator's plant, whose truth is known, by noisy sensors."""

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from tests.thermal.model.shown import Watched
from thermal.model import identity, plates
from thermal.model.identity import Identified, IdentitySettings, LoopIdentity
from thermal.model.loop_fit import Learnt, LoopFitSettings, LoopSight
from thermal.model.plates import PlateFit, PlateFitSettings, PlateSight
from thermal.model.settings import LoopModelSettings
from thermal.plant.settings import PlantSettings

PLANT = replace(PlantSettings(), longest_step_s=1.0)
LEAKAGE_W = 150.0
WORN_CHIP = 17


@pytest.fixture(scope="module")
def learnt() -> Watched:
    """Half an hour of loads and valve positions, and a facility that swings in its last part."""
    watched = Watched(PLANT, seed=21, leakage_w=LEAKAGE_W)
    for load_ratio, valve_ratio in ((0.9, 0.8), (0.9, 0.7), (0.5, 0.6), (0.75, 0.75), (0.6, 0.7)):
        watched.load_ratio, watched.valve_ratio = load_ratio, valve_ratio
        watched.run(300)
    watched.wave_k = 2.0
    return watched.run(300)


def test_each_chips_resistance_is_found(learnt: Watched) -> None:
    fit = learnt.identity.plates
    error = fit.resistance_k_per_w / learnt.truth_k_per_w - 1.0
    sigma = fit.sigma_k_per_w(learnt.learning.plates) / learnt.truth_k_per_w
    assert np.abs(error).max() < 0.08
    assert np.median(np.abs(error) / sigma) < 3.0
    # The spread of built plates (3 %) is told from chip to chip, beyond what all have in common.
    assert np.corrcoef(fit.resistance_k_per_w, learnt.truth_k_per_w)[0, 1] > 0.6


def test_the_loops_figures_are_found_within_their_uncertainty(learnt: Watched) -> None:
    told = learnt.told
    assert abs(told.ua_ratio - 1.0) < 3.0 * told.ua_sigma < 0.4
    # Couplings age by 15 % in the mean, of a share of 8 % of the pressure.
    assert abs(told.flow_resistance_ratio - 1.02) < 3.0 * told.flow_resistance_sigma < 0.1
    # Header 54 l at 540 l/min, hoses 2 s.
    assert told.transit_s == pytest.approx(8.0, abs=2.0)
    leaking = LEAKAGE_W / 1e3 * np.exp(0.016 * (learnt.identity.leakage.junction_c - 85.0))
    assert abs(told.leakage_share - leaking) < 4.0 * told.leakage_sigma < 0.05


def test_nothing_healthy_is_called_worn(learnt: Watched) -> None:
    assert learnt.told.worn_chips == 0
    assert not learnt.told.fouled(learnt.learning)


def test_wear_is_told_from_how_the_loop_was_built() -> None:
    watched = Watched(PLANT, seed=22)
    for load_ratio in (1.0, 0.8):
        watched.load_ratio = load_ratio
        watched.run(500)
    ratio = np.ones(288, np.float32)
    ratio[WORN_CHIP] = 1.2
    watched.strike(chip_resistance_ratio=ratio, fouling_ratio=0.15)
    told = watched.run(1_800).told
    assert told.worst_chip == WORN_CHIP
    assert told.worn_chips == 1
    assert told.plate_drift_ratio == pytest.approx(0.116, abs=0.03)
    assert told.ua_drift_ratio < -0.05


def test_an_exchanger_that_was_fouled_before_it_was_seen_is_told_from_its_data_sheet() -> None:
    for lost_ratio, seed in ((0.35, 23), (0.0, 24)):
        watched = Watched(PLANT, seed=seed)
        watched.strike(fouling_ratio=lost_ratio)
        for load_ratio in (1.0, 0.75):
            watched.load_ratio = load_ratio
            watched.run(400)
        assert watched.told.short(watched.learning, watched.model) == (lost_ratio > 0.0)
        assert not watched.told.fouled(watched.learning)


def test_what_was_cleaned_is_as_built_from_then_on() -> None:
    settings = LoopFitSettings()
    dirty = Learnt(
        built_log_ratio=-0.3, bias_k=0.1, covariance=(1e-3, 0.0, 1e-2), lessons_count=60.0
    )
    cleaned = replace(dirty, drift_log_ratio=0.25)
    renewed = cleaned.renewed(settings, 0.08)
    assert renewed.value_ratio == pytest.approx(cleaned.value_ratio)
    assert math.isnan(renewed.drift_ratio(settings))
    assert renewed.bias_k == dirty.bias_k
    for other in (
        dirty,
        replace(dirty, drift_log_ratio=-0.25),
        replace(cleaned, lessons_count=3.0),
        replace(cleaned, drift_log_ratio=0.09, scatter_squares=0.05),
    ):
        assert other.renewed(settings, 0.08) is other


def test_a_renewed_plate_is_as_built_from_then_on_and_a_worn_one_is_not() -> None:
    settings = PlateFitSettings()
    unknown = PlateFit.unknown(settings, LoopModelSettings(), 4)
    seen = replace(
        unknown,
        power_w=np.full(4, 900.0),
        drift_ratio=np.array([-0.15, 0.15, -0.15, -0.02]),
        lessons_count=np.array([40.0, 40.0, 0.0, 40.0]),
    )
    fit = seen.renewed(settings, 0.08)
    np.testing.assert_allclose(fit.resistance_k_per_w, seen.resistance_k_per_w)
    assert fit.drift_ratio.tolist() == [0.0, 0.15, -0.15, -0.02]
    assert fit.lessons_count.tolist() == [0.0, 40.0, 0.0, 40.0]
    assert unknown.renewed(settings, 0.08) is unknown


def test_forgotten_chips_are_unknown_and_others_keep_everything() -> None:
    settings = IdentitySettings()
    model = LoopModelSettings()
    unknown = LoopIdentity.unknown(settings, model, 3)
    sevens: dict[str, Any] = {name: np.full(3, 7.0) for name in plates._OF_CHIPS}
    known = replace(
        unknown,
        plates=replace(
            unknown.plates,
            covariance=(np.full(3, 7.0), np.full(3, 7.0), np.full(3, 7.0)),
            **sevens,
        ),
    )
    left = identity.forgotten(settings, model, known, np.array([False, True, False])).plates
    for name in plates._OF_CHIPS:
        column, fresh = getattr(left, name), getattr(unknown.plates, name)
        np.testing.assert_array_equal(column, [7.0, fresh[1], 7.0])
    for column, fresh in zip(left.covariance, unknown.plates.covariance, strict=True):
        np.testing.assert_array_equal(column, [7.0, fresh[1], 7.0])
    arrays = {name for name in PlateFit.__slots__ if isinstance(getattr(left, name), np.ndarray)}
    assert arrays == set(plates._OF_CHIPS)


def test_a_narrower_loop_resists_more() -> None:
    watched = Watched(PLANT, seed=23)
    before = watched.run(400).told.flow_resistance_ratio
    blocked = np.zeros(72, np.float32)
    blocked[:24] = 0.5
    watched.strike(sled_blockage_ratio=blocked)
    after = watched.run(400).told
    assert after.flow_resistance_ratio > before
    assert after.flow_resistance_drift_ratio > 0.02


def test_silence_teaches_nothing() -> None:
    settings, model = IdentitySettings(), LoopModelSettings()
    unknown = LoopIdentity.unknown(settings, model, 8)
    nothing = LoopSight(
        supply_c=np.nan,
        return_c=np.nan,
        flow_lpm=np.nan,
        dp_kpa=np.nan,
        primary_supply_c=np.nan,
        primary_return_c=np.nan,
        inlet_c=np.nan,
    )
    after = unknown
    for _ in range(200):
        after = identity.learn(
            settings,
            model,
            after,
            chips=PlateSight.silent(8),
            loop=nothing,
            busy_ratio=np.nan,
            dt_s=1.0,
        )
    told = identity.summary(settings, model, after)
    assert np.isnan(told.ua_ratio)
    assert np.isnan(told.plate_ratio)
    assert told.worn_chips == Identified().worn_chips
    np.testing.assert_array_equal(after.plates.built_k_per_w, unknown.plates.built_k_per_w)


def test_lessons_narrow_what_is_believed_and_gaps_do_not_harm() -> None:
    settings, model = PlateFitSettings(), LoopModelSettings()
    fit = PlateFit.unknown(settings, model, 2)
    wide = fit.sigma_k_per_w(settings).copy()
    for second in range(600):
        power_w = np.array([900.0, np.nan if 200 <= second < 260 else 900.0])
        sight = PlateSight(
            junction_c=40.0 + 0.5 * power_w / 66.8 / 1.4 + 0.03 * power_w,
            power_w=power_w,
            inlet_c=np.full(2, 40.0),
            flow_lpm=np.full(2, 1.4),
        )
        fit = plates.learn(settings, fit, sight, 1.0)
    narrow = fit.sigma_k_per_w(settings)
    assert (narrow < 0.3 * wide).all()
    rise_k = fit.built_k_per_w * (1.0 + fit.drift_ratio) * 900.0 + fit.offset_k
    np.testing.assert_allclose(rise_k, 27.0, rtol=0.01)
