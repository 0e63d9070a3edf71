"""Commands against what is read back."""

from collections.abc import Iterable

from hypothesis import given
from hypothesis import strategies as st

from controller.cooling import follow
from controller.cooling.follow import SLOW, STUCK, Followed
from controller.cooling.settings import FollowSettings

SETTINGS = FollowSettings()
STROKE_S = 30.0


def watched(pairs: Iterable[tuple[float, float]], state: Followed | None = None) -> Followed:
    """After a second for each pair of command and position."""
    state = state or Followed()
    for told, shown in pairs:
        state = follow.step(
            SETTINGS, state, told_ratio=told, shown_ratio=shown, stroke_s=STROKE_S, dt_s=1.0
        )
    return state


def test_a_valve_that_stands_still_is_named_within_twenty_seconds_of_the_first_command() -> None:
    ramp = [(0.3 + 0.01 * second, 0.3) for second in range(15)]
    assert watched(ramp).words == STUCK


def test_who_sticks_is_not_well_because_the_command_comes_back_to_it() -> None:
    stuck = watched([(0.6, 0.3)] * 10)
    assert watched([(0.3, 0.3)] * 100, stuck).words == STUCK
    assert watched([(0.3, 0.3), (0.32, 0.32)], stuck).words == ""


def test_a_valve_that_creeps_is_slow() -> None:
    creeping = [(0.9, 0.2 + 0.005 * second) for second in range(80)]
    assert watched(creeping).words == SLOW


def test_stiction_and_noise_are_no_fault() -> None:
    noise = (0.0, 0.001, -0.001, 0.002)
    assert watched([(0.5 + 0.012, 0.5 + noise[s % 4]) for s in range(300)]).words == ""


@given(
    st.lists(st.floats(0.0, 1.0), min_size=2, max_size=12),
    st.integers(0, 3),
    st.floats(15.0, STROKE_S * 1.5),
)
def test_a_sound_valve_is_never_blamed(goals: list[float], late: int, stroke_s: float) -> None:
    position, pairs = goals[0], []
    told = [goal for goal in goals for _ in range(20)]
    for second, goal in enumerate(told):
        heard = told[max(second - late, 0)]
        gap = heard - position
        position += min(max(gap, -1.0 / stroke_s), 1.0 / stroke_s) if abs(gap) > 0.01 else 0.0
        pairs.append((goal, position))
    assert watched(pairs).words == ""


def test_unknown_positions_are_not_judged() -> None:
    nan = float("nan")
    assert watched([(0.9, nan)] * 60).words == ""
    assert watched([(nan, 0.1)] * 60).words == ""
