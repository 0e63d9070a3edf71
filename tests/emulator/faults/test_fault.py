import pytest

from emulator.faults.course import Course
from emulator.faults.fault import Fault, locate
from emulator.faults.kinds import Axis, CourseKind, FaultKind
from fleet.errors import ConfigurationError, UnknownIdError
from fleet.topology import FleetMap, trn3_datacenter

FLEET = FleetMap(trn3_datacenter(loops=2))
CHIP, SLED, CDU = "h1/us01/r1/s07/c2", "h1/us02/r2/s18", "h1/cdu01"


@pytest.mark.parametrize(
    ("kind", "place", "axis", "rows"),
    [
        (FaultKind.PLATE_BLOCKAGE, CHIP, Axis.CHIPS, [26]),
        (FaultKind.LEAK, SLED, Axis.SLEDS, [71]),
        (FaultKind.VALVE_STUCK, CDU, Axis.LOOPS, [0]),
        (FaultKind.VALVE_STUCK, "h1/loop02", Axis.LOOPS, [1]),
        (FaultKind.FACILITY_EXCURSION, "h1", Axis.LOOPS, [0, 1]),
        (FaultKind.NETWORK_PARTITION, "h1/us02/r2", Axis.SLEDS, list(range(54, 72))),
        (FaultKind.NETWORK_PARTITION, "h1/us02", Axis.SLEDS, list(range(36, 72))),
        (FaultKind.NETWORK_PARTITION, "h1/us02", Axis.LOOPS, []),
        (FaultKind.NETWORK_PARTITION, "h1/loop02", Axis.SLEDS, list(range(72, 144))),
        (FaultKind.NETWORK_PARTITION, "h1/loop02", Axis.LOOPS, [1]),
        (FaultKind.AGENT_LOSS, SLED, Axis.SLEDS, [71]),
        (FaultKind.AGENT_LOSS, CDU, Axis.LOOPS, [0]),
        (FaultKind.POWER_FEED_LOSS, CDU, Axis.SLEDS, []),
        (FaultKind.POWER_FEED_LOSS, "h1", Axis.SLEDS, list(range(144))),
    ],
)
def test_places_become_rows(kind: FaultKind, place: str, axis: Axis, rows: list[int]) -> None:
    site = locate(Fault(kind=kind, place=place), FLEET, pumps=2)
    assert site.index(axis).tolist() == rows


@pytest.mark.parametrize(
    ("kind", "place", "axis", "index"),
    [
        (FaultKind.PUMP_TRIP, f"{CDU}#2", Axis.PUMPS, ([0], 1)),
        (FaultKind.PUMP_WEAR, f"{CDU}#pump1", Axis.PUMPS, ([0], 0)),
        (FaultKind.LINK_LOSS, f"{CHIP}#inter_rack", Axis.LINKS, ([26], 2)),
        (FaultKind.SWITCH_LOSS, "h1/us01/r1", Axis.SWITCHES, (list(range(18)), 1)),
        (FaultKind.SWITCH_LOSS, SLED, Axis.SWITCHES, ([71], 0)),
    ],
)
def test_parts_of_places_are_numbered(
    kind: FaultKind, place: str, axis: Axis, index: tuple[list[int], int]
) -> None:
    rows, part = locate(Fault(kind=kind, place=place), FLEET, pumps=2).index(axis)
    assert (rows.tolist(), part) == index


@pytest.mark.parametrize(
    ("place", "metric", "row"),
    [(CHIP, "junction_c", 26), (SLED, "inlet_c", 71), (CDU, "supply_c", 0)],
)
def test_a_sensor_is_found_on_what_it_measures(place: str, metric: str, row: int) -> None:
    fault = Fault(kind=FaultKind.SENSOR_BIAS, place=f"{place}#{metric}")
    site = locate(fault, FLEET, pumps=2)
    assert (site.metric, site.sensor_row) == (metric, row)


@pytest.mark.parametrize(
    ("kind", "place"),
    [
        (FaultKind.PLATE_BLOCKAGE, "h1/us09/r1/s01/c0"),
        (FaultKind.PLATE_BLOCKAGE, SLED),
        (FaultKind.LEAK, CDU),
        (FaultKind.PUMP_TRIP, CDU),
        (FaultKind.PUMP_TRIP, f"{CDU}#3"),
        (FaultKind.PUMP_TRIP, f"{CDU}#0"),
        (FaultKind.PUMP_TRIP, f"{CDU}#²"),
        (FaultKind.SENSOR_BIAS, CHIP),
        (FaultKind.SENSOR_BIAS, f"{CHIP}#inlet_c"),
        (FaultKind.SENSOR_BIAS, f"{SLED}#power_state"),
        (FaultKind.LINK_LOSS, CHIP),
        (FaultKind.LINK_LOSS, f"{CHIP}#nowhere"),
        (FaultKind.SWITCH_LOSS, "h1/us01/r9"),
        (FaultKind.SWITCH_LOSS, "h1/us01"),
        (FaultKind.NETWORK_PARTITION, "h2"),
        (FaultKind.NETWORK_PARTITION, CHIP),
        (FaultKind.VALVE_STUCK, "h1/us01"),
        (FaultKind.VALVE_STUCK, ""),
    ],
)
def test_a_place_that_is_not_there_is_an_unknown_id(kind: FaultKind, place: str) -> None:
    with pytest.raises(UnknownIdError):
        locate(Fault(kind=kind, place=place), FLEET, pumps=2)


@pytest.mark.parametrize("severity", [-0.1, 1.1, float("nan"), float("inf")])
def test_a_severity_outside_its_span_is_refused_with_the_span(severity: float) -> None:
    fault = Fault(kind=FaultKind.PLATE_BLOCKAGE, place=CHIP, severity=severity)

    with pytest.raises(ConfigurationError, match=r"outside 0\.\.1 share"):
        locate(fault, FLEET, pumps=2)


@pytest.mark.parametrize(
    ("start_s", "duration_s"), [(-1.0, None), (0.0, -5.0), (float("nan"), 1.0)]
)
def test_times_before_now_are_refused(start_s: float, duration_s: float | None) -> None:
    fault = Fault(kind=FaultKind.PLATE_BLOCKAGE, place=CHIP, start_s=start_s, duration_s=duration_s)

    with pytest.raises(ConfigurationError, match="0 s or more"):
        locate(fault, FLEET, pumps=2)


@pytest.mark.parametrize("kind", [CourseKind.RAMP, CourseKind.WEAR])
def test_what_is_there_or_not_does_not_grow(kind: CourseKind) -> None:
    fault = Fault(kind=FaultKind.PUMP_TRIP, place=f"{CDU}#1", course=Course(kind=kind))

    with pytest.raises(ConfigurationError, match="step or intermittent"):
        locate(fault, FLEET, pumps=2)
