import pytest
from hypothesis import given
from hypothesis import strategies as st

from thermal.coolant import density_kg_per_m3, specific_heat_j_per_kgk, viscosity_mpas, w_per_k


@pytest.mark.parametrize(
    ("temperature_c", "density", "specific_heat", "viscosity"),
    [(15, 1021, 3908, 2.93), (30, 1015, 3945, 1.78), (45, 1007, 3981, 1.20), (60, 998, 4016, 0.88)],
)
def test_the_published_table_is_met_at_its_points(
    temperature_c: float, density: float, specific_heat: float, viscosity: float
) -> None:
    assert density_kg_per_m3(temperature_c) == pytest.approx(density)
    assert specific_heat_j_per_kgk(temperature_c) == pytest.approx(specific_heat)
    assert viscosity_mpas(temperature_c) == pytest.approx(viscosity)


def test_outside_the_table_the_nearest_value_holds() -> None:
    assert density_kg_per_m3(-40.0) == density_kg_per_m3(15.0)
    assert viscosity_mpas(150.0) == viscosity_mpas(60.0)


@given(st.floats(15, 60), st.floats(0.0, 2000.0))
def test_heat_capacity_rate_is_66_8_w_per_k_for_each_lpm(
    temperature_c: float, flow_lpm: float
) -> None:
    assert w_per_k(flow_lpm, temperature_c) == pytest.approx(66.8 * flow_lpm, rel=0.01)


@given(st.floats(0, 70), st.floats(0, 70))
def test_warmer_coolant_is_thinner_and_lighter(one_c: float, other_c: float) -> None:
    cold_c, warm_c = sorted((one_c, other_c))
    assert viscosity_mpas(warm_c) <= viscosity_mpas(cold_c)
    assert density_kg_per_m3(warm_c) <= density_kg_per_m3(cold_c)
