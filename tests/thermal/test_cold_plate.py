import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from thermal.cold_plate import (
    ColdPlateSettings,
    case_to_inlet_k_per_w,
    mean_fluid_weight,
    open_share,
    resistance_k_per_w,
)

# OCP OAI liquid cooling guidelines 2023, Fig. 7: 1 kW OAM cold plate with PG25.
OCP_TABLE = [
    (0.4, 0.0389),
    (0.5, 0.0325),
    (0.6, 0.0300),
    (0.7, 0.0280),
    (0.8, 0.0265),
    (0.9, 0.0255),
    (1.0, 0.0245),
    (1.2, 0.0230),
    (1.4, 0.0220),
    (1.6, 0.0214),
    (1.8, 0.0209),
    (2.0, 0.0204),
    (2.4, 0.0197),
]
PLATE = ColdPlateSettings()
flows = st.floats(0.001, 20.0)


@pytest.mark.parametrize(("flow_lpm", "published"), OCP_TABLE)
def test_ocp_plate_is_met_within_three_percent(flow_lpm: float, published: float) -> None:
    resistance = case_to_inlet_k_per_w(np.array([flow_lpm]), PLATE, w_per_k_per_lpm=66.8)
    assert resistance[0] == pytest.approx(published, rel=0.03)


@given(flows, flows)
def test_more_flow_never_resists_more(one_lpm: float, other_lpm: float) -> None:
    flow = np.sort(np.array([one_lpm, other_lpm]))
    total = case_to_inlet_k_per_w(flow, PLATE, w_per_k_per_lpm=66.8)
    assert total[1] <= total[0] * (1 + 1e-12)


def test_still_coolant_resists_finitely_and_carries_nothing() -> None:
    still = np.zeros(1)
    assert np.isfinite(resistance_k_per_w(still, PLATE)).all()
    assert np.isinf(case_to_inlet_k_per_w(still, PLATE, w_per_k_per_lpm=66.8)).all()


@given(flows)
def test_the_outlet_is_never_hotter_than_the_plate(flow_lpm: float) -> None:
    flow = np.array([flow_lpm])
    conductance = 1.0 / resistance_k_per_w(flow, PLATE)
    rate = flow * 66.8
    weight = mean_fluid_weight(conductance, rate)
    outlet_rise_per_w = 1.0 / rate
    plate_rise_per_w = 1.0 / conductance + weight / rate
    assert outlet_rise_per_w[0] <= plate_rise_per_w[0] * (1 + 1e-9)


def test_blockage_of_one_lets_nothing_pass_and_nonsense_is_held_in_bounds() -> None:
    assert open_share(np.array([0.0, 0.25, 1.0, 7.0, -1.0])).tolist() == [1.0, 0.75, 0.0, 0.0, 1.0]
