"""What every law is to the loop, and what laws remember."""

import math
from dataclasses import dataclass, field, replace
from typing import Protocol

from controller.cooling.control import LoopSetpoints
from controller.cooling.estimate import LoopInputs
from controller.cooling.settings import CoolingSettings, LawName
from thermal.control import feedforward
from thermal.control.feedforward import FeedforwardState
from thermal.control.horizon import Plan
from thermal.control.pid import PidState
from thermal.model.dynamics import LoopMemory
from thermal.model.facility_water import FacilityWater
from thermal.model.observer import ExchangerDoubt
from thermal.model.valve_rest import ValveRest

__all__ = ["Law", "LawName", "LawState", "observe"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Foresight:
    """What the predictive law remembers: its model of the loop, and the plan in force."""

    memory: LoopMemory | None = None
    heard_at_s: float = math.nan
    """Time of the telemetry that `memory` was drawn to."""
    known_s: float = 0.0
    """Since the model began at what was measured."""
    doubt: ExchangerDoubt = field(default_factory=ExchangerDoubt)
    """How the exchanger differs from its data sheet."""
    sensed_c: float = math.nan
    """The model's supply behind the lag of the sensor."""
    sensed_return_c: float = math.nan
    facility: FacilityWater = field(default_factory=FacilityWater)
    valve_ratio: float = math.nan
    heat_w: float = math.nan
    """As they were heard last."""
    sensed_pump_ratio: float = math.nan
    """Speed of the pumps behind the lag of the flow meter."""
    lpm_per_speed: float = math.nan
    """Flow over the speed of the pumps."""
    heat_ratio: float = 1.0
    """Heat that the return shows, over the heat believed."""
    junction_off_k: float = 0.0
    mean_heat_w: float = math.nan
    above_w: float = 0.0
    below_w: float = 0.0
    """Means of how far the heat was above and below its mean: both are large while it swings."""
    valve: ValveRest = field(default_factory=ValveRest)
    plan: Plan | None = None
    fallen_back: bool = False
    """PI and feed-forward are in force, for the program had no answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LawState:
    """Memory of the law in force. One record for all laws, so that one can take over from another
    with what was measured so far.
    """

    valve: PidState = field(default_factory=PidState)
    pump: PidState = field(default_factory=PidState)
    trim: PidState = field(default_factory=PidState)
    valve_heat: FeedforwardState = field(default_factory=FeedforwardState)
    pump_heat: FeedforwardState = field(default_factory=FeedforwardState)
    facility_c: float = math.nan
    """Last believed facility water temperature."""
    transfer_ratio: float = 0.0
    """Pump speed taken over from another law and fading."""
    pressed_level: int = 0
    """Step of a stepwise table in force."""
    foresight: Foresight = field(default_factory=Foresight)


class Law(Protocol):
    """A law is a module with these functions: no clock, no I/O, no memory but the state."""

    def observe(self, settings: CoolingSettings, state: LawState, inputs: LoopInputs) -> LawState:
        """Memory of what was measured; runs in every mode, so that AUTO never starts blind."""

    def step(
        self,
        settings: CoolingSettings,
        state: LawState,
        inputs: LoopInputs,
        *,
        supply_c: float,
        held: LoopSetpoints,
    ) -> tuple[LawState, LoopSetpoints]:
        """The wish for a set-point `supply_c`, given what is `held` now."""

    def transfer(
        self,
        settings: CoolingSettings,
        state: LawState,
        inputs: LoopInputs,
        *,
        supply_c: float,
        held: LoopSetpoints,
    ) -> LawState:
        """Memory from which the next step starts at what is `held`."""


def observe(settings: CoolingSettings, state: LawState, inputs: LoopInputs) -> LawState:
    """What every law keeps of the measurements."""
    policy = settings.policy
    known = math.isfinite(inputs.facility_c)
    return replace(
        state,
        valve_heat=feedforward.observe(
            policy.valve_heat, state.valve_heat, inputs.heat_w, inputs.dt_s
        ),
        pump_heat=feedforward.observe(
            policy.pump_heat, state.pump_heat, inputs.heat_w, inputs.dt_s
        ),
        facility_c=inputs.facility_c if known else state.facility_c,
    )
