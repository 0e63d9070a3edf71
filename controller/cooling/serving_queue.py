"""Heat that the serving queue foretells: requests that arrive are work that is yet to be done.

What is learnt is which heat went with which rate of answers while batches neither filled nor
emptied; what is foretold is the way from the rate answered now to the rate that arrives now, spread
over the time that the queue and then the batches take. Nothing beyond rates that were seen.
"""

import math
from dataclasses import dataclass, field, replace
from typing import Final

from controller.cooling.estimate import HeatChange, QueueReadings
from controller.cooling.settings import QueueSettings

_PARTS: Final = 3
"""Steps in which batches fill or empty."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HeatLesson:
    """Mean, spread and common spread of rate and heat, over settled seconds."""

    seconds_s: float = 0.0
    requests_per_s: float = 0.0
    heat_w: float = 0.0
    rate_squares: float = 0.0
    heat_squares: float = 0.0
    common_squares: float = 0.0
    low_requests_per_s: float = math.inf
    high_requests_per_s: float = -math.inf
    """Rates that were seen."""

    @property
    def trust_ratio(self) -> float:
        """How much of what the heat did the rate explains (r squared)."""
        spread = self.rate_squares * self.heat_squares
        return min(self.common_squares**2 / spread, 1.0) if spread > 0.0 else 0.0

    def heat_of_w(self, requests_per_s: float) -> float:
        """At a rate, as far as such rates were seen."""
        if not self.rate_squares > 0.0:
            return self.heat_w
        seen_requests_per_s = min(
            max(requests_per_s, self.low_requests_per_s), self.high_requests_per_s
        )
        slope = self.common_squares / self.rate_squares
        return self.heat_w + slope * (seen_requests_per_s - self.requests_per_s)


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueState:
    """What is known of a loop's requests."""

    sleds_count: int = 0
    requests_count: float = math.nan
    running_count: float = math.nan
    completed_total: int = 0
    """As the last cycle heard them."""
    arriving_requests_per_s: float = math.nan
    answered_requests_per_s: float = math.nan
    filling_requests_per_s: float = math.nan
    """By which the batches grow. All filtered."""
    mean_requests_per_s: float = math.nan
    above_requests_per_s: float = 0.0
    below_requests_per_s: float = 0.0
    """Means of how far arrivals were above and below their mean: both are large while they swing.
    """
    settled_s: float = 0.0
    """For so long batches have neither filled nor emptied."""
    lesson: HeatLesson = field(default_factory=HeatLesson)


def step(
    settings: QueueSettings,
    state: QueueState,
    queue: QueueReadings,
    *,
    heat_w: float,
    dt_s: float,
    placing: bool,
) -> tuple[QueueState, tuple[HeatChange, ...]]:
    """After a cycle's readings. While placement is `placing` jobs it has the word: nothing is
    foretold twice, and what was learnt was learnt of other jobs.
    """
    counted = _counted(settings, state, queue, dt_s)
    if placing:
        return replace(counted, settled_s=0.0, lesson=HeatLesson()), ()
    known = (
        counted.arriving_requests_per_s,
        counted.answered_requests_per_s,
        heat_w,
        counted.requests_count,
    )
    if not all(map(math.isfinite, known)):
        return replace(counted, settled_s=0.0), ()
    learnt = _learnt(settings, counted, heat_w, dt_s)
    return learnt, _foretold(settings, learnt, queue, heat_w)


def _counted(
    settings: QueueSettings, state: QueueState, queue: QueueReadings, dt_s: float
) -> QueueState:
    """Rates from what was answered since, and from what the queue has grown by."""
    now = replace(
        state,
        sleds_count=queue.sleds_count,
        requests_count=queue.waiting_count + queue.running_count,
        running_count=queue.running_count,
        completed_total=queue.completed_total,
    )
    done = queue.completed_total - state.completed_total
    grown = now.requests_count - state.requests_count
    # Other sleds than before, or one that began to count anew: only the next cycle tells a rate.
    same = queue.sleds_count == state.sleds_count and done >= 0
    if not (same and dt_s > 0.0 and math.isfinite(grown)):
        return now
    arriving = _filtered(
        state.arriving_requests_per_s, max(done + grown, 0.0) / dt_s, dt_s, settings.filter_s
    )
    filling = (now.running_count - state.running_count) / dt_s
    mean = _filtered(state.mean_requests_per_s, arriving, dt_s, settings.swing_s)
    off = arriving - mean
    above, below = state.above_requests_per_s, state.below_requests_per_s
    return replace(
        now,
        arriving_requests_per_s=arriving,
        answered_requests_per_s=_filtered(
            state.answered_requests_per_s, done / dt_s, dt_s, settings.filter_s
        ),
        filling_requests_per_s=_filtered(
            state.filling_requests_per_s, filling, dt_s, settings.filter_s
        ),
        mean_requests_per_s=mean,
        above_requests_per_s=_filtered(above, max(off, 0.0), dt_s, settings.swing_s),
        below_requests_per_s=_filtered(below, max(-off, 0.0), dt_s, settings.swing_s),
    )


def _learnt(settings: QueueSettings, state: QueueState, heat_w: float, dt_s: float) -> QueueState:
    most_requests_per_s = settings.settled_ratio * state.answered_requests_per_s
    if abs(state.filling_requests_per_s) > most_requests_per_s:
        return replace(state, settled_s=0.0)
    settled_s = state.settled_s + dt_s
    if settled_s < settings.settle_s:
        return replace(state, settled_s=settled_s)
    lesson = _taken(state.lesson, state.answered_requests_per_s, heat_w, dt_s, settings.memory_s)
    return replace(state, settled_s=settled_s, lesson=lesson)


def _taken(
    lesson: HeatLesson, requests_per_s: float, heat_w: float, dt_s: float, memory_s: float
) -> HeatLesson:
    """Running means and squares; what is older than `memory_s` fades."""
    seconds_s = min(lesson.seconds_s + dt_s, memory_s)
    share = dt_s / seconds_s
    rate_off, heat_off = requests_per_s - lesson.requests_per_s, heat_w - lesson.heat_w
    kept = 1.0 - share
    return HeatLesson(
        seconds_s=seconds_s,
        requests_per_s=lesson.requests_per_s + share * rate_off,
        heat_w=lesson.heat_w + share * heat_off,
        rate_squares=kept * (lesson.rate_squares + share * rate_off**2),
        heat_squares=kept * (lesson.heat_squares + share * heat_off**2),
        common_squares=kept * (lesson.common_squares + share * rate_off * heat_off),
        low_requests_per_s=min(lesson.low_requests_per_s, requests_per_s),
        high_requests_per_s=max(lesson.high_requests_per_s, requests_per_s),
    )


def _foretold(
    settings: QueueSettings, state: QueueState, queue: QueueReadings, heat_w: float
) -> tuple[HeatChange, ...]:
    lesson = state.lesson
    if lesson.seconds_s < settings.least_lesson_s:
        return ()
    goal_w = lesson.heat_of_w(state.arriving_requests_per_s)
    # By the rates, and by the heat that is there: of both the lesser, so that neither heat that has
    # come already nor what the rate has never explained is foretold.
    ways_w = (goal_w - lesson.heat_of_w(state.answered_requests_per_s), goal_w - heat_w)
    if ways_w[0] * ways_w[1] <= 0.0:
        return ()
    change_w = min(ways_w, key=abs) * lesson.trust_ratio * (1.0 - _swinging_ratio(state))
    if abs(change_w) < settings.least_ratio * heat_w:
        return ()
    answered_requests_per_s = max(state.answered_requests_per_s, 1e-9)
    begin_s = min(queue.waiting_count / answered_requests_per_s, settings.longest_s)
    over_s = min(queue.running_count / answered_requests_per_s, settings.longest_s)
    return tuple(
        HeatChange(in_s=begin_s + over_s * (part + 0.5) / _PARTS, heat_w=change_w / _PARTS)
        for part in range(_PARTS)
    )


def _swinging_ratio(state: QueueState) -> float:
    """Of how far arrivals are off their mean: what comes and goes."""
    off_requests_per_s = abs(state.arriving_requests_per_s - state.mean_requests_per_s)
    swing_requests_per_s = 2.0 * min(state.above_requests_per_s, state.below_requests_per_s)
    return min(swing_requests_per_s / max(off_requests_per_s, 1e-9), 1.0)


def _filtered(
    before_requests_per_s: float, now_requests_per_s: float, dt_s: float, filter_s: float
) -> float:
    if not math.isfinite(before_requests_per_s):
        return now_requests_per_s
    share = -math.expm1(-dt_s / filter_s)
    return before_requests_per_s + share * (now_requests_per_s - before_requests_per_s)
