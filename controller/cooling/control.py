from dataclasses import dataclass
from enum import StrEnum

from fleet.commands import SetCooling
from thermal.control.interlock import TripLevel, TripReason


class Mode(StrEnum):
    AUTO = "auto"  # the policy moves the actuators
    MANUAL = "manual"  # a person's order, inside the safety shell
    FAILSAFE = "failsafe"  # inputs are not to be trusted, or a trip holds: full cooling


@dataclass(frozen=True, slots=True, kw_only=True)
class LoopTrip:
    """An interlock that has fired; it stays until a person resets it and its reason is gone.

    Level HOLD keeps the load (dew: the valve is shut); SHED and OFF force full cooling.
    """

    reason: TripReason
    since_unix_ns: int
    level: TripLevel
    cause: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ManualOrder:
    """A person's wish for a loop in MANUAL."""

    valve_ratio: float
    pump_ratio: float
    supply_c: float


@dataclass(frozen=True, slots=True, kw_only=True)
class TripReset:
    """A person's word that a loop's latched trips may be lifted."""

    loop_id: str
    actor: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SensorFault:
    """A sensor that is not used, and why."""

    sensor: str
    reason: str
    since_unix_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LoopSetpoints:
    """What the loop is being asked to do; the view shows it."""

    supply_c: float
    valve_ratio: float
    pump_ratio: float
    flow_lpm: float


@dataclass(frozen=True, slots=True, kw_only=True)
class SendCooling:
    cdu_id: str
    action: SetCooling
    cause: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangeMode:
    loop_id: str
    mode: Mode
    reason: str
    cause: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LatchTrip:
    loop_id: str
    trip: LoopTrip
    cause: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LiftTrips:
    """A person's reset took effect."""

    loop_id: str
    reasons: tuple[TripReason, ...]
    actor: str
    cause: str


CoolingEffect = SendCooling | ChangeMode | LatchTrip | LiftTrips
