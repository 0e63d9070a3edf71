"""The safety shell against arbitrary wishes, memories and readings."""

import math

from hypothesis import given
from hypothesis import strategies as st

from controller.cooling.control import LoopSetpoints
from controller.cooling.settings import ShellSettings
from controller.cooling.shell import ShellInputs, dew_floor_c, failsafe_wish, shield

SETTINGS = ShellSettings()
anything = st.floats(allow_nan=True, allow_infinity=True)
wishes = st.builds(
    LoopSetpoints,
    supply_c=anything,
    valve_ratio=anything,
    pump_ratio=anything,
    flow_lpm=anything,
)
sound = st.builds(
    LoopSetpoints,
    supply_c=st.floats(17.0, 45.0),
    valve_ratio=st.floats(0.0, 1.0),
    pump_ratio=st.floats(0.3, 1.0),
    flow_lpm=st.floats(0.0, 1000.0),
)
watched = st.builds(
    ShellInputs, dt_s=anything, supply_c=anything, facility_c=anything, dew_point_c=anything
)
dew_points = st.one_of(st.just(math.nan), st.floats(-40.0, 45.0))


@given(wishes, wishes, watched)
def test_what_goes_out_is_finite_and_inside_the_limits(
    held: LoopSetpoints, wish: LoopSetpoints, inputs: ShellInputs
) -> None:
    out = shield(SETTINGS, held, wish, inputs)
    assert 0.0 <= out.valve_ratio <= 1.0
    assert SETTINGS.pump_least_ratio <= out.pump_ratio <= 1.0
    assert 5.0 <= out.supply_c <= 60.0
    assert math.isfinite(out.flow_lpm)


@given(sound, wishes, watched)
def test_nothing_moves_faster_than_its_slew(
    held: LoopSetpoints, wish: LoopSetpoints, inputs: ShellInputs
) -> None:
    out = shield(SETTINGS, held, wish, inputs)
    dt_s = inputs.dt_s if math.isfinite(inputs.dt_s) else 0.0
    dt_s = min(max(dt_s, 0.0), SETTINGS.longest_step_s)
    for moved, rate in (
        (out.valve_ratio - held.valve_ratio, SETTINGS.valve_rate),
        (out.pump_ratio - held.pump_ratio, SETTINGS.pump_rate),
    ):
        assert -rate.down_per_s * dt_s - 1e-9 <= moved <= rate.up_per_s * dt_s + 1e-9


@given(wishes, wishes, st.floats(0.0, 5.0), dew_points)
def test_the_set_point_never_nears_the_dew_point(
    held: LoopSetpoints, wish: LoopSetpoints, dt_s: float, dew_point_c: float
) -> None:
    inputs = ShellInputs(dt_s=dt_s, supply_c=40.0, facility_c=30.0, dew_point_c=dew_point_c)
    out = shield(SETTINGS, held, wish, inputs)
    assert out.supply_c >= dew_floor_c(SETTINGS, dew_point_c) - 1e-9


@given(sound, wishes, st.floats(-5.0, 2.99), st.floats(0.0, 40.0), st.floats(0.1, 5.0))
def test_near_the_dew_point_the_valve_does_not_open_whatever_is_wished(
    held: LoopSetpoints, wish: LoopSetpoints, margin_k: float, dew_c: float, dt_s: float
) -> None:
    inputs = ShellInputs(dt_s=dt_s, supply_c=dew_c + margin_k, facility_c=20.0, dew_point_c=dew_c)
    out = shield(SETTINGS, held, wish, inputs)
    assert out.valve_ratio <= held.valve_ratio
    if margin_k < 1.99 and held.valve_ratio > 0.0:
        assert out.valve_ratio < held.valve_ratio


def test_a_wish_that_is_no_number_is_full_cooling() -> None:
    held = LoopSetpoints(supply_c=40.0, valve_ratio=0.5, pump_ratio=0.5, flow_lpm=400.0)
    wish = LoopSetpoints(
        supply_c=math.nan, valve_ratio=math.nan, pump_ratio=math.inf, flow_lpm=math.nan
    )
    inputs = ShellInputs(dt_s=1.0, supply_c=40.0, facility_c=30.0, dew_point_c=14.0)
    out = shield(SETTINGS, held, wish, inputs)
    assert out.valve_ratio > held.valve_ratio
    assert out.pump_ratio > held.pump_ratio


def test_cooling_comes_faster_than_it_goes() -> None:
    assert SETTINGS.valve_rate.up_per_s > SETTINGS.valve_rate.down_per_s
    assert SETTINGS.pump_rate.up_per_s > SETTINGS.pump_rate.down_per_s


def test_failsafe_opens_the_valve_only_when_facility_water_can_not_condense() -> None:
    held = LoopSetpoints(supply_c=40.0, valve_ratio=0.4, pump_ratio=0.95, flow_lpm=400.0)

    def valve(facility_c: float, dew_point_c: float) -> float:
        inputs = ShellInputs(
            dt_s=1.0, supply_c=40.0, facility_c=facility_c, dew_point_c=dew_point_c
        )
        wish = failsafe_wish(SETTINGS, held, inputs, supply_c=40.0)
        assert wish.pump_ratio == 0.95  # never below what runs
        return wish.valve_ratio

    assert valve(30.0, 14.0) == 1.0
    assert valve(16.0, 14.0) == 0.4
    assert valve(math.nan, 14.0) == 0.4
    assert valve(26.0, math.nan) == 0.4
