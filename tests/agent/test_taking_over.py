"""Who takes over a CDU begins where its own loop is."""

import math

from hypothesis import given
from hypothesis import strategies as st

from agent.options import CoolingLimits
from agent.taking_over import InForce, eased
from fleet.commands import SetCooling

LIMITS = CoolingLimits()
RATIOS = st.floats(0.0, 1.0)


def wanted(valve_ratio: float, pump_ratio: float) -> SetCooling:
    return SetCooling(valve_ratio=valve_ratio, pump_ratio=pump_ratio, supply_c=40.0)


def in_force(valve_ratio: float, pump_ratio: float) -> InForce:
    return InForce(valve_ratio=valve_ratio, pump_ratio=pump_ratio)


@given(RATIOS, RATIOS, RATIOS, RATIOS)
def test_the_first_move_is_below_one_percent_and_towards_what_is_wanted(
    valve: float, pump: float, told_valve: float, told_pump: float
) -> None:
    told = in_force(told_valve, told_pump)
    first = eased(LIMITS, wanted(valve, pump), told=told, shown=told)
    for want, was, now in (
        (valve, told_valve, first.valve_ratio),
        (pump, told_pump, first.pump_ratio),
    ):
        assert abs(now - was) < 0.01
        assert abs(now - want) <= abs(was - want)
        assert 0.0 <= now <= 1.0
    assert first.supply_c == 40.0


def test_a_command_that_its_actuator_is_nowhere_near_is_none() -> None:
    first = eased(LIMITS, wanted(0.7, 0.9), told=in_force(0.1, 0.85), shown=in_force(0.7, 0.84))
    assert first.valve_ratio == 0.7
    assert first.pump_ratio == 0.85 + LIMITS.first_move_ratio


def test_where_nobody_says_nothing_is_held_back() -> None:
    nothing = in_force(math.nan, math.nan)
    for told, shown in ((nothing, in_force(0.5, 0.5)), (in_force(0.5, 0.5), nothing)):
        assert eased(LIMITS, wanted(1.0, 1.0), told=told, shown=shown) == wanted(1.0, 1.0)
