from collections.abc import Iterable
from dataclasses import dataclass

from controller.cooling.control import (
    CoolingEffect,
    LoopSetpoints,
    LoopTrip,
    ManualOrder,
    Mode,
    SensorFault,
    TripReset,
)
from controller.state.snapshot import FleetSnapshot


@dataclass(frozen=True, slots=True, kw_only=True)
class CoolingSettings:
    """Settings of one loop's control."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LoopControl:
    """Everything that one loop's control remembers from cycle to cycle."""

    loop_id: str
    cdu_id: str
    at_unix_ns: int
    mode: Mode
    mode_reason: str
    mode_since_unix_ns: int
    setpoints: LoopSetpoints
    trips: tuple[LoopTrip, ...]
    sensor_faults: tuple[SensorFault, ...]


def initial(loop_id: str, cdu_id: str, settings: CoolingSettings) -> LoopControl:
    """A loop that has not been heard yet: FAILSAFE, and it sends nothing."""
    raise NotImplementedError


def step(
    control: LoopControl,
    snapshot: FleetSnapshot,
    *,
    order: ManualOrder | None = None,
    resets: Iterable[TripReset] = (),
    settings: CoolingSettings,
) -> tuple[LoopControl, tuple[CoolingEffect, ...]]:
    """One cycle of the loop `control.loop_id`; while `order` is given, the loop is in MANUAL."""
    raise NotImplementedError
