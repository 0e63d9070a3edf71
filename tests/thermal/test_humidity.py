import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from thermal.humidity import dew_point_c, humidity_ratio, wet_bulb_c


@pytest.mark.parametrize(
    ("air_c", "humidity", "expected_c"), [(20, 0.5, 9.3), (25, 0.6, 16.7), (30, 0.3, 10.5)]
)
def test_dew_points_of_the_psychrometric_chart(
    air_c: float, humidity: float, expected_c: float
) -> None:
    assert dew_point_c(air_c, humidity) == pytest.approx(expected_c, abs=0.1)


@pytest.mark.parametrize(
    ("air_c", "humidity", "expected_c"),
    [(20, 0.5, 13.8), (25, 0.5, 17.9), (30, 0.3, 18.0), (35, 0.5, 26.2), (40, 0.2, 22.0)],
)
def test_wet_bulbs_of_the_psychrometric_chart(
    air_c: float, humidity: float, expected_c: float
) -> None:
    assert wet_bulb_c(float(air_c), humidity) == pytest.approx(expected_c, abs=0.2)


@given(st.floats(-20, 50), st.floats(-0.5, 1.5))
def test_dew_point_wet_bulb_and_air_keep_their_order(air_c: float, humidity: float) -> None:
    dew_c, wet_c = dew_point_c(air_c, humidity), wet_bulb_c(air_c, humidity)
    assert dew_c <= wet_c + 0.02
    assert wet_c <= air_c + 1e-9


@given(st.floats(-20, 50))
def test_saturated_air_condenses_at_once(air_c: float) -> None:
    assert dew_point_c(air_c, 1.0) == pytest.approx(air_c)
    assert wet_bulb_c(air_c, 1.0) == pytest.approx(air_c, abs=1e-6)


@given(st.floats(-20, 50), st.floats(0.01, 1.0))
def test_humidity_comes_back_from_the_dew_point(air_c: float, humidity: float) -> None:
    assert humidity_ratio(air_c, dew_point_c(air_c, humidity)) == pytest.approx(humidity)


def test_arrays_are_taken_elementwise() -> None:
    air_c, humidity = np.array([20.0, 30.0]), np.array([0.5, 0.3])
    assert wet_bulb_c(air_c, humidity) == pytest.approx(
        [wet_bulb_c(20.0, 0.5), wet_bulb_c(30.0, 0.3)]
    )
