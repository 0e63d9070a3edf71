import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from thermal.control.feedforward import (
    FeedforwardSettings,
    FeedforwardState,
    flow_lpm,
    minimum_flow_lpm,
    observe,
    valve_ratio,
)
from thermal.model.settings import LoopModelSettings

SETTINGS, LOOP = FeedforwardSettings(), LoopModelSettings()


def valve(state: FeedforwardState) -> float:
    return valve_ratio(state, setpoint_c=40.0, facility_c=31.0, flow_lpm=540.0, loop=LOOP)


def test_knowing_nothing_opens_the_valve() -> None:
    assert valve(FeedforwardState()) == 1.0


def test_the_first_reading_is_believed_at_once_and_later_ones_gradually() -> None:
    state = observe(SETTINGS, FeedforwardState(), 100e3, 1.0)
    assert state.heat_w == 100e3
    for _ in range(10):
        state = observe(SETTINGS, state, 300e3, 1.0)
    assert state.heat_w == pytest.approx(100e3 + 200e3 * (1 - math.exp(-1.0)))


def test_a_missing_reading_changes_nothing() -> None:
    state = FeedforwardState(heat_w=100e3)
    assert observe(SETTINGS, state, math.nan, 1.0) is state


def test_swings_faster_than_the_stroke_are_mostly_filtered_out() -> None:
    state, positions = FeedforwardState(heat_w=250e3), []
    for second in range(80):
        state = observe(SETTINGS, state, 150e3 if second % 8 < 4 else 350e3, 1.0)
        positions.append(valve(state))
    raw = valve(FeedforwardState(heat_w=350e3)) - valve(FeedforwardState(heat_w=150e3))
    assert max(positions[40:]) - min(positions[40:]) < 0.35 * raw


@given(st.floats(0.0, 4e5), st.floats(20.0, 50.0))
def test_flow_keeps_the_return_under_its_cap(heat_w: float, setpoint_c: float) -> None:
    wanted = flow_lpm(SETTINGS, heat_w, setpoint_c)
    assert wanted >= minimum_flow_lpm(SETTINGS, heat_w, setpoint_c) - 1e-9
