import pytest

from thermal.facility import FacilitySettings, next_supply_c, supply_c

TOWER = FacilitySettings()


def test_supply_follows_the_wet_bulb_one_to_one() -> None:
    mild = supply_c(TOWER, wet_bulb_c=12.0, range_k=8.0)
    assert mild == pytest.approx(12.0 + TOWER.approach_k)
    assert supply_c(TOWER, wet_bulb_c=26.0, range_k=8.0) - mild == pytest.approx(14.0)


def test_the_approach_grows_with_the_range_but_never_vanishes() -> None:
    idle, half, full = (supply_c(TOWER, wet_bulb_c=20.0, range_k=k) for k in (0.0, 6.0, 8.0))
    assert 20.0 < idle < half < full


def test_the_basin_closes_63_percent_of_a_gap_in_its_time_constant() -> None:
    assert next_supply_c(TOWER, 20.0, 30.0, TOWER.basin_s) == pytest.approx(26.32, abs=0.01)
