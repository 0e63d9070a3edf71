"""E5: heat in is heat out when settled, and the error of a step falls as the scheme promises."""

from dataclasses import replace
from typing import Final

import numpy as np

from isotherm.bench.report import Case
from thermal.arrays import FloatArray
from thermal.plant.layout import PlantLayout
from thermal.plant.liquid import LiquidPlant
from thermal.plant.settings import PlantSettings
from thermal.plant.state import Commands

SLEDS_OF_LOOP: Final = (4, 72, 144, 36, 288, 72)
LOOPS: Final = len(SLEDS_OF_LOOP)
SETTLE_S: Final = 3_000
TRANSIENT_S: Final = 6.0
STEPS_S: Final = (0.5, 0.25, 0.125)


def e5(quick: bool, seed: int) -> Case:  # noqa: ARG001 - one length only
    """Worst loop of a batch of mixed sizes and loads; order over two halvings of the step."""
    return Case(
        id="E5",
        title="settled heat in = heat out over the whole plant; order of the implicit step (1)",
        metrics={"balance_error": balance_error(seed), "order": order(seed)},
        target={"balance_error": ("<=", 0.001), "order": (">=", 0.9)},
    )


def balance_error(seed: int) -> float:
    """Largest share of a loop's heat, pump heat included, that is missing or too much."""
    plant, rng = built(seed, 1.0), np.random.default_rng(seed + 1)
    layout = plant.layout
    chip_w = rng.uniform(200.0, 1_000.0, layout.chips)
    other_w = rng.uniform(250.0, 700.0, layout.sleds)
    commands = held(rng.uniform(0.5, 0.9, LOOPS), rng.uniform(0.5, 0.95, LOOPS))
    for _ in range(SETTLE_S):
        plant.step(1.0, chip_power_w=chip_w, sled_other_liquid_w=other_w, commands=commands)
    sled_w = np.add.reduceat(chip_w, layout.first_chip) + other_w
    heat_w = np.add.reduceat(sled_w, layout.first_sled) + plant.pump_heat_w
    return float(np.abs(plant.heat_removed_w / heat_w - 1.0).max())


def order(seed: int) -> float:
    """Of the junctions some seconds after a load step, by what each halving still changes."""
    coarse, middle, fine = (after_load_step(seed, step_s) for step_s in STEPS_S)
    return float(np.log2(np.linalg.norm(coarse - middle)) - np.log2(np.linalg.norm(middle - fine)))


def after_load_step(seed: int, step_s: float) -> FloatArray:
    """[chips] junctions; settled at one step length, so that only the transient differs."""
    plant, commands = built(seed, STEPS_S[0]), held(np.full(LOOPS, 0.7), np.full(LOOPS, 0.85))
    low, high = np.full(plant.layout.chips, 200.0), np.full(plant.layout.chips, 1_000.0)
    other_w = np.full(plant.layout.sleds, 500.0)
    for _ in range(round(300.0 / STEPS_S[0])):
        plant.step(STEPS_S[0], chip_power_w=low, sled_other_liquid_w=other_w, commands=commands)
    for _ in range(round(TRANSIENT_S / step_s)):
        plant.step(step_s, chip_power_w=high, sled_other_liquid_w=other_w, commands=commands)
    return plant.junction_c.astype(np.float64)


def built(seed: int, longest_step_s: float) -> LiquidPlant:
    return LiquidPlant(
        [
            replace(PlantSettings.sized(4 * sleds), longest_step_s=longest_step_s)
            for sleds in SLEDS_OF_LOOP
        ],
        layout=PlantLayout.uniform(sleds_of_loop=SLEDS_OF_LOOP, chips_per_sled=4),
        rng=np.random.default_rng(seed),
    )


def held(valve_ratio: FloatArray, pump_ratio: FloatArray) -> Commands:
    """Commands that do not move, of two pumps a loop."""
    return Commands(
        valve_ratio=valve_ratio,
        fan_ratio=np.zeros(len(valve_ratio)),
        pump_ratio=np.repeat(pump_ratio[:, None], 2, axis=1),
        pump_enabled=np.ones((len(valve_ratio), 2), np.bool_),
    )
