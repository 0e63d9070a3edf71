from dataclasses import dataclass, fields

from controller.history.levels import LEVELS, Level
from fleet.clock import NS_PER_S
from fleet.errors import ConfigurationError

_HOUR_S = 3600.0
_DAY_S = 24 * _HOUR_S


@dataclass(frozen=True, slots=True, kw_only=True)
class ChoreSettings:
    """How long what is kept, and how often the leader looks after it.

    What is deleted from history first is what costs most: ticks take about ten times the room of
    10 s steps. All lengths are estimates of what an operator looks back for.
    """

    every_s: float = 30.0
    patience_s: float = 120.0
    """A span is rolled up so long after it has ended: windows are sealed up to 90 s late."""
    ticks_keep_s: float = 48 * _HOUR_S
    fine_keep_s: float = 8 * _DAY_S
    """Steps of 10 s. Longer than the oldest frame that ingest takes, so that late ones find it."""
    minute_keep_s: float = 35 * _DAY_S
    coarse_keep_s: float = 400 * _DAY_S
    """Steps of 10 min: a year and the month to compare with."""
    incident_keep_s: float = 400 * _DAY_S
    """After an incident was resolved."""
    delivery_keep_s: float = 30 * _DAY_S
    audit_keep_s: float = 730 * _DAY_S
    idempotency_keep_s: float = 7 * _DAY_S
    spans_at_once: int = 500
    """Rolled up at most in one round."""

    def validate(self, late_s: float) -> None:
        """`late_s` is how old a frame may be that ingest still takes."""
        for field in fields(self):
            if not getattr(self, field.name) > 0:
                raise ConfigurationError(f"chores: {field.name} must be above 0")
        if self.ticks_keep_s < 2 * LEVELS[0].span_s:
            raise ConfigurationError(
                f"chores: ticks_keep_s {self.ticks_keep_s:g} is too short to roll them up first; "
                f"use {2 * LEVELS[0].span_s} or more"
            )
        if self.fine_keep_s < late_s + LEVELS[1].span_s:
            raise ConfigurationError(
                f"chores: fine_keep_s {self.fine_keep_s:g} is too short for frames that come "
                f"{late_s:g} s late; use {late_s + LEVELS[1].span_s:g} or more"
            )
        if not self.fine_keep_s <= self.minute_keep_s <= self.coarse_keep_s:
            raise ConfigurationError("chores: coarser steps must be kept at least as long as finer")

    def keep_ns(self, level: Level) -> int:
        lengths = (self.fine_keep_s, self.minute_keep_s, self.coarse_keep_s)
        return round(lengths[LEVELS.index(level)] * NS_PER_S)
