import numpy as np
import pytest

from emulator.hbm import EccModel, HbmSettings, corrected_factor, hard_factor

SETTINGS = HbmSettings()
CHIPS = 4_000


def run(model: EccModel, *, hours: float, hbm_c: float, storm_per_s: float = 0.0) -> int:
    failed = model.step(
        hours * 3600.0,
        powered=np.ones(CHIPS, dtype=np.bool_),
        hbm_c=np.full(CHIPS, hbm_c),
        hbm_ratio=np.ones(CHIPS),
        storm_per_s=np.full(CHIPS, storm_per_s),
    )
    return int(failed.sum())


def model_of(seed: int = 1, settings: HbmSettings = SETTINGS) -> EccModel:
    return EccModel(settings, chips=CHIPS, rng=np.random.default_rng(seed))


@pytest.mark.parametrize(("at_c", "factor"), [(55, 0.53), (65, 1.0), (75, 1.81), (95, 5.35)])
def test_hard_faults_follow_the_arrhenius_table(at_c: float, factor: float) -> None:
    assert hard_factor(SETTINGS, np.array([at_c]))[0] == pytest.approx(factor, rel=0.02)


def test_corrected_errors_double_every_ten_kelvin_above_the_reference() -> None:
    factors = corrected_factor(SETTINGS, np.array([40.0, 75.0, 85.0, 95.0]))

    assert factors.tolist() == pytest.approx([1.0, 1.0, 2.0, 4.0])


def test_only_weak_chips_emit_corrected_errors() -> None:
    model = model_of()
    run(model, hours=24.0, hbm_c=70.0)

    emitting = model.hbm_corrected > 0
    assert (model.corrected_per_h[emitting] > 0.0).all()
    assert emitting.mean() == pytest.approx(SETTINGS.weak_ratio, rel=0.4)


def test_a_hot_memory_emits_more() -> None:
    cool, hot = model_of(), model_of()
    run(cool, hours=24.0, hbm_c=75.0)
    run(hot, hours=24.0, hbm_c=95.0)

    ratio = hot.hbm_corrected.sum() / cool.hbm_corrected.sum()
    assert ratio == pytest.approx(4.0, rel=0.1)


def test_uncorrected_errors_are_rare_and_reported_with_their_chip() -> None:
    model = model_of()
    failed = run(model, hours=1_000.0, hbm_c=65.0)

    expected = CHIPS * 1_000.0 * SETTINGS.uncorrected_per_h
    assert model.hbm_uncorrected.sum() == pytest.approx(expected, rel=0.4)
    assert failed == int((model.hbm_uncorrected + model.sram_uncorrected > 0).sum())


def test_a_storm_adds_errors_at_its_rate() -> None:
    model = model_of(settings=HbmSettings(weak_ratio=0.0))
    run(model, hours=10.0 / 3600.0, hbm_c=60.0, storm_per_s=50.0)

    assert model.hbm_corrected.mean() == pytest.approx(500.0, rel=0.02)


def test_chips_without_power_have_no_errors() -> None:
    model = model_of()
    model.step(
        3.6e9,
        powered=np.zeros(CHIPS, dtype=np.bool_),
        hbm_c=np.full(CHIPS, 90.0),
        hbm_ratio=np.ones(CHIPS),
        storm_per_s=np.full(CHIPS, 50.0),
    )

    assert not model.hbm_corrected.any()
    assert not model.hbm_uncorrected.any()


def test_equal_seeds_give_equal_errors() -> None:
    first, second, other = model_of(3), model_of(3), model_of(4)
    for model in (first, second, other):
        run(model, hours=48.0, hbm_c=80.0)

    assert first.hbm_corrected.tolist() == second.hbm_corrected.tolist()
    assert first.hbm_corrected.tolist() != other.hbm_corrected.tolist()
