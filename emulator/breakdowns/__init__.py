"""Breakdowns outside of the memory: chips that die, networks that fail, sleds that turn slow."""

from dataclasses import dataclass
from functools import cache
from typing import Final

import numpy as np

from emulator.sourced import load
from fleet.topology import FleetMap
from thermal.arrays import BoolArray, FloatArray

_S_PER_H: Final = 3600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class BreakdownSettings:
    """Figures and sources stand in rates.yaml."""

    chip_dead_per_h: float
    network_lost_per_h: float
    """Of a chip."""
    sled_slow_per_h: float
    slow_least_s: float
    slow_mean_s: float
    """Of what a slow spell lasts beyond the least."""
    slow_low_ratio: float
    """Speed lost, at the least."""
    slow_high_ratio: float


@cache
def published_breakdowns() -> BreakdownSettings:
    """The settings in rates.yaml."""
    return load("emulator.breakdowns", "rates.yaml", BreakdownSettings)


class Breakdowns:
    """Draws breakdowns by chance. `dead` [chips] stay so until their sled is switched on again,
    with another board; `slow_ratio` [chips] is the speed left. Without settings nothing breaks.
    """

    def __init__(
        self, settings: BreakdownSettings | None, fleet_map: FleetMap, rng: np.random.Generator
    ) -> None:
        self._settings = settings
        self._rng = rng
        self._sled_of_chip = fleet_map.sled_of_chip
        self._now_s = 0.0
        self._powered: BoolArray = np.ones(fleet_map.chips, dtype=np.bool_)
        self._slow_until_s = np.zeros(fleet_map.sleds)
        self._lost_ratio = np.zeros(fleet_map.sleds)
        self.dead: BoolArray = np.zeros(fleet_map.chips, dtype=np.bool_)

    @property
    def slow_ratio(self) -> FloatArray:
        lost = np.where(self._slow_until_s > self._now_s, self._lost_ratio, 0.0)
        left: FloatArray = 1.0 - lost[self._sled_of_chip]
        return left

    def step(self, dt_s: float, *, powered: BoolArray) -> BoolArray:
        """Which chips [chips] lost what they executed: they died, or their network failed."""
        self.dead &= ~(powered & ~self._powered)
        self._powered = powered.copy()
        self._now_s += dt_s
        settings, on = self._settings, powered & ~self.dead
        if settings is None:
            return np.zeros_like(self.dead)
        died = self._struck(settings.chip_dead_per_h, on, dt_s)
        cut = self._struck(settings.network_lost_per_h, on, dt_s)
        self.dead |= died
        self._slow_down(settings, dt_s)
        return died | cut

    def _struck(self, rate_per_h: float, on: BoolArray, dt_s: float) -> BoolArray:
        """Drawn for the fleet as a whole: healthy chips cost nothing."""
        number = self._rng.poisson(len(on) * rate_per_h / _S_PER_H * dt_s)
        struck: BoolArray = np.zeros(len(on), dtype=np.bool_)
        struck[self._rng.integers(0, len(on), number)] = True
        return struck & on

    def _slow_down(self, settings: BreakdownSettings, dt_s: float) -> None:
        sleds = len(self._lost_ratio)
        number = self._rng.poisson(sleds * settings.sled_slow_per_h / _S_PER_H * dt_s)
        rows = self._rng.integers(0, sleds, number)
        lasts_s = settings.slow_least_s + self._rng.exponential(settings.slow_mean_s, number)
        self._slow_until_s[rows] = self._now_s + lasts_s
        self._lost_ratio[rows] = self._rng.uniform(
            settings.slow_low_ratio, settings.slow_high_ratio, number
        )
