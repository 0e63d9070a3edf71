import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from thermal.control.interlock import (
    InterlockLimits,
    InterlockReading,
    InterlockState,
    TripLevel,
    TripReason,
    reset,
    step,
)

LIMITS = InterlockLimits()
SAFE = InterlockReading(
    leak=False,
    flow_ratio=1.0,
    junction_c=74.0,
    return_c=50.0,
    dew_margin_k=20,
    pressure_kpa=330.0,
    level_ratio=0.9,
)
UNKNOWN = InterlockReading(
    leak=None, flow_ratio=math.nan, junction_c=math.nan, return_c=math.nan, dew_margin_k=math.nan
)
DANGERS = {
    TripReason.LEAK: replace(SAFE, leak=True),
    TripReason.LOSS_OF_FLOW: replace(SAFE, flow_ratio=0.1),
    TripReason.OVER_TEMPERATURE: replace(SAFE, junction_c=106.0),
    TripReason.RETURN_OVER_TEMPERATURE: replace(SAFE, return_c=61.0),
    TripReason.DEW_MARGIN: replace(SAFE, dew_margin_k=0.5),
    TripReason.HIGH_PRESSURE: replace(SAFE, pressure_kpa=500.0),
    TripReason.LOW_PRESSURE: replace(SAFE, pressure_kpa=20.0),
    TripReason.LOW_LEVEL: replace(SAFE, level_ratio=0.1),
}
readings = st.sampled_from([SAFE, UNKNOWN, *DANGERS.values()])


def held(reading: InterlockReading, seconds: int, state: InterlockState) -> InterlockState:
    for second in range(seconds + 1):
        state = step(LIMITS, state, reading, float(second))
    return state


@pytest.mark.parametrize("reason", list(TripReason))
def test_each_danger_trips_and_stays_tripped_when_it_is_gone(reason: TripReason) -> None:
    state = held(SAFE, 10, held(DANGERS[reason], 10, InterlockState()))
    assert [trip.reason for trip in state.trips] == [reason]


@pytest.mark.parametrize("reason", [r for r in TripReason if r is not TripReason.OVER_TEMPERATURE])
def test_one_bad_sample_does_not_trip(reason: TripReason) -> None:
    state = InterlockState()
    for second in range(20):
        reading = DANGERS[reason] if second % 2 else SAFE
        state = step(LIMITS, state, reading, second * 0.9)
    assert state.trips == ()


def test_loss_of_flow_trips_within_a_second() -> None:
    state = held(DANGERS[TripReason.LOSS_OF_FLOW], 1, InterlockState())
    assert state.level is TripLevel.SHED


@given(st.lists(readings, max_size=40))
def test_no_reading_ever_clears_a_trip_or_lowers_its_level(
    history: list[InterlockReading],
) -> None:
    state = InterlockState()
    for second, reading in enumerate(history):
        before = {trip.reason: trip.level for trip in state.trips}
        state = step(LIMITS, state, reading, float(second))
        after = {trip.reason: trip.level for trip in state.trips}
        assert all(after.get(reason, 0) >= level for reason, level in before.items())


def test_a_trip_may_grow_worse_and_keeps_its_start() -> None:
    state = step(LIMITS, InterlockState(), replace(SAFE, junction_c=96.0), 1.0)
    assert state.level is TripLevel.SHED
    state = step(LIMITS, state, replace(SAFE, junction_c=106.0), 2.0)
    assert state.level is TripLevel.OFF
    assert state.trips[0].since_s == 1.0


@pytest.mark.parametrize("reason", list(TripReason))
def test_reset_clears_only_what_is_measured_to_be_gone(reason: TripReason) -> None:
    state = held(DANGERS[reason], 10, InterlockState())
    assert reset(LIMITS, state, DANGERS[reason]).trips == state.trips
    assert reset(LIMITS, state, UNKNOWN).trips == state.trips
    assert reset(LIMITS, state, SAFE).trips == ()


def test_readings_that_are_missing_never_trip() -> None:
    assert held(UNKNOWN, 60, InterlockState()).trips == ()
