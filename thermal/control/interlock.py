"""Interlocks of a cooling loop: they trip on measured danger, latch, and only a person resets.

An interlock beats every optimiser and every manual command. It acts on readings only: a missing
reading neither trips nor clears anything, that is `thermal.control.failsafe`'s work.
"""

import math
from dataclasses import dataclass, replace
from enum import IntEnum, StrEnum
from typing import assert_never


class TripReason(StrEnum):
    """What was dangerous."""

    LEAK = "leak"  # a leak detector is wet or the mass balance does not close
    LOSS_OF_FLOW = "loss_of_flow"  # flow below the floor while pumps should run
    OVER_TEMPERATURE = "over_temperature"  # a junction above its limit
    RETURN_OVER_TEMPERATURE = "return_over_temperature"  # return above what the rack allows
    DEW_MARGIN = "dew_margin"  # supply too close to the dew point: water on boards
    HIGH_PRESSURE = "high_pressure"  # more than hoses and couplings are made for
    LOW_PRESSURE = "low_pressure"  # coolant is being lost: pumps will draw gas
    LOW_LEVEL = "low_level"  # little coolant is left in the expansion vessel


class TripLevel(IntEnum):
    """How far to go; ordered, the worst wins."""

    HOLD = 1  # stop what makes it worse (dew: the valve, pressure: the pumps), keep the load
    SHED = 2  # full cooling, load down to a fifth at once
    OFF = 3  # isolate and power off


@dataclass(frozen=True, slots=True, kw_only=True)
class Trip:
    """One latched interlock."""

    reason: TripReason
    since_s: float
    level: TripLevel


@dataclass(frozen=True, slots=True, kw_only=True)
class InterlockLimits:
    """Trip points, and how long a danger must last. Estimates, to be set per site."""

    junction_shed_c: float = 95.0
    """Hard throttle."""
    junction_off_c: float = 105.0
    return_c: float = 60.0
    """Return limit; Vera Rubin racks allow 65 C."""
    flow_ratio: float = 0.5
    """Measured over expected flow below which flow counts as lost."""
    dew_margin_k: float = 1.0
    """Hard floor; alarm at 2 K and hold setpoints at 3 K."""
    pressure_most_kpa: float = 475.0
    """Supply; racks are made for 5 bar (Vera Rubin, OCP MGX), less the sensor's error."""
    pressure_least_kpa: float = 40.0
    """Supply; estimate: a filled loop stands at 100..150 kPa."""
    level_least_ratio: float = 0.15
    """Estimate: pumps draw gas at 5 %; CDUs stop them at 3 %."""
    # How long each danger must last before it trips: long enough for one bad sample to pass.
    leak_persist_s: float = 2.0
    flow_persist_s: float = 1.0
    junction_persist_s: float = 0.0
    return_persist_s: float = 5.0
    dew_persist_s: float = 5.0
    pressure_persist_s: float = 3.0
    level_persist_s: float = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class InterlockReading:
    """Worst readings of a loop or sled; NaN or None where not measured."""

    leak: bool | None
    """None while the leak sensor itself is not believed."""
    flow_ratio: float
    """Measured over expected flow."""
    junction_c: float
    return_c: float
    dew_margin_k: float
    """Supply temperature less dew point."""
    pressure_kpa: float = math.nan
    """Coolant supply."""
    level_ratio: float = math.nan
    """Coolant in the expansion vessel."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InterlockState:
    """Latched trips, and dangers that have not lasted long enough yet."""

    trips: tuple[Trip, ...] = ()
    pending: tuple[Trip, ...] = ()

    @property
    def level(self) -> TripLevel | None:
        """The worst latched level; None when nothing is tripped."""
        return max((trip.level for trip in self.trips), default=None)


def step(
    limits: InterlockLimits, state: InterlockState, reading: InterlockReading, now_s: float
) -> InterlockState:
    """State after a reading. A latched trip stays, and may only grow worse."""
    pending = tuple(
        Trip(reason=reason, since_s=_since(state.pending, reason, now_s), level=level)
        for reason, level in dangers(limits, reading).items()
    )
    trips = state.trips
    for danger in pending:
        if now_s - danger.since_s >= _persist_s(limits, danger.reason):
            trips = _latch(trips, replace(danger, since_s=now_s))
    return InterlockState(trips=trips, pending=pending)


def reset(
    limits: InterlockLimits, state: InterlockState, reading: InterlockReading
) -> InterlockState:
    """A person's reset: drops the trips whose danger is gone and measured to be gone."""
    still = dangers(limits, reading)
    unknown = _unmeasured(reading)
    kept = tuple(trip for trip in state.trips if trip.reason in still or trip.reason in unknown)
    return replace(state, trips=kept)


def dangers(limits: InterlockLimits, reading: InterlockReading) -> dict[TripReason, TripLevel]:
    """Dangers in a reading. Comparisons are such that NaN is no danger."""
    found: dict[TripReason, TripLevel] = {}
    if reading.leak:
        found[TripReason.LEAK] = TripLevel.OFF
    if reading.flow_ratio < limits.flow_ratio:
        found[TripReason.LOSS_OF_FLOW] = TripLevel.SHED
    if reading.junction_c >= limits.junction_off_c:
        found[TripReason.OVER_TEMPERATURE] = TripLevel.OFF
    elif reading.junction_c >= limits.junction_shed_c:
        found[TripReason.OVER_TEMPERATURE] = TripLevel.SHED
    if reading.return_c > limits.return_c:
        found[TripReason.RETURN_OVER_TEMPERATURE] = TripLevel.SHED
    if reading.dew_margin_k < limits.dew_margin_k:
        found[TripReason.DEW_MARGIN] = TripLevel.HOLD
    if reading.pressure_kpa > limits.pressure_most_kpa:
        found[TripReason.HIGH_PRESSURE] = TripLevel.HOLD
    if reading.pressure_kpa < limits.pressure_least_kpa:
        found[TripReason.LOW_PRESSURE] = TripLevel.HOLD
    if reading.level_ratio < limits.level_least_ratio:
        found[TripReason.LOW_LEVEL] = TripLevel.HOLD
    return found


def _persist_s(limits: InterlockLimits, reason: TripReason) -> float:
    match reason:
        case TripReason.LEAK:
            return limits.leak_persist_s
        case TripReason.LOSS_OF_FLOW:
            return limits.flow_persist_s
        case TripReason.OVER_TEMPERATURE:
            return limits.junction_persist_s
        case TripReason.RETURN_OVER_TEMPERATURE:
            return limits.return_persist_s
        case TripReason.DEW_MARGIN:
            return limits.dew_persist_s
        case TripReason.HIGH_PRESSURE | TripReason.LOW_PRESSURE:
            return limits.pressure_persist_s
        case TripReason.LOW_LEVEL:
            return limits.level_persist_s
        case _:
            assert_never(reason)


def _unmeasured(reading: InterlockReading) -> set[TripReason]:
    values = {
        TripReason.LOSS_OF_FLOW: reading.flow_ratio,
        TripReason.OVER_TEMPERATURE: reading.junction_c,
        TripReason.RETURN_OVER_TEMPERATURE: reading.return_c,
        TripReason.DEW_MARGIN: reading.dew_margin_k,
        TripReason.HIGH_PRESSURE: reading.pressure_kpa,
        TripReason.LOW_PRESSURE: reading.pressure_kpa,
        TripReason.LOW_LEVEL: reading.level_ratio,
    }
    unknown = {reason for reason, value in values.items() if math.isnan(value)}
    return unknown | {TripReason.LEAK} if reading.leak is None else unknown


def _since(pending: tuple[Trip, ...], reason: TripReason, now_s: float) -> float:
    return next((trip.since_s for trip in pending if trip.reason is reason), now_s)


def _latch(trips: tuple[Trip, ...], new: Trip) -> tuple[Trip, ...]:
    for place, trip in enumerate(trips):
        if trip.reason is new.reason:
            if new.level <= trip.level:
                return trips
            worse = replace(trip, level=new.level)
            return (*trips[:place], worse, *trips[place + 1 :])
    return (*trips, new)
