"""A PID law as a function over frozen state.

The error is oriented so that a positive error asks for MORE output: for a cooling valve,
measured less setpoint. The integral is kept in units of the output, so gains may change between
steps without a bump from it. Feed-forward is added to the output; the integral holds only what
feed-forward did not know.
"""

import math
from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True, kw_only=True)
class PidGains:
    """Output per kelvin."""

    proportional_per_k: float
    integral_per_k_s: float
    derivative_s_per_k: float = 0.0
    derivative_filter_s: float = 5.0
    """Time constant of the low pass on the error's slope."""
    tracking_s: float = 10.0
    """Back-calculation: time constant with which the integral follows a clamped output."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PidState:
    """Memory of the law between two steps."""

    integral: float = 0.0
    """In units of the output."""
    slope_k_per_s: float = 0.0
    """Filtered slope of the error."""
    error_k: float | None = None
    """Last error; None before the first step."""


def scaled(gains: PidGains, factor: float) -> PidGains:
    """All three gains times `factor`, for a schedule on flow or valve position."""
    return replace(
        gains,
        proportional_per_k=gains.proportional_per_k * factor,
        integral_per_k_s=gains.integral_per_k_s * factor,
        derivative_s_per_k=gains.derivative_s_per_k * factor,
    )


def step(
    gains: PidGains,
    state: PidState,
    error_k: float,
    feedforward: float,
    dt_s: float,
    low: float,
    high: float,
) -> tuple[float, PidState]:
    """Output within `low`..`high`, and the state after `dt_s`.

    To count a rate limit as saturation too, pass as `low` and `high` what the actuator can reach
    within this step. A non-finite error or feed-forward holds the state and returns the output
    that the integral alone gives: a failed sensor must not poison the memory.
    """
    if not (math.isfinite(error_k) and math.isfinite(feedforward)):
        return _clamp(state.integral, low, high), state
    slope = _slope(gains, state, error_k, dt_s)
    integral = state.integral + gains.integral_per_k_s * error_k * dt_s
    wanted = _sum(gains, integral, slope, error_k, feedforward)
    output = _clamp(wanted, low, high)
    integral += (output - wanted) * min(1.0, dt_s / gains.tracking_s)
    return output, PidState(integral=integral, slope_k_per_s=slope, error_k=error_k)


def transfer(
    gains: PidGains, state: PidState, output: float, error_k: float, feedforward: float
) -> PidState:
    """State from which the next step starts at `output`: entry from manual, another law, failsafe.

    The slope starts at rest, for its past belongs to somebody else's output.
    """
    del state
    integral = output - _sum(gains, 0.0, 0.0, error_k, feedforward)
    return PidState(integral=integral, slope_k_per_s=0.0, error_k=error_k)


def _slope(gains: PidGains, state: PidState, error_k: float, dt_s: float) -> float:
    if state.error_k is None or dt_s <= 0.0:
        return state.slope_k_per_s
    raw = (error_k - state.error_k) / dt_s
    share = dt_s / (gains.derivative_filter_s + dt_s)
    return state.slope_k_per_s + share * (raw - state.slope_k_per_s)


def _sum(
    gains: PidGains, integral: float, slope: float, error_k: float, feedforward: float
) -> float:
    return (
        feedforward
        + integral
        + gains.proportional_per_k * error_k
        + gains.derivative_s_per_k * slope
    )


def _clamp(value: float, low: float, high: float) -> float:
    return min(max(value, low), high)
