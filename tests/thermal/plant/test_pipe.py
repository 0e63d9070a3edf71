import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from thermal.plant.pipe import PlugFlow

pushes = st.lists(
    st.tuples(st.floats(0.0, 30.0), st.floats(0.0, 3.0), st.floats(10.0, 70.0)), max_size=60
)


def pipes(volume_l: list[float], start_c: float) -> PlugFlow:
    return PlugFlow(np.array(volume_l), np.full(len(volume_l), start_c))


@given(pushes)
def test_heat_is_conserved_whatever_is_pushed(parcels: list[tuple[float, float, float]]) -> None:
    volumes = np.array([10.0, 3.0])
    pipe, heat = pipes([10.0, 3.0], 35.0), volumes * 35.0
    for first_l, second_l, inlet_c in parcels:
        pushed = np.array([first_l, second_l])
        outlet_c = pipe.push(pushed, np.full(2, inlet_c))
        heat += pushed * (inlet_c - outlet_c)
        moved = outlet_c[pushed > 1e-6]
        assert (moved >= 9.99).all()
        assert (moved <= 70.01).all()
    assert pipe.mean_c() * volumes == pytest.approx(heat, abs=1e-6)


def test_a_front_comes_out_after_exactly_one_volume_of_each_pipe() -> None:
    pipe = pipes([10.0, 5.0], 20.0)
    outlets = np.array([pipe.push(np.ones(2), np.full(2, 50.0)) for _ in range(12)])
    assert outlets[:, 0] == pytest.approx([20.0] * 10 + [50.0] * 2)
    assert outlets[:, 1] == pytest.approx([20.0] * 5 + [50.0] * 7)


def test_without_flow_the_outlet_keeps_its_temperature() -> None:
    pipe = pipes([10.0, 10.0], 20.0)
    pipe.push(np.array([11.0, 0.0]), np.array([60.0, 90.0]))
    assert pipe.push(np.zeros(2), np.full(2, 90.0)) == pytest.approx([20.0 + 40.0 / 11.0, 20.0])


def test_a_trickle_for_a_day_still_conserves_and_comes_out_in_order() -> None:
    """Parcels that join, so that memory does not grow, may mix by a hundredth of the pipe."""
    pipe, outlet_c = pipes([10.0], 20.0), 20.0
    for step in range(4_000):
        leaving_c = float(
            pipe.push(np.array([0.005]), np.array([50.0 if step < 1_000 else 30.0]))[0]
        )
        if step in (1_950, 2_050, 2_950, 3_050):
            outlet_c = leaving_c
            assert outlet_c == pytest.approx({1_950: 20, 2_050: 50, 2_950: 50, 3_050: 30}[step])
