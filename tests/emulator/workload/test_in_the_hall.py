"""Products in a whole hall: what is found reaches the readings of the right chip."""

import json

import numpy as np

from emulator.datacenter import World
from emulator.devices.neuron_monitor import NeuronMonitor
from emulator.faults.course import Course
from emulator.faults.fault import Fault
from emulator.faults.kinds import CourseKind, FaultKind
from emulator.options import EmulatorOptions
from emulator.workload import ProductOptions
from fleet.clock import ManualClock
from fleet.topology import FleetMap, trn3_datacenter
from tests.emulator.worlds import PlainSensors, SmallHall, small_hall


def test_silent_corruption_is_counted_at_its_chip_and_shown_as_a_numerical_error() -> None:
    hall = small_hall()
    hall.submit("job-a", [0, 1])
    world = hall.world
    monitor = NeuronMonitor(world, 0)
    fault = Fault(
        kind=FaultKind.SILENT_CORRUPTION,
        place=world.fleet_map.chip_ids[2],
        severity=50.0,
        course=Course(kind=CourseKind.STEP),
    )
    world.inject(fault)

    reports = []
    for _ in range(6):
        hall.run(1)
        reports += monitor.read_lines()

    found = world.products.corruptions
    shown = world.sled_readings(0).numerical_errors_total
    assert {corruption.chip for corruption in found} == {2}
    assert shown == (0, 0, len(found), 0)
    assert world.sled_readings(1).numerical_errors_total == (0, 0, 0, 0)
    stats = [
        json.loads(line)["neuron_runtime_data"][0]["report"]["execution_stats"]
        for line in reports
        if json.loads(line)["neuron_runtime_data"]
    ]
    numerical = [each["error_summary"]["numerical"] for each in stats]
    assert 0 < sum(numerical) <= len(found)
    assert numerical == [each["execution_summary"]["completed_with_num_err"] for each in stats]


def test_readings_say_which_chips_executed() -> None:
    clock, sensors = ManualClock(), PlainSensors()
    world = World(
        EmulatorOptions(
            settle_s=5.0,
            emulated_peak_flop_per_s=5e6,
            products=ProductOptions(real_chips_limit=3),
        ),
        FleetMap(trn3_datacenter(ultraservers=1)),
        np.random.default_rng(1),
        clock,
        sensors=sensors,
    )
    hall = SmallHall(world=world, clock=clock, sensors=sensors)
    hall.submit("job-a", [0, 1])
    hall.run(6)

    real = [world.sled_readings(sled).products_real for sled in (0, 1)]
    busy = [world.sled_readings(sled).core_utilization_ratio for sled in (0, 1)]
    assert sum(map(sum, real)) == 3
    # By formula or by execution, a gang's chips did the same.
    assert min(map(min, busy)) > 0.0
    assert all(world.sled_readings(2).products_real)
