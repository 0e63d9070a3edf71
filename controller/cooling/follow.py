"""Whether valve and pumps do what they are told: commands against what is read back.

An actuator that is given a way to go and has moved nowhere on it stands still; one that is not
where its stroke must have brought it is slow. Whoever stands still is left out of account: what it
can not give, others give.
"""

import math
from dataclasses import dataclass, field

from controller.cooling.settings import FollowSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class Followed:
    """Memory of one actuator."""

    expected_ratio: float = math.nan
    """Where its stroke must have brought it by now, half as fast as its data sheet says."""
    from_ratio: float = math.nan
    """Where it stood when it was last seen to move."""
    still_s: float = 0.0
    """How long it has stood there with a way to go."""
    behind_s: float = 0.0
    """How long it has been behind what is expected."""
    words: str = ""
    """What is wrong with it; empty when it follows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FollowState:
    valve: Followed = field(default_factory=Followed)
    pump: Followed = field(default_factory=Followed)


def step(
    settings: FollowSettings,
    state: Followed,
    *,
    told_ratio: float,
    shown_ratio: float,
    stroke_s: float,
    dt_s: float,
) -> Followed:
    """After a cycle; an actuator that shows nothing is not judged."""
    if not (math.isfinite(told_ratio) and math.isfinite(shown_ratio)):
        return Followed(words=state.words)
    expected = shown_ratio if math.isnan(state.expected_ratio) else state.expected_ratio
    reach = dt_s / (2.0 * stroke_s)
    expected += min(max(told_ratio - expected, -reach), reach)
    way = told_ratio - shown_ratio
    start = shown_ratio if math.isnan(state.from_ratio) else state.from_ratio
    moved = abs(shown_ratio - start) > settings.moved_ratio
    stuck = abs(way) > settings.tolerance_ratio and not moved
    # Behind: not yet past where it must have been, seen along the way that it has to go.
    lag = (expected - shown_ratio) * math.copysign(1.0, way)
    behind = abs(way) > settings.tolerance_ratio and lag > settings.tolerance_ratio
    still_s = state.still_s + dt_s if stuck else 0.0
    behind_s = state.behind_s + dt_s if behind else 0.0
    words = ""
    # A command that came back to where it stands proves nothing: only to move does.
    if still_s >= settings.still_s or (state.words == STUCK and not moved):
        words = STUCK
    elif behind_s >= settings.behind_s:
        words = SLOW
    return Followed(
        expected_ratio=expected,
        from_ratio=start if not moved and (stuck or words) else shown_ratio,
        still_s=still_s,
        behind_s=behind_s,
        words=words,
    )


STUCK = "stands still, whatever it is told"
SLOW = "does not follow its commands in time"
