"""E3: the plant of a whole fleet on one core.

1.4 million chips on 1,000 loops of 100 to 600 sleds, the code that the emulator runs, in steps of
0.25 s. Nothing stands still: valves and pumps of every loop move, chip power changes every step,
and faults strike between steps: tripped and worn pumps, blocked plates and sleds, leaks, fouling.
"""

import os
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Final

import numpy as np

from isotherm.bench.fleet import rss_bytes
from isotherm.bench.report import Case
from thermal.arrays import FloatArray
from thermal.plant.layout import PlantLayout
from thermal.plant.liquid import LiquidPlant
from thermal.plant.settings import PlantSettings
from thermal.plant.state import Commands, PlantFaults

LOOPS: Final = 1_000
SLEDS: Final = 350_000
CHIPS_PER_SLED: Final = 4
STEP_S: Final = 0.25
WARM_UP_STEPS: Final = 80
STEPS: Final = 240
QUICK_STEPS: Final = 40
STEPS_PER_FAULT: Final = 20


def e3(quick: bool, seed: int) -> Case:
    """Emulated seconds for each second of this thread's processor time, and of the wall."""
    rng = np.random.default_rng(seed)
    plant = fleet_plant(rng)
    powers = [rng.uniform(200.0, 1_000.0, plant.layout.chips).astype(np.float32) for _ in range(4)]
    other_w = np.full(plant.layout.sleds, 600.0, np.float32)
    steps = QUICK_STEPS if quick else STEPS
    cpu_s = wall_s = 0.0
    for number, commands in enumerate(moving(rng, WARM_UP_STEPS + steps)):
        if number % STEPS_PER_FAULT == 0:
            faults = broken(plant, rng)
        before = time.thread_time(), time.perf_counter()
        plant.break_parts(faults)
        plant.step(
            STEP_S,
            chip_power_w=powers[number % len(powers)],
            sled_other_liquid_w=other_w,
            commands=commands,
        )
        if number >= WARM_UP_STEPS:
            cpu_s += time.thread_time() - before[0]
            wall_s += time.perf_counter() - before[1]
    return Case(
        id="E3",
        title=f"plant of {plant.layout.chips:,} chips, {LOOPS:,} loops, {STEP_S} s steps, one core",
        metrics={
            "emulated_s_per_s": steps * STEP_S / cpu_s,
            "emulated_s_per_wall_s": steps * STEP_S / wall_s,
            "step_ms": 1e3 * cpu_s / steps,
            "rss_gib": rss_bytes(os.getpid()) / 2**30,
            "mean_junction_c": float(plant.junction_c.mean()),
        },
        target={"emulated_s_per_s": (">=", 20.0), "rss_gib": ("<=", 8.0)},
    )


def fleet_plant(rng: np.random.Generator) -> LiquidPlant:
    """Loops of mixed sizes that add up to the fleet."""
    wanted = rng.uniform(100, 600, LOOPS)
    sleds = np.maximum((wanted * SLEDS / wanted.sum()).astype(int), 1)
    sleds[-1] += SLEDS - sleds.sum()
    return LiquidPlant(
        [PlantSettings.sized(CHIPS_PER_SLED * count) for count in sleds.tolist()],
        layout=PlantLayout.uniform(sleds_of_loop=sleds.tolist(), chips_per_sled=CHIPS_PER_SLED),
        rng=rng,
    )


def moving(rng: np.random.Generator, steps: int) -> Iterator[Commands]:
    """Valves and pumps that every loop moves to and fro in its own time."""
    phase: FloatArray = rng.uniform(0.0, 2.0 * np.pi, LOOPS)
    for step in range(steps):
        swing = np.sin(phase + step * STEP_S / 10.0)
        yield Commands(
            valve_ratio=0.75 + 0.1 * swing,
            fan_ratio=np.zeros(LOOPS),
            pump_ratio=np.repeat(0.82 + 0.08 * swing[:, None], 2, axis=1),
            pump_enabled=np.ones((LOOPS, 2), np.bool_),
        )


def broken(plant: LiquidPlant, rng: np.random.Generator) -> PlantFaults:
    """The faults in force with one more of each kind."""
    now, layout = plant.faults, plant.layout

    def one_more(column: FloatArray, rows: int, worst: float) -> FloatArray:
        changed = column.copy()
        changed.reshape(-1)[rng.integers(rows)] = rng.uniform(0.2, 1.0) * worst
        return changed

    tripped = now.pump_tripped.copy()
    tripped[rng.integers(LOOPS), 0] = True
    return replace(
        now,
        chip_blockage_ratio=one_more(now.chip_blockage_ratio, layout.chips, 0.9),
        sled_blockage_ratio=one_more(now.sled_blockage_ratio, layout.sleds, 0.9),
        leak_lpm=one_more(now.leak_lpm, layout.sleds, 2.0),
        pump_wear_ratio=one_more(now.pump_wear_ratio, 2 * LOOPS, 0.3),
        fouling_ratio=one_more(now.fouling_ratio, LOOPS, 0.5),
        pump_tripped=tripped,
    )
