"""How unlikely it is that a sound sensor stands as still as this one does.

A sensor with noise shows the same figure again by chance alone, and ever less likely the further
it is from what it should show. Each reading that repeats the last adds to the evidence, each that
does not takes all of it back.
"""

import math
from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True, kw_only=True)
class StillnessSettings:
    """Of a temperature sensor. Evidence is in natural logarithms of chances."""

    noise_k: float = 0.05
    """One sigma: temperature sensors of a CDU show 0.05 K."""
    resolution_k: float = 0.1
    """As vendors' CDU firmware shows temperatures."""
    most_log_ratio: float = 5.0
    """Estimate: one reading proves no more, for what it is held against may err."""
    enough_log_ratio: float = 20.0
    """Estimate: a sound sensor at rest is so still once in decades; it takes 52 s."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stillness:
    """Memory about one sensor."""

    shown_c: float = math.nan
    read_at_s: float = -math.inf
    against_log_ratio: float = 0.0
    """Minus the logarithm of the chance that a sound sensor repeats itself so often."""


def observe(
    settings: StillnessSettings, state: Stillness, shown_c: float, read_at_s: float, off_k: float
) -> Stillness:
    """After a reading that is `off_k` from what it should show, as far as that is sure; one that is
    no newer than the last is no news.
    """
    if read_at_s <= state.read_at_s:
        return state
    if shown_c != state.shown_c:
        return Stillness(shown_c=shown_c, read_at_s=read_at_s)
    log_ratio = min(repeated_log_ratio(settings, off_k), settings.most_log_ratio)
    return replace(
        state, read_at_s=read_at_s, against_log_ratio=state.against_log_ratio + log_ratio
    )


def repeated_log_ratio(settings: StillnessSettings, off_k: float) -> float:
    """What one repetition of a figure says, whose true value is `off_k` from it."""
    half, scale = 0.5 * settings.resolution_k, settings.noise_k * math.sqrt(2.0)
    # At rest nobody knows where between two figures the truth lies: the middle repeats most.
    chance = 0.5 * (math.erf((half - off_k) / scale) + math.erf((half + off_k) / scale))
    return -math.log(max(chance, 1e-30))
