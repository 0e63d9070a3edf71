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


def test_one_tripped_pump_of_two_leaves_what_the_reference_names() -> None:
    plant = run(make_plant(), 120.0)
    before = plant.secondary_flow_lpm
    plant.strike(pump_tripped={0: True})
    run(plant, 15.0)
    assert 0.55 <= plant.secondary_flow_lpm / before <= 0.65
    assert plant.pump_speed_ratio[0] == 0.0
    assert plant.pump_power_w[0] == 0.0
    run(plant, 15.0, actuators=make_actuators(pump_ratio=1.0))
    assert plant.secondary_flow_lpm / before == pytest.approx(0.75, abs=0.02)


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


def test_a_worn_pump_costs_flow_and_gas_costs_more_and_makes_it_noisy() -> None:
    sound, worn, gassy = (run(make_plant(), 60.0) for _ in range(3))
    worn.strike(pump_wear_ratio={0: 0.2})
    gassy.strike(air_ratio=0.05)
    flows = [
        [run(plant, 0.25).secondary_flow_lpm for _ in range(20)] for plant in (sound, worn, gassy)
    ]
    assert np.mean(flows[2]) < np.mean(flows[1]) < np.mean(flows[0])
    assert np.std(flows[2]) > 10.0 * np.std(flows[0])


def test_a_slow_valve_travels_a_part_of_the_way_in_the_same_time() -> None:
    sound, slow = make_plant(), make_plant()
    slow.strike(valve_slow_ratio=0.75)
    for plant in (sound, slow):
        run(plant, 10.0, actuators=make_actuators(valve_ratio=1.0))
    assert slow.valve_ratio == pytest.approx(0.25 * sound.valve_ratio)


def test_without_its_power_feed_a_loop_loses_its_flow_and_its_valve_stays() -> None:
    plant = run(make_plant(), 60.0)
    held = plant.valve_ratio
    plant.strike(power_feed_lost=True)
    run(plant, 20.0, load=Load(utilization_ratio=0.0), actuators=make_actuators(valve_ratio=0.2))
    assert plant.secondary_flow_lpm == 0.0
    assert plant.pump_power_w.sum() == 0.0
    assert plant.valve_ratio == held
    plant.strike(power_feed_lost=False)
    assert run(plant, 40.0).secondary_flow_lpm > 400.0


def test_a_humidity_event_raises_the_dew_point_and_a_hot_spell_the_facility_water() -> None:
    plant = run(make_plant(COARSE), 300.0, dt_s=1.0)
    dew_c, facility_c = plant.dew_point_c, plant.facility_c
    plant.strike(humidity_offset_ratio=0.3, wet_bulb_offset_k=5.0)
    run(plant, 900.0, dt_s=1.0)
    assert plant.dew_point_c > dew_c + 5.0
    assert plant.facility_c == pytest.approx(facility_c + 5.0, abs=0.5)
