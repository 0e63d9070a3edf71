"""What a loop's heat exchanger does otherwise than its data sheet says, from the supply alone.

A Kalman filter over four deviations: supply, supply as its sensor shows it, an offset of what the
exchanger settles at (facility sensor, valve), and the logarithm of its UA. At low load the UA
hardly shows, so its doubt stays; when load comes, the first tenths of a kelvin are read as UA.
"""

import math
from dataclasses import dataclass, field

import numpy as np

from thermal.arrays import FloatArray

_STATES = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class ObserverSettings:
    """One sigma each. Tuned on the cooling benchmark, on other seeds than its own."""

    sensor_k: float = 0.12
    """Of the supply sensor, and of what a model with plug flow gets wrong for a second."""
    supply_k: float = 0.08
    """Of the supply, gained in a second."""
    offset_k: float = 0.04
    """Of the offset, gained in a second."""
    ua_log_ratio: float = 0.001
    """The same of the logarithm of UA: fouling takes days, wrong films come with the load."""
    first_offset_k: float = 1.5
    first_ua_log_ratio: float = 0.15
    most_offset_k: float = 6.0
    most_ua_log_ratio: float = 0.6
    most_gap_k: float = 1.5
    """A larger gap counts as this one: leaps are no news of the exchanger."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExchangerDoubt:
    """Deviations from the data sheet, and how well they are known."""

    offset_k: float = 0.0
    ua_log_ratio: float = 0.0
    spread: tuple[float, ...] = field(default=())
    """Covariance, row by row; empty before the first look."""

    @property
    def ua_ratio(self) -> float:
        return math.exp(self.ua_log_ratio)


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """One look at the supply sensor."""

    gap_k: float
    """Shown, less what the model shows."""
    seconds: int
    """Since the last look."""
    supply_share: float
    """How far the exchanger goes to what it settles at in a second."""
    sensor_share: float
    """How far the sensor goes to the supply in a second."""
    settled_per_log_ua_k: float
    """Change of what it settles at with the logarithm of UA."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Correction:
    """What a look adds to the model's supply and to its sensor, and what is believed after it."""

    supply_k: float
    sensed_k: float
    doubt: ExchangerDoubt


def looked(settings: ObserverSettings, doubt: ExchangerDoubt, look: Look) -> Correction:
    """What one look changes."""
    spread = _grown(settings, doubt, look)
    variance = float(spread[1, 1]) + settings.sensor_k**2
    gap_k = min(max(look.gap_k, -settings.most_gap_k), settings.most_gap_k)
    gain = spread[:, 1] / variance
    supply_k, sensed_k, offset_k, ua_log_ratio = (gain * gap_k).tolist()
    spread = spread - np.outer(gain, spread[1])
    return Correction(
        supply_k=supply_k,
        sensed_k=sensed_k,
        doubt=ExchangerDoubt(
            offset_k=_within(doubt.offset_k + offset_k, settings.most_offset_k),
            ua_log_ratio=_within(doubt.ua_log_ratio + ua_log_ratio, settings.most_ua_log_ratio),
            spread=tuple((0.5 * (spread + spread.T)).ravel().tolist()),
        ),
    )


def _grown(settings: ObserverSettings, doubt: ExchangerDoubt, look: Look) -> FloatArray:
    """Covariance [states, states] just before a look."""
    first = np.array(
        (settings.sensor_k, settings.sensor_k, settings.first_offset_k, settings.first_ua_log_ratio)
    )
    known = len(doubt.spread) == _STATES**2
    spread = np.array(doubt.spread).reshape(_STATES, _STATES) if known else np.diag(first**2)
    moved = np.eye(_STATES)
    moved[0] = (
        1.0 - look.supply_share,
        0.0,
        look.supply_share,
        look.supply_share * look.settled_per_log_ua_k,
    )
    moved[1] = look.sensor_share * moved[0]
    moved[1, 1] = 1.0 - look.sensor_share
    gained = np.diag((settings.supply_k, 0.0, settings.offset_k, settings.ua_log_ratio)) ** 2
    for _ in range(look.seconds):
        spread = moved @ spread @ moved.T + gained
    # Nothing is ever doubted more than at the beginning.
    over = np.minimum(first[2:] / np.sqrt(np.diag(spread)[2:]), 1.0)
    scale = np.concatenate(((1.0, 1.0), over))
    doubted: FloatArray = spread * np.outer(scale, scale)
    return doubted


def _within(value: float, limit: float) -> float:
    return min(max(value, -limit), limit)
