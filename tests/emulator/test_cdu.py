from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emulator.cdu import (
    CduSettings,
    Firmware,
    FirmwareState,
    Orders,
    PumpLoop,
    initial_state,
    step,
)
from emulator.readings import CduReadings, CduRequests, ControlMode, PumpHealth
from tests.emulator.devices.builders import cdu_readings
from tests.thermal.plant.builders import OneLoop, make_plant

SETTINGS = CduSettings()
NAN = float("nan")
LOCAL = Orders(valve_ratio=None, pump_ratio=None, supply_setpoint_c=40.0)
REMOTE = replace(LOCAL, valve_ratio=0.0, pump_ratio=(0.0, 0.0))


def run(
    state: FirmwareState,
    orders: Orders,
    seconds: int,
    firmware: CduSettings = SETTINGS,
    **sensed: Any,
) -> FirmwareState:
    for _ in range(seconds):
        state = step(firmware, state, orders, cdu_readings(**sensed), 1.0)
    return state


def start(firmware: CduSettings = SETTINGS) -> FirmwareState:
    return initial_state(firmware, 2)


# --- invariants ----------------------------------------------------------------------------------

shown = st.floats(-50, 150) | st.just(NAN)
ratios = st.floats(0, 1)
sensed_worlds = st.builds(
    cdu_readings,
    supply_c=shown,
    dew_point_c=shown,
    primary_supply_c=shown,
    secondary_dp_kpa=st.floats(-10, 400) | st.just(NAN),
    reservoir_level_ratio=ratios | st.just(NAN),
    pump_speed_ratio=st.tuples(ratios | st.just(NAN), ratios),
    pump_state=st.tuples(*[st.sampled_from(PumpHealth)] * 2),
)
order_books = st.builds(
    Orders,
    valve_ratio=st.none() | ratios,
    pump_ratio=st.none() | st.tuples(ratios, ratios),
    supply_setpoint_c=st.floats(15, 45),
    flow_target_lpm=st.none() | st.floats(50, 900),
    stopped=st.booleans(),
)


@settings(max_examples=200)
@given(
    moments=st.lists(st.tuples(order_books, sensed_worlds), max_size=12),
    dt_s=st.sampled_from([0.25, 1.0, 2.0]),
)
def test_commands_never_pass_limits_or_slew(
    moments: list[tuple[Orders, CduReadings]], dt_s: float
) -> None:
    state, pump = start(), SETTINGS.pump
    for orders, sensed in moments:
        before, state = state, step(SETTINGS, state, orders, sensed, dt_s)
        assert 0.0 <= state.valve_ratio <= 1.0
        moved = abs(state.valve_ratio - before.valve_ratio)
        assert moved <= dt_s / SETTINGS.valve.stroke_s + 1e-9
        for was, now in zip(before.pump_ratio, state.pump_ratio, strict=True):
            assert pump.minimum_ratio <= now <= 1.0
            assert -pump.down_per_s * dt_s - 1e-9 <= now - was <= pump.up_per_s * dt_s + 1e-9


# --- local ---------------------------------------------------------------------------------------


def test_local_opens_the_valve_when_supply_is_warm_and_closes_it_when_cold() -> None:
    assert run(start(), LOCAL, 20, supply_c=41.0).valve_ratio > 0.55
    assert run(start(), LOCAL, 20, supply_c=39.0).valve_ratio < 0.45


def test_local_keeps_its_set_point_above_the_dew_point() -> None:
    # 40 C is asked for, but the dew point is at 38 C: 40.5 C is too cold, 41.5 C is too warm.
    assert run(start(), LOCAL, 20, supply_c=40.5, dew_point_c=38.0).valve_ratio < 0.5
    assert run(start(), LOCAL, 20, supply_c=41.5, dew_point_c=38.0).valve_ratio > 0.5


def test_pumps_follow_the_pressure_difference_or_the_flow() -> None:
    assert run(start(), LOCAL, 3, secondary_dp_kpa=120.0).pump_ratio[0] > 0.8
    assert run(start(), LOCAL, 3, secondary_dp_kpa=240.0).pump_ratio[0] < 0.8
    by_flow = replace(SETTINGS, pump=PumpLoop(target_flow_lpm=600.0))
    assert run(start(), LOCAL, 3, by_flow, secondary_flow_lpm=500.0).pump_ratio[0] > 0.8


def test_the_pump_command_does_not_run_away_from_a_slow_drive() -> None:
    state = run(start(), LOCAL, 60, secondary_dp_kpa=20.0, pump_speed_ratio=(0.75, 0.8))
    assert state.pump_ratio[0] == pytest.approx(0.85)


def test_a_lost_pressure_sensor_holds_the_speed() -> None:
    assert run(start(), LOCAL, 30, secondary_dp_kpa=NAN).pump_ratio == (0.8, 0.8)


# --- remote --------------------------------------------------------------------------------------


def test_remote_follows_the_registers_at_stroke_and_ramp() -> None:
    orders = replace(REMOTE, valve_ratio=1.0, pump_ratio=(1.0, 0.5))
    after_3 = run(start(), orders, 3)
    assert after_3.valve_ratio == pytest.approx(0.6)
    assert after_3.pump_ratio == pytest.approx((0.95, 0.74))
    after_60 = run(start(), orders, 60)
    assert after_60.valve_ratio == 1.0
    assert after_60.pump_ratio == pytest.approx((1.0, 0.5))


@pytest.mark.parametrize("valve_ratio", [0.2, 0.9])
@pytest.mark.parametrize("supply_c", [39.2, 40.8])
def test_local_takes_over_without_a_bump(valve_ratio: float, supply_c: float) -> None:
    orders = replace(REMOTE, valve_ratio=valve_ratio, pump_ratio=(0.7, 0.7))
    remote = run(start(), orders, 60, supply_c=supply_c)
    local = run(remote, LOCAL, 1, supply_c=supply_c)
    assert abs(local.valve_ratio - remote.valve_ratio) < 0.01
    assert local.pump_ratio == pytest.approx(remote.pump_ratio, abs=0.01)


def test_remote_ends_when_nothing_was_written_for_ten_seconds() -> None:
    firmware, requests = Firmware(SETTINGS, pumps=2), CduRequests(control_mode=ControlMode.REMOTE)
    requests.last_write_monotonic_s = 100.0
    modes = []
    for now_s in (100.0, 109.0, 110.0, 111.0):
        firmware.actuators(requests, cdu_readings(), now_s, 1.0)
        modes.append(requests.control_mode.value)
    assert modes == ["remote", "remote", "local", "local"]


def test_actuators_are_the_commands_in_force() -> None:
    firmware, requests = Firmware(SETTINGS, pumps=2), CduRequests()
    told = firmware.actuators(requests, cdu_readings(supply_c=45.0), 0.0, 1.0)
    assert told.valve_ratio == firmware.state.valve_ratio > 0.5
    assert told.pump_ratio == firmware.state.pump_ratio
    assert told.pump_enabled == (True, True)


# --- protection ----------------------------------------------------------------------------------

IDLE_REMOTE = replace(REMOTE, valve_ratio=0.1, pump_ratio=(0.3, 0.3))


def test_over_temperature_beats_remote_and_lets_go_below_its_end() -> None:
    hot = run(start(), IDLE_REMOTE, 40, supply_c=51.0)
    assert (hot.valve_ratio, hot.pump_ratio) == (1.0, (1.0, 1.0))
    still = run(hot, IDLE_REMOTE, 40, supply_c=48.0)
    assert (still.valve_ratio, still.pump_ratio) == (1.0, (1.0, 1.0))
    over = run(still, IDLE_REMOTE, 60, supply_c=45.0)
    assert (over.valve_ratio, *over.pump_ratio) == pytest.approx((0.1, 0.3, 0.3))


def test_condensation_shuts_the_valve_in_any_mode() -> None:
    wide_open = replace(REMOTE, valve_ratio=1.0)
    assert run(start(), wide_open, 40, supply_c=20.5, dew_point_c=20.0).valve_ratio == 0.0


def test_a_blind_firmware_holds_for_a_moment_then_cools_fully() -> None:
    assert run(start(), LOCAL, 3, supply_c=NAN).valve_ratio == 0.5
    blind = run(start(), LOCAL, 40, supply_c=NAN)
    assert (blind.valve_ratio, blind.pump_ratio) == (1.0, (1.0, 1.0))


def test_a_blind_firmware_does_not_open_onto_dew() -> None:
    state = run(start(), LOCAL, 40, supply_c=NAN, primary_supply_c=20.0, dew_point_c=19.0)
    assert state.valve_ratio == 0.5


def test_pumps_stop_when_the_vessel_is_empty_and_start_when_it_is_filled() -> None:
    empty = run(start(), LOCAL, 1, reservoir_level_ratio=0.02)
    assert empty.pump_enabled == (False, False)
    assert run(empty, LOCAL, 5, reservoir_level_ratio=0.05).pump_enabled == (False, False)
    assert run(empty, LOCAL, 1, reservoir_level_ratio=0.5).pump_enabled == (True, True)


def test_a_pump_that_draws_gas_rests_and_tries_again() -> None:
    def enabled(seconds: int) -> tuple[bool, ...]:
        return run(start(), LOCAL, seconds, secondary_dp_kpa=2.0).pump_enabled

    assert enabled(4) == (True, True)
    assert enabled(5) == enabled(34) == (False, False)
    assert enabled(35) == (True, True)


def test_a_standing_pump_is_not_taken_for_a_dry_one() -> None:
    rising = run(start(), LOCAL, 20, secondary_dp_kpa=1.0, pump_speed_ratio=(0.1, 0.1))
    assert rising.pump_enabled == (True, True)


def test_the_standby_pump_starts_when_the_duty_pump_trips() -> None:
    firmware = replace(SETTINGS, pump=PumpLoop(standby_pumps=1))
    assert run(start(firmware), LOCAL, 5, firmware).pump_enabled == (True, False)
    tripped = (PumpHealth.CRITICAL, PumpHealth.OK)
    after = run(start(firmware), LOCAL, 1, firmware, pump_state=tripped)
    assert after.pump_enabled == (False, True)


# --- on the plant --------------------------------------------------------------------------------


@dataclass(slots=True)
class Rig:
    """Firmware on a loop of 72 sleds, with perfect sensors but a thermometer's lag."""

    firmware: Firmware
    plant: OneLoop
    thermometer_c: float = 35.0
    now_s: float = 0.0

    @classmethod
    def build(cls) -> "Rig":
        plant = make_plant()
        return cls(Firmware(SETTINGS, pumps=2), plant)

    def seconds(self, count: int, load_ratio: float) -> Iterator[OneLoop]:
        for _ in range(count):
            told = self.firmware.actuators(CduRequests(), self._sensed(), self.now_s, 1.0)
            self.plant.step(
                1.0,
                chip_power_w=np.full(288, 1_000.0 * load_ratio),
                sled_other_liquid_w=np.full(72, 200.0),
                actuators=told,
            )
            self.thermometer_c += 0.28 * (self.plant.supply_c - self.thermometer_c)
            self.now_s += 1.0
            yield self.plant

    def settle(self, load_ratio: float) -> None:
        for _ in self.seconds(400, load_ratio):
            pass

    def _sensed(self) -> CduReadings:
        plant = self.plant
        return cdu_readings(
            supply_c=self.thermometer_c,
            secondary_dp_kpa=plant.secondary_dp_kpa,
            pump_speed_ratio=tuple(map(float, plant.pump_speed_ratio)),
            pump_state=tuple(
                PumpHealth.CRITICAL if tripped else PumpHealth.OK
                for tripped in plant.faults.pump_tripped[0]
            ),
        )


def test_the_firmware_alone_holds_supply_through_a_load_step() -> None:
    rig = Rig.build()
    rig.settle(0.25)
    assert rig.plant.supply_c == pytest.approx(40.0, abs=0.2)
    errors_k = [plant.supply_c - 40.0 for plant in rig.seconds(300, 1.0)]
    assert max(errors_k) < 2.2
    assert max(np.abs(errors_k[-60:])) < 0.2


def test_the_firmware_alone_survives_the_trip_of_a_pump_at_full_load() -> None:
    rig = Rig.build()
    rig.settle(1.0)
    rig.plant.strike(pump_tripped={0: True})
    story = [(plant.secondary_flow_lpm, plant.junction_c.max()) for plant in rig.seconds(60, 1.0)]
    assert 300.0 < min(flow_lpm for flow_lpm, _ in story) < 360.0
    assert 400.0 < story[-1][0] < 420.0  # the other pump at full speed
    hottest_c = max(junction_c for _, junction_c in story)
    assert story[0][1] + 1.0 < hottest_c < 82.0
