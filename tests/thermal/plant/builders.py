"""Small plants for tests."""

from dataclasses import dataclass, replace

import numpy as np

from thermal.plant.loop import LoopPlant
from thermal.plant.settings import PlantSettings
from thermal.plant.state import Actuators

IDLE_W, PEAK_W = 180.0, 1000.0
COARSE = replace(PlantSettings(), longest_step_s=1.0)
"""For what settles over minutes; four times cheaper than the default step."""


def make_plant(
    settings: PlantSettings | None = None, *, chips: int = 288, seed: int = 7
) -> LoopPlant:
    return LoopPlant(
        settings or PlantSettings.sized(chips),
        sled_of_chip=np.arange(chips) // 4,
        sleds=chips // 4,
        rng=np.random.default_rng(seed),
    )


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
    plant: LoopPlant,
    seconds: float,
    *,
    load: Load | None = None,
    actuators: Actuators | None = None,
    dt_s: float = 0.25,
) -> LoopPlant:
    """Hold load and commands for a while; returns the same plant."""
    now = load or Load()
    power = np.full(len(plant.junction_c), now.chip_w)
    other = np.full(len(plant.sled_inlet_c), now.other_w)
    commands = actuators or make_actuators()
    for _ in range(round(seconds / dt_s)):
        plant.step(dt_s, chip_power_w=power, sled_other_liquid_w=other, actuators=commands)
    return plant
