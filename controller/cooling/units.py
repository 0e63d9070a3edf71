"""Which unit a reading seems to be in, when it is not the one it should be in."""

import math
from dataclasses import dataclass
from typing import Final

from fleet.units import KPA_PER_PSI, LPM_PER_GPM


@dataclass(frozen=True, slots=True, kw_only=True)
class _Other:
    """Another unit: house value = reading * scale + offset."""

    name: str
    scale: float
    offset: float = 0.0


_OTHERS: Final[dict[str, tuple[_Other, ...]]] = {
    "c": (
        _Other(name="kelvin", scale=1.0, offset=-273.15),
        _Other(name="°F", scale=5.0 / 9.0, offset=-160.0 / 9.0),
    ),
    "kpa": (
        _Other(name="psi", scale=KPA_PER_PSI),
        _Other(name="bar", scale=100.0),
        _Other(name="Pa", scale=1e-3),
    ),
    "lpm": (
        _Other(name="US gal/min", scale=LPM_PER_GPM),
        _Other(name="m³/h", scale=1000.0 / 60.0),
        _Other(name="l/s", scale=60.0),
    ),
    "ratio": (_Other(name="percent", scale=0.01),),
}
_MEANT: Final = {"c": "°C", "kpa": "kPa", "lpm": "l/min", "ratio": "a ratio"}
_NEAR_RATIO: Final = 0.12
_NEAR_K: Final = 8.0


def swapped(sensor: str, value: float, expected: float) -> str | None:
    """Words such as "reads like psi where kPa is meant"; None when no swap explains the value.

    `expected` is about what a sound sensor would say, in the unit of its name.
    """
    suffix = sensor.rpartition("_")[2]
    if not (math.isfinite(value) and math.isfinite(expected)) or _near(suffix, value, expected):
        return None
    for other in _OTHERS.get(suffix, ()):
        if _near(suffix, value * other.scale + other.offset, expected):
            return _words(other, suffix)
    return None


def of_range(sensor: str, value: float, low: float, high: float) -> str | None:
    """The same for a value outside of what is plausible, when nothing better is known of it."""
    suffix = sensor.rpartition("_")[2]
    if not math.isfinite(value) or low <= value <= high:
        return None
    for other in _OTHERS.get(suffix, ()):
        if low <= value * other.scale + other.offset <= high:
            return _words(other, suffix)
    return None


def _words(other: _Other, suffix: str) -> str:
    return f"reads like {other.name} where {_MEANT[suffix]} is meant"


def _near(suffix: str, value: float, expected: float) -> bool:
    allowed = _NEAR_K if suffix == "c" else _NEAR_RATIO * max(abs(expected), 1e-9)
    return abs(value - expected) <= allowed
