"""Redundant sensors: the middle one speaks."""

import math
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Vote:
    """Outcome of a vote over redundant readings."""

    value: float
    """Median of three, mean of two, the one left, or NaN."""
    voters: int
    """Finite readings."""
    outvoted: tuple[int, ...]
    """Places of readings further than the tolerance from the value."""


def vote(readings: Sequence[float], tolerance: float) -> Vote:
    """Median of the finite readings. With two left nobody knows who lies: both are outvoted."""
    finite = sorted(reading for reading in readings if math.isfinite(reading))
    if not finite:
        return Vote(value=math.nan, voters=0, outvoted=())
    middle = len(finite) // 2
    value = finite[middle] if len(finite) % 2 else 0.5 * (finite[middle - 1] + finite[middle])
    allowed = tolerance if len(finite) != 2 else 0.5 * tolerance
    outvoted = tuple(
        place
        for place, reading in enumerate(readings)
        if math.isfinite(reading) and abs(reading - value) > allowed
    )
    return Vote(value=value, voters=len(finite), outvoted=outvoted)
