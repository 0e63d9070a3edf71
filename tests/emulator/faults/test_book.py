import numpy as np
import pytest

from emulator.faults.book import FaultBook
from emulator.faults.course import Course
from emulator.faults.fault import Fault
from emulator.faults.kinds import CourseKind, FaultKind
from emulator.sensing import SensorFault, SensorFaultKind
from fleet.errors import UnknownIdError
from fleet.topology import FleetMap, trn3_datacenter
from tests.emulator.worlds import PlainSensors

FLEET = FleetMap(trn3_datacenter())
CHIP, SLED, CDU = "h1/us01/r1/s07/c2", "h1/us02/r2/s18", "h1/cdu01"


def book(*faults: Fault, now_s: float = 0.0) -> FaultBook:
    made = FaultBook(FLEET, pumps=2)
    for fault in faults:
        made.inject(fault, now_s)
    return made


def test_a_fault_begins_and_ends_by_itself() -> None:
    made = book(Fault(kind=FaultKind.LEAK, place=SLED, start_s=5.0, duration_s=10.0), now_s=100.0)

    assert made.in_force(104.9) == []
    assert len(made.in_force(105.0)) == 1
    assert made.in_force(115.0) == []
    assert made.known() == ()


def test_the_same_kind_and_place_replaces_and_clearing_is_idempotent() -> None:
    made = book(
        Fault(kind=FaultKind.LEAK, place=SLED, severity=1.0),
        Fault(kind=FaultKind.LEAK, place=SLED, severity=2.0),
    )

    assert [fault.severity for fault in made.known()] == [2.0]
    made.clear(FaultKind.LEAK, SLED)
    made.clear(FaultKind.LEAK, SLED)
    assert made.known() == ()


@pytest.mark.parametrize("kind", [k for k in FaultKind if not k.startswith("sensor_")])
def test_each_fault_changes_its_place_and_nothing_else(kind: FaultKind) -> None:
    places = ("h1/us01/r1/s07/c2", SLED, CDU, f"{CDU}#1", f"{CHIP}#in_rack", "h1/us01/r1")
    made = FaultBook(FLEET, pumps=2)
    healthy = made.columns(0.0)
    for place in places:
        try:
            made.inject(Fault(kind=kind, place=place), 0.0)
        except UnknownIdError:
            continue
        break
    broken = made.columns(1e7)

    changed = {
        name: np.argwhere(getattr(broken, name) != getattr(healthy, name))
        for name in healthy.__slots__
        if not np.array_equal(getattr(broken, name), getattr(healthy, name))
    }
    assert changed
    assert all(len(rows) <= 18 for rows in changed.values())


def test_faults_that_meet_combine_as_physics_does() -> None:
    rack = "h1/us02/r2"
    columns = book(
        Fault(kind=FaultKind.NETWORK_PARTITION, place=rack),
        Fault(kind=FaultKind.AGENT_LOSS, place=SLED),
        Fault(kind=FaultKind.FACILITY_EXCURSION, place=CDU, severity=4.0),
        Fault(kind=FaultKind.FACILITY_EXCURSION, place="h1/loop01", severity=2.0),
        Fault(kind=FaultKind.INTERFACE_AGEING, place=CHIP, severity=0.5),
        Fault(kind=FaultKind.CHIP_FAIL_SLOW, place=CHIP, severity=0.25),
    ).columns(0.0)

    assert columns.sled_silent.sum() == 18
    assert columns.facility_offset_k.tolist() == [6.0]
    assert columns.chip_resistance_ratio[26] == 1.5
    assert columns.slow_ratio[26] == 0.75


def test_columns_stay_the_same_object_until_something_changes() -> None:
    ramp = Course(kind=CourseKind.RAMP, over_s=100.0)
    made = book(
        Fault(kind=FaultKind.LEAK, place=SLED, severity=2.0, start_s=10.0, course=ramp),
    )
    healthy = made.columns(0.0)

    assert made.columns(9.0) is healthy
    assert made.columns(60.0).leak_lpm[71] == pytest.approx(1.0)
    full = made.columns(110.0)
    assert made.columns(500.0) is full
    made.clear(FaultKind.LEAK, SLED)
    assert made.columns(501.0).leak_lpm.sum() == 0.0


def test_healthy_columns_can_not_be_written() -> None:
    with pytest.raises(ValueError, match="read-only"):
        book().columns(0.0).leak_lpm[0] = 1.0


def test_sensors_hear_of_their_faults_as_they_grow_and_go() -> None:
    sensors = PlainSensors()
    place = f"{CDU}#supply_c"
    ramp = Course(kind=CourseKind.RAMP, over_s=10.0)
    made = book(
        Fault(kind=FaultKind.SENSOR_DRIFT, place=place, severity=4.0, course=ramp, duration_s=20.0),
        Fault(kind=FaultKind.SENSOR_NOISE, place=f"{SLED}#inlet_c", severity=0.5),
    )

    made.break_sensors(sensors, 5.0)
    assert sensors.broken == {
        ("supply_c", 0): SensorFault(kind=SensorFaultKind.BIAS, offset=2.0),
        ("inlet_c", 71): SensorFault(kind=SensorFaultKind.NOISE, offset=0.5),
    }
    made.break_sensors(sensors, 20.0)
    assert set(sensors.broken) == {("inlet_c", 71)}
