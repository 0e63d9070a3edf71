"""Sound sensors repeat themselves by chance, frozen ones for ever."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from thermal.control import stillness
from thermal.control.stillness import Stillness, StillnessSettings

SETTINGS = StillnessSettings()


def most_log_ratio(truth_c: float, seconds: int, seed: int) -> float:
    """Of a sound sensor at rest."""
    rng, state, most = np.random.default_rng(seed), Stillness(), 0.0
    shown = np.round((truth_c + rng.normal(0.0, SETTINGS.noise_k, seconds)) / 0.1) * 0.1
    for second, value in enumerate(shown.tolist()):
        state = stillness.observe(SETTINGS, state, value, float(second), 0.0)
        most = max(most, state.against_log_ratio)
    return most


@settings(max_examples=10, deadline=None)
@given(st.floats(39.9, 40.1), st.integers(0, 1000))
def test_an_hour_of_rest_is_no_stillness(truth_c: float, seed: int) -> None:
    assert most_log_ratio(truth_c, 3600, seed) < 0.75 * SETTINGS.enough_log_ratio


def test_a_frozen_sensor_is_told_within_a_minute_and_sooner_the_further_it_is_off() -> None:
    def told_s(off: float) -> int:
        state = Stillness()
        for second in range(100):
            state = stillness.observe(SETTINGS, state, 40.0, float(second), off)
            if state.against_log_ratio >= SETTINGS.enough_log_ratio:
                return second
        return 100

    assert 40 < told_s(0.0) < 60
    assert [told_s(off) for off in (0.1, 0.2, 1.0)] == sorted(
        (told_s(off) for off in (0.1, 0.2, 1.0)), reverse=True
    )
    # One reading alone never proves it, however far it is off.
    assert told_s(1.0) == 4


def test_to_move_takes_all_back_and_old_news_is_none() -> None:
    state = Stillness()
    for second in range(30):
        state = stillness.observe(SETTINGS, state, 40.0, float(second), 0.0)
    assert state.against_log_ratio > 5.0
    assert stillness.observe(SETTINGS, state, 40.0, 29.0, 1.0) == state
    assert stillness.observe(SETTINGS, state, 40.1, 30.0, 1.0).against_log_ratio == 0.0
    silent = stillness.observe(SETTINGS, state, math.nan, 30.0, 1.0)
    assert stillness.observe(SETTINGS, silent, math.nan, 31.0, 1.0).against_log_ratio == 0.0


@given(st.floats(0.0, 100.0))
def test_what_a_repetition_says_is_a_chance(off: float) -> None:
    nats = stillness.repeated_log_ratio(SETTINGS, off)
    assert nats >= stillness.repeated_log_ratio(SETTINGS, 0.0) == pytest.approx(0.3817, abs=1e-3)
