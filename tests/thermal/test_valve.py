import numpy as np
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
    flow = float(flow_ratio(VALVE, np.array([position]))[0])
    assert position_for_flow(VALVE, flow) == pytest.approx(position, abs=1e-6)


def test_opening_never_lowers_the_flow() -> None:
    assert (np.diff(flow_ratio(VALVE, np.linspace(0.0, 1.0, 1_001))) >= 0.0).all()


def test_equal_steps_of_travel_multiply_the_coefficient_equally() -> None:
    shut, *steps, full = coefficient_ratio(VALVE, np.array([0.0, 0.2, 0.4, 0.6, 0.8, 1.0]))
    assert steps[1] / steps[0] == pytest.approx(steps[3] / steps[2])
    assert (shut, full) == (0.0, 1.0)


def moved(
    position: float, command: float, reach: float, *, moving: bool = False
) -> tuple[float, bool]:
    after, now_moving = next_position(
        VALVE,
        np.array([position]),
        np.array([command]),
        moving=np.array([moving]),
        reach_ratio=np.array([reach]),
    )
    return float(after[0]), bool(now_moving[0])


@given(ratios, st.floats(-2.0, 3.0), st.floats(0.0, 2.0), st.booleans())
def test_position_stays_in_bounds_and_within_reach(
    position: float, command: float, reach: float, moving: bool
) -> None:
    after, _ = moved(position, command, reach, moving=moving)
    assert 0.0 <= after <= 1.0
    assert abs(after - position) <= reach + 1e-12


def test_a_resting_valve_sticks_and_a_moving_one_goes_on_to_its_dead_band() -> None:
    between = 0.5 + 0.5 * (VALVE.dead_band_ratio + VALVE.stiction_ratio)
    assert moved(0.5, between, 1.0) == (0.5, False)
    assert moved(0.5, between, 1.0, moving=True) == pytest.approx((between, True))
    assert moved(0.5, 0.5 + 0.9 * VALVE.dead_band_ratio, 1.0, moving=True) == (0.5, False)
    assert moved(0.5, 0.52, 0.01) == pytest.approx((0.51, True))
