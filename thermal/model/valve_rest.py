"""Where a valve rests, told from what it is shown to do, and which commands will move it.

A valve at rest sticks until its command is far enough away, and its position feedback has a bias
of about half that: held against the feedback alone, a valve that rests seems to be on its way for
ever. Commands in vain tell the bias, for a sound valve would have followed them.
"""

import math
from dataclasses import dataclass, replace

from thermal.valve import ValveSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class ValveRestSettings:
    """Estimates."""

    moved_ratio: float = 0.004
    """Four sigmas of the position feedback."""
    acts_s: float = 1.0
    """After so long a command has made a valve move; the telemetry's age comes on top."""
    memory_s: float = 30.0
    """Over which the feedback of a valve at rest is averaged."""
    most_off_ratio: float = 0.01
    """Two to three sigmas of built sensors; who is further off sticks."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ValveRest:
    """Memory of one valve."""

    heard_at_s: float = math.nan
    pushed_at_s: float = -math.inf
    """When it was last told to go further than it sticks."""
    shown_ratio: float = math.nan
    """Where it rests by its feedback."""
    rest_s: float = 0.0
    """For how long."""
    vain_s: float = 0.0
    """For how long commands beyond its stiction have moved nothing."""
    vain_ratio: float = 0.0
    """The least of them, from where it rests."""
    off_ratio: float = 0.0
    """Where it stands, less where it is shown to stand."""


def watched(
    settings: ValveRestSettings,
    valve: ValveSettings,
    state: ValveRest,
    *,
    shown_ratio: float,
    told_ratio: float,
    at_s: float,
    age_s: float,
) -> ValveRest:
    """A cycle at `at_s` on telemetry that is `age_s` old, `told_ratio` being in force. Telemetry
    that is no newer than the last is no news of the valve.
    """
    gap_ratio = told_ratio - state.off_ratio - state.shown_ratio
    if abs(gap_ratio) > valve.stiction_ratio:
        state = replace(state, pushed_at_s=at_s)
    heard_at_s = at_s - age_s
    passed_s = heard_at_s - state.heard_at_s
    if not math.isfinite(shown_ratio) or passed_s <= 0.0:
        return state
    # The first look has nothing to be compared with, and its `passed_s` is NaN.
    if not abs(shown_ratio - state.shown_ratio) <= settings.moved_ratio:
        return ValveRest(
            heard_at_s=heard_at_s,
            pushed_at_s=state.pushed_at_s,
            shown_ratio=shown_ratio,
            off_ratio=state.off_ratio,
        )
    rest_s = state.rest_s + passed_s
    share = passed_s / (min(rest_s, settings.memory_s) + passed_s)
    rests = replace(
        state,
        heard_at_s=heard_at_s,
        rest_s=rest_s,
        shown_ratio=state.shown_ratio + share * (shown_ratio - state.shown_ratio),
    )
    return _tried(settings, valve, rests, gap_ratio, passed_s, age_s)


def at_rest(settings: ValveRestSettings, state: ValveRest) -> bool:
    """Whether it has come to rest, and no command since may have moved it unseen."""
    return state.heard_at_s - state.pushed_at_s >= settings.acts_s


def _tried(
    settings: ValveRestSettings,
    valve: ValveSettings,
    state: ValveRest,
    gap_ratio: float,
    passed_s: float,
    age_s: float,
) -> ValveRest:
    """What a command that moves nothing says of the feedback."""
    if abs(gap_ratio) <= valve.stiction_ratio:
        return replace(state, vain_s=0.0, vain_ratio=0.0)
    least_ratio = gap_ratio
    if state.vain_s > 0.0 and gap_ratio * state.vain_ratio > 0.0:
        least_ratio = math.copysign(min(abs(gap_ratio), abs(state.vain_ratio)), gap_ratio)
        passed_s += state.vain_s
    if passed_s < 2.0 * settings.acts_s + age_s:
        return replace(state, vain_s=passed_s, vain_ratio=least_ratio)
    # Just within its stiction, where it rests for certain.
    off = state.off_ratio + least_ratio - math.copysign(0.99 * valve.stiction_ratio, least_ratio)
    most = settings.most_off_ratio
    return replace(state, vain_s=0.0, vain_ratio=0.0, off_ratio=min(max(off, -most), most))
