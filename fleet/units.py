"""One unit a dimension inside the house; conversion only at borders, only here."""

from typing import Final

SUFFIXES: Final[dict[str, str]] = {
    "_c": "degree Celsius, absolute",
    "_k": "kelvin, a temperature difference",
    "_w": "watt",
    "_j": "joule",
    "_s": "second",
    "_at": "aware datetime",
    "_unix_ns": "nanoseconds since 1970-01-01 UTC",
    "_ns": "nanosecond",
    "_rpm": "revolutions per minute",
    "_hz": "hertz",
    "_ratio": "0 to 1",
    "_lpm": "litre per minute",
    "_kpa": "kilopascal",
    "_bytes": "byte",
    "_flop": "floating-point operation",
    "_total": "monotone counter",
    "_count": "instant count",
    "_per_s": "per second",
}

FLOP_PER_GFLOP: Final = 1e9
W_PER_KW: Final = 1e3
KPA_PER_PSI: Final = 6.894757
LPM_PER_GPM: Final = 3.785412
"""Of US gallons."""


def percent_to_ratio(percent: float) -> float:
    return percent / 100.0


def ratio_to_percent(ratio: float) -> float:
    return ratio * 100.0


def kpa_to_pa(pressure_kpa: float) -> float:
    return pressure_kpa * 1e3
