import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from thermal.model import loop
from thermal.model.settings import LoopModelSettings

LOOP = LoopModelSettings()
heats = st.floats(5e3, 4e5)


def test_one_and_a_half_lpm_per_kw_rise_ten_kelvin() -> None:
    assert loop.flow_for_heat_lpm(1000.0, 10.0) == pytest.approx(1.5, rel=0.01)
    assert loop.flow_for_heat_lpm(-5.0, 10.0) == 0.0


@pytest.mark.parametrize(("supply_c", "rack_lpm"), [(25, 59), (30, 71), (35, 89), (40, 119)])
def test_the_gb300_rack_table_is_the_return_cap_rule(supply_c: float, rack_lpm: float) -> None:
    """flow = 1770 / (55 - supply): heat that this flow carries is the same in every row."""
    heat_w = 1770.0 * 66.8
    assert loop.flow_for_heat_lpm(heat_w, 55.0 - supply_c) == pytest.approx(rack_lpm, rel=0.02)


@given(heats, st.floats(30.0, 45.0), st.floats(3.0, 12.0))
def test_the_valve_it_names_removes_the_heat(
    heat_w: float, supply_c: float, margin_k: float
) -> None:
    facility_c = supply_c - margin_k
    wanted = loop.primary_flow_for_heat_lpm(heat_w, supply_c, facility_c, 540.0, LOOP)
    if math.isfinite(wanted):
        removed = loop._removed_w(wanted, heat_w, supply_c, facility_c, 540.0, LOOP)
        assert removed == pytest.approx(heat_w, rel=1e-3)
    else:
        assert loop.valve_for_heat(heat_w, supply_c, facility_c, 540.0, LOOP) == 1.0


@given(heats, heats)
def test_more_heat_never_closes_the_valve(one_w: float, other_w: float) -> None:
    low, high = sorted((one_w, other_w))
    less, more = (loop.valve_for_heat(w, 40.0, 32.0, 540.0, LOOP) for w in (low, high))
    assert 0.0 <= less <= more <= 1.0


@pytest.mark.parametrize(
    ("heat_w", "facility_c", "flow_lpm", "expected"),
    [(0.0, 32.0, 540.0, 0.0), (1e5, 41.0, 540.0, 1.0), (1e5, 32.0, 0.0, 1.0), (9e6, 32, 540, 1.0)],
    ids=["no-heat", "facility-too-warm", "no-flow", "too-much-heat"],
)
def test_a_demand_that_cannot_be_met_is_an_end_of_the_valve(
    heat_w: float, facility_c: float, flow_lpm: float, expected: float
) -> None:
    assert loop.valve_for_heat(heat_w, 40.0, facility_c, flow_lpm, LOOP) == expected


@given(st.floats(300.0, 700.0), st.sampled_from([1, 2]))
def test_pump_speed_and_flow_are_inverse(flow_lpm: float, running: int) -> None:
    speed = loop.pump_ratio_for_flow(flow_lpm, running, LOOP)
    assert LOOP.drive.minimum_ratio <= speed <= 1.0
    if LOOP.drive.minimum_ratio < speed < 1.0:
        reached = loop.flow_for_pump_lpm((speed,) * running, LOOP)
        assert reached == pytest.approx(flow_lpm, rel=1e-3)


@given(st.floats(200.0, 1400.0), st.floats(25.0, 45.0))
def test_the_flow_for_a_junction_cap_keeps_it(power_w: float, supply_c: float) -> None:
    flow = loop.chip_flow_for_junction_lpm(power_w, supply_c, 85.0, LOOP)
    if math.isfinite(flow):
        assert loop.junction_for_chip_c(power_w, supply_c, flow, LOOP) <= 85.0 + 1e-6
    else:
        assert loop.junction_for_chip_c(power_w, supply_c, 10.0, LOOP) > 85.0


def test_reference_junction_is_met() -> None:
    """1 kW at 1.5 l/min and 40 C: 73.7 C (tuned reference loop)."""
    assert loop.junction_for_chip_c(1000.0, 40.0, 1.5, LOOP) == pytest.approx(73.7, abs=0.2)
    assert np.isinf(loop.junction_for_chip_c(1000.0, 40.0, 0.0, LOOP))
    assert np.isinf(loop.return_for_heat_c(1e5, 40.0, 0.0))


def test_believed_fouling_opens_the_valve_further() -> None:
    fouled = loop.with_fouling(LOOP, 0.3)
    clean = loop.valve_for_heat(3e5, 40.0, 31.0, 540.0, LOOP)
    assert loop.valve_for_heat(3e5, 40.0, 31.0, 540.0, fouled) > clean + 0.02
