import pytest
from hypothesis import given
from hypothesis import strategies as st

from thermal.valve import (
    ValveSettings,
    coefficient_ratio,
    flow_ratio,
    next_position,
    position_for_flow,
)

VALVE = ValveSettings()
ratios = st.floats(0.0, 1.0)


@given(ratios)
def test_the_inverse_returns_the_position(position: float) -> None:
    assert position_for_flow(VALVE, flow_ratio(VALVE, position)) == pytest.approx(
        position, abs=1e-6
    )


@given(ratios, ratios)
def test_opening_never_lowers_the_flow(one: float, other: float) -> None:
    low, high = sorted((one, other))
    assert flow_ratio(VALVE, low) <= flow_ratio(VALVE, high)


def test_equal_steps_of_travel_multiply_the_coefficient_equally() -> None:
    steps = [coefficient_ratio(VALVE, position) for position in (0.2, 0.4, 0.6, 0.8)]
    assert steps[1] / steps[0] == pytest.approx(steps[3] / steps[2])
    assert coefficient_ratio(VALVE, 1.0) == 1.0
    assert coefficient_ratio(VALVE, 0.0) == 0.0


@given(ratios, st.floats(-2.0, 3.0), st.floats(0.01, 60.0))
def test_position_stays_in_bounds_and_within_the_stroke(
    position: float, command: float, dt_s: float
) -> None:
    after = next_position(VALVE, position, command, dt_s)
    assert 0.0 <= after <= 1.0
    assert abs(after - position) <= dt_s / VALVE.stroke_s + 1e-12


def test_commands_inside_the_dead_band_do_not_move_it() -> None:
    assert next_position(VALVE, 0.5, 0.5 + 0.9 * VALVE.dead_band_ratio, 10.0) == 0.5
    assert next_position(VALVE, 0.5, 0.52, 10.0) == pytest.approx(0.52)
