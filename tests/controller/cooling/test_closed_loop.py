"""`controller.cooling` on the plant of `thermal.plant`: what the loop promises, measured."""

import math
from copy import deepcopy
from functools import cache

import pytest

from controller.cooling.control import ChangeMode, LatchTrip, ManualOrder, Mode, SendCooling
from tests.controller.cooling.loop_bench import LoopBench
from thermal.control.interlock import TripReason


def settled(load_ratio: float = 0.2) -> LoopBench:
    return deepcopy(_settled(load_ratio))


@cache
def _settled(load_ratio: float) -> LoopBench:
    bench = LoopBench(load_ratio=load_ratio).run(330)
    assert bench.mode() is Mode.AUTO
    assert abs(bench.supply_c[-1] - 40.0) < 0.4
    bench.forget()
    return bench


def test_a_load_step_and_drop_stay_inside_two_kelvin_and_no_chip_throttles() -> None:
    bench = settled()
    bench.load_ratio = 1.0
    bench.run(240)
    assert max(abs(supply - 40.0) for supply in bench.supply_c) < 2.0
    assert abs(bench.supply_c[-1] - 40.0) < 0.4
    assert max(bench.hottest_c) < 85.0
    bench.load_ratio = 0.2
    bench.forget()
    bench.run(240)
    assert max(abs(supply - 40.0) for supply in bench.supply_c) < 2.0
    assert bench.control.trips == ()


def test_swings_of_forty_seconds_are_not_amplified() -> None:
    bench = settled(0.75)
    for _ in range(12):
        bench.load_ratio = 1.0
        bench.run(20)
        bench.load_ratio = 0.5
        bench.run(20)
    late = bench.supply_c[240:]
    assert max(late) - min(late) < 1.5
    travel = sum(abs(b - a) for a, b in zip(bench.valve[240:], bench.valve[241:], strict=False))
    assert travel / 4.0 < 1.0  # strokes a minute
    assert max(bench.pump[240:]) - min(bench.pump[240:]) < 0.1


def test_nothing_is_sent_before_the_sensors_have_earned_trust_and_then_without_a_bump() -> None:
    bench = LoopBench()
    bench.fleet.silent = {"h1/cdu01"}
    bench.run(60)
    bench.fleet.silent = set()
    bench.run(3)
    assert bench.command is None
    bench.run(3)
    sent = [effect.action for effect in bench.effects if isinstance(effect, SendCooling)]
    assert abs(sent[0].valve_ratio - bench.firmware[0]) < 0.01
    assert abs(sent[0].pump_ratio - bench.firmware[1]) < 0.01
    modes = [effect.mode for effect in bench.effects if isinstance(effect, ChangeMode)]
    assert modes == [Mode.AUTO]


def test_what_the_cdu_says_it_asks_is_where_control_begins_if_its_actuators_are_near() -> None:
    for told, shown, near in (((0.56, 0.83), (0.54, 0.81), True), ((0.1, 0.3), (0.5, 0.8), False)):
        bench = LoopBench()
        bench.firmware = shown
        bench.lie = {"valve_command_ratio": told[0], "pump_command_ratio": told[1]}
        bench.fleet.silent = {"h1/cdu01"}
        bench.run(60)
        bench.fleet.silent = set()
        bench.run(6)
        sent = [effect.action for effect in bench.effects if isinstance(effect, SendCooling)]
        begun = told if near else shown
        assert abs(sent[0].valve_ratio - begun[0]) < 0.01
        assert abs(sent[0].pump_ratio - begun[1]) < 0.01


def test_manual_and_back_moves_the_actuators_by_less_than_one_percent() -> None:
    bench = settled(0.6)
    assert bench.command is not None
    bench.order = ManualOrder(
        valve_ratio=bench.command.valve_ratio + 0.03,
        pump_ratio=bench.command.pump_ratio + 0.05,
        supply_c=40.0,
    )
    bench.run(20)
    assert bench.mode() is Mode.MANUAL
    before = bench.command
    bench.order = None
    bench.run(1)
    assert bench.mode() is Mode.AUTO
    assert abs(bench.command.valve_ratio - before.valve_ratio) < 0.01
    assert abs(bench.command.pump_ratio - before.pump_ratio) < 0.01


def test_a_silent_cdu_gets_full_cooling_and_comes_back() -> None:
    bench = settled(0.6)
    bench.fleet.silent = {"h1/cdu01"}
    bench.run(6)
    assert bench.mode() is Mode.FAILSAFE
    assert "no telemetry from the CDU" in bench.control.mode_reason
    bench.run(40)
    assert bench.command is not None
    assert bench.command.pump_ratio == pytest.approx(0.9)
    assert bench.command.valve_ratio == 1.0
    bench.fleet.silent = set()
    bench.run(20)
    assert bench.mode() is Mode.AUTO


@pytest.mark.parametrize("bias_k", [-3.0, 2.0])
def test_a_biased_supply_sensor_is_outvoted_by_the_inlets_and_named(bias_k: float) -> None:
    bench = settled(0.6)
    for second in range(120):
        bench.lie = {"supply_c": bench.plant.supply_c + bias_k}
        bench.run(1)
        if second == 20:
            assert any(fault.sensor == "supply_c" for fault in bench.control.sensor_faults)
    assert max(abs(supply - 40.0) for supply in bench.supply_c) < 0.8
    assert abs(bench.supply_c[-1] - 40.0) < 0.5


def test_a_supply_sensor_that_says_nothing_is_replaced() -> None:
    bench = settled(0.6)
    bench.lie = {"supply_c": math.nan}
    bench.run(120)
    assert bench.mode() is Mode.AUTO
    assert "inlets stand in" in bench.control.mode_reason
    assert abs(bench.supply_c[-1] - 40.0) < 1.0


def test_lost_flow_trips_and_only_a_reset_lifts_it() -> None:
    bench = settled(0.6)
    bench.lie, bench.sled_lie = {"secondary_flow_lpm": 60.0}, {"coolant_flow_lpm": 0.8}
    bench.run(6)
    [latched] = [effect for effect in bench.effects if isinstance(effect, LatchTrip)]
    assert latched.trip.reason is TripReason.LOSS_OF_FLOW
    assert bench.mode() is Mode.FAILSAFE
    bench.lie, bench.sled_lie = {}, {}
    bench.run(60)
    assert bench.mode() is Mode.FAILSAFE


def test_a_flow_meter_that_fails_low_trips_nothing_while_the_sleds_have_their_flow() -> None:
    bench = settled(0.6)
    bench.lie = {"secondary_flow_lpm": 60.0}
    bench.run(10)
    assert bench.control.trips == ()
    assert [fault.sensor for fault in bench.control.sensor_faults] == ["secondary_flow_lpm"]
