"""How unlikely it is that a sound sensor stands as still as this one does.

A sensor with noise shows the same figure again by chance alone, and ever less likely the further
it is from what it should show. Each reading that repeats the last adds to the evidence, each that
does not takes all of it back. How noisy and how coarse a sensor is, its own record tells.
"""

import math
from dataclasses import dataclass, replace
from typing import Final

_DISPLAY: Final = 12.0
"""Rounding to steps adds a twelfth of their square to the variance."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StillnessSettings:
    """Of a temperature sensor. Evidence is in natural logarithms of chances."""

    noise_k: float = 0.05
    """One sigma: temperature sensors of a CDU show 0.05 K. One that turns out to be quieter is
    judged by its own noise; what looks noisier moves."""
    noise_memory_s: float = 600.0
    """Estimate: over so long a sensor's own noise is learnt,"""
    noise_doubt_ratio: float = 1.2
    """and then known to a fifth."""
    resolution_k: float = 0.1
    """As vendors' CDU firmware shows temperatures. One that was only seen to move in larger steps
    is judged by them."""
    most_log_ratio: float = 5.0
    """Estimate: one reading proves no more, for what it is held against may err."""
    enough_log_ratio: float = 16.0
    """A sound sensor that rests in the middle of its step for a whole year is so still once: 0.3
    runs a second, each with a chance of e^-16 to last so long."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stillness:
    """Memory about one sensor."""

    shown_c: float = math.nan
    read_at_s: float = -math.inf
    against_log_ratio: float = 0.0
    """Minus the logarithm of the chance that a sound sensor repeats itself so often."""
    scatter_squares: float = math.nan
    """Of its readings, K2, by how they differ from one to the next."""
    step_k: float = math.inf
    """Smallest by which it was ever seen to move."""


def observe(
    settings: StillnessSettings, state: Stillness, shown_c: float, read_at_s: float, off_k: float
) -> Stillness:
    """After a reading that is `off_k` from what it should show, as far as that is sure; one that is
    no newer than the last is no news.
    """
    if read_at_s <= state.read_at_s:
        return state
    moved_k = abs(shown_c - state.shown_c)
    if math.isnan(moved_k):
        return replace(state, shown_c=shown_c, read_at_s=read_at_s, against_log_ratio=0.0)
    against, step_k = 0.0, state.step_k
    if moved_k:
        # Whole steps of a display, but for the rounding of floats.
        step_k = min(step_k, max(round(moved_k, 6), 1e-6))
    else:
        against = state.against_log_ratio + _repeated(settings, state, off_k)
    scatter_squares = state.scatter_squares
    if against < settings.enough_log_ratio:
        scatter_squares = _scattered(settings, state, moved_k, read_at_s)
    return Stillness(
        shown_c=shown_c,
        read_at_s=read_at_s,
        against_log_ratio=against,
        scatter_squares=scatter_squares,
        step_k=step_k,
    )


def repeated_log_ratio(off_k: float, noise_k: float, resolution_k: float) -> float:
    """What one repetition of a figure says, whose true value is `off_k` from it."""
    half, scale = 0.5 * resolution_k, noise_k * math.sqrt(2.0)
    # At rest nobody knows where between two figures the truth lies: the middle repeats most.
    chance = 0.5 * (math.erf((half - off_k) / scale) + math.erf((half + off_k) / scale))
    return -math.log(max(chance, 1e-30))


def _repeated(settings: StillnessSettings, state: Stillness, off_k: float) -> float:
    sheet = settings.noise_k**2
    resolution_k, squares = settings.resolution_k, sheet
    if math.isfinite(state.step_k):
        resolution_k = max(resolution_k, state.step_k)
        own = max(state.scatter_squares - resolution_k**2 / _DISPLAY, 0.0)
        squares = min(own * settings.noise_doubt_ratio**2, sheet)
    noise_k = math.sqrt(max(squares, 1e-4 * sheet))
    return min(repeated_log_ratio(off_k, noise_k, resolution_k), settings.most_log_ratio)


def _scattered(
    settings: StillnessSettings, state: Stillness, moved_k: float, read_at_s: float
) -> float:
    before = state.scatter_squares
    if math.isnan(before):
        before = settings.noise_k**2 + settings.resolution_k**2 / _DISPLAY
    share = -math.expm1(-(read_at_s - state.read_at_s) / settings.noise_memory_s)
    return before + share * (0.5 * moved_k**2 - before)
