"""Facility water behind a sensor that lags, against courses whose truth is known."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from thermal.arrays import FloatArray
from thermal.model import facility_water
from thermal.model.facility_water import FacilityWater, FacilityWaterSettings

SETTINGS = FacilityWaterSettings()
LAG_S = 3.0


def watched(course_c: FloatArray, *, noise_k: float = 0.0, every: int = 1) -> list[FacilityWater]:
    """The filter behind a sensor of this lag, its figures heard every so many seconds."""
    rng = np.random.default_rng(7)
    sensed_c, state, states = float(course_c[0]), FacilityWater(), []
    for second, water_c in enumerate(course_c):
        sensed_c -= (water_c - sensed_c) * np.expm1(-1.0 / LAG_S)
        if second % every == 0:
            shown_c = sensed_c + noise_k * rng.standard_normal()
            state = facility_water.watched(SETTINGS, state, shown_c, sensor_s=LAG_S, seconds=every)
            states.append(state)
    return states


@pytest.mark.parametrize("every", [1, 3])
def test_a_leap_is_seen_before_its_sensor_is_there(every: int) -> None:
    course = np.where(np.arange(60) < 30, 30.0, 34.0)
    states = watched(course, noise_k=0.05, every=every)
    at = -(-30 // every)
    assert states[at - 1].water_c == pytest.approx(30.0, abs=0.1)
    # In its first figure already, if that is not the one of the leap's own second.
    assert states[at + (every > 1)].water_c == pytest.approx(34.0, abs=0.7)
    assert states[-1].water_c == pytest.approx(34.0, abs=0.1)
    # A leap is no rate: nobody is to expect the next one.
    assert abs(states[at + 3].rate_k_per_s) < 0.02


def test_a_ramp_goes_on_and_then_fades() -> None:
    course = 30.0 + np.arange(120) / 30.0
    last = watched(course, noise_k=0.05)[-1]
    assert last.rate_k_per_s == pytest.approx(1.0 / 30.0, rel=0.25)
    # The sensor lags by a tenth of a kelvin: the water is not taken for what it shows.
    assert last.water_c == pytest.approx(course[-1], abs=0.05)
    soon, later = last.coming_c(SETTINGS, np.array([10.0, 600.0])) - last.water_c
    assert soon == pytest.approx(10.0 / 30.0, rel=0.3)
    assert later <= SETTINGS.kept_s * last.rate_k_per_s + 1e-9


@given(st.floats(5.0, 45.0))
def test_still_water_stays_where_it_is(water_c: float) -> None:
    last = watched(np.full(40, water_c))[-1]
    assert last.water_c == pytest.approx(water_c)
    assert last.coming_c(SETTINGS, np.arange(1.0, 46.0)) == pytest.approx(water_c)


def test_noise_alone_moves_it_by_less_than_noise() -> None:
    states = watched(np.full(300, 30.0), noise_k=0.06)[60:]
    assert float(np.std([state.water_c for state in states])) < 0.03
    assert max(abs(state.rate_k_per_s) for state in states) < 0.008
