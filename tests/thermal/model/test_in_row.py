"""The controller's model of an in-row cooler against the coil itself."""

from dataclasses import replace

import numpy as np
import pytest

from thermal import coil, heat_exchanger, valve
from thermal.coolant import WATER_W_PER_K_PER_LPM, w_per_k_per_lpm
from thermal.model import in_row
from thermal.model.in_row import InRowModelSettings
from thermal.model.settings import LoopModelSettings

COOLER = InRowModelSettings()
COIL = COOLER.coil
MODEL = in_row.behind_coil(LoopModelSettings(), COOLER)
PG25_W_PER_K_PER_LPM = float(w_per_k_per_lpm(40.0))


def carried_by_coil(fan_ratio: float, flow_lpm: float) -> float:
    """W for each kelvin between coolant and air, both as they come in."""
    hot, cold = PG25_W_PER_K_PER_LPM * flow_lpm, float(coil.air_w_per_k(COIL, fan_ratio))
    least, most = sorted((hot, cold))
    ua = coil.ua_w_per_k(COIL, flow_lpm, fan_ratio, 0.0)
    return float(coil.effectiveness(ua / least, least / most)) * least


def carried_by_model(fan_ratio: float, flow_lpm: float) -> float:
    air = float(valve.flow_ratio(MODEL.valve, np.array([fan_ratio]))[0])
    cold_lpm = MODEL.exchanger.cold_nominal_lpm * air
    ua = heat_exchanger.ua_w_per_k(
        MODEL.exchanger, hot_lpm=flow_lpm, cold_lpm=cold_lpm, fouling_ratio=MODEL.fouling_ratio
    )
    hot = PG25_W_PER_K_PER_LPM * flow_lpm
    out, _ = heat_exchanger.outlet_temperatures_c(
        hot_in_c=1.0,
        cold_in_c=0.0,
        hot_w_per_k=hot,
        cold_w_per_k=WATER_W_PER_K_PER_LPM * cold_lpm,
        ua=ua,
    )
    return (1.0 - out) * hot


@pytest.mark.parametrize("flow_lpm", [200.0, 350.0, 540.0])
@pytest.mark.parametrize("fan_ratio", [0.2, 0.3, 0.5, 0.7, 0.85, 1.0])
def test_the_model_carries_what_the_coil_does(fan_ratio: float, flow_lpm: float) -> None:
    expected = carried_by_coil(fan_ratio, flow_lpm)
    assert carried_by_model(fan_ratio, flow_lpm) == pytest.approx(expected, rel=0.13)


def test_air_follows_fans_almost_straight() -> None:
    speeds = np.linspace(0.05, 1.0, 20)
    np.testing.assert_allclose(valve.flow_ratio(MODEL.valve, speeds), speeds, atol=0.075)


def test_a_cooler_of_another_size_carries_as_much_more() -> None:
    double = replace(COOLER, coil=COIL.scaled(2.0))
    model = in_row.behind_coil(LoopModelSettings(), double)
    assert model.exchanger.ua_w_per_k == pytest.approx(2.0 * MODEL.exchanger.ua_w_per_k)
    assert model.exchanger.cold_nominal_lpm == pytest.approx(2 * MODEL.exchanger.cold_nominal_lpm)
    assert (model.valve, model.fouling_ratio) == (MODEL.valve, MODEL.fouling_ratio)


def test_fans_take_the_cube_of_their_speed_and_no_more_than_all() -> None:
    nominal_lpm = MODEL.exchanger.cold_nominal_lpm
    full_w = in_row.fan_power_w(COOLER, MODEL, nominal_lpm)
    assert full_w == pytest.approx(COIL.fan_rated_w)
    assert in_row.fan_power_w(COOLER, MODEL, 0.5 * nominal_lpm) == pytest.approx(full_w / 8.0)
    assert in_row.fan_power_w(COOLER, MODEL, 3.0 * nominal_lpm) == pytest.approx(full_w)
