from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from thermal.facility import (
    ChillerSettings,
    FacilitySettings,
    HeatRejection,
    Rejection,
    RejectionSettings,
    fan_for_supply,
    fan_power_w,
    free_supply_c,
    next_supply_c,
    reject,
)

TOWER = FacilitySettings()
COOLER = TOWER.cooler
DRY = FacilitySettings(
    rejection=HeatRejection.DRY_COOLER, cooler=RejectionSettings(approach_k=10.0)
)
CHILLED = replace(TOWER, chiller=ChillerSettings(), setpoint_c=18.0)
RATED_W = 1e6


def settled(
    settings: FacilitySettings,
    *,
    wet_bulb_c: float = 26.0,
    dry_bulb_c: float = 34.0,
    heat_w: float = RATED_W,
    fan_limit_ratio: float = 1.0,
) -> Rejection[float]:
    return reject(
        settings,
        dry_bulb_c=dry_bulb_c,
        wet_bulb_c=wet_bulb_c,
        heat_w=heat_w,
        rated_w=RATED_W,
        fan_limit_ratio=fan_limit_ratio,
    )


def test_a_tower_follows_the_wet_bulb_one_to_one() -> None:
    mild = settled(TOWER, wet_bulb_c=18.0)
    assert mild.supply_c == pytest.approx(18.0 + COOLER.approach_k)
    assert settled(TOWER, wet_bulb_c=26.0).supply_c - mild.supply_c == pytest.approx(8.0)
    assert settled(TOWER, dry_bulb_c=45.0) == settled(TOWER)


def test_a_dry_cooler_follows_the_dry_bulb() -> None:
    assert settled(DRY).supply_c == pytest.approx(34.0 + 10.0)
    assert settled(DRY, wet_bulb_c=10.0) == settled(DRY)


def test_the_approach_grows_with_the_heat_but_never_vanishes() -> None:
    idle, most, full = (
        settled(TOWER, heat_w=heat_w).supply_c for heat_w in (0.0, 0.75 * RATED_W, RATED_W)
    )
    assert 26.0 < idle < most < full


def test_fans_slow_down_at_the_setpoint_and_power_falls_with_the_cube() -> None:
    cold = settled(TOWER, wet_bulb_c=10.0)
    assert cold.supply_c == pytest.approx(TOWER.setpoint_c)
    assert 0.0 < cold.fan_ratio < 1.0
    assert cold.fan_power_w == pytest.approx(COOLER.fan_w_per_w * RATED_W * cold.fan_ratio**3)
    assert settled(TOWER).fan_power_w == pytest.approx(12_600.0)


def test_frost_stops_the_fans_and_leaves_natural_draught() -> None:
    frost = settled(TOWER, wet_bulb_c=-25.0, heat_w=0.5 * RATED_W)
    assert frost.fan_ratio == 0.0
    assert frost.supply_c < TOWER.setpoint_c


def test_without_power_for_the_fans_the_water_warms() -> None:
    still = settled(TOWER, fan_limit_ratio=0.0)
    assert still.fan_power_w == 0.0
    assert still.supply_c - 26.0 == pytest.approx(COOLER.approach_k * 10.0**COOLER.fan_exponent)


def test_a_chiller_takes_only_what_free_cooling_leaves() -> None:
    hot, mild, cold = (settled(CHILLED, wet_bulb_c=w) for w in (26.0, 16.0, 8.0))
    assert hot.supply_c == mild.supply_c == CHILLED.setpoint_c
    assert hot.chiller_power_w == pytest.approx(RATED_W / 5.0)
    assert 0.0 < mild.chiller_power_w < hot.chiller_power_w
    assert cold.chiller_power_w == 0.0


@given(st.floats(-10, 30), st.floats(0.0, 1.5), st.floats(0.15, 1.0))
def test_fan_speed_is_the_inverse_of_supply(outdoor_c: float, load: float, fan: float) -> None:
    supply_c = free_supply_c(COOLER, outdoor_c, load, fan)
    assert fan_for_supply(COOLER, outdoor_c, load, supply_c) == pytest.approx(fan, abs=1e-9)


@given(st.floats(-20, 35), st.floats(0.0, 1.5))
def test_more_air_is_never_warmer(outdoor_c: float, load: float) -> None:
    speeds = np.linspace(0.0, 1.0, 21)
    supply = free_supply_c(COOLER, np.full(21, outdoor_c), np.full(21, load), speeds)
    assert np.all(np.diff(supply) <= 0.0)
    assert np.all(np.diff(fan_power_w(COOLER, np.full(21, RATED_W), speeds)) >= 0.0)


@pytest.mark.parametrize("settings", [TOWER, DRY, CHILLED])
def test_loops_in_arrays_settle_as_they_do_alone(settings: FacilitySettings) -> None:
    rng = np.random.default_rng(7)
    wet_c, heat_w = rng.uniform(-5, 28, 9), rng.uniform(0, 1.2e6, 9)
    limit = rng.integers(0, 2, 9).astype(float)
    together = reject(
        settings,
        dry_bulb_c=wet_c + 6.0,
        wet_bulb_c=wet_c,
        heat_w=heat_w,
        rated_w=np.full(9, RATED_W),
        fan_limit_ratio=limit,
    )
    for row in range(9):
        alone = settled(
            settings,
            wet_bulb_c=float(wet_c[row]),
            dry_bulb_c=float(wet_c[row]) + 6.0,
            heat_w=float(heat_w[row]),
            fan_limit_ratio=float(limit[row]),
        )
        for name in ("supply_c", "fan_ratio", "fan_power_w", "chiller_power_w"):
            assert getattr(together, name)[row] == pytest.approx(getattr(alone, name))


def test_the_basin_closes_63_percent_of_a_small_gap_in_its_time_constant() -> None:
    now_c = 20.0
    for _ in range(120):
        now_c = next_supply_c(TOWER, now_c, 22.0, TOWER.basin_s / 120)
    assert now_c == pytest.approx(21.264, abs=0.001)


def test_the_basin_moves_no_faster_than_its_ramp() -> None:
    assert next_supply_c(TOWER, 20.0, 60.0, 10.0) == pytest.approx(20.25)
    assert next_supply_c(TOWER, 20.0, -60.0, 10.0) == pytest.approx(19.75)
