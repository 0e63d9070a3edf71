"""Swapped units are caught and named; sound readings never are."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.cooling.settings import EstimateSettings
from controller.cooling.units import of_range, swapped


@pytest.mark.parametrize(
    ("sensor", "value", "expected", "unit"),
    [
        ("supply_c", 313.15, 40.0, "kelvin"),
        ("supply_c", 104.0, 40.0, "°F"),
        ("supply_pressure_kpa", 47.9, 330.0, "psi"),
        ("supply_pressure_kpa", 3.3, 330.0, "bar"),
        ("secondary_dp_kpa", 26.1, 180.0, "psi"),
        ("secondary_flow_lpm", 142.7, 540.0, "US gal/min"),
        ("secondary_flow_lpm", 32.4, 540.0, "m³/h"),
        ("reservoir_level_ratio", 90.0, 0.9, "percent"),
    ],
)
def test_a_swap_is_named(sensor: str, value: float, expected: float, unit: str) -> None:
    words = swapped(sensor, value, expected)
    assert words is not None
    assert words.startswith(f"reads like {unit} where")


@given(st.floats(17.0, 60.0), st.floats(-7.0, 7.0))
def test_a_temperature_near_the_expected_is_no_swap(expected: float, off_k: float) -> None:
    assert swapped("supply_c", expected + off_k, expected) is None


@given(st.floats(50.0, 500.0), st.floats(0.3, 1.5))
def test_a_pressure_that_falls_or_rises_by_itself_is_no_swap(kpa: float, ratio: float) -> None:
    assert swapped("supply_pressure_kpa", kpa * ratio, kpa) is None


@given(st.floats(20.0, 60.0))
def test_without_memory_kelvin_is_known_by_its_range(supply_c: float) -> None:
    limits = EstimateSettings().sensors["supply_c"]
    words = of_range("supply_c", supply_c + 273.15, limits.low, limits.high)
    assert words is not None
    assert "kelvin" in words
    assert of_range("supply_c", supply_c, limits.low, limits.high) is None


@pytest.mark.parametrize("nothing", [math.nan, math.inf, -math.inf])
def test_what_is_no_number_has_no_unit(nothing: float) -> None:
    assert swapped("supply_c", nothing, 40.0) is None
    assert of_range("supply_c", nothing, 2.0, 85.0) is None
