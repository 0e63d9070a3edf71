import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from thermal import heat_exchanger
from thermal.plant.exchanger import Exchangers, Side
from thermal.plant.settings import PlantSettings

SETTINGS = [PlantSettings.sized(288), PlantSettings.sized(1152)]
flow = st.just(0.0) | st.floats(0.5, 1_500.0)


@given(flow, flow, st.floats(20, 80), st.floats(5, 45), st.floats(0.0, 0.9))
def test_all_loops_at_once_do_what_the_exchanger_of_each_does(
    hot_lpm: float, cold_lpm: float, hot_c: float, cold_c: float, fouling: float
) -> None:
    hot = Side(
        inlet_c=np.full(2, hot_c),
        w_per_k=np.full(2, 66.8 * hot_lpm),
        flow_ratio=np.array([hot_lpm / s.exchanger.hot_nominal_lpm for s in SETTINGS]),
    )
    cold = Side(
        inlet_c=np.full(2, cold_c),
        w_per_k=np.full(2, 69.2 * cold_lpm),
        flow_ratio=np.array([cold_lpm / s.exchanger.cold_nominal_lpm for s in SETTINGS]),
    )
    together = Exchangers(SETTINGS).outlets_c(hot, cold, np.full(2, fouling))
    for row, settings in enumerate(SETTINGS):
        alone = heat_exchanger.outlet_temperatures_c(
            hot_in_c=hot_c,
            cold_in_c=cold_c,
            hot_w_per_k=66.8 * hot_lpm,
            cold_w_per_k=69.2 * cold_lpm,
            ua=heat_exchanger.ua_w_per_k(
                settings.exchanger, hot_lpm=hot_lpm, cold_lpm=cold_lpm, fouling_ratio=fouling
            ),
        )
        assert (together[0][row], together[1][row]) == pytest.approx(alone, abs=1e-5)
