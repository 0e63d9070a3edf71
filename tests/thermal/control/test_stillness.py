"""Sound sensors repeat themselves by chance, frozen ones for ever."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from thermal.control import stillness
from thermal.control.stillness import Stillness, StillnessSettings

SETTINGS = StillnessSettings()


class Display:
    """A sensor at rest."""

    def __init__(self, seed: int, *, noise_k: float = SETTINGS.noise_k, step_k: float = 0.1):
        self.rng = np.random.default_rng(seed)
        self.noise_k, self.step_k = noise_k, step_k
        self.second, self.state = 0.0, Stillness()

    def run(self, truth_c: float, seconds: int) -> NDArray[np.float64]:
        """Evidence against it, second by second."""
        noisy = truth_c + self.rng.normal(0.0, self.noise_k, seconds)
        against = []
        for shown_c in (np.round(noisy / self.step_k) * self.step_k).tolist():
            self.second += 1.0
            self.state = stillness.observe(SETTINGS, self.state, shown_c, self.second, 0.0)
            against.append(self.state.against_log_ratio)
        return np.array(against)


@settings(max_examples=10)
@given(st.floats(39.9, 40.1), st.integers(0, 1000))
def test_an_hour_of_rest_is_no_stillness(truth_c: float, seed: int) -> None:
    assert Display(seed).run(truth_c, 3600).max() < SETTINGS.enough_log_ratio


def test_sound_sensors_stand_as_still_as_rarely_as_it_says() -> None:
    """Of all runs a share of e^-L reaches L where a sensor rests in the middle of its step, where
    it repeats itself most, and hardly more for what it does not know of the noise.
    """
    for truth_c, most in ((40.0, 2.0), (40.03, 1.0)):
        against = np.concatenate([Display(seed).run(truth_c, 4000) for seed in range(8)])
        runs = against[:-1][np.diff(against) < 0.0]
        assert len(runs) > 3000
        for level in (2.0, 4.0, 6.0):
            assert (runs >= level).mean() < most * math.exp(-level)


def test_a_frozen_sensor_is_told_within_a_minute_and_sooner_the_further_it_is_off() -> None:
    def told_s(off: float) -> int:
        state = Stillness()
        for second in range(100):
            state = stillness.observe(SETTINGS, state, 40.0, float(second), off)
            if state.against_log_ratio >= SETTINGS.enough_log_ratio:
                return second
        return 100

    assert 35 < told_s(0.0) < 45
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
    nats = stillness.repeated_log_ratio(off, 0.05, 0.1)
    assert nats >= stillness.repeated_log_ratio(0.0, 0.05, 0.1) == pytest.approx(0.3817, abs=1e-3)


def test_a_quiet_sensor_and_a_coarse_one_are_judged_by_their_own_record() -> None:
    for noise_k, step_k in ((0.005, 0.1), (0.05, 1.0)):
        odd = Display(3, noise_k=noise_k, step_k=step_k)
        for minute in range(60):
            odd.run(40.0 + 1.5 * math.sin(minute / 5.0), 60)
        # As still as no sensor of the data sheet is.
        assert odd.run(40.0, 120).max() < SETTINGS.enough_log_ratio


def test_a_frozen_sensor_does_not_teach_that_it_is_quiet() -> None:
    sound = Display(4)
    sound.run(40.0, 1200)
    before = sound.state.scatter_squares
    sound.noise_k = 0.0
    assert sound.run(40.0, 3600)[-1] > SETTINGS.enough_log_ratio
    assert sound.state.scatter_squares > 0.9 * before
