import pytest
from hypothesis import given
from hypothesis import strategies as st

from thermal.plant.pipe import PlugFlow

pushes = st.lists(st.tuples(st.floats(0.0, 30.0), st.floats(10.0, 70.0)), max_size=60)


@given(pushes)
def test_heat_is_conserved_whatever_is_pushed(parcels: list[tuple[float, float]]) -> None:
    pipe, volume_l = PlugFlow(10.0, 35.0), 10.0
    heat = volume_l * 35.0
    for pushed_l, inlet_c in parcels:
        outlet_c = pipe.push(pushed_l, inlet_c)
        heat += pushed_l * (inlet_c - outlet_c)
        assert 9.999 <= outlet_c <= 70.001
    assert pipe.mean_c() * volume_l == pytest.approx(heat, abs=1e-6)


def test_a_front_comes_out_after_exactly_one_volume() -> None:
    pipe = PlugFlow(10.0, 20.0)
    outlets = [pipe.push(1.0, 50.0) for _ in range(12)]
    assert outlets[:10] == [20.0] * 10
    assert outlets[10:] == [50.0] * 2


def test_without_flow_the_outlet_keeps_its_temperature() -> None:
    pipe = PlugFlow(10.0, 20.0)
    assert pipe.push(0.0, 90.0) == 20.0


def test_a_trickle_for_a_day_does_not_grow_the_memory() -> None:
    pipe = PlugFlow(10.0, 20.0)
    for _ in range(20_000):
        pipe.push(0.0005, 50.0)
    assert len(pipe._parcels) < 900
    assert pipe.mean_c() == pytest.approx(50.0, abs=0.6)
