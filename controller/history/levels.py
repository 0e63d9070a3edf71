"""How coarse kept history is: each tick for hours, and statistics over steps for days."""

from dataclasses import dataclass
from typing import Final

from fleet.clock import NS_PER_S
from fleet.errors import ConfigurationError


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Level:
    """Statistics over steps of `step_s`; one block of them holds `span_s`."""

    step_s: int
    span_s: int

    @property
    def step_ns(self) -> int:
        return self.step_s * NS_PER_S

    @property
    def span_ns(self) -> int:
        return self.span_s * NS_PER_S

    @property
    def points(self) -> int:
        """Steps of a block."""
        return self.span_s // self.step_s

    def span_of(self, unix_ns: int) -> int:
        """Start of the block that a time falls into."""
        return unix_ns - unix_ns % self.span_ns


SECONDS: Final = Level(step_s=1, span_s=60)
"""Never stored: ticks of several agents brought onto one grid."""
LEVELS: Final = (
    Level(step_s=10, span_s=600),
    Level(step_s=60, span_s=3600),
    Level(step_s=600, span_s=43_200),
)
"""Finest first; the blocks of one hold whole blocks of the one before."""
RAW_STEP_S: Final = 1
"""Agents measure at 1 Hz."""


def finer(level: Level) -> Level | None:
    """What a level is made of; None for ticks."""
    place = LEVELS.index(level)
    return LEVELS[place - 1] if place else None


def coarser(level: Level) -> Level | None:
    place = LEVELS.index(level) + 1
    return LEVELS[place] if place < len(LEVELS) else None


def level_of(step_s: int) -> Level | None:
    """The level with this step; None for ticks. ConfigurationError when there is none."""
    if step_s == RAW_STEP_S:
        return None
    for level in LEVELS:
        if level.step_s == step_s:
            return level
    steps = ", ".join(str(level.step_s) for level in LEVELS)
    raise ConfigurationError(
        f"history: no step of {step_s} s is kept; there are {RAW_STEP_S}, {steps}"
    )


def choose(from_unix_ns: int, until_unix_ns: int, max_points: int) -> Level | None:
    """The finest that shows a span of time in at most so many points; None for ticks."""
    span_s = (until_unix_ns - from_unix_ns) / NS_PER_S
    if span_s <= max_points * RAW_STEP_S:
        return None
    for level in LEVELS:
        if span_s <= max_points * level.step_s:
            return level
    raise ConfigurationError(
        f"history: {span_s / 86_400:.1f} days in at most {max_points} points is coarser than the "
        f"coarsest step of {LEVELS[-1].step_s} s; ask for less time or more points"
    )
