"""The controller's foresight: balances, delays, and what it shares with data sheets."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from thermal import valve
from thermal.model import dynamics
from thermal.model.dynamics import LoopCourse
from thermal.model.settings import LoopModelSettings

MODEL = LoopModelSettings()


def held(seconds: int, *, opening: float, flow: float, heat: float) -> LoopCourse:
    return LoopCourse(
        valve_ratio=[opening] * seconds,
        flow_lpm=[flow] * seconds,
        heat_w=[heat] * seconds,
        facility_c=[30.0] * seconds,
    )


def test_it_settles_where_the_exchanger_takes_what_the_chips_give() -> None:
    memory = dynamics.at_rest(MODEL, supply_c=35.0, heat_w=1e5, flow_lpm=500.0)
    _, seen = dynamics.foresee(MODEL, memory, held(900, opening=0.6, flow=500.0, heat=3e5))
    supply, back = seen.supply_c[-1], seen.return_c[-1]
    assert dynamics.carried_w(500.0, back - supply) == pytest.approx(3e5, rel=1e-3)
    cold = dynamics.valve_flow_ratio(MODEL, 0.6)
    assert dynamics.exchanger_out_c(MODEL, back, 30.0, 500.0, cold) == pytest.approx(
        supply, abs=0.01
    )


def test_a_load_step_reaches_the_exchanger_a_pipe_later() -> None:
    memory = dynamics.at_rest(MODEL, supply_c=40.0, heat_w=1e5, flow_lpm=300.0)
    _, seen = dynamics.foresee(MODEL, memory, held(60, opening=0.5, flow=300.0, heat=3e5))
    transit_s = MODEL.return_pipe_l / (300.0 / 60.0)
    moved = np.flatnonzero(np.array(seen.return_c) > memory.return_c + 0.01)
    assert moved[0] == pytest.approx(transit_s, abs=1.5)


@given(
    st.lists(st.tuples(st.floats(0.05, 20.0), st.floats(10.0, 80.0)), min_size=1, max_size=40),
)
def test_pipes_lose_no_heat(pushes: list[tuple[float, float]]) -> None:
    """What came out and what is still inside is what was inside and went in."""
    course = LoopCourse(
        valve_ratio=[0.0] * len(pushes),
        flow_lpm=[max(60.0 * litres, 1.0) for litres, _ in pushes],
        heat_w=[0.0] * len(pushes),
        facility_c=[30.0] * len(pushes),
    )
    memory = dynamics.at_rest(MODEL, supply_c=pushes[0][1], heat_w=0.0, flow_lpm=300.0)
    after, seen = dynamics.foresee(MODEL, memory, course)
    for parcels, litres in (
        (after.supply_pipe, MODEL.supply_pipe_l),
        (after.return_pipe, MODEL.return_pipe_l),
    ):
        assert sum(volume for volume, _ in parcels) == pytest.approx(litres)
    # Without heat and without exchange nothing changes anywhere.
    assert max(seen.return_c) == pytest.approx(pushes[0][1])
    assert min(seen.supply_c) == pytest.approx(pushes[0][1])


@given(st.floats(-0.2, 1.2))
def test_the_valve_is_that_of_the_data_sheet(position: float) -> None:
    expected = float(valve.flow_ratio(MODEL.valve, np.array(position)))
    assert dynamics.valve_flow_ratio(MODEL, position) == pytest.approx(expected)


@given(st.floats(0.05, 0.9), st.floats(100.0, 700.0))
def test_a_wider_valve_cools_more(opening: float, flow: float) -> None:
    narrow, wide = (
        dynamics.exchanger_out_c(
            MODEL, 50.0, 30.0, flow, dynamics.valve_flow_ratio(MODEL, position)
        )
        for position in (opening, opening + 0.05)
    )
    assert wide < narrow
