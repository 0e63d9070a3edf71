import pytest

from emulator.fault_book import FaultBook
from emulator.faults import CATALOGUE, Fault, FaultKind, FaultSite, locate
from fleet.errors import ConfigurationError, UnknownIdError
from fleet.topology import FleetMap, trn3_datacenter

FLEET = FleetMap(trn3_datacenter())
CHIP, SLED, CDU = "h1/us01/r1/s07/c2", "h1/us02/r2/s18", "h1/cdu01"


def test_every_kind_is_in_the_catalogue_with_a_default_inside_its_span() -> None:
    assert set(CATALOGUE) == set(FaultKind)
    for spec in CATALOGUE.values():
        assert spec.low <= spec.default <= spec.high


@pytest.mark.parametrize(
    ("kind", "place", "site"),
    [
        (FaultKind.PLATE_BLOCKAGE, CHIP, FaultSite(row=26)),
        (FaultKind.LEAK, SLED, FaultSite(row=71)),
        (FaultKind.VALVE_STUCK, CDU, FaultSite(row=0)),
        (FaultKind.PUMP_TRIP, f"{CDU}#2", FaultSite(row=0, pump=1)),
        (FaultKind.PUMP_TRIP, f"{CDU}#pump1", FaultSite(row=0, pump=0)),
        (FaultKind.SENSOR_BIAS, f"{CHIP}#junction_c", FaultSite(row=26, metric="junction_c")),
        (FaultKind.SENSOR_FREEZE, f"{SLED}#inlet_c", FaultSite(row=71, metric="inlet_c")),
        (FaultKind.SENSOR_DROPOUT, f"{CDU}#supply_c", FaultSite(row=0, metric="supply_c")),
    ],
)
def test_places_become_rows(kind: FaultKind, place: str, site: FaultSite) -> None:
    assert locate(Fault(kind=kind, place=place), FLEET, pumps=2) == site


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
        (FaultKind.SENSOR_BIAS, f"{SLED}#leak_state"),
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


def test_a_fault_begins_and_ends_by_itself() -> None:
    book = FaultBook(FLEET, pumps=2)
    book.inject(Fault(kind=FaultKind.LEAK, place=SLED, start_s=5.0, duration_s=10.0), 100.0)

    assert book.in_force(104.9) == []
    assert len(book.in_force(105.0)) == 1
    assert book.in_force(115.0) == []
    assert book.known() == ()


def test_the_same_kind_and_place_replaces_and_clearing_is_idempotent() -> None:
    book = FaultBook(FLEET, pumps=2)
    book.inject(Fault(kind=FaultKind.LEAK, place=SLED, severity=1.0), 0.0)
    book.inject(Fault(kind=FaultKind.LEAK, place=SLED, severity=2.0), 0.0)

    assert [fault.severity for fault in book.known()] == [2.0]
    book.clear(FaultKind.LEAK, SLED)
    book.clear(FaultKind.LEAK, SLED)
    assert book.known() == ()
