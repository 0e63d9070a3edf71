import pytest
from hypothesis import given
from hypothesis import strategies as st

from thermal.humidity import dew_point_c


@pytest.mark.parametrize(
    ("air_c", "humidity", "expected_c"), [(20, 0.5, 9.3), (25, 0.6, 16.7), (30, 0.3, 10.5)]
)
def test_psychrometric_chart_values_are_met(
    air_c: float, humidity: float, expected_c: float
) -> None:
    assert dew_point_c(air_c, humidity) == pytest.approx(expected_c, abs=0.1)


@given(st.floats(0, 50), st.floats(-0.5, 1.5))
def test_dew_point_never_passes_the_air(air_c: float, humidity: float) -> None:
    assert dew_point_c(air_c, humidity) <= air_c + 1e-9


@given(st.floats(0, 50))
def test_saturated_air_condenses_at_once(air_c: float) -> None:
    assert dew_point_c(air_c, 1.0) == pytest.approx(air_c)
