"""How a fault grows with time: the share of its severity that is in force."""

import math
from dataclasses import dataclass
from typing import Final

import numpy as np

from emulator.faults.kinds import CourseKind
from fleet.errors import ConfigurationError

_WEAR_EXPONENT: Final = 4.0
"""Estimate: e-foldings of damage over the span, so that 14 % of it is there after half the time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Course:
    """Fields that a kind does not use are ignored."""

    kind: CourseKind = CourseKind.STEP
    over_s: float = 3600.0
    """Ramp and wear: until the whole severity is there."""
    period_s: float = 60.0
    """Intermittent: one coming and going."""
    duty_ratio: float = 0.5
    """Intermittent: share of a period in which the fault is there."""
    seed: int = 0
    """Intermittent: where in each period it comes."""

    def validate(self) -> None:
        """ConfigurationError names the first field that can not be used."""
        for name, low, high in (("over_s", 1e-3, 1e9), ("period_s", 1e-3, 1e9)):
            if not low <= getattr(self, name) <= high:
                raise ConfigurationError(
                    f"course {self.kind}: {name} {getattr(self, name):g} is outside"
                    f" {low:g}..{high:g} s"
                )
        if not 0.0 < self.duty_ratio < 1.0:
            raise ConfigurationError(
                f"course {self.kind}: duty_ratio {self.duty_ratio:g} is not between 0 and 1"
            )
        if self.seed < 0:
            raise ConfigurationError(f"course {self.kind}: seed {self.seed} is below 0")

    def share(self, age_s: float) -> float:
        """0..1, of a fault that began `age_s` ago."""
        if self.kind is CourseKind.STEP:
            return 1.0
        if self.kind is CourseKind.INTERMITTENT:
            return 1.0 if self._there(age_s) else 0.0
        done = min(age_s / self.over_s, 1.0)
        if self.kind is CourseKind.RAMP:
            return done
        return math.expm1(_WEAR_EXPONENT * done) / math.expm1(_WEAR_EXPONENT)

    def _there(self, age_s: float) -> bool:
        period, into_s = divmod(age_s, self.period_s)
        # A function of the period's number alone: the same whatever steps time takes.
        draw = np.random.default_rng((self.seed, int(period))).random()
        first_s = draw * (1.0 - self.duty_ratio) * self.period_s
        return bool(first_s <= into_s < first_s + self.duty_ratio * self.period_s)
