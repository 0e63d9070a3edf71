from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Final

from fleet.clock import NS_PER_S
from fleet.commands import SetCooling
from thermal.control.interlock import TripLevel, TripReason

FOREVER_UNIX_NS: Final = 2**63 - 1


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
    """A person's override of a loop, until it runs out; None is left to the law.

    Valve or pumps put the loop in MANUAL, a set-point alone leaves it in AUTO; `failsafe` asks for
    full cooling and beats the rest.
    """

    valve_ratio: float | None = None
    pump_ratio: float | None = None
    supply_c: float | None = None
    failsafe: bool = False
    actor: str = ""
    reason: str = ""
    since_unix_ns: int = 0
    until_unix_ns: int = FOREVER_UNIX_NS

    @property
    def mode(self) -> Mode:
        """The mode that it asks for; interlocks and bad inputs may forbid it."""
        if self.failsafe:
            return Mode.FAILSAFE
        steers = self.valve_ratio is not None or self.pump_ratio is not None
        return Mode.MANUAL if steers else Mode.AUTO

    def words(self) -> str:
        """Who, until when, and why, for `mode_reason`."""
        until = ""
        if self.until_unix_ns < FOREVER_UNIX_NS:
            at = datetime.fromtimestamp(self.until_unix_ns // NS_PER_S, UTC)
            until = f" until {at:%Y-%m-%d %H:%M:%S}Z"
        return f"{self.actor or 'a person'} steers{until}: {self.reason}"


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


@dataclass(frozen=True, slots=True, kw_only=True)
class CapLoop:
    """Every chip of a loop is to draw no more than this share of its rated power; 1 lifts it."""

    loop_id: str
    cap_ratio: float
    cause: str


CoolingEffect = SendCooling | ChangeMode | LatchTrip | LiftTrips | CapLoop
