"""The slow layer: which set-point it takes, and what it never does."""

import math
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from controller.cooling import reset
from controller.cooling.control import ManualOrder, Mode
from controller.cooling.estimate import LoopInputs, LoopReadings
from controller.cooling.laws.law import LawState
from controller.cooling.reset import Outlook, ResetState
from controller.cooling.settings import CoolingSettings, LawName, ResetSettings
from tests.controller.cooling.loop_bench import LoopBench
from thermal.control.feedforward import FeedforwardState

SETTINGS = CoolingSettings(reset=ResetSettings(), law=LawName.FEEDFORWARD)


def readings(wet_bulb_c: float = 15.0) -> LoopReadings:
    return LoopReadings(
        at_s=1_000.0,
        cdu_age_s=1.0,
        cdu={},
        valve_ratio=0.5,
        pump_ratio=0.6,
        leak=False,
        sled_share=1.0,
        sled_power_w=270_000.0,
        chip_power_w=800.0,
        junction_c=66.0,
        inlet_c=36.0,
        wet_bulb_c=wet_bulb_c,
    )


def inputs(**changed: Any) -> LoopInputs:
    base = LoopInputs(
        at_s=1_000.0,
        dt_s=1.0,
        supply_c=36.0,
        return_c=46.0,
        flow_lpm=380.0,
        facility_c=25.0,
        dew_point_c=14.0,
        heat_w=240_000.0,
        chip_power_w=800.0,
        junction_c=66.0,
        valve_ratio=0.5,
        pump_ratio=0.6,
        dp_kpa=90.0,
        pressure_kpa=240.0,
        level_ratio=1.0,
        leak=False,
        unusable=None,
        substituted=False,
        alone=False,
        faults=(),
    )
    return replace(base, **changed)


def law() -> LawState:
    heat = FeedforwardState(heat_w=240_000.0)
    return LawState(valve_heat=heat, pump_heat=heat)


def settled(
    held_c: float, seen: LoopReadings, shown: LoopInputs, decisions: int = 40
) -> ResetState:
    state = ResetState()
    for _ in range(decisions):
        state = reset.step(
            SETTINGS,
            replace(state, waited_s=1e6),
            law(),
            seen,
            shown,
            loop_id="h1/loop01",
            held_c=held_c,
            dt_s=1.0,
        )
    return state


def test_it_moves_to_what_is_cheaper_and_stays_there() -> None:
    shown = inputs()
    state = settled(44.0, readings(), shown)
    outlook = Outlook(SETTINGS, law(), readings(), shown)
    before, after = outlook.bill(44.0, 25.0), outlook.bill(state.supply_c, state.facility_c)
    assert after.total_w < before.total_w
    assert settled(44.0, readings(), shown, decisions=41) == state


def test_a_wetter_day_asks_for_warmer_water() -> None:
    asked = [settled(40.0, readings(wet_c), inputs()).facility_c for wet_c in (8.0, 16.0, 24.0)]
    assert asked == sorted(asked)
    assert asked[0] < asked[-1]
    assert all(water_c > wet_c for water_c, wet_c in zip(asked, (8.0, 16.0, 24.0), strict=True))


def test_without_a_weather_station_nothing_is_asked_of_the_building() -> None:
    state = settled(40.0, readings(math.nan), inputs())
    assert math.isnan(state.facility_c)
    assert math.isfinite(state.supply_c)


def test_hot_chips_are_cooled_whatever_it_costs() -> None:
    shown = inputs(junction_c=84.0, supply_c=44.0)
    state = settled(44.0, readings(), shown, decisions=1)
    assert state.supply_c < 44.0
    assert "margin" in state.reason


@settings(max_examples=15)
@given(
    dew_c=st.floats(5.0, 26.0),
    heat_w=st.floats(20_000.0, 360_000.0),
    facility_c=st.floats(10.0, 34.0),
    wet_c=st.floats(-10.0, 28.0),
    held_c=st.floats(20.0, 45.0),
)
def test_dew_point_and_limits_are_never_passed(
    dew_c: float, heat_w: float, facility_c: float, wet_c: float, held_c: float
) -> None:
    held_c = max(held_c, dew_c + 4.0)
    shown = inputs(dew_point_c=dew_c, heat_w=heat_w, facility_c=facility_c)
    state = settled(held_c, readings(wet_c), shown, decisions=12)
    assert dew_c + SETTINGS.shell.dew_floor_k <= state.supply_c <= SETTINGS.shell.supply_most_c
    assert 1 <= state.pumps_count <= SETTINGS.pumps


def test_what_is_not_known_decides_nothing() -> None:
    for unknown in ("heat_w", "facility_c", "dew_point_c", "junction_c"):
        state = settled(40.0, readings(), inputs(**{unknown: math.nan}))
        assert math.isnan(state.supply_c)


def test_loops_decide_in_turn() -> None:
    waits = set()
    for number in range(20):
        state = reset.step(
            SETTINGS,
            ResetState(),
            law(),
            readings(),
            inputs(),
            loop_id=f"h1/loop{number:02d}",
            held_c=40.0,
            dt_s=1.0,
        )
        waits.add(round(state.waited_s))
    assert len(waits) > 10


@pytest.mark.parametrize("supply_c", [None, 38.0])
def test_a_persons_set_point_stands_above_it(supply_c: float | None) -> None:
    quick = replace(CoolingSettings(), reset=ResetSettings(every_s=10.0))
    bench = LoopBench(settings=quick)
    bench.run(60)
    assert bench.mode() is Mode.AUTO
    if supply_c is not None:
        bench.order = ManualOrder(supply_c=supply_c, actor="ana", reason="test")
    before = bench.control.reset
    bench.run(40)
    if supply_c is None:
        assert bench.control.reset != before
        assert bench.control.setpoints.supply_c != quick.policy.supply_c
    else:
        assert bench.control.reset == before
        assert bench.control.setpoints.supply_c == pytest.approx(supply_c)
