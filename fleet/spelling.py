"""The metric table in Prometheus' words and base units."""

from dataclasses import dataclass
from typing import Final

from fleet.units import kpa_to_pa

NAMESPACE: Final = "isotherm"


@dataclass(frozen=True, slots=True, kw_only=True)
class Unit:
    """A unit of the house and Prometheus' word for it; `additive` when a sum means something."""

    suffix: str
    prometheus: str
    factor: float = 1.0
    additive: bool = False


UNITS: Final = (
    Unit(suffix="_per_s", prometheus="_per_second", additive=True),
    Unit(suffix="_bytes", prometheus="_bytes", additive=True),
    # A name that ends in _count would be taken for a part of a histogram.
    Unit(suffix="_count", prometheus="", additive=True),
    Unit(suffix="_ratio", prometheus="_ratio"),
    Unit(suffix="_lpm", prometheus="_liters_per_minute", additive=True),
    Unit(suffix="_kpa", prometheus="_pascals", factor=kpa_to_pa(1.0)),
    Unit(suffix="_c", prometheus="_celsius"),
    Unit(suffix="_w", prometheus="_watts", additive=True),
    Unit(suffix="_s", prometheus="_seconds"),
)
_NO_UNIT: Final = Unit(suffix="", prometheus="")


@dataclass(frozen=True, slots=True, kw_only=True)
class Spelling:
    """A metric as Prometheus spells it: `stem` and unit around what was done over a rack."""

    stem: str
    unit: Unit

    def name(self, over: str = "") -> str:
        return (
            f"{self.stem}_{over}{self.unit.prometheus}"
            if over
            else self.stem + self.unit.prometheus
        )


def spelling(scope: str, name: str) -> Spelling:
    """`junction_c` of a chip -> `isotherm_chip_junction` and `_celsius`."""
    unit = next((unit for unit in UNITS if name.endswith(unit.suffix)), _NO_UNIT)
    bare = name.removesuffix(unit.suffix).removeprefix(f"{scope}_")
    return Spelling(stem=f"{NAMESPACE}_{scope}_{bare}", unit=unit)
