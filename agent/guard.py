"""The sled's own protection: a pure function of settings, state, readings and monotonic time.

A 1 kW chip without flow is at 85 C in 6 to 10 s, so nobody is asked: first the power is cut to a
fifth, then the sled is switched off. What is missing never lowers a level and never resets a
count; only complete and calm readings lift a shed, only a person's word lifts an off.
"""

import math
from dataclasses import dataclass, replace
from enum import Enum, StrEnum
from typing import Final

from fleet.errors import CommandRefusedError, ConfigurationError


class GuardLevel(StrEnum):
    NONE = "none"  # nothing was done
    SHED = "shed"  # power is capped low; lifts itself when all is calm
    OFF = "off"  # switched off, until a person resets the guard


LEVELS: Final = tuple(GuardLevel)


class TripReason(StrEnum):
    LOSS_OF_FLOW = "loss of flow"  # coolant flow is far below what the sled needs
    OVER_TEMPERATURE = "over-temperature"  # a die is too hot
    LEAK = "leak"  # a detector sees liquid
    BLIND = "no temperatures"  # every die sensor has been silent for too long


class Act(Enum):
    SHED = "shed"  # cap the power of every chip
    POWER_OFF = "power off"  # cut the sled's power at once
    POWER_ON = "power on"  # give the sled its power again
    RESTORE = "restore"  # back to the cap that was asked for
    ISOLATE = "isolate"  # shut the sled's coolant valves, so that a leak ends
    OPEN = "open"  # open them again


@dataclass(frozen=True, slots=True, kw_only=True)
class GuardSettings:
    """Limits of one sled. Times and temperatures follow a model of a 1 kW cold plate that loses
    its flow (+-40 %, estimate), so all of them are settings.
    """

    expected_flow_lpm: float = 7.5
    """Design flow of a sled: four plates and the host's (estimate)."""
    low_flow_ratio: float = 0.2
    falling_ratio: float = 0.55
    """Flow below this share of its recent best, with a die that warms: it is being lost. One of two
    pumps out leaves 60 % and more, and is the CDU's business."""
    suspect_ratio: float = 0.85
    """Flow below this share of its recent best falls faster than pumps are ever told to slow down
    (2 % a second); it is looked at again."""
    lost_ratio: float = 0.45
    """Below this share in the reading after: it is lost, and no die need show it first."""
    falling_s: float = 6.0
    """What is recent: coast-down 2 s, and the meter's own second."""
    warming_k: float = 1.5
    """Estimate: a 1 kW chip without flow warms by 2.7 K a second, sensors show whole kelvins."""
    warm_c: float = 45.0
    """Low flow is no danger below this: an idle sled behind a slow pump. Estimate."""
    shed_junction_c: float = 95.0
    off_junction_c: float = 103.0
    calm_junction_c: float = 85.0
    """A shed lifts only below this."""
    confirm_ticks: int = 2
    """Readings in a row that must agree, so that one bad sample trips nothing."""
    flow_return_s: float = 30.0
    """A shed sled without flow still heats by its idle power; then it goes off."""
    blind_s: float = 10.0
    calm_s: float = 60.0
    sheds_per_hour: int = 3
    """After so many a shed no longer lifts itself."""
    shed_cap_ratio: float = 0.2
    """Of rated power: half is not enough without flow."""
    liquid: bool = True
    """Whether coolant carries the heat; an air-cooled host has no flow to be judged by."""
    repeat_s: float = 5.0
    """How often the guard says again what it wants, while it holds a level."""

    @property
    def low_flow_lpm(self) -> float:
        return self.expected_flow_lpm * self.low_flow_ratio

    def validate(self) -> None:
        ordered = self.calm_junction_c < self.shed_junction_c < self.off_junction_c
        if not ordered:
            raise ConfigurationError("guard: junction limits must rise from calm to shed to off")
        if self.low_flow_lpm <= 0:
            raise ConfigurationError("guard: expected flow and its ratio must be above 0")
        if self.confirm_ticks < 1 or not 0 <= self.shed_cap_ratio <= 1:
            raise ConfigurationError("guard: confirm_ticks below 1, or a cap outside 0..1")


@dataclass(frozen=True, slots=True, kw_only=True)
class Readings:
    """What the guard sees in one tick; NaN and None where nothing was read."""

    junction_c: tuple[float, ...]
    flow_lpm: float
    leak_critical: bool | None
    powered: bool | None


@dataclass(frozen=True, slots=True, kw_only=True)
class GuardState:
    """Counts are consecutive confirmed ticks; times are monotonic seconds."""

    level: GuardLevel = GuardLevel.NONE
    reason: TripReason | None = None
    hot_ticks: tuple[int, ...]
    very_hot_ticks: tuple[int, ...]
    low_flow_ticks: int = 0
    leak_ticks: int = 0
    flow_lost_s: float | None = None
    seen_s: float
    calm_since_s: float | None = None
    said_s: float = -math.inf
    recent: tuple[tuple[float, float, float], ...] = ()
    """Time, flow and hottest die of the last ticks."""
    suspect: bool = False
    """Flow falls faster than any command lets it."""
    falling: bool = False
    """Flow is being lost: a die warms with it, or two readings in a row say so."""
    sheds_s: tuple[float, ...] = ()


def start(
    chips: int,
    now_s: float,
    *,
    level: GuardLevel = GuardLevel.NONE,
    reason: TripReason | None = None,
) -> GuardState:
    """The state of an agent that starts; `level` and `reason` are what it remembers."""
    return GuardState(
        level=level,
        reason=reason,
        hot_ticks=(0,) * chips,
        very_hot_ticks=(0,) * chips,
        seen_s=now_s,
    )


def step(
    settings: GuardSettings, state: GuardState, readings: Readings, now_s: float
) -> tuple[GuardState, tuple[Act, ...]]:
    """One tick: the new state and what is to be done about it, most urgent first."""
    state = _observe(settings, state, readings, now_s)
    wanted, reason = _judge(settings, state, now_s)
    if LEVELS.index(wanted) > LEVELS.index(state.level):
        return _trip(state, wanted, reason, now_s)
    if _may_lift(settings, state, now_s):
        lifted = replace(state, level=GuardLevel.NONE, reason=None, calm_since_s=None)
        return lifted, (Act.RESTORE,)
    return _repeat(settings, state, readings, now_s)


def reset(
    settings: GuardSettings, state: GuardState, readings: Readings, now_s: float
) -> tuple[GuardState, tuple[Act, ...]]:
    """A person lifts what has tripped; CommandRefusedError while the danger is still measured."""
    # A branch that is shut has no flow: that is no danger, and tried out by opening it.
    isolated = state.reason is TripReason.LEAK and state.level is GuardLevel.OFF
    danger = _danger(settings, readings, isolated=isolated)
    if danger is not None:
        raise CommandRefusedError(f"the guard stays {state.level}: {danger} is still measured")
    acts: tuple[Act, ...] = ()
    if state.level is not GuardLevel.NONE:
        acts = (Act.RESTORE,)
    if state.level is GuardLevel.OFF:
        # The cap is restored first, so that the sled does not wake under the old one.
        acts = (Act.RESTORE, Act.POWER_ON)
    if isolated:
        acts = (Act.RESTORE, Act.OPEN, Act.POWER_ON)
    return start(len(readings.junction_c), now_s), acts


def _observe(
    settings: GuardSettings, state: GuardState, readings: Readings, now_s: float
) -> GuardState:
    sees = readings.powered is False or any(map(math.isfinite, readings.junction_c))
    calm_since_s = None
    if _calm(settings, readings):
        calm_since_s = now_s if state.calm_since_s is None else state.calm_since_s
    return replace(
        state,
        hot_ticks=_count_each(state.hot_ticks, readings.junction_c, settings.shed_junction_c),
        very_hot_ticks=_count_each(
            state.very_hot_ticks, readings.junction_c, settings.off_junction_c
        ),
        low_flow_ticks=_count(state.low_flow_ticks, _low_flow(settings, readings)),
        leak_ticks=_count(state.leak_ticks, readings.leak_critical),
        flow_lost_s=_flow_lost_s(settings, state, readings, now_s),
        recent=_recent(settings, state, readings, now_s),
        suspect=_fallen(settings, state, readings, now_s, settings.suspect_ratio),
        falling=_falling(settings, state, readings, now_s),
        seen_s=now_s if sees else state.seen_s,
        calm_since_s=calm_since_s,
    )


def _count(ticks: int, found: bool | None) -> int:
    if found is None:
        return ticks
    return ticks + 1 if found else 0


def _count_each(
    ticks: tuple[int, ...], junction_c: tuple[float, ...], limit_c: float
) -> tuple[int, ...]:
    return tuple(
        _count(count, None if math.isnan(value) else value >= limit_c)
        for count, value in zip(ticks, junction_c, strict=True)
    )


def _low_flow(settings: GuardSettings, readings: Readings) -> bool | None:
    """Whether a sled that makes heat has too little flow; None when that can not be said."""
    if readings.powered is False:
        return False
    if math.isnan(readings.flow_lpm):
        return None
    known = [value for value in readings.junction_c if math.isfinite(value)]
    warm = not known or max(known) >= settings.warm_c
    return readings.flow_lpm < settings.low_flow_lpm and warm


def _recent(
    settings: GuardSettings, state: GuardState, readings: Readings, now_s: float
) -> tuple[tuple[float, float, float], ...]:
    hottest_c = max((c for c in readings.junction_c if math.isfinite(c)), default=math.nan)
    kept = tuple(one for one in state.recent if now_s - one[0] <= settings.falling_s)
    return (*kept, (now_s, readings.flow_lpm, hottest_c))


def _fallen(
    settings: GuardSettings, state: GuardState, readings: Readings, now_s: float, share: float
) -> bool:
    """Whether the flow of a warm sled is below a share of its recent best. A missing reading is no
    evidence.
    """
    if not settings.liquid or readings.powered is False:
        return False
    kept = [one for one in state.recent if now_s - one[0] <= settings.falling_s]
    best_lpm = max((flow for _, flow, _ in kept if math.isfinite(flow)), default=math.nan)
    hottest_c = max((c for c in readings.junction_c if math.isfinite(c)), default=math.nan)
    return (
        best_lpm >= settings.low_flow_lpm
        and readings.flow_lpm < share * best_lpm
        and hottest_c >= settings.warm_c
    )


def _falling(settings: GuardSettings, state: GuardState, readings: Readings, now_s: float) -> bool:
    """Whether flow has just gone: a die warms while it falls, or the reading before fell too."""
    if state.suspect and _fallen(settings, state, readings, now_s, settings.lost_ratio):
        return True
    kept = [one for one in state.recent if now_s - one[0] <= settings.falling_s]
    coolest_c = min((hot for _, _, hot in kept if math.isfinite(hot)), default=math.nan)
    hottest_c = max((c for c in readings.junction_c if math.isfinite(c)), default=math.nan)
    warmed = hottest_c - coolest_c >= settings.warming_k
    return warmed and _fallen(settings, state, readings, now_s, settings.falling_ratio)


def _flow_lost_s(
    settings: GuardSettings, state: GuardState, readings: Readings, now_s: float
) -> float | None:
    """Since when a shed sled has no flow, whatever it was shed for; NaN flow is not flow that is
    back.
    """
    if readings.powered is False or readings.flow_lpm >= settings.low_flow_lpm:
        return None
    dry = _low_flow(settings, readings) and state.level is GuardLevel.SHED
    return now_s if dry and state.flow_lost_s is None else state.flow_lost_s


def _judge(
    settings: GuardSettings, state: GuardState, now_s: float
) -> tuple[GuardLevel, TripReason | None]:
    confirm = settings.confirm_ticks
    if state.leak_ticks >= confirm:
        return GuardLevel.OFF, TripReason.LEAK
    if max(state.very_hot_ticks, default=0) >= confirm:
        return GuardLevel.OFF, TripReason.OVER_TEMPERATURE
    lost_s = state.flow_lost_s
    if lost_s is not None and now_s - lost_s >= settings.flow_return_s:
        return GuardLevel.OFF, TripReason.LOSS_OF_FLOW
    if state.low_flow_ticks >= confirm or state.falling:
        return GuardLevel.SHED, TripReason.LOSS_OF_FLOW
    if max(state.hot_ticks, default=0) >= confirm:
        return GuardLevel.SHED, TripReason.OVER_TEMPERATURE
    if now_s - state.seen_s >= settings.blind_s:
        return GuardLevel.SHED, TripReason.BLIND
    return GuardLevel.NONE, None


def _trip(
    state: GuardState, level: GuardLevel, reason: TripReason | None, now_s: float
) -> tuple[GuardState, tuple[Act, ...]]:
    tripped = replace(state, level=level, reason=reason, said_s=now_s, calm_since_s=None)
    if level is GuardLevel.OFF:
        acts = (Act.POWER_OFF, Act.ISOLATE) if reason is TripReason.LEAK else (Act.POWER_OFF,)
        return tripped, acts
    sheds_s = (*(at for at in state.sheds_s if now_s - at < 3600), now_s)
    lost_s = now_s if reason is TripReason.LOSS_OF_FLOW else None
    return replace(tripped, sheds_s=sheds_s, flow_lost_s=lost_s), (Act.SHED,)


def _may_lift(settings: GuardSettings, state: GuardState, now_s: float) -> bool:
    return (
        state.level is GuardLevel.SHED
        and state.calm_since_s is not None
        and now_s - state.calm_since_s >= settings.calm_s
        and len(state.sheds_s) < settings.sheds_per_hour
    )


def _repeat(
    settings: GuardSettings, state: GuardState, readings: Readings, now_s: float
) -> tuple[GuardState, tuple[Act, ...]]:
    done = state.level is GuardLevel.OFF and readings.powered is False
    if state.level is GuardLevel.NONE or done or now_s - state.said_s < settings.repeat_s:
        return state, ()
    act = Act.POWER_OFF if state.level is GuardLevel.OFF else Act.SHED
    return replace(state, said_s=now_s), (act,)


def _calm(settings: GuardSettings, readings: Readings) -> bool:
    """Every reading is there and says that there is no danger."""
    return (
        readings.powered is True
        and (not settings.liquid or readings.flow_lpm >= settings.low_flow_lpm)
        and readings.leak_critical is False
        and all(value < settings.calm_junction_c for value in readings.junction_c)
    )


def _danger(settings: GuardSettings, readings: Readings, *, isolated: bool) -> str | None:
    if readings.leak_critical:
        return "a leak"
    if not isolated and readings.flow_lpm < settings.low_flow_lpm:
        return f"a flow of {readings.flow_lpm:.1f} l/min"
    hottest_c = max((c for c in readings.junction_c if math.isfinite(c)), default=-math.inf)
    if hottest_c >= settings.shed_junction_c:
        return f"a junction of {hottest_c:.1f} C"
    return None
