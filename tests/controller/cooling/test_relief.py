"""Power caps are the last resort: placement is asked first, and has its time."""

import math
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from controller.cooling import relief
from controller.cooling.relief import Relief, ReliefState
from controller.cooling.settings import ReliefSettings

SETTINGS = ReliefSettings()


def run(
    state: ReliefState, seconds: int, *, junction_c: float, full: bool = True, stuck: bool = False
) -> list[ReliefState]:
    seen = []
    for _ in range(seconds):
        state = relief.step(
            SETTINGS,
            state,
            junction_c=junction_c,
            valve_ratio=1.0 if full else 0.5,
            pump_ratio=1.0,
            stuck=stuck,
            dt_s=1.0,
        )
        seen.append(state)
    return seen


def test_placement_is_asked_before_anything_is_capped() -> None:
    seen = run(ReliefState(), 200, junction_c=85.0)
    order = list(dict.fromkeys(state.level for state in seen))
    assert order == [Relief.NONE, Relief.AVOID, Relief.MOVE, Relief.CAP]
    first_avoid = next(s for s, state in enumerate(seen, 1) if state.level is Relief.AVOID)
    assert first_avoid <= 30, "placement keeps off within 30 s"
    first_cap = next(s for s, state in enumerate(seen, 1) if state.cap_ratio < 1.0)
    assert first_cap >= SETTINGS.cap_after_s
    assert seen[-1].cap_ratio >= SETTINGS.least_cap_ratio


def test_near_throttling_nobody_waits_for_placement() -> None:
    seen = run(ReliefState(), 10, junction_c=89.0, full=False)
    assert seen[-1].level is Relief.CAP


def test_a_loop_with_cooling_in_hand_asks_for_nothing() -> None:
    assert run(ReliefState(), 300, junction_c=86.0, full=False)[-1].level is Relief.NONE


def test_caps_are_lifted_slowly_once_it_is_calm() -> None:
    capped = run(ReliefState(), 200, junction_c=85.0)[-1]
    assert capped.cap_ratio < 1.0
    calm = run(capped, 3600, junction_c=70.0)
    ratios = [state.cap_ratio for state in calm]
    assert ratios == sorted(ratios)
    assert calm[int(SETTINGS.calm_after_s) - 5].cap_ratio == capped.cap_ratio
    assert (calm[-1].level, calm[-1].cap_ratio) == (Relief.NONE, 1.0)


def test_a_cap_is_said_again_while_it_holds() -> None:
    capped = run(ReliefState(), 200, junction_c=85.0)[-1]
    seen = [capped, *run(capped, 120, junction_c=80.0)]
    said = sum(relief.due(SETTINGS, a, b) for a, b in pairwise(seen))
    assert 3 <= said <= 5


@given(st.lists(st.tuples(st.floats(), st.floats(), st.floats()), max_size=60))
def test_whatever_is_measured_the_cap_stays_inside_its_limits(
    story: list[tuple[float, float, float]],
) -> None:
    state = ReliefState()
    for junction_c, valve_ratio, pump_ratio in story:
        before = state
        state = relief.step(
            SETTINGS,
            state,
            junction_c=junction_c,
            valve_ratio=valve_ratio,
            pump_ratio=pump_ratio,
            stuck=False,
            dt_s=1.0,
        )
        assert SETTINGS.least_cap_ratio <= state.cap_ratio <= 1.0
        if math.isnan(junction_c):
            assert state.cap_ratio == before.cap_ratio


def test_behind_a_stuck_valve_nobody_waits_for_the_heat() -> None:
    warm = SETTINGS.stuck_c + 0.5
    assert run(ReliefState(), 60, junction_c=warm, full=False)[-1].cap_ratio == 1.0
    assert run(ReliefState(), 60, junction_c=warm, full=False, stuck=True)[-1].cap_ratio < 0.7
