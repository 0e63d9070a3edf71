import pytest

from emulator.faults.catalogue import catalogue
from emulator.faults.columns import COLUMNS
from emulator.faults.kinds import FaultKind, PlaceKind


def test_every_kind_is_there_with_a_default_inside_its_span() -> None:
    assert set(catalogue()) == set(FaultKind)
    for spec in catalogue().values():
        assert spec.low <= spec.default <= spec.high


def test_every_column_is_struck_by_some_fault() -> None:
    struck = {column for spec in catalogue().values() for column in spec.acts_on}
    assert struck == set(COLUMNS)


@pytest.mark.parametrize("kind", FaultKind)
def test_a_fault_strikes_something_and_people_are_told_what(kind: FaultKind) -> None:
    spec = catalogue()[kind]
    assert bool(spec.acts_on) is (spec.place is not PlaceKind.SENSOR)
    assert all(text.strip() for text in (spec.what, spec.shows, spec.remedy, spec.source))


def test_the_three_leaks_of_the_field_have_names() -> None:
    assert set(catalogue()[FaultKind.LEAK].presets.values()) == {0.2, 2.0, 20.0}
