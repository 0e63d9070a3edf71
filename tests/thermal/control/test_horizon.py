"""The predictive program: the solver against another, and the bounds that a plan keeps."""

from dataclasses import replace

import clarabel
import daqp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from thermal.arrays import FloatArray
from thermal.control import horizon
from thermal.control.horizon import Bounds, GainBin, HorizonSettings, Outlook, Plan, Problem
from thermal.model.settings import LoopModelSettings

SETTINGS, MODEL = HorizonSettings(), LoopModelSettings()
BOUNDS = Bounds(
    valve_up_per_s=1.0 / 60.0,
    valve_down_per_s=1.0 / 60.0,
    pump_up_per_s=0.033,
    pump_down_per_s=0.01,
    pump_least_ratio=0.3,
    return_cap_c=55.0,
    junction_target_c=78.0,
    junction_cap_c=84.0,
    supply_floor_c=30.0,
)
BIN = GainBin.around(0.5, 0.6, 9.0)
SECONDS = SETTINGS.seconds


def outlook(
    *, supply_c: float = 40.0, return_c: float = 50.0, junction_c: float = 70.0, valve: float = 0.5
) -> Outlook:
    def flat(value: float) -> FloatArray:
        return np.full(SECONDS, value)

    return Outlook(
        supply_c=flat(supply_c),
        return_c=flat(return_c),
        junction_c=flat(junction_c),
        junction_per_flow_k=flat(-8.0),
        valve_ratio=flat(valve),
        pump_ratio=flat(0.6),
    )


def posed(seen: Outlook) -> Problem:
    responses = horizon.responses(SETTINGS, MODEL, BIN, 600.0)
    plan = Plan.still(SETTINGS)
    return horizon.pose(
        SETTINGS, responses, BOUNDS, seen, plan, setpoint_c=40.0, pump_wanted_ratio=0.6
    )


def improved(seen: Outlook) -> Plan:
    responses = horizon.responses(SETTINGS, MODEL, BIN, 600.0)
    plan = Plan.still(SETTINGS)
    found = horizon.improved(
        SETTINGS, responses, BOUNDS, seen, plan, setpoint_c=40.0, pump_wanted_ratio=0.6
    )
    assert found is not None
    return found


outlooks = st.builds(
    outlook,
    supply_c=st.floats(28.0, 60.0),
    return_c=st.floats(30.0, 75.0),
    junction_c=st.floats(40.0, 110.0),
    valve=st.floats(0.0, 1.0),
)


def by_clarabel(problem: Problem) -> FloatArray:
    decisions = len(problem.linear_weight)
    rows = np.vstack((np.eye(decisions), problem.rows))
    options = clarabel.DefaultSettings()
    options.verbose = False
    solved = clarabel.DefaultSolver(
        sparse.csc_matrix(np.triu(problem.hessian_weight)),
        problem.linear_weight,
        sparse.csc_matrix(np.vstack((rows, -rows))),
        np.concatenate((problem.high, -problem.low)),
        [clarabel.NonnegativeConeT(2 * len(rows))],
        options,
    ).solve()
    return np.array(solved.x)


@settings(max_examples=25)
@given(outlooks)
def test_the_solver_finds_what_an_interior_point_method_finds(seen: Outlook) -> None:
    problem = posed(seen)
    found, _, flag, _ = daqp.solve(
        problem.hessian_weight,
        problem.linear_weight,
        problem.rows,
        problem.high,
        problem.low,
    )
    assert flag == horizon.SOLVED

    def cost(x: FloatArray) -> float:
        return float(0.5 * x @ problem.hessian_weight @ x + problem.linear_weight @ x)

    best = cost(by_clarabel(problem))
    assert cost(found) == pytest.approx(best, rel=1e-4, abs=1e-3)


@settings(max_examples=50)
@given(outlooks)
def test_a_plan_keeps_slew_and_the_ends_of_the_actuators(seen: Outlook) -> None:
    plan = improved(seen)
    valve, pump = np.array(plan.valve_per_s), np.array(plan.pump_per_s)
    assert valve.max() <= BOUNDS.valve_up_per_s + 1e-6
    assert valve.min() >= -BOUNDS.valve_down_per_s - 1e-6
    assert pump.max() <= BOUNDS.pump_up_per_s + 1e-6
    assert pump.min() >= -BOUNDS.pump_down_per_s - 1e-6
    positions = seen.valve_ratio + np.cumsum(valve)
    assert positions.min() >= -1e-5
    assert positions.max() <= 1.0 + 1e-5
    assert (seen.pump_ratio + np.cumsum(pump)).min() >= BOUNDS.pump_least_ratio - 1e-5


def test_too_warm_opens_the_valve_and_too_cold_closes_it() -> None:
    assert sum(improved(outlook(supply_c=42.0)).valve_per_s) > 0.01
    assert sum(improved(outlook(supply_c=38.0)).valve_per_s) < -0.01


def test_a_hot_junction_speeds_the_pumps_up() -> None:
    calm = sum(improved(outlook(junction_c=70.0)).pump_per_s)
    assert sum(improved(outlook(junction_c=82.0)).pump_per_s) > calm + 0.05


def test_a_junction_cap_that_can_be_kept_is_kept_exactly() -> None:
    seen = outlook(junction_c=78.5)
    problem = posed(seen)
    found, *_ = daqp.solve(
        problem.hessian_weight,
        problem.linear_weight,
        problem.rows,
        problem.high,
        problem.low,
    )
    # One kelvin of slack would cost little less than the plan that needs none.
    assert found[-3] <= 0.5 + 1e-6
    late = 0.5 - 8.0 * (np.cumsum(improved(seen).pump_per_s)[-1])
    assert late <= 0.3


def test_pumps_do_what_a_valve_that_stays_can_not() -> None:
    responses, seen = horizon.responses(SETTINGS, MODEL, BIN, 600.0), outlook(supply_c=40.3)
    moving = (0.002,) * SECONDS
    in_force = replace(Plan.still(SETTINGS), valve_per_s=moving)
    stays = replace(BOUNDS, valve_stays=True)
    found = horizon.improved(
        SETTINGS, responses, stays, seen, in_force, setpoint_c=40.0, pump_wanted_ratio=0.6
    )
    assert found is not None
    assert found.valve_per_s == pytest.approx((0.0,) * SECONDS, abs=1e-12)
    speeds = np.cumsum(np.array(found.pump_per_s) - np.array(improved(seen).pump_per_s))
    assert np.abs(speeds).max() > 0.005


def test_an_open_valve_opens_no_further() -> None:
    assert max(improved(outlook(supply_c=45.0, valve=1.0)).valve_per_s) <= 1e-9


def test_a_program_with_a_figure_that_is_none_gives_no_plan() -> None:
    responses = horizon.responses(SETTINGS, MODEL, BIN, 600.0)
    broken = replace(BOUNDS, valve_up_per_s=float("nan"))
    still = Plan.still(SETTINGS)
    for seen, bounds in ((outlook(), broken), (outlook(supply_c=float("nan")), BOUNDS)):
        found = horizon.improved(
            SETTINGS, responses, bounds, seen, still, setpoint_c=40.0, pump_wanted_ratio=0.6
        )
        assert found is None


def test_loops_of_one_design_share_responses() -> None:
    first = horizon.responses(SETTINGS, MODEL, BIN, 600.0)
    assert horizon.responses(SETTINGS, LoopModelSettings(), BIN, 600.0) is first


def test_a_plan_seen_later_is_the_rest_of_it() -> None:
    plan = Plan(valve_per_s=(1.0, 2.0, 3.0), pump_per_s=(4.0, 5.0, 6.0))
    assert plan.later(1) == Plan(valve_per_s=(2.0, 3.0, 0.0), pump_per_s=(5.0, 6.0, 0.0))
