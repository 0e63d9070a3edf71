import numpy as np
import pytest

from tests.thermal.plant.builders import COARSE, Load, make_actuators, make_plant, run


def test_a_blocked_plate_heats_its_chip_and_no_other_much() -> None:
    plant = run(make_plant(COARSE), 300.0, dt_s=1.0)
    before = plant.junction_c.copy()
    plant.strike(chip_blockage_ratio={5: 0.8})
    run(plant, 60.0, dt_s=1.0)
    risen = plant.junction_c - before
    assert risen[5] > 15.0
    assert np.delete(risen, 5).max() < 1.0


def test_a_fouled_plate_heats_its_chip_in_proportion() -> None:
    plant = run(make_plant(COARSE), 300.0, dt_s=1.0)
    before = plant.junction_c.copy()
    plant.strike(chip_resistance_ratio={5: 1.2})
    run(plant, 60.0, dt_s=1.0)
    assert plant.junction_c[5] - before[5] == pytest.approx(0.2 * 16.7, abs=0.6)


def test_an_isolated_sled_loses_its_flow_and_the_rest_gain() -> None:
    plant = run(make_plant(), 120.0)
    before = plant.sled_flow_lpm.copy()
    plant.strike(sled_isolated={3: True})
    run(plant, 1.0)
    assert plant.sled_flow_lpm[3] == 0.0
    assert (plant.chip_flow_lpm[12:16] == 0.0).all()
    assert (np.delete(plant.sled_flow_lpm - before, 3) > 0.0).all()


def test_one_tripped_pump_of_two_leaves_most_of_the_flow() -> None:
    plant = run(make_plant(), 120.0)
    before = plant.secondary_flow_lpm
    plant.strike(pump_tripped={0: True})
    run(plant, 15.0)
    assert 0.5 < plant.secondary_flow_lpm / before < 0.9
    assert plant.pump_speed_ratio[0] == 0.0
    assert plant.pump_power_w[0] == 0.0
    run(plant, 15.0, actuators=make_actuators(pump_ratio=1.0))
    assert plant.secondary_flow_lpm == pytest.approx(before, rel=0.05)


def test_a_stuck_valve_ignores_commands() -> None:
    plant = run(make_plant(), 60.0)
    plant.strike(valve_stuck=True)
    held = plant.valve_ratio
    run(plant, 60.0, actuators=make_actuators(valve_ratio=0.1))
    assert plant.valve_ratio == held


def test_fouling_and_warmer_facility_water_warm_the_supply() -> None:
    base = run(make_plant(COARSE), 600.0, dt_s=1.0).supply_c
    fouled = make_plant(COARSE)
    fouled.strike(fouling_ratio=0.3)
    assert run(fouled, 600.0, dt_s=1.0).supply_c > base + 1.0
    warmer = make_plant(COARSE)
    warmer.strike(facility_offset_k=4.0)
    assert run(warmer, 600.0, dt_s=1.0).supply_c == pytest.approx(base + 4.0, abs=0.3)


def test_a_leak_shows_as_pressure_before_level_and_isolation_ends_it() -> None:
    plant = run(make_plant(), 60.0)
    full_kpa = plant.return_pressure_kpa
    plant.strike(leak_lpm={9: 2.0})
    run(plant, 30.0)
    assert plant.reservoir_level_ratio == pytest.approx(1.0 - 1.0 / 6.4, abs=0.03)
    assert plant.return_pressure_kpa / full_kpa < plant.reservoir_level_ratio
    assert plant.secondary_flow_lpm - plant.return_flow_lpm == pytest.approx(2.0, abs=0.3)
    plant.strike(sled_isolated={9: True})
    level = plant.reservoir_level_ratio
    run(plant, 30.0)
    assert plant.reservoir_level_ratio == level
    assert plant.return_flow_lpm == plant.secondary_flow_lpm
    plant.refill()
    run(plant, 1.0)
    assert plant.reservoir_level_ratio == 1.0


def test_a_long_leak_empties_the_vessel_and_the_pumps_lose_their_flow() -> None:
    plant = run(make_plant(), 60.0)
    plant.strike(leak_lpm={9: 20.0})
    run(plant, 120.0, load=Load(utilization_ratio=0.0))
    assert plant.reservoir_level_ratio < 0.1
    assert plant.secondary_flow_lpm < 500.0


def test_humid_air_raises_the_dew_point() -> None:
    plant = run(make_plant(), 1.0)
    dry_c = plant.dew_point_c
    plant.weather.hall_humidity_ratio = 0.8
    run(plant, 1.0)
    assert plant.dew_point_c > dry_c + 5.0


def test_a_colder_night_cools_the_facility_water() -> None:
    plant = run(make_plant(COARSE), 300.0, dt_s=1.0)
    day_c = plant.primary_supply_c
    plant.weather.wet_bulb_c -= 6.0
    run(plant, 900.0, dt_s=1.0)
    assert plant.primary_supply_c == pytest.approx(day_c - 6.0, abs=0.5)
