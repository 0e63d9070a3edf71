import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from thermal.coil import (
    CoilSettings,
    air_w_per_k,
    effectiveness,
    exchanged_w,
    fan_power_w,
    ua_w_per_k,
)
from thermal.coolant import w_per_k

COIL = CoilSettings()


def heat_w(
    *, liquid_in_c: float = 49.0, liquid_lpm: float = 540.0, fan: float = 1.0, dirt: float = 0.0
) -> float:
    return exchanged_w(
        COIL,
        liquid_in_c=liquid_in_c,
        air_in_c=27.0,
        liquid_lpm=liquid_lpm,
        liquid_w_per_k=w_per_k(liquid_lpm, 44.0),
        fan_ratio=fan,
        fouling_ratio=dirt,
    )


def test_the_design_point_carries_its_heat() -> None:
    assert heat_w() == pytest.approx(360e3, rel=0.02)


def series(ntu: float, ratio: float) -> float:
    """The exact solution of cross-flow with both sides unmixed (Nusselt, 1930)."""

    def beyond(x: float, terms: int) -> float:
        return 1.0 - math.exp(-x) * sum(x**m / math.factorial(m) for m in range(terms + 1))

    total = sum(beyond(ntu, n) * beyond(ratio * ntu, n) for n in range(60))
    return total / (ratio * ntu)


@pytest.mark.parametrize("ntu", [0.25, 1.0, 2.0, 4.0, 6.0])
@pytest.mark.parametrize("ratio", [0.01, 0.5, 0.75, 1.0])
def test_effectiveness_is_near_the_exact_series(ntu: float, ratio: float) -> None:
    assert effectiveness(ntu, ratio) == pytest.approx(series(ntu, ratio), rel=0.04)


@given(st.floats(0.0, 50.0), st.floats(0.0, 1.0))
def test_no_coil_is_better_than_perfect(ntu: float, ratio: float) -> None:
    assert 0.0 <= effectiveness(ntu, ratio) <= 1.0


def test_more_air_and_more_coolant_carry_more_and_dirt_less() -> None:
    assert heat_w(fan=0.5) < heat_w(fan=0.8) < heat_w()
    assert heat_w(liquid_lpm=200.0) < heat_w()
    assert heat_w(dirt=0.3) < heat_w()
    assert ua_w_per_k(COIL, 540.0, 1.0, 0.3) == pytest.approx(0.7 * COIL.ua_w_per_k)


def test_without_coolant_nothing_is_carried() -> None:
    assert heat_w(liquid_lpm=0.0) == pytest.approx(0.0, abs=1e-3)


def test_stopped_fans_leave_a_draught() -> None:
    assert 0.0 < heat_w(fan=0.0) < 0.05 * heat_w()
    assert fan_power_w(COIL, 0.0) == 0.0
    assert air_w_per_k(COIL, 0.0) == pytest.approx(0.03 * COIL.air_nominal_w_per_k)


def test_fan_power_is_the_cube_of_speed() -> None:
    assert fan_power_w(COIL, 0.5) == pytest.approx(COIL.fan_rated_w / 8.0)


def test_warm_air_heats_cold_water() -> None:
    assert heat_w(liquid_in_c=10.0) < 0.0


@given(st.floats(30.0, 80.0), st.floats(0.0, 1.0), st.floats(0.0, 1000.0))
def test_outlets_never_pass_the_other_inlet(liquid_c: float, fan: float, lpm: float) -> None:
    heat = heat_w(liquid_in_c=liquid_c, liquid_lpm=lpm, fan=fan)
    assert heat <= w_per_k(lpm, 44.0) * (liquid_c - 27.0) + 1e-3
    assert heat <= air_w_per_k(COIL, fan) * (liquid_c - 27.0) + 1e-3


def test_a_coil_of_half_the_size_carries_half() -> None:
    half = COIL.scaled(0.5)
    lpm = np.array([270.0, 135.0])
    both = exchanged_w(
        half,
        liquid_in_c=np.full(2, 49.0),
        air_in_c=np.full(2, 27.0),
        liquid_lpm=lpm,
        liquid_w_per_k=w_per_k(lpm, np.full(2, 44.0)),
        fan_ratio=np.ones(2),
        fouling_ratio=np.zeros(2),
    )
    assert both == pytest.approx([0.5 * heat_w(), 0.5 * heat_w(liquid_lpm=270.0)])
    assert fan_power_w(half, 1.0) == pytest.approx(0.5 * COIL.fan_rated_w)
