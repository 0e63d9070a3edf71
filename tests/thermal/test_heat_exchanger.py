import pytest
from hypothesis import given
from hypothesis import strategies as st

from thermal.heat_exchanger import (
    ExchangerSettings,
    effectiveness,
    outlet_temperatures_c,
    ua_w_per_k,
)

UNIT = ExchangerSettings()
flows = st.floats(0.0, 1500.0)


@pytest.mark.parametrize(
    ("heat_w", "hot_kg_s", "hot_cp", "cold_kg_s", "approach_k", "ua"),
    [
        pytest.param(2.0e6, 31.48, 3927.0, 32.30, 3.0, 2 * 281e3, id="project-deschutes"),
        pytest.param(1.368e6, 20.6, 3927.0, 20.6, 4.0, 306e3, id="xdu1350"),
    ],
)
def test_published_units_reach_their_approach(
    heat_w: float, hot_kg_s: float, hot_cp: float, cold_kg_s: float, approach_k: float, ua: float
) -> None:
    """Effectiveness implied by load and approach, within 2 %."""
    hot_rate, cold_rate = hot_kg_s * hot_cp, cold_kg_s * 4181.0
    smaller, larger = sorted((hot_rate, cold_rate))
    span_k = heat_w / hot_rate + approach_k
    published = heat_w / (smaller * span_k)
    assert effectiveness(ua / smaller, smaller / larger) == pytest.approx(published, rel=0.02)


@given(st.floats(0.0, 20.0), st.floats(0.0, 1.0), st.floats(0.0, 1.0))
def test_effectiveness_is_a_share_and_falls_with_the_capacity_ratio(
    ntu: float, one: float, other: float
) -> None:
    low, high = sorted((one, other))
    assert 0.0 <= effectiveness(ntu, high) <= effectiveness(ntu, low) + 1e-7 <= 1.0 + 1e-6


def test_effectiveness_is_continuous_where_the_rates_are_equal() -> None:
    assert effectiveness(4.0, 1.0) == pytest.approx(effectiveness(4.0, 1.0 - 1.1e-7), abs=1e-6)
    assert effectiveness(4.0, 1.0) == pytest.approx(0.8)


@given(st.floats(0, 1e5), st.floats(0, 1e5), st.floats(0, 3e5), st.floats(20, 90))
def test_heat_is_conserved_and_temperatures_never_cross(
    hot_rate: float, cold_rate: float, ua: float, hot_in_c: float
) -> None:
    hot_out_c, cold_out_c = outlet_temperatures_c(
        hot_in_c=hot_in_c, cold_in_c=20.0, hot_w_per_k=hot_rate, cold_w_per_k=cold_rate, ua=ua
    )
    slack = 1e-6
    assert 20.0 - slack <= hot_out_c <= hot_in_c + slack
    assert 20.0 - slack <= cold_out_c <= hot_in_c + slack
    if hot_rate > 1.0 and cold_rate > 1.0:
        given_w = hot_rate * (hot_in_c - hot_out_c)
        assert given_w == pytest.approx(cold_rate * (cold_out_c - 20.0), rel=1e-6, abs=1e-3)


@given(flows, flows, flows, st.floats(0.0, 0.9))
def test_more_flow_never_exchanges_less(
    cold_lpm: float, one_lpm: float, other_lpm: float, fouling: float
) -> None:
    low, high = sorted((one_lpm, other_lpm))
    less, more = (
        ua_w_per_k(UNIT, hot_lpm=flow, cold_lpm=cold_lpm, fouling_ratio=fouling)
        for flow in (low, high)
    )
    assert less <= more * (1 + 1e-12)


@pytest.mark.parametrize("lost", [0.0, 0.15, 0.3, 0.5])
def test_fouling_costs_its_share_at_nominal_flows(lost: float) -> None:
    ua = ua_w_per_k(UNIT, hot_lpm=540.0, cold_lpm=540.0, fouling_ratio=lost)
    assert ua == pytest.approx(UNIT.ua_w_per_k * (1.0 - lost))


def test_both_films_follow_the_power_of_0_8() -> None:
    half = ua_w_per_k(UNIT, hot_lpm=270.0, cold_lpm=270.0)
    assert half == pytest.approx(UNIT.ua_w_per_k * 0.5**0.8)
