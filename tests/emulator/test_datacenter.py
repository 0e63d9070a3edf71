import math
from dataclasses import fields

import numpy as np
import pytest

from emulator.datacenter import World
from emulator.faults.fault import Fault
from emulator.faults.kinds import FaultKind
from emulator.options import EmulatorOptions
from emulator.readings import CduReadings, JobPhase, PumpHealth
from emulator.sensing import SensorFaultKind
from fleet.clock import ManualClock
from fleet.errors import ConfigurationError, UnknownIdError
from fleet.metrics import LeakState
from fleet.topology import FleetMap, trn3_datacenter
from tests.emulator.worlds import SmallHall, small_hall

CHIP, SLED, CDU = "h1/us01/r1/s01/c2", "h1/us01/r1/s01", "h1/cdu01"


def busy_hall(load_ratio: float = 0.9, sleds: int = 2) -> SmallHall:
    hall = small_hall(load_ratio=load_ratio)
    for sled in range(sleds):
        hall.submit(f"job-{sled}", [sled], model="llama-3-70b")
    return hall


def test_an_idle_hall_draws_idle_power_and_is_cooled_to_its_set_point() -> None:
    hall = small_hall(settle_s=240.0)
    hall.run(5)

    sled, cdu = hall.world.sled_readings(0), hall.world.cdu_readings(0)
    assert all(power == pytest.approx(180.0, rel=0.05) for power in sled.chip_power_w)
    assert sled.core_utilization_ratio == (0.0,) * 4
    assert sled.jobs == ()
    assert cdu.supply_c == pytest.approx(40.0, abs=1.5)
    assert sled.flow_lpm > 5.0


def test_work_becomes_watts_and_watts_become_coolant_temperature() -> None:
    hall = busy_hall(sleds=36)
    idle = hall.world.sled_readings(0)
    hall.run(150)  # the loop has settled

    sled, cdu = hall.world.sled_readings(0), hall.world.cdu_readings(0)
    chip_w = sum(
        sum(hall.world.sled_readings(row).chip_power_w) for row in range(hall.world.fleet_map.sleds)
    )
    assert sled.jobs[0].state is JobPhase.RUNNING
    assert min(sled.chip_power_w) > 650.0
    assert min(sled.junction_c) > max(idle.junction_c) + 10.0
    assert sled.outlet_c > sled.inlet_c + 3.0
    assert sled.flop_per_s[0] == pytest.approx(sled.core_utilization_ratio[0] * 2_517e12)
    carried_w = cdu.secondary_flow_lpm * 66.8 * (cdu.return_c - cdu.supply_c)
    assert carried_w == pytest.approx(chip_w, rel=0.12)


def test_a_load_step_keeps_every_chip_below_its_throttle() -> None:
    hall = busy_hall(load_ratio=0.2, sleds=36)
    hall.run(60)
    low_w = hall.world.chips.power_w.mean()
    hall.world.load_ratio = 1.0
    hottest, worst_k = 0.0, 0.0
    for _ in range(100):
        hall.run(1)
        hottest = max(hottest, float(hall.world.loops.column("junction_c").max()))
        worst_k = max(worst_k, abs(hall.world.cdu_readings(0).supply_c - 40.0))

    assert hall.world.chips.power_w.mean() > 1.6 * low_w
    # Below the 700 W of a chip that never waits: groups of four wait for the fabric's tier.
    assert hall.world.chips.power_w.mean() >= 650.0
    assert hottest < 80.0
    assert worst_k < 2.0
    assert (hall.world.chips.speed_ratio > 0.95).all()


def test_a_blocked_plate_throttles_then_trips_its_chip_alone() -> None:
    hall = busy_hall()
    hall.run(30)
    before = hall.world.sled_readings(0).core_utilization_ratio[2]
    hall.world.inject(Fault(kind=FaultKind.PLATE_BLOCKAGE, place=CHIP, severity=1.0))

    slowest = 1.0
    for _ in range(120):
        hall.run(1)
        if not hall.world.chips.tripped[2]:
            slowest = min(slowest, float(hall.world.chips.speed_ratio[2]))
    reading = hall.world.sled_readings(0)

    assert before > 0.1
    assert slowest < 1.0
    assert np.flatnonzero(hall.world.chips.tripped).tolist() == [2]
    assert reading.core_utilization_ratio[2] == 0.0
    assert reading.jobs[0].state is JobPhase.FAILED
    assert hall.world.sled_readings(1).jobs[0].state is JobPhase.RUNNING


def test_a_tripped_chip_works_again_after_repair_and_a_power_cycle() -> None:
    hall = busy_hall()
    hall.world.inject(Fault(kind=FaultKind.PLATE_BLOCKAGE, place=CHIP, severity=1.0))
    hall.run(120)
    hall.world.clear(FaultKind.PLATE_BLOCKAGE, CHIP)
    hall.run(30)
    requests = hall.world.sled_requests(0)
    assert hall.world.chips.tripped[2]

    requests.powered = False
    hall.run(2)
    off = hall.world.sled_readings(0)
    requests.powered = True
    hall.submit("again", [0], attempt=2)
    hall.run(3)

    assert not off.powered
    assert off.chip_power_w == (0.0,) * 4
    assert off.jobs == ()
    assert hall.world.sled_readings(0).jobs[0].state is JobPhase.RUNNING


def test_a_power_cap_holds_in_the_very_first_second() -> None:
    hall = busy_hall()
    hall.run(30)
    for chip in range(4):
        hall.world.sled_requests(0).cap_power(chip, 0.4)
    hall.run(1)

    capped, free = hall.world.sled_readings(0), hall.world.sled_readings(1)
    assert capped.power_cap_w == (400.0,) * 4
    assert max(capped.chip_power_w) <= 400.0 + 1e-6
    assert min(free.chip_power_w) > 500.0
    assert capped.core_utilization_ratio[0] < 0.6 * free.core_utilization_ratio[0]
    before = [reading.jobs[0].requests_completed_total for reading in (capped, free)]
    hall.run(30)
    after = [hall.world.sled_readings(row).jobs[0].requests_completed_total for row in (0, 1)]
    assert after[0] - before[0] < 0.6 * (after[1] - before[1])


def test_a_slow_chip_shows_as_slow_steps_of_its_gang() -> None:
    hall = busy_hall(load_ratio=0.2)
    hall.world.inject(Fault(kind=FaultKind.CHIP_FAIL_SLOW, place=CHIP, severity=0.5))
    hall.run(40)

    slow, fast = hall.world.sled_readings(0).jobs[0], hall.world.sled_readings(1).jobs[0]
    assert slow.latency_s is not None
    assert fast.latency_s is not None
    assert slow.latency_s[3] > 1.7 * fast.latency_s[3]


def test_a_leak_is_seen_dry_warning_critical_and_dry_again() -> None:
    hall = small_hall()
    hall.world.inject(Fault(kind=FaultKind.LEAK, place=SLED, severity=1.0))
    seen = []
    for _ in range(8):
        hall.run(1)
        seen.append(hall.world.sled_readings(0).leak[0])
    hall.world.clear(FaultKind.LEAK, SLED)
    hall.run(1)

    assert seen[0] is LeakState.WARNING
    assert seen[-1] is LeakState.CRITICAL
    assert set(hall.world.sled_readings(0).leak) == {LeakState.OK}
    assert set(hall.world.sled_readings(1).leak) == {LeakState.OK}


def test_a_tripped_pump_is_told_and_takes_flow() -> None:
    hall = small_hall()
    before = hall.world.cdu_readings(0).secondary_flow_lpm
    hall.world.inject(Fault(kind=FaultKind.PUMP_TRIP, place=f"{CDU}#2", duration_s=30.0))
    hall.run(6)
    during = hall.world.cdu_readings(0)
    hall.run(30)

    assert during.pump_state == (PumpHealth.OK, PumpHealth.CRITICAL)
    assert during.pump_speed_ratio[1] < 0.3
    assert during.secondary_flow_lpm < before
    assert hall.world.cdu_readings(0).pump_state == (PumpHealth.OK, PumpHealth.OK)


def test_facility_water_fouling_and_valve_faults_reach_the_plant() -> None:
    hall = small_hall()
    hall.world.inject(Fault(kind=FaultKind.FACILITY_EXCURSION, place=CDU, severity=6.0))
    hall.world.inject(Fault(kind=FaultKind.EXCHANGER_FOULING, place=CDU, severity=0.4))
    hall.world.inject(Fault(kind=FaultKind.VALVE_STUCK, place=CDU))
    before = hall.world.cdu_readings(0)
    hall.run(30)
    after = hall.world.cdu_readings(0)

    assert after.primary_supply_c > before.primary_supply_c + 5.0
    assert after.valve_ratio == before.valve_ratio
    assert hall.world.loops.coolant is not None
    assert hall.world.loops.coolant.plant.faults.fouling_ratio[0] == 0.4


def test_what_the_firmware_asks_is_told_also_where_a_stuck_valve_does_not_follow() -> None:
    hall = busy_hall(sleds=36)
    hall.run(60)
    seen = hall.world.cdu_readings(0)
    assert seen.valve_command_ratio == pytest.approx(seen.valve_ratio, abs=0.05)
    assert seen.pump_command_ratio == pytest.approx(seen.pump_speed_ratio, abs=0.05)
    hall.world.inject(Fault(kind=FaultKind.VALVE_STUCK, place=CDU))
    hall.world.cdu_requests(0).supply_setpoint_c = 35.0
    hall.run(20)
    stuck = hall.world.cdu_readings(0)
    assert stuck.valve_command_ratio > seen.valve_command_ratio + 0.15
    assert stuck.valve_ratio == pytest.approx(seen.valve_ratio, abs=0.03)


def test_a_storm_of_corrected_errors_is_counted_on_its_chip() -> None:
    hall = small_hall()
    hall.world.inject(Fault(kind=FaultKind.HBM_STORM, place=CHIP, severity=200.0))
    hall.run(10)

    counts = hall.world.sled_readings(0).ecc.hbm_corrected
    assert counts[2] == pytest.approx(2_000, rel=0.1)
    assert counts[1] < 10


def test_sensor_faults_reach_the_sensors_and_leave_them() -> None:
    hall = small_hall()
    bias = Fault(kind=FaultKind.SENSOR_BIAS, place=f"{SLED}#inlet_c", severity=3.0, duration_s=5.0)
    hall.world.inject(bias)
    hall.run(1)
    broken = dict(hall.sensors.broken)
    hall.run(6)

    assert broken["inlet_c", 0].kind is SensorFaultKind.BIAS
    assert broken["inlet_c", 0].offset == 3.0
    assert hall.sensors.broken == {}


def test_unknown_places_and_wild_severities_are_refused() -> None:
    world = small_hall(settle_s=0.0).world

    with pytest.raises(UnknownIdError):
        world.inject(Fault(kind=FaultKind.LEAK, place="h1/us07/r1/s01"))
    with pytest.raises(ConfigurationError):
        world.inject(Fault(kind=FaultKind.LEAK, place=SLED, severity=1e9))
    assert world.faults() == ()


def test_the_same_seed_gives_the_same_world() -> None:
    shown = []
    for seed in (1, 1, 2):
        hall = small_hall(seed=seed, settle_s=5.0)
        hall.submit("job", [0, 1], tensor_parallel=8)
        hall.run(10)
        shown.append((hall.world.sled_readings(0), hall.world.engine.checksum()))

    assert shown[0] == shown[1]
    assert shown[0] != shown[2]


def test_a_jobs_gang_may_span_sleds() -> None:
    hall = small_hall(load_ratio=0.9)
    hall.submit("wide", [4, 2], model="llama-3.1-405b", tensor_parallel=8)
    hall.run(20)

    first, second = hall.world.sled_readings(4), hall.world.sled_readings(2)
    assert first.jobs[0].state is second.jobs[0].state is JobPhase.RUNNING
    assert min(first.core_utilization_ratio + second.core_utilization_ratio) > 0.1
    assert first.device_memory_bytes[0] == second.device_memory_bytes[3] > 40e9


def test_every_reading_of_the_real_sensors_is_a_number() -> None:
    world = World(
        EmulatorOptions(settle_s=5.0),
        FleetMap(trn3_datacenter(ultraservers=1)),
        np.random.default_rng(0),
        ManualClock(),
    )
    world.step(1.0)

    cdu = world.cdu_readings(0)
    numbers = [getattr(cdu, field.name) for field in fields(CduReadings)]
    assert all(math.isfinite(value) for value in numbers if isinstance(value, float))
    assert all(map(math.isfinite, world.sled_readings(35).junction_c))


def test_two_loops_are_cooled_apart() -> None:
    world = World(
        EmulatorOptions(settle_s=10.0),
        FleetMap(trn3_datacenter(loops=2, ultraservers=1)),
        np.random.default_rng(0),
        ManualClock(),
    )
    world.inject(Fault(kind=FaultKind.FACILITY_EXCURSION, place="h1/cdu02", severity=8.0))
    world.inject(Fault(kind=FaultKind.PLATE_BLOCKAGE, place="h1/us02/r1/s01/c1", severity=1.0))
    for _ in range(20):
        world.step(1.0)

    first, second = world.cdu_readings(0), world.cdu_readings(1)
    assert second.primary_supply_c > first.primary_supply_c + 5.0
    flows = world.loops.column("chip_flow_lpm")
    assert np.flatnonzero(flows < 0.1).tolist() == [145]
