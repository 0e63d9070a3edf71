"""Faults that reach the devices: silence, wrong clocks, lost power."""

import json

import pytest

from emulator.devices.catalogue import Devices
from emulator.faults.fault import Fault
from emulator.faults.kinds import FaultKind
from fleet.errors import DeviceError
from tests.emulator.worlds import SmallHall, small_hall

SLED, CDU = "h1/us01/r1/s01", "h1/cdu01"
ROOT = "/redfish/v1"


def hall_with(*faults: Fault) -> tuple[SmallHall, Devices]:
    hall = small_hall(settle_s=5.0)
    for fault in faults:
        hall.world.inject(fault)
    return hall, Devices(hall.world, hall.clock)


def test_a_partition_silences_its_sleds_and_no_others_and_ends() -> None:
    hall, devices = hall_with(
        Fault(kind=FaultKind.NETWORK_PARTITION, place="h1/us01/r1", duration_s=3.0)
    )
    monitor = devices.neuron_monitor(SLED)
    hall.run(2)

    assert monitor.read_lines() == []
    for device in (devices.sled_bmc(SLED), devices.sled_runtime(SLED)):
        with pytest.raises(DeviceError, match=SLED):
            device.request("GET", ROOT)
    assert devices.sled_bmc("h1/us01/r2/s01").request("GET", ROOT)[0] == 200
    assert devices.cdu(CDU).request("GET", ROOT)[0] == 200
    hall.run(3)
    assert devices.sled_bmc(SLED).request("GET", ROOT)[0] == 200
    assert len(monitor.read_lines()) == 1


def test_a_silent_cdu_takes_no_orders() -> None:
    hall, devices = hall_with(Fault(kind=FaultKind.AGENT_LOSS, place=CDU))
    hall.run(1)

    with pytest.raises(DeviceError, match=CDU):
        devices.cdu(CDU).request("PATCH", ROOT, b"{}")
    assert devices.sled_bmc(SLED).request("GET", ROOT)[0] == 200


def test_a_lost_feed_takes_power_jobs_and_voice_and_gives_power_back() -> None:
    hall, devices = hall_with(
        Fault(kind=FaultKind.POWER_FEED_LOSS, place="h1/us01/r1", start_s=2.0, duration_s=3.0)
    )
    hall.submit("job", [0, 1], tensor_parallel=8)
    hall.run(2)
    before = hall.world.sled_readings(0)
    hall.run(2)
    during = hall.world.sled_readings(0)
    hall.run(4)
    after = hall.world.sled_readings(0)

    assert (before.powered, before.answers) == (True, True)
    assert (during.powered, during.answers, during.sled_power_w) == (False, False, 0.0)
    assert (after.powered, after.answers, len(after.jobs)) == (True, True, 0)
    assert devices.sled_bmc(SLED).request("GET", ROOT)[0] == 200


@pytest.mark.parametrize("skew_s", [45.0, -45.0])
def test_a_wrong_clock_shifts_the_times_of_reports_and_never_stops_them(skew_s: float) -> None:
    hall, devices = hall_with(
        Fault(kind=FaultKind.CLOCK_SKEW, place=SLED, severity=skew_s, start_s=5.0, duration_s=10.0)
    )
    monitor, lines = devices.neuron_monitor(SLED), []
    for _ in range(20):
        hall.run(1)
        lines.append(monitor.read_lines())

    assert all(len(found) == 1 for found in lines)
    assert json.loads(lines[7][0])
    assert (hall.world.sled_readings(1).at_unix_ns - hall.clock.unix_ns()) == 0
    skewed = small_hall(settle_s=0.0)
    skewed.world.inject(Fault(kind=FaultKind.CLOCK_SKEW, place=SLED, severity=skew_s))
    skewed.run(1)
    shifted_ns = skewed.world.sled_readings(0).at_unix_ns - skewed.clock.unix_ns()
    assert shifted_ns == round(skew_s * 1e9)
