"""Trust in sensors. A sensor starts distrusted, earns trust, and loses it with a reason."""

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import StrEnum


class FailsafeReason(StrEnum):
    """Why a sensor is not believed."""

    UNPROVEN = "unproven"  # has not yet given good readings for long enough
    STALE = "stale"  # no new reading within the time allowed
    INVALID = "invalid"  # not a number
    OUT_OF_RANGE = "out_of_range"  # outside what is physically plausible
    TOO_FAST = "too_fast"  # moved faster than the physics can
    FROZEN = "frozen"  # has not moved at all for too long


@dataclass(frozen=True, slots=True, kw_only=True)
class Failsafe:
    """A sensor that is not believed, as data."""

    reason: FailsafeReason
    since_s: float
    level: float
    """Floor of the cooling output while it lasts, 0..1."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SensorLimits:
    """What a believable reading looks like, in the unit of the sensor."""

    low: float
    high: float
    most_per_s: float = math.inf
    """Fastest plausible change."""
    stale_s: float = 5.0
    """Estimate: telemetry at 1 Hz plus transport of at most 3 s."""
    frozen_s: float = math.inf
    """Longest believable time without any change; finite only for noisy sensors."""
    trust_s: float = 3.0
    """Good readings over this time end a failsafe."""
    level: float = 0.8
    """Cooling floor while failed (80..100 %, estimate)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SensorTrust:
    """Memory about one sensor."""

    failsafe: Failsafe | None
    """None while it is believed."""
    value: float = math.nan
    """Last reading that passed the checks; NaN before the first."""
    read_at_s: float = -math.inf
    changed_at_s: float = -math.inf
    good_since_s: float | None = None
    """Start of the present run of good readings."""


def distrust(limits: SensorLimits, now_s: float) -> SensorTrust:
    """Where every sensor starts."""
    return SensorTrust(
        failsafe=Failsafe(reason=FailsafeReason.UNPROVEN, since_s=now_s, level=limits.level)
    )


def observe(
    limits: SensorLimits, trust: SensorTrust, value: float, read_at_s: float, now_s: float
) -> SensorTrust:
    """Trust after the latest reading (possibly the same as before) as known at `now_s`.

    `read_at_s` is when the sensor measured; a reading no newer than the last is no news.
    """
    if read_at_s > trust.read_at_s:
        trust = _judge(limits, trust, value, read_at_s, now_s)
    if now_s - trust.read_at_s > limits.stale_s:
        return lost(limits, trust, FailsafeReason.STALE, now_s)
    if now_s - trust.changed_at_s > limits.frozen_s:
        return lost(limits, trust, FailsafeReason.FROZEN, now_s)
    good = trust.good_since_s
    if trust.failsafe is not None and good is not None and now_s - good >= limits.trust_s:
        return replace(trust, failsafe=None)
    return trust


def lost(
    limits: SensorLimits, trust: SensorTrust, reason: FailsafeReason, now_s: float
) -> SensorTrust:
    """Lose trust; a sensor that had lost it keeps the time, and the newest reason."""
    since_s = now_s if trust.failsafe is None else trust.failsafe.since_s
    failsafe = Failsafe(reason=reason, since_s=since_s, level=limits.level)
    return replace(trust, failsafe=failsafe, good_since_s=None)


def floor(failsafes: Iterable[Failsafe | None]) -> float:
    """Cooling floor that a set of sensors imposes: the worst level, 0 when all are believed."""
    return max((failsafe.level for failsafe in failsafes if failsafe is not None), default=0.0)


def _judge(
    limits: SensorLimits, trust: SensorTrust, value: float, read_at_s: float, now_s: float
) -> SensorTrust:
    reason = _fault(limits, trust, value, read_at_s)
    if reason is None:
        return replace(
            trust,
            value=value,
            read_at_s=read_at_s,
            changed_at_s=trust.changed_at_s if value == trust.value else read_at_s,
            good_since_s=read_at_s if trust.good_since_s is None else trust.good_since_s,
        )
    seen = replace(trust, read_at_s=read_at_s)
    if reason is FailsafeReason.TOO_FAST:
        # The new level may be the true one: measure the next change from it.
        seen = replace(seen, value=value, changed_at_s=read_at_s)
    return lost(limits, seen, reason, now_s)


def _fault(
    limits: SensorLimits, trust: SensorTrust, value: float, read_at_s: float
) -> FailsafeReason | None:
    if not math.isfinite(value):
        return FailsafeReason.INVALID
    if not limits.low <= value <= limits.high:
        return FailsafeReason.OUT_OF_RANGE
    moved = abs(value - trust.value)
    if moved > limits.most_per_s * (read_at_s - trust.read_at_s):
        return FailsafeReason.TOO_FAST
    return None
