"""One loop's control against arbitrary telemetry: it never crashes, and never leaves its limits."""

import math

from hypothesis import given, settings
from hypothesis import strategies as st

from controller.cooling.control import (
    LiftTrips,
    LoopTrip,
    ManualOrder,
    Mode,
    SendCooling,
    TripReset,
)
from controller.cooling.decision import outcome_of
from controller.cooling.loop import LoopControl, initial, step
from controller.cooling.settings import CoolingSettings
from tests.controller.spoken import SpokenFleet, Wanted

SETTINGS = CoolingSettings()
anything = st.one_of(
    st.floats(width=32, allow_nan=True, allow_infinity=True), st.floats(-10.0, 90.0, width=32)
)
CDU_METRICS = (
    "supply_c",
    "return_c",
    "secondary_flow_lpm",
    "primary_supply_c",
    "dew_point_c",
    "valve_ratio",
    "pump_speed_ratio",
    "cdu_leak_state",
)
cdu_words = st.fixed_dictionaries({}, optional=dict.fromkeys(CDU_METRICS, anything))
sled_words = st.fixed_dictionaries(
    {},
    optional=dict.fromkeys(("junction_c", "power_w", "inlet_c", "sled_power_w"), anything),
)
orders = st.none() | st.builds(
    ManualOrder, valve_ratio=anything, pump_ratio=anything, supply_c=anything
)


@settings(max_examples=25)
@given(st.lists(st.tuples(cdu_words, sled_words, orders, st.booleans()), min_size=5, max_size=12))
def test_whatever_is_heard_commands_stay_inside_the_limits(
    story: list[tuple[Wanted, Wanted, ManualOrder | None, bool]],
) -> None:
    fleet = SpokenFleet()
    control = initial("h1/loop01", "h1/cdu01", SETTINGS)
    for cdu, sled, order, silent in story:
        fleet.cdu, fleet.every_sled = cdu, sled
        fleet.silent = {"h1/cdu01"} if silent else set()
        before = control
        control, effects = step(control, fleet.tick(), order=order, settings=SETTINGS)
        sent = [effect.action for effect in effects if isinstance(effect, SendCooling)]
        assert len(sent) == (1 if control.steering else 0)
        assert all(effect.cause for effect in effects)
        for action in sent:
            assert 0.0 <= action.valve_ratio <= 1.0
            assert 0.3 <= action.pump_ratio <= 1.0
            assert 5.0 <= action.supply_c <= 60.0
        if before.steering:
            assert control.setpoints.pump_ratio >= before.setpoints.pump_ratio - 0.0100001


class Room:
    """A loop and the fleet that it hears."""

    def __init__(self) -> None:
        self.fleet = SpokenFleet()
        self.control = initial("h1/loop01", "h1/cdu01", SETTINGS)
        self.lifted: list[LiftTrips] = []

    def run(self, seconds: int, *resets: TripReset) -> LoopControl:
        for second in range(seconds):
            wobble = 0.05 if second % 2 else -0.05
            calm: Wanted = {
                "supply_c": 40.0 + wobble,
                "return_c": 46.0 + wobble,
                "secondary_flow_lpm": 540.0 + wobble,
            }
            said, self.fleet.cdu = self.fleet.cdu, calm | self.fleet.cdu
            self.control, effects = step(
                self.control, self.fleet.tick(), resets=resets, settings=SETTINGS
            )
            self.fleet.cdu = said
            self.lifted += [effect for effect in effects if isinstance(effect, LiftTrips)]
        return self.control


RESET = TripReset(loop_id="h1/loop01", actor="kim", reason="looked at it")


def test_a_trip_holds_until_a_person_resets_it_and_its_danger_is_gone() -> None:
    room = Room()
    room.run(10)
    room.fleet.every_sled = {"junction_c": 97.0}
    control = room.run(5)
    [trip] = control.trips
    assert isinstance(trip, LoopTrip)
    assert trip.reason == "over_temperature"
    assert control.mode is Mode.FAILSAFE
    assert "over temperature" in control.mode_reason
    room.run(1, RESET)
    assert room.control.trips == (trip,)
    room.fleet.every_sled = {}
    room.run(30)
    assert room.control.trips == (trip,)
    room.run(1, TripReset(loop_id="h1/loop02", actor="kim", reason=""))
    assert room.control.trips == (trip,)
    assert room.run(1, RESET).trips == ()
    assert [lifted.actor for lifted in room.lifted] == ["kim"]
    assert room.run(12).mode.value == "auto"


def test_one_hot_chip_does_not_trip_the_loop() -> None:
    room = Room()
    room.fleet.sled = {"h1/us01/r1/s01": {"junction_c": {2: 104.0}}}
    assert room.run(20).trips == ()


def test_a_leak_at_the_cdu_raises_no_pressure() -> None:
    room = Room()
    before = room.run(10).setpoints.pump_ratio
    room.fleet.cdu = {"cdu_leak_state": 2.0}
    control = room.run(20)
    assert [trip.reason.value for trip in control.trips] == ["leak"]
    assert control.setpoints.pump_ratio <= before


def test_half_of_the_sleds_silent_is_failsafe_and_says_so() -> None:
    room = Room()
    room.run(10)
    room.fleet.silent = set(room.fleet.fleet_map.sled_ids[:40])
    control = room.run(7)
    assert control.mode is Mode.FAILSAFE
    assert control.mode_reason == "only 44% of the sleds are heard"


def test_a_wet_hall_raises_the_set_point_at_once() -> None:
    room = Room()
    room.run(10)
    room.fleet.cdu = {"dew_point_c": 38.5}
    for dew_c in (16.0, 20.0, 24.0, 28.0, 32.0, 36.0, 38.5):  # as fast as air can get wet
        room.fleet.cdu = {"dew_point_c": dew_c}
        control = room.run(1)
        assert control.setpoints.supply_c >= dew_c + 3.0
    assert control.setpoints.supply_c == 41.5


def test_frozen_and_missing_sensors_are_named() -> None:
    room = Room()
    room.run(10)
    room.fleet.cdu = {"return_c": math.nan, "secondary_flow_lpm": 540.0}
    control = room.run(20)
    # The pumps of this room stay where they are, which is told too.
    assert [
        (fault.sensor, fault.reason) for fault in control.sensor_faults if fault.sensor != "pumps"
    ] == [("return_c", "invalid")]
    control = room.run(45)
    assert ("secondary_flow_lpm", "frozen") in [
        (fault.sensor, fault.reason) for fault in control.sensor_faults
    ]
    assert control.mode is Mode.AUTO


def test_the_same_telemetry_gives_the_same_commands() -> None:
    # As bytes, since what is not measured is NaN, which equals nothing.
    assert outcome_of(Room().run(40), ()) == outcome_of(Room().run(40), ())
