import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from thermal.control.pid import PidGains, PidState, scaled, step, transfer

GAINS = PidGains(proportional_per_k=0.05, integral_per_k_s=0.0025, derivative_s_per_k=0.1)
errors = st.floats(-50.0, 50.0)
outputs = st.floats(0.0, 1.0)


@given(st.lists(st.tuples(errors, outputs), max_size=50), st.floats(0.1, 5.0))
def test_output_never_leaves_its_limits(signals: list[tuple[float, float]], dt_s: float) -> None:
    state = PidState()
    for error_k, feedforward in signals:
        output, state = step(GAINS, state, error_k, feedforward, dt_s, 0.1, 0.9)
        assert 0.1 <= output <= 0.9
        assert math.isfinite(state.integral)


def test_the_response_to_a_constant_error_is_the_sum_of_its_parts() -> None:
    gains = PidGains(proportional_per_k=0.1, integral_per_k_s=0.01)
    state = PidState()
    for _ in range(3):
        output, state = step(gains, state, 2.0, 0.25, 1.0, -9.0, 9.0)
    assert output == pytest.approx(0.25 + 0.1 * 2.0 + 0.01 * 2.0 * 3)


@given(outputs, errors, outputs, outputs, st.floats(0.1, 1.0))
def test_transfer_moves_the_output_by_less_than_one_percent(
    held: float, error_k: float, feedforward: float, old_integral: float, dt_s: float
) -> None:
    """For errors up to 2 K; beyond, the integral itself may move faster in a second."""
    error_k = max(-2.0, min(2.0, error_k))
    state = transfer(GAINS, PidState(integral=old_integral), held, error_k, feedforward)
    output, _ = step(GAINS, state, error_k, feedforward, dt_s, 0.0, 1.0)
    assert abs(output - held) < 0.01


@given(st.floats(0.5, 50.0), st.floats(60.0, 3600.0))
def test_ten_minutes_in_saturation_are_forgotten_within_seconds(
    error_k: float, saturated_s: float
) -> None:
    state = PidState()
    for _ in range(int(saturated_s)):
        output, state = step(GAINS, state, error_k, 0.0, 1.0, 0.0, 1.0)
    if output < 1.0:
        return
    # Without back-calculation the integral of an hour would take as long to unwind.
    for _ in range(10):
        output, state = step(GAINS, state, -1.0, 0.0, 1.0, 0.0, 1.0)
    assert output < 1.0


def test_a_slewed_actuator_does_not_wind_the_integral_up() -> None:
    """The rate limit handed in as bounds counts as saturation."""
    state, position = PidState(), 0.0
    for _ in range(20):
        position, state = step(
            GAINS, state, 10.0, 0.0, 1.0, position - 0.01, min(position + 0.01, 1.0)
        )
    assert position == pytest.approx(0.2)
    assert state.integral < 0.35


@pytest.mark.parametrize(("error_k", "feedforward"), [(math.nan, 0.2), (1.0, math.inf)])
def test_a_reading_that_is_not_a_number_leaves_the_memory_alone(
    error_k: float, feedforward: float
) -> None:
    state = PidState(integral=0.4, error_k=0.1)
    output, after = step(GAINS, state, error_k, feedforward, 1.0, 0.0, 1.0)
    assert after == state
    assert output == 0.4


def test_a_schedule_scales_all_gains_and_leaves_the_integral_without_a_bump() -> None:
    state = PidState(integral=0.4)
    before, _ = step(GAINS, state, 0.0, 0.0, 1.0, 0.0, 1.0)
    after, _ = step(scaled(GAINS, 3.0), state, 0.0, 0.0, 1.0, 0.0, 1.0)
    assert before == after
    assert scaled(GAINS, 2.0).derivative_s_per_k == pytest.approx(0.2)
