"""How unlikely it is that a sound sensor stands as still as this one does.

A sensor with noise shows the same figure again by chance alone, and ever less likely the further
it is from what it should show. Each reading that repeats the last adds to the evidence, each that
does not takes all of it back.
"""

import math
from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True, kw_only=True)
class StillnessSettings:
    """In the unit of the sensor."""

    noise: float = 0.05
    """One sigma: temperature sensors of a CDU show 0.05 K."""
    resolution: float = 0.1
    """As vendors' CDU firmware shows temperatures."""
    most_nats: float = 5.0
    """Estimate: one reading proves no more, for what it is held against may err."""
    enough_nats: float = 20.0
    """Estimate: a sound sensor at rest is so still once in decades; it takes 52 s."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stillness:
    """Memory about one sensor."""

    value: float = math.nan
    read_at_s: float = -math.inf
    against_nats: float = 0.0
    """Minus the logarithm of the chance that a sound sensor repeats itself so often."""


def observe(
    settings: StillnessSettings, state: Stillness, value: float, read_at_s: float, off: float
) -> Stillness:
    """After a reading that is `off` from what it should show, as far as that is sure; a reading no
    newer than the last is no news.
    """
    if read_at_s <= state.read_at_s:
        return state
    if value != state.value:
        return Stillness(value=value, read_at_s=read_at_s)
    nats = min(repeated_nats(settings, off), settings.most_nats)
    return replace(state, read_at_s=read_at_s, against_nats=state.against_nats + nats)


def repeated_nats(settings: StillnessSettings, off: float) -> float:
    """What one repetition of a figure says, whose true value is `off` from it."""
    half, scale = 0.5 * settings.resolution, settings.noise * math.sqrt(2.0)
    # At rest nobody knows where between two figures the truth lies: the middle repeats most.
    chance = 0.5 * (math.erf((half - off) / scale) + math.erf((half + off) / scale))
    return -math.log(max(chance, 1e-30))
