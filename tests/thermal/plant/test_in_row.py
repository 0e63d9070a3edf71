"""Loops that give their heat to the hall's air, alone and beside loops on facility water."""

from dataclasses import replace

import numpy as np
import pytest

from tests.thermal.plant.builders import COARSE
from thermal.plant.layout import PlantLayout
from thermal.plant.liquid import LiquidPlant
from thermal.plant.settings import InRowSettings, PlantSettings
from thermal.plant.state import Actuators, Commands

WATER = COARSE.scaled(16 / 288)
AIR = replace(WATER, in_row=InRowSettings())


def build(*settings: PlantSettings) -> LiquidPlant:
    layout = PlantLayout.uniform(sleds_of_loop=[4] * len(settings), chips_per_sled=4)
    return LiquidPlant(settings, layout=layout, rng=np.random.default_rng(5))


def run(plant: LiquidPlant, seconds: int, fan_ratio: float = 0.7) -> LiquidPlant:
    asked = Actuators(
        valve_ratio=0.7, fan_ratio=fan_ratio, pump_ratio=(0.85,) * 2, pump_enabled=(True,) * 2
    )
    for _ in range(seconds):
        plant.step(
            1.0,
            chip_power_w=np.full(plant.layout.chips, 800.0),
            sled_other_liquid_w=np.full(plant.layout.sleds, 300.0),
            commands=Commands.of([asked] * plant.layout.loops),
        )
    return plant


def test_settled_heat_in_is_heat_out() -> None:
    plant = run(build(AIR), 1_500)
    heat_w = 16 * 800.0 + 4 * 300.0 + plant.pump_heat_w[0]
    assert plant.heat_removed_w[0] == pytest.approx(heat_w, rel=1e-3)
    moved = plant.heat_removed_w[0] / (plant.primary_return_c[0] - plant.primary_supply_c[0])
    assert moved == pytest.approx(0.7 * 24_000.0 * 16 / 288, rel=1e-6)
    assert (plant.primary_flow_lpm[0], plant.valve_ratio[0]) == (0.0, 0.0)
    assert plant.fan_power_w[0] == pytest.approx(9_400.0 * 16 / 288 * 0.7**3)


def test_faster_fans_make_colder_coolant() -> None:
    supply_c = [run(build(AIR), 900, fan).supply_c[0] for fan in (0.3, 0.6, 1.0)]
    assert supply_c[0] > supply_c[1] + 1.0 > supply_c[2] + 2.0
    assert supply_c[2] > AIR.weather.hall_air_c


def test_warmer_hall_air_and_dirty_fins_warm_the_supply() -> None:
    base_c = run(build(AIR), 900).supply_c[0]
    warm, dirty = build(AIR), build(AIR)
    warm.weather.hall_air_c += 5.0
    dirty.break_parts(replace(dirty.faults, fouling_ratio=np.array([0.3])))
    assert run(warm, 900).supply_c[0] == pytest.approx(base_c + 5.0, abs=0.3)
    assert run(dirty, 900).supply_c[0] > base_c + 0.5


def test_fans_ramp_and_stop_without_power() -> None:
    plant = run(build(AIR), 3, 1.0)
    assert plant.fan_speed_ratio[0] == pytest.approx(0.1)
    run(plant, 60, 1.0)
    assert plant.fan_speed_ratio[0] == 1.0
    plant.break_parts(replace(plant.faults, power_feed_lost=np.array([True])))
    hot_c = run(plant, 60, 1.0).junction_c.max()
    assert (plant.fan_speed_ratio[0], plant.fan_power_w[0]) == (0.0, 0.0)
    assert run(plant, 10, 1.0).junction_c.max() > hot_c


def test_each_loop_of_a_mixed_batch_is_cooled_as_it_would_be_alone() -> None:
    """Built spread depends on the place in the batch, so the same loop stands at both places."""
    water, air = run(build(WATER, WATER), 300), run(build(AIR, AIR), 300)
    mixed = run(build(WATER, AIR), 300)
    for name in ("supply_c", "heat_removed_w", "primary_return_c", "fan_power_w"):
        values = getattr(mixed, name).tolist()
        assert values == pytest.approx([getattr(water, name)[0], getattr(air, name)[1]], rel=1e-6)


def test_coolant_that_stands_takes_the_temperature_of_the_air() -> None:
    plant = run(build(AIR), 60)
    tripped = np.ones((1, 2), np.bool_)
    plant.break_parts(replace(plant.faults, pump_tripped=tripped))
    run(plant, 900, 1.0)
    assert plant.supply_c[0] == pytest.approx(AIR.weather.hall_air_c, abs=0.5)
    assert abs(plant.heat_removed_w[0]) < 1e3


def test_coolers_of_one_batch_differ_by_their_size_alone() -> None:
    run(build(AIR, replace(AIR, in_row_share=0.1)), 1)
    slow = replace(AIR, in_row=InRowSettings(fan_ramp_s=60.0))
    with pytest.raises(ValueError, match="loop 1 has"):
        build(AIR, slow)
