"""Who steers the loop: the policy, a person, or the failsafe; and the interlocks above them."""

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace

from controller.cooling.control import LoopSetpoints, LoopTrip, ManualOrder, Mode, TripReset
from controller.cooling.estimate import LoopInputs
from controller.cooling.settings import CoolingSettings
from fleet.clock import NS_PER_S
from thermal.control import interlock
from thermal.control.interlock import InterlockReading, InterlockState, TripLevel, TripReason
from thermal.model import loop as model


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    mode: Mode
    reason: str


def watch(
    settings: CoolingSettings,
    state: InterlockState,
    inputs: LoopInputs,
    *,
    expected_pump_ratio: float,
    resets: Iterable[TripReset] = (),
) -> tuple[InterlockState, tuple[tuple[TripReason, str], ...]]:
    """Interlocks after a cycle, and which trips were lifted by whom.

    `expected_pump_ratio` is NaN while the CDU does not obey: then a lack of flow says nothing.
    """
    reading = _reading(settings, inputs, expected_pump_ratio)
    after = interlock.step(settings.interlock, state, reading, inputs.at_s)
    lifted: list[tuple[TripReason, str]] = []
    for reset in resets:
        kept = interlock.reset(settings.interlock, after, reading)
        remaining = {trip.reason for trip in kept.trips}
        lifted += [
            (trip.reason, reset.actor) for trip in after.trips if trip.reason not in remaining
        ]
        after = kept
    return after, tuple(lifted)


def decide(
    settings: CoolingSettings,
    inputs: LoopInputs,
    interlocks: InterlockState,
    order: ManualOrder | None,
    *,
    now: Verdict,
    lasted_s: float,
) -> Verdict:
    """The mode for this cycle. Interlock beats failsafe beats a person beats the policy."""
    forcing = [trip for trip in interlocks.trips if trip.level >= TripLevel.SHED]
    if forcing:
        names = ", ".join(trip.reason.value.replace("_", " ") for trip in forcing)
        return Verdict(mode=Mode.FAILSAFE, reason=f"interlock: {names}")
    if inputs.unusable is not None:
        return Verdict(mode=Mode.FAILSAFE, reason=inputs.unusable)
    asked = order is not None and order.failsafe
    if now.mode is Mode.FAILSAFE and lasted_s < settings.failsafe_hold_s and not asked:
        return now
    if order is not None:
        return Verdict(mode=order.mode, reason=order.words())
    if inputs.substituted:
        return Verdict(mode=Mode.AUTO, reason="supply sensor failed; the sleds' inlets stand in")
    return Verdict(mode=Mode.AUTO, reason="")


def held_down(
    settings: CoolingSettings, trips: tuple[LoopTrip, ...], held: LoopSetpoints, wish: LoopSetpoints
) -> LoopSetpoints:
    """The wish under latched trips that more pumping would make worse, whoever wished."""
    reasons = {trip.reason for trip in trips}
    if TripReason.HIGH_PRESSURE in reasons:
        return replace(wish, pump_ratio=min(wish.pump_ratio, settings.shell.pressed_pump_ratio))
    if reasons & {TripReason.LEAK, TripReason.LOW_PRESSURE, TripReason.LOW_LEVEL}:
        return replace(wish, pump_ratio=min(wish.pump_ratio, held.pump_ratio))
    return wish


def told(
    interlocks: InterlockState, before: tuple[LoopTrip, ...], cause: str
) -> tuple[LoopTrip, ...]:
    """Latched trips as the world sees them; each keeps the cause with which it came."""
    causes = {trip.reason: trip.cause for trip in before}
    return tuple(
        LoopTrip(
            reason=trip.reason,
            since_unix_ns=round(trip.since_s * NS_PER_S),
            level=trip.level,
            cause=causes.get(trip.reason, cause),
        )
        for trip in interlocks.trips
    )


def expected_pump_ratio(
    settings: CoolingSettings, expected: float, held: LoopSetpoints, dt_s: float
) -> float:
    """Speed that pumps told `held` must have reached: drives ramp, and start from where they
    were. A fall is expected at once, so that a slow pump is never taken for a failed one.
    """
    most = expected + dt_s / settings.model.drive.ramp_s
    return min(most, held.pump_ratio)


def _reading(
    settings: CoolingSettings, inputs: LoopInputs, expected_pump_ratio: float
) -> InterlockReading:
    expected_lpm = math.nan
    if expected_pump_ratio >= settings.shell.pump_least_ratio:
        speeds = (expected_pump_ratio,) * settings.pumps
        expected_lpm = model.flow_for_pump_lpm(speeds, settings.model)
    return InterlockReading(
        leak=inputs.leak,
        flow_ratio=inputs.flow_lpm / expected_lpm if expected_lpm > 0.0 else math.nan,
        junction_c=inputs.junction_c,
        return_c=inputs.return_c,
        dew_margin_k=inputs.supply_c - inputs.dew_point_c,
        pressure_kpa=inputs.pressure_kpa,
        level_ratio=inputs.level_ratio,
    )
