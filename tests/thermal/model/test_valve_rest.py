"""A valve that sticks, watched through feedback with a bias."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from thermal import valve
from thermal.model import valve_rest
from thermal.model.valve_rest import ValveRest, ValveRestSettings
from thermal.valve import ValveSettings

SETTINGS, VALVE = ValveRestSettings(), ValveSettings(stroke_s=60.0)


def told(course: list[float], *, bias: float, at: float = 0.5) -> list[ValveRest]:
    """A real valve under these commands, one a second, seen a second late."""
    position, moving = np.array([at]), np.array([False])
    shown, state, states = [at + bias], ValveRest(), []
    for second, command in enumerate(course):
        position, moving = valve.next_position(
            VALVE, position, np.array([command]), moving=moving, reach_ratio=np.array([1.0 / 60.0])
        )
        shown.append(float(position[0]) + bias)
        state = valve_rest.watched(
            SETTINGS,
            VALVE,
            state,
            shown_ratio=shown[-2],
            told_ratio=command,
            at_s=float(second),
            age_s=1.0,
        )
        states.append(state)
    return states


def test_a_command_in_vain_tells_how_far_the_feedback_is_off() -> None:
    # Shown 0.495, so that 0.508 seems to be beyond the stiction of 0.01.
    (*_, last) = told([0.508] * 10, bias=-0.005)
    assert 0.003 - 1e-9 <= last.off_ratio <= 0.005
    assert valve_rest.at_rest(SETTINGS, last)


@given(st.floats(-0.006, 0.006), st.floats(-0.012, 0.012))
def test_what_is_learnt_never_passes_the_truth(bias: float, way: float) -> None:
    for state in told([0.5 + way] * 8 + [0.5 - way] * 8, bias=bias):
        assert min(-bias, 0.0) - 2e-4 <= state.off_ratio <= max(-bias, 0.0) + 2e-4


def test_a_valve_that_was_just_told_to_move_is_not_at_rest() -> None:
    before, after = told([0.5] * 5 + [0.512], bias=0.0)[-2:]
    assert valve_rest.at_rest(SETTINGS, before)
    assert not valve_rest.at_rest(SETTINGS, after)


def test_a_valve_that_moves_begins_its_rest_anew() -> None:
    states = told([0.5] * 20 + [0.52] * 20, bias=0.0)
    assert states[18].rest_s > 15.0
    assert states[-1].shown_ratio == pytest.approx(0.5167, abs=1e-3)
    assert states[-1].rest_s < states[18].rest_s + 1.0


def test_telemetry_that_is_heard_again_or_silent_is_no_news() -> None:
    first = valve_rest.watched(
        SETTINGS, VALVE, ValveRest(), shown_ratio=0.5, told_ratio=0.5, at_s=1.0, age_s=1.0
    )
    for shown, at_s, age_s in ((0.5, 2.0, 2.0), (math.nan, 3.0, 1.0)):
        assert (
            valve_rest.watched(
                SETTINGS, VALVE, first, shown_ratio=shown, told_ratio=0.5, at_s=at_s, age_s=age_s
            )
            == first
        )
