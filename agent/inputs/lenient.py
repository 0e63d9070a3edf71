"""Values as devices really send them: numbers as strings, excerpts, null, or not at all."""

import math
from collections.abc import Mapping, Sequence
from typing import Final

from fleet.units import percent_to_ratio

JsonObject = Mapping[str, object]

_NOTHING: Final[JsonObject] = {}
# Rounding in a device gives 100.1 %; more than this over is a broken sensor, not rounding.
_PERCENT_SLACK: Final = 1.0


def number(value: object) -> float:
    """NaN when there is no number in it."""
    if type(value) is float:  # nearly always
        return value
    if isinstance(value, bool):
        return math.nan
    if isinstance(value, int | float):
        try:
            return float(value)
        except OverflowError:
            return math.inf
    if isinstance(value, str):
        try:
            return float(value)
        except ValueError:
            return math.nan
    return math.nan


def reading(value: object) -> float:
    """A bare number, or a Redfish excerpt {"Reading": number}."""
    if isinstance(value, dict):
        return number(value.get("Reading"))
    return number(value)


def ratio_of_percent(percent: float) -> float:
    if 100.0 < percent <= 100.0 + _PERCENT_SLACK:
        return 1.0
    return percent_to_ratio(percent)


def count(value: object) -> int | None:
    """A whole number not below zero, else None."""
    if type(value) is int:  # nearly always; bool is another type
        return value if value >= 0 else None
    if isinstance(value, bool):
        return None
    parsed = number(value)
    if not math.isfinite(parsed) or parsed < 0 or parsed != int(parsed):
        return None
    return int(parsed)


def mapping(value: object) -> JsonObject:
    return value if isinstance(value, dict) else _NOTHING


def within(document: JsonObject, *path: str) -> JsonObject:
    """The object at the end of `path`; empty where a step is missing or is no object."""
    for step in path:
        document = mapping(document.get(step))
    return document


def objects(value: object) -> Sequence[JsonObject]:
    if not isinstance(value, list):
        return ()
    return [item for item in value if isinstance(item, dict)]


def text(value: object) -> str:
    return value if isinstance(value, str) else ""
