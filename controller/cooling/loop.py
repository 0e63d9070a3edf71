"""One cycle of one loop: read, estimate, watch, decide, wish, shield, send."""

import math
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from controller.cooling import (
    estimate,
    follow,
    laws,
    relief,
    reset,
    serving_queue,
    shell,
    supervise,
)
from controller.cooling.control import (
    CapLoop,
    ChangeMode,
    CoolingEffect,
    LatchTrip,
    LiftTrips,
    LoopSetpoints,
    LoopTrip,
    ManualOrder,
    Mode,
    SendCooling,
    SensorFault,
    TripReset,
)
from controller.cooling.estimate import EstimateState, HeatChange, LoopInputs, LoopReadings
from controller.cooling.follow import FollowState
from controller.cooling.laws.law import LawState
from controller.cooling.margins import Margins, margins
from controller.cooling.relief import ReliefState
from controller.cooling.reset import ResetState
from controller.cooling.serving_queue import QueueState
from controller.cooling.settings import CoolingSettings, LawName
from controller.cooling.shell import ShellInputs
from controller.cooling.supervise import Verdict
from controller.state.snapshot import FleetSnapshot
from fleet.clock import NS_PER_S
from fleet.commands import SetCooling
from thermal.control.interlock import InterlockState
from thermal.model.identity import Identified


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
    trips: tuple[LoopTrip, ...] = ()
    sensor_faults: tuple[SensorFault, ...] = ()
    law_name: LawName = LawName.FEEDFORWARD
    """Which law moves it in AUTO."""
    steering: bool = False
    """False until the first command: before, the CDU's own firmware cools."""
    estimate: EstimateState = field(default_factory=EstimateState)
    interlock: InterlockState = field(default_factory=InterlockState)
    law: LawState = field(default_factory=LawState)
    expected_pump_ratio: float = 0.0
    """Speed that the pumps must have reached by now, from where they were taken over."""
    dew_point_c: float = math.nan
    """Last believed dew point: hall air changes slowly."""
    relief: ReliefState = field(default_factory=ReliefState)
    follow: FollowState = field(default_factory=FollowState)
    """Whether valve and pumps do what they are told."""
    reset: ResetState = field(default_factory=ResetState)
    queue: QueueState = field(default_factory=QueueState)
    margins: Margins = field(default_factory=Margins)
    readings: LoopReadings | None = None
    """Of the last cycle: what a decision or a prediction was based on."""


def initial(loop_id: str, cdu_id: str, settings: CoolingSettings) -> LoopControl:
    """A loop that has not been heard yet: FAILSAFE, and nothing is sent. The CDU's firmware cools
    until its sensors have earned trust; then its positions are taken over without a bump.
    """
    return LoopControl(
        loop_id=loop_id,
        cdu_id=cdu_id,
        at_unix_ns=0,
        mode=Mode.FAILSAFE,
        mode_reason="not heard yet",
        mode_since_unix_ns=0,
        law_name=settings.law,
        setpoints=LoopSetpoints(
            supply_c=settings.policy.supply_c,
            valve_ratio=1.0,
            pump_ratio=settings.shell.failsafe_pump_ratio,
            flow_lpm=settings.model.design_flow_lpm,
        ),
    )


def step(
    control: LoopControl,
    snapshot: FleetSnapshot,
    *,
    order: ManualOrder | None = None,
    resets: Iterable[TripReset] = (),
    announced: tuple[HeatChange, ...] = (),
    settings: CoolingSettings,
    identified: Identified | None = None,
) -> tuple[LoopControl, tuple[CoolingEffect, ...]]:
    """One cycle of the loop `control.loop_id`; while `order` is given, the loop is in MANUAL.

    Resets of other loops are passed over. A cycle that is not later than the last moves nothing.
    """
    row = snapshot.fleet_map.loop(control.loop_id)
    readings = estimate.read_loop(snapshot, row, settings.estimate, identified)
    return advance(
        control,
        replace(readings, announced=announced),
        at_unix_ns=snapshot.at_unix_ns,
        cause=snapshot.cdu_cause(row),
        order=order,
        resets=resets,
        settings=settings,
    )


def advance(
    control: LoopControl,
    readings: LoopReadings,
    *,
    at_unix_ns: int,
    cause: str,
    order: ManualOrder | None = None,
    resets: Iterable[TripReset] = (),
    settings: CoolingSettings,
) -> tuple[LoopControl, tuple[CoolingEffect, ...]]:
    """`step` on readings, whatever they were taken from."""
    first = control.at_unix_ns == 0
    dt_s = 0.0 if first else max(at_unix_ns - control.at_unix_ns, 0) / NS_PER_S
    known, inputs = estimate.step(settings.estimate, control.estimate, readings, dt_s)
    queue, foretold = serving_queue.step(
        settings.queue,
        control.queue,
        readings.queue,
        heat_w=inputs.heat_w,
        dt_s=dt_s,
        placing=bool(readings.announced),
    )
    inputs = replace(inputs, announced=(*inputs.announced, *foretold))
    heard = replace(control, readings=readings, queue=queue)
    heard, inputs = _followed(heard, inputs, settings)
    seen = _remember(heard, known, inputs, at_unix_ns, settings)
    mine = [reset for reset in resets if reset.loop_id == control.loop_id]
    if order is not None and order.until_unix_ns <= at_unix_ns:
        order = None
    watched, trip_effects = _watch(seen, inputs, mine, cause, settings)
    steered, mode_effects = _steer(watched, inputs, order, cause, settings)
    helped, caps = _relieve(steered, inputs, cause, settings)
    helped = _weigh(helped, readings, inputs, order, settings)
    return helped, (*trip_effects, *mode_effects, *repeat(helped, cause), *caps)


def _followed(
    control: LoopControl, inputs: LoopInputs, settings: CoolingSettings
) -> tuple[LoopControl, LoopInputs]:
    """What valve and pumps made of the commands so far; who does not follow is named as a fault."""
    if not control.steering or inputs.age_s > settings.estimate.stale_s:
        return control, inputs
    told, dt_s = control.setpoints, min(inputs.dt_s, settings.shell.longest_step_s)
    after = FollowState(
        valve=follow.step(
            settings.follow,
            control.follow.valve,
            told_ratio=told.valve_ratio,
            shown_ratio=inputs.valve_ratio,
            stroke_s=settings.model.valve.stroke_s,
            dt_s=dt_s,
        ),
        pump=follow.step(
            settings.follow,
            control.follow.pump,
            told_ratio=told.pump_ratio,
            shown_ratio=inputs.pump_ratio,
            stroke_s=settings.model.drive.ramp_s,
            dt_s=dt_s,
        ),
    )
    faults = tuple(
        SensorFault(
            sensor=name,
            reason=one.words,
            since_unix_ns=round((inputs.at_s - max(one.still_s, one.behind_s)) * NS_PER_S),
        )
        for name, one in (("valve", after.valve), ("pumps", after.pump))
        if one.words
    )
    return replace(control, follow=after), replace(
        inputs, faults=(*inputs.faults, *faults), valve_stuck=bool(after.valve.words)
    )


def _weigh(
    control: LoopControl,
    readings: LoopReadings,
    inputs: LoopInputs,
    order: ManualOrder | None,
    settings: CoolingSettings,
) -> LoopControl:
    """Margins, and the slow layer's set-point for the cycles that come."""
    weighed = replace(control, margins=margins(settings, readings, inputs))
    if settings.reset is None or control.mode is not Mode.AUTO or order is not None:
        return weighed
    return replace(
        weighed,
        reset=reset.step(
            settings,
            control.reset,
            control.law,
            readings,
            inputs,
            loop_id=control.loop_id,
            held_c=control.setpoints.supply_c,
            dt_s=min(inputs.dt_s, settings.shell.longest_step_s),
        ),
    )


def _relieve(
    control: LoopControl, inputs: LoopInputs, cause: str, settings: CoolingSettings
) -> tuple[LoopControl, tuple[CoolingEffect, ...]]:
    """What is asked of placement, and the caps where that has not helped."""
    after = relief.step(
        settings.relief,
        control.relief,
        junction_c=inputs.junction_c,
        valve_ratio=inputs.valve_ratio,
        pump_ratio=inputs.pump_ratio,
        stuck=inputs.valve_stuck and inputs.valve_ratio < control.setpoints.valve_ratio,
        dt_s=min(inputs.dt_s, settings.shell.longest_step_s),
    )
    caps: tuple[CoolingEffect, ...] = ()
    if relief.due(settings.relief, control.relief, after):
        caps = (CapLoop(loop_id=control.loop_id, cap_ratio=after.cap_ratio, cause=cause),)
    return replace(control, relief=after), caps


def repeat(control: LoopControl, cause: str) -> tuple[CoolingEffect, ...]:
    """The loop's set-points as an effect; none before it steers."""
    if not control.steering:
        return ()
    action = SetCooling(
        valve_ratio=control.setpoints.valve_ratio,
        pump_ratio=control.setpoints.pump_ratio,
        supply_c=control.setpoints.supply_c,
        facility_c=_asked_water_c(control),
    )
    return (SendCooling(cdu_id=control.cdu_id, action=action, cause=cause),)


def _asked_water_c(control: LoopControl) -> float | None:
    """In FAILSAFE the building goes back to its own: nobody weighs what is cheapest then."""
    asked_c = control.reset.facility_c
    if control.mode is Mode.FAILSAFE or not math.isfinite(asked_c):
        return None
    return round(asked_c, 1)


def _remember(
    control: LoopControl,
    known: EstimateState,
    inputs: LoopInputs,
    at_unix_ns: int,
    settings: CoolingSettings,
) -> LoopControl:
    dew_known = math.isfinite(inputs.dew_point_c)
    return replace(
        control,
        at_unix_ns=max(at_unix_ns, control.at_unix_ns),
        mode_since_unix_ns=control.mode_since_unix_ns or at_unix_ns,
        law_name=settings.law,
        estimate=known,
        sensor_faults=inputs.faults,
        law=laws.chosen(settings).observe(settings, control.law, inputs),
        dew_point_c=inputs.dew_point_c if dew_known else control.dew_point_c,
    )


def _watch(
    control: LoopControl,
    inputs: LoopInputs,
    resets: list[TripReset],
    cause: str,
    settings: CoolingSettings,
) -> tuple[LoopControl, list[CoolingEffect]]:
    """Interlocks, and what they have to say."""
    interlocks, lifted = supervise.watch(
        settings,
        control.interlock,
        inputs,
        expected_pump_ratio=control.expected_pump_ratio if control.steering else math.nan,
        resets=resets,
    )
    trips = supervise.told(interlocks, control.trips, cause)
    old = {(trip.reason, trip.level) for trip in control.trips}
    effects: list[CoolingEffect] = [
        LatchTrip(loop_id=control.loop_id, trip=trip, cause=trip.cause)
        for trip in trips
        if (trip.reason, trip.level) not in old
    ]
    for actor in dict.fromkeys(actor for _, actor in lifted):
        reasons = tuple(reason for reason, who in lifted if who == actor)
        effects.append(
            LiftTrips(
                loop_id=control.loop_id, reasons=reasons, actor=actor, cause=f"reset by {actor}"
            )
        )
    return replace(control, interlock=interlocks, trips=trips), effects


def _steer(
    control: LoopControl,
    inputs: LoopInputs,
    order: ManualOrder | None,
    cause: str,
    settings: CoolingSettings,
) -> tuple[LoopControl, list[CoolingEffect]]:
    """Mode, wish and shield."""
    verdict = _verdict(control, inputs, order, settings)
    changed = verdict.mode is not control.mode
    if not control.steering:
        if verdict.mode is Mode.FAILSAFE and not control.trips:
            return replace(control, mode_reason=verdict.reason), []
        control = replace(
            control,
            steering=True,
            setpoints=_taken_over(control, inputs, settings),
            expected_pump_ratio=_or(inputs.pump_ratio, 0.0),
        )
    wished, wish = _wish(control, inputs, order, verdict.mode, settings, entered=changed)
    wish = supervise.held_down(settings, control.trips, control.setpoints, wish)
    watched = ShellInputs(
        dt_s=inputs.dt_s,
        supply_c=inputs.supply_c,
        facility_c=wished.facility_c,
        dew_point_c=control.dew_point_c,
    )
    steered = replace(
        control,
        law=wished,
        setpoints=shell.shield(settings.shell, control.setpoints, wish, watched),
        mode=verdict.mode,
        mode_reason=verdict.reason,
        mode_since_unix_ns=control.at_unix_ns if changed else control.mode_since_unix_ns,
        expected_pump_ratio=supervise.expected_pump_ratio(
            settings, control.expected_pump_ratio, control.setpoints, inputs.dt_s
        ),
    )
    if not changed and verdict.reason == control.mode_reason:
        return steered, []
    return steered, [
        ChangeMode(
            loop_id=control.loop_id,
            mode=verdict.mode,
            reason=verdict.reason,
            cause=steered.trips[-1].cause if steered.trips else cause,
        )
    ]


def _verdict(
    control: LoopControl,
    inputs: LoopInputs,
    order: ManualOrder | None,
    settings: CoolingSettings,
) -> Verdict:
    lasted_s = (control.at_unix_ns - control.mode_since_unix_ns) / NS_PER_S
    if not control.steering:
        lasted_s = math.inf  # waiting for trust at the start is no failsafe that could flap
    return supervise.decide(
        settings,
        inputs,
        control.interlock,
        order,
        now=Verdict(mode=control.mode, reason=control.mode_reason),
        lasted_s=lasted_s,
    )


def _wish(
    control: LoopControl,
    inputs: LoopInputs,
    order: ManualOrder | None,
    mode: Mode,
    settings: CoolingSettings,
    *,
    entered: bool,
) -> tuple[LawState, LoopSetpoints]:
    reset_c = control.reset.supply_c
    wanted_c = reset_c if math.isfinite(reset_c) else settings.policy.supply_c
    if order is not None and order.supply_c is not None:
        wanted_c = order.supply_c
    floor_c = shell.dew_floor_c(settings.shell, control.dew_point_c)
    supply_c = max(wanted_c, floor_c + settings.shell.dew_guard_k)
    if mode is Mode.FAILSAFE:
        return control.law, _failsafe(control, inputs, supply_c, settings)
    held = control.setpoints
    law, state = laws.chosen(settings), control.law
    if entered:
        state = law.transfer(settings, state, inputs, supply_c=held.supply_c, held=held)
    state, wish = law.step(settings, state, inputs, supply_c=held.supply_c, held=held)
    floor = settings.shell.failsafe_pump_ratio if inputs.alone else 0.0
    wish = replace(wish, supply_c=supply_c, pump_ratio=max(wish.pump_ratio, floor))
    if order is None:
        return state, wish
    return state, replace(
        wish,
        valve_ratio=wish.valve_ratio if order.valve_ratio is None else order.valve_ratio,
        pump_ratio=wish.pump_ratio if order.pump_ratio is None else order.pump_ratio,
    )


def _failsafe(
    control: LoopControl, inputs: LoopInputs, supply_c: float, settings: CoolingSettings
) -> LoopSetpoints:
    watched = ShellInputs(
        dt_s=inputs.dt_s,
        supply_c=inputs.supply_c,
        facility_c=control.law.facility_c,
        dew_point_c=control.dew_point_c,
    )
    return shell.failsafe_wish(settings.shell, control.setpoints, watched, supply_c=supply_c)


def _taken_over(
    control: LoopControl, inputs: LoopInputs, settings: CoolingSettings
) -> LoopSetpoints:
    """What the CDU asks of its actuators; where it does not say, or says what they are nowhere
    near, how they stand. Not where they seem to be heading: a valve that sticks and a law that
    answers to noise lead such a guess astray.
    """
    held, said = control.setpoints, control.readings
    valve_told = said.valve_command_ratio if said is not None else math.nan
    pump_told = said.pump_command_ratio if said is not None else math.nan
    most = settings.follow.taken_over_ratio
    valve_ratio = _or(_near_ratio(valve_told, inputs.valve_ratio, most), held.valve_ratio)
    pump_ratio = _or(_near_ratio(pump_told, inputs.pump_ratio, most), held.pump_ratio)
    return replace(held, valve_ratio=valve_ratio, pump_ratio=pump_ratio)


def _near_ratio(told_ratio: float, shown_ratio: float, most_ratio: float) -> float:
    """What was told, if what is shown follows it; else what is shown."""
    return told_ratio if abs(told_ratio - shown_ratio) <= most_ratio else shown_ratio


def _or(value: float, unknown: float) -> float:
    return value if math.isfinite(value) else unknown
