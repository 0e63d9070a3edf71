"""Many loops stepped together: each is what it would be alone."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from tests.thermal.plant.builders import make_actuators
from thermal.plant import kernel, sleds
from thermal.plant.layout import PlantLayout
from thermal.plant.liquid import LiquidPlant
from thermal.plant.settings import ChipSettings, PlantSettings
from thermal.plant.state import Commands

Row = tuple[Any, ...]

# Loops of 2, 3 and 1 sleds; sleds of 1, 4 and 2 chips in one hall.
CHIPS_OF_SLED = np.array([4, 4, 1, 1, 1, 2])
LAYOUT = PlantLayout(
    sled_of_chip=np.repeat(np.arange(6), CHIPS_OF_SLED),
    loop_of_sled=np.array([0, 0, 1, 1, 1, 2]),
)
SETTINGS = [PlantSettings.sized(chips) for chips in LAYOUT.chips_of_loop.tolist()]


def build(settings: list[PlantSettings] = SETTINGS) -> LiquidPlant:
    return LiquidPlant(settings, layout=LAYOUT, rng=np.random.default_rng(5))


def run(plant: LiquidPlant, seconds: int = 60) -> LiquidPlant:
    commands = Commands.of([make_actuators()] * 3)
    for _ in range(seconds):
        plant.step(
            1.0,
            chip_power_w=np.linspace(300.0, 1_000.0, LAYOUT.chips),
            sled_other_liquid_w=np.full(LAYOUT.sleds, 500.0),
            commands=commands,
        )
    return plant


def test_a_fault_in_one_loop_leaves_the_others_as_they_were() -> None:
    sound, hurt = build(), build()
    blocked = hurt.faults.sled_blockage_ratio.copy()
    blocked[3] = 0.9
    tripped = hurt.faults.pump_tripped.copy()
    tripped[1] = True
    hurt.break_parts(replace(hurt.faults, sled_blockage_ratio=blocked, pump_tripped=tripped))
    run(sound)
    run(hurt)
    others = np.flatnonzero(LAYOUT.loop_of_sled[LAYOUT.sled_of_chip] != 1)
    assert hurt.junction_c[others].tobytes() == sound.junction_c[others].tobytes()
    assert (np.delete(hurt.junction_c - sound.junction_c, others) > 5.0).all()


def interpreted(law: Row, chips: Row, batch: Row, runs: Row, loops: Row) -> None:
    kernel.step.py_func(
        kernel.MakeLaw(*law),
        kernel.PlantChips(*chips),
        kernel.PlantSleds(*batch),
        kernel.PlantRuns(*runs),
        kernel.PlantLoops(*loops),
    )


def test_how_sleds_fall_into_blocks_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    # Interpreted, the kernel takes the block's size from its module at each call.
    monkeypatch.setattr(sleds, "advance", interpreted)
    whole = run(build(), seconds=2)
    monkeypatch.setattr(kernel, "_BLOCK_CHIPS", 4)
    cut = run(build(), seconds=2)
    assert whole.junction_c.tobytes() == cut.junction_c.tobytes()
    assert whole.return_c.tobytes() == cut.return_c.tobytes()


def test_a_mended_plant_is_as_good_as_new() -> None:
    plant, sound = build(), build()
    blockage = plant.faults.chip_blockage_ratio.copy()
    blockage[2] = 1.0
    resistance = plant.faults.chip_resistance_ratio.copy()
    resistance[9] = 1.5
    healthy = plant.faults
    plant.break_parts(
        replace(healthy, chip_blockage_ratio=blockage, chip_resistance_ratio=resistance)
    )
    run(plant, 1)
    plant.break_parts(healthy)
    run(plant, 900)
    run(sound, 900)
    assert plant.junction_c == pytest.approx(sound.junction_c, abs=1e-2)


def test_loops_with_other_chips_get_their_own_law() -> None:
    massive = replace(SETTINGS[1], chip=ChipSettings(plate_j_per_k=2_000.0))
    mixed, plain = build(settings=[SETTINGS[0], massive, SETTINGS[2]]), build()
    run(mixed, 5)
    run(plain, 5)
    assert mixed.junction_c[:8] == pytest.approx(plain.junction_c[:8])
    assert (mixed.junction_c[8:11] < plain.junction_c[8:11] - 1.0).all()


def test_loops_of_one_hall_share_its_weather() -> None:
    other = replace(SETTINGS[0], weather=replace(SETTINGS[0].weather, wet_bulb_c=5.0))
    with pytest.raises(ValueError, match="loop 1 has"):
        build(settings=[SETTINGS[0], other, SETTINGS[2]])
    with pytest.raises(ValueError, match="3 loops need as many settings"):
        build(settings=SETTINGS[:2])


def test_compiled_the_kernel_does_what_it_says() -> None:
    compiled, plain = build(), build()
    run(compiled, seconds=5)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(sleds, "advance", interpreted)
        run(plain, seconds=5)
    assert compiled.junction_c == pytest.approx(plain.junction_c, abs=1e-3)
    assert compiled.return_c == pytest.approx(plain.return_c, abs=1e-3)


def test_a_wide_sled_hears_of_colder_coolant_as_soon_as_a_usual_one() -> None:
    chips_of_sled = np.array([4, 21])
    layout = PlantLayout(
        sled_of_chip=np.repeat([0, 1], chips_of_sled), loop_of_sled=np.array([0, 0])
    )
    plant = LiquidPlant([PlantSettings.sized(25)], layout=layout, rng=np.random.default_rng(5))
    inlets = []
    for valve_ratio in (0.3, 0.3, 0.3, 1.0, 1.0, 1.0):
        for _ in range(10):
            plant.step(
                1.0,
                chip_power_w=np.full(layout.chips, 800.0),
                sled_other_liquid_w=np.full(layout.sleds, 500.0),
                commands=Commands.of([make_actuators(valve_ratio=valve_ratio)]),
            )
            inlets.append(plant.sled_inlet_c.copy())
    usual_c, wide_c = np.array(inlets).T
    fastest_k = np.abs(np.diff(usual_c)).max()
    assert fastest_k > 0.2
    # Hoses of one size would let the wide sled's coolant come a second and a half sooner.
    assert np.abs(usual_c - wide_c).max() < 0.2 * fastest_k
