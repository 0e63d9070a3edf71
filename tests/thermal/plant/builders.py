"""Small plants for tests."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from thermal.arrays import FloatArray
from thermal.plant.layout import PlantLayout
from thermal.plant.liquid import LiquidPlant
from thermal.plant.settings import PlantSettings
from thermal.plant.state import Actuators, Commands

IDLE_W, PEAK_W = 180.0, 1000.0
COARSE = replace(PlantSettings(), longest_step_s=1.0)
"""For what settles over minutes; four times cheaper than the default step."""


class OneLoop:
    """A batch of one: what has one value a loop reads as a number, pumps as [pumps]."""

    def __init__(self, settings: PlantSettings, *, chips: int, seed: int) -> None:
        self.batch = LiquidPlant(
            [settings],
            layout=PlantLayout.uniform(sleds_of_loop=[chips // 4], chips_per_sled=4),
            rng=np.random.default_rng(seed),
        )

    def __getattr__(self, name: str) -> Any:
        if name == "batch":  # while a copy is made
            raise AttributeError(name)
        value = getattr(self.batch, name)
        if not isinstance(value, np.ndarray) or len(value) != 1:
            return value
        return float(value[0]) if value.ndim == 1 else value[0]

    @property
    def settings(self) -> PlantSettings:
        return self.batch.settings[0]

    def step(
        self,
        dt_s: float,
        *,
        chip_power_w: FloatArray,
        sled_other_liquid_w: FloatArray,
        actuators: Actuators,
    ) -> None:
        self.batch.step(
            dt_s,
            chip_power_w=chip_power_w,
            sled_other_liquid_w=sled_other_liquid_w,
            commands=Commands.of([actuators]),
        )

    def strike(self, **faults: Mapping[int, float] | float) -> None:
        """Set faults: `{row: value}` of chips, sleds or pumps, or one value for all of a column."""
        changed = {}
        for name, value in faults.items():
            changed[name] = getattr(self.batch.faults, name).copy()
            flat = changed[name].reshape(-1)
            for row, one in value.items() if isinstance(value, Mapping) else [(slice(None), value)]:
                flat[row] = one
        self.batch.break_parts(replace(self.batch.faults, **changed))


def make_plant(
    settings: PlantSettings | None = None, *, chips: int = 288, seed: int = 7
) -> OneLoop:
    return OneLoop(settings or PlantSettings.sized(chips), chips=chips, seed=seed)


def make_actuators(
    valve_ratio: float = 0.78, pump_ratio: float = 0.85, *, enabled: bool = True
) -> Actuators:
    return Actuators(
        valve_ratio=valve_ratio,
        pump_ratio=(pump_ratio, pump_ratio),
        pump_enabled=(enabled, enabled),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """Chip utilization 0..1 and what the rest of each sled gives to the liquid."""

    utilization_ratio: float = 1.0
    other_w: float = 700.0

    @property
    def chip_w(self) -> float:
        return IDLE_W + self.utilization_ratio * (PEAK_W - IDLE_W)


def run(
    plant: OneLoop,
    seconds: float,
    *,
    load: Load | None = None,
    actuators: Actuators | None = None,
    dt_s: float = 0.25,
) -> OneLoop:
    """Hold load and commands for a while; returns the same plant."""
    now = load or Load()
    power = np.full(len(plant.junction_c), now.chip_w)
    other = np.full(len(plant.sled_inlet_c), now.other_w)
    commands = actuators or make_actuators()
    for _ in range(round(seconds / dt_s)):
        plant.step(dt_s, chip_power_w=power, sled_other_liquid_w=other, actuators=commands)
    return plant
